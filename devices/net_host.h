/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a network device: what takes the guest's packets and
 * brings those for it.  tap.c is the kernel's, net_stream.c a program's.
 *
 * A packet is struct virtio_net_hdr_v1 (virtio 1.2, 5.1.6), then a frame.
 * After creation everything is called on the device's thread.
 */
#pragma once

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "vmm/base/util.h"

#define NET_MAX_PAIRS 8 /* of a receive and a transmit queue */
#define NET_HEADER_LEN sizeof(struct virtio_net_hdr_v1)
/* The largest IP packet behind an Ethernet header with a VLAN tag. */
#define NET_FRAME_MAX (65535 + 18)
#define NET_PACKET_MAX (NET_HEADER_LEN + NET_FRAME_MAX)

/* Newer than Debian 12's header; virtio 1.3, 5.1.3 and 5.1.6. */
#define NET_F_GUEST_USO4 54
#define NET_F_GUEST_USO6 55
#define NET_F_HOST_USO 56
#define NET_HDR_GSO_UDP_L4 5

struct net_host {
	const struct net_host_ops *ops;
	const char *what;  /* "tap0", "passt": for messages */
	uint64_t features; /* VIRTIO_NET_F_* bits that it makes possible */
	unsigned int nr_pairs;
	int fds[NET_MAX_PAIRS]; /* readable: receive; writable: send again */
};

struct net_host_ops {
	/*
	 * Puts the next packet into n parts, cut off where they end.  Returns
	 * its length, 0: none now, -errno: there will never be one again.
	 */
	ssize_t (*receive)(struct net_host *h, unsigned int pair,
			   const struct iovec *iov, unsigned int n);
	/*
	 * Takes a packet, of which the first part is the header; iov may be
	 * changed.  What is wrong with a packet is no error, it is lost.
	 * 0, 1: taken, but a part is left to be sent when fd is writable, by
	 * a call with n 0; -EAGAIN: not now; other -errno: never again.
	 */
	int (*send)(struct net_host *h, unsigned int pair, struct iovec *iov,
		    unsigned int n);
	/*
	 * Packets from now on may need what these VIRTIO_NET_F_GUEST_* bits
	 * stand for.  May be absent.
	 */
	void (*accept)(struct net_host *h, uint64_t features);
	/* Use the first nr pairs.  May be absent where there is one. */
	int (*set_pairs)(struct net_host *h, unsigned int nr);
	void (*destroy)(struct net_host *h);
};
