/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-vsock (virtio 1.2, 5.10): sockets between guest and host, served by
 * the host's kernel (vhost-vsock).
 */
#pragma once

#include "devices/virtio.h"

struct vhost_sys;

/* What others use: hypervisor, local, host (linux/vm_sockets.h); and any. */
#define VSOCK_CID_MIN 3
#define VSOCK_CID_MAX 0xfffffffeULL

struct vsock_params {
	uint64_t cid;          /* the guest's, VSOCK_CID_MIN to _MAX */
	struct vhost_sys *sys; /* NULL: the real kernel */
};

virtio_create vsock_create; /* params: struct vsock_params */
