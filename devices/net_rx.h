/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's buffers for packets, taken from a receive queue ahead of need,
 * so that a packet is read straight into as many of them as it takes (virtio
 * 1.2, 5.1.6.3).  What the buffers have no room for lands in a spill, and
 * waits there for more of them:
 *
 *	readv():  | buffer | buffer | buffer | spill |
 */
#pragma once

#include "devices/net_host.h"
#include "devices/virtio.h"

#define NET_RX_BUFS 128  /* for one packet, and held at a time */
#define NET_RX_PARTS 768 /* readv() takes 1024 */

struct net_rx {
	struct virtio *dev;
	unsigned int queue;
	bool merge;      /* a packet may take several buffers */
	bool no_offload; /* the header is to say nothing */
	unsigned int nr_bufs, nr_parts;
	size_t room;    /* bytes in all buffers held */
	size_t waiting; /* length of a packet that is in part in the spill */
	size_t placed;  /* of which so much is in buffers */
	struct net_rx_buf {
		uint16_t head, nr_parts;
		uint64_t len;
	} bufs[NET_RX_BUFS];
	struct iovec parts[NET_RX_PARTS + 1]; /* of bufs; and the spill */
	uint8_t spill[NET_PACKET_MAX];
};

/* Forgets what it holds: the queue starts anew. */
void net_rx_clear(struct net_rx *rx);

/*
 * Where the next packet goes, if the guest gives any buffers: want bytes are
 * looked for, some may be there.  The last part is the spill.
 * NULL: wait for the driver to ring; a packet may be waiting too.
 */
const struct iovec *net_rx_parts(struct net_rx *rx, size_t want,
				 unsigned int *nr);

/*
 * A packet of len bytes was put there.  It goes to the guest, who has yet
 * to be notified, or waits, or is dropped if it cannot ever fit.
 */
void net_rx_packet(struct net_rx *rx, size_t len);
