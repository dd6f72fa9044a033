/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net (virtio 1.2, 5.1): packets between a guest's queues and a
 * struct net_host, each queue read and written directly.
 */
#pragma once

#include "devices/net_host.h"
#include "devices/virtio.h"

struct vhost_sys;

struct net_params {
	struct net_host *host; /* taken over, whatever net_create() returns */
	uint8_t mac[6];
	uint16_t mtu; /* for the driver; 0: it does as it likes */
	/* Packets pass only the kernel (vhost-net): host is a tap. */
	bool vhost;
	struct vhost_sys *sys; /* NULL: the real kernel */
};

virtio_create net_create; /* params: struct net_params */
