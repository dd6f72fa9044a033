/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network device between a fake driver and sockets that play a tap: each
 * message is a packet with its header.
 */
#pragma once

#include "devices/net.h"
#include "support/fake_driver.h"

struct net_rig {
	struct fake_driver *driver;
	struct virtio *dev;
	int host[NET_MAX_PAIRS]; /* the host's ends; do not block */
};

#define NET_RIG_SIZE 16 /* of the queues */

/* A device of nr pairs, whose driver does nothing yet. */
void net_rig_make(struct net_rig *r, unsigned int nr);
/* A driver that takes features, and has seen the first packet go out. */
void net_rig_start(struct net_rig *r, uint64_t features);
void net_rig_free(struct net_rig *r);

/* A packet of len bytes, header included, whose frame is full of tags. */
void net_rig_packet(uint8_t *packet, size_t len, uint8_t tag);

/* Gives queue q a chain and rings; its head. */
uint16_t net_rig_add(struct net_rig *r, unsigned int q,
		     const struct fake_buf *bufs, unsigned int nr);
/* The same of one buffer of the device's to write; returns where it is. */
gpa_t net_rig_post(struct net_rig *r, unsigned int q, uint32_t len);
/* The same of a packet to be sent. */
void net_rig_send(struct net_rig *r, unsigned int q, const void *packet,
		  size_t len);

/* The host sends a packet, or gets the next one: its length. */
void net_rig_bring(struct net_rig *r, unsigned int pair, const void *packet,
		   size_t len);
size_t net_rig_take(struct net_rig *r, unsigned int pair, void *packet,
		    size_t len);
/* Nothing comes for the host, in as long as things take here. */
bool net_rig_quiet(struct net_rig *r, unsigned int pair);
