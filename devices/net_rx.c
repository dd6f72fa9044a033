/* SPDX-License-Identifier: Apache-2.0 */
/* What net_rx.h declares. */
#include "devices/net_rx.h"

#include <string.h>

#include "devices/iov.h"

void net_rx_clear(struct net_rx *rx)
{
	rx->nr_bufs = rx->nr_parts = 0;
	rx->room = rx->waiting = rx->placed = 0;
}

/* Holds one more buffer, or is told that it is none. */
static bool hold(struct net_rx *rx, const struct virtq_chain *c)
{
	/* 5.1.6.3.1: a header fits; and nobody reads from it. */
	if (c->nr_out || c->in_len < NET_HEADER_LEN) {
		virtio_break(rx->dev);
		return false;
	}
	rx->bufs[rx->nr_bufs++] = (struct net_rx_buf){
		.head = c->head,
		.nr_parts = (uint16_t)c->nr_in,
		.len = c->in_len,
	};
	memcpy(rx->parts + rx->nr_parts, c->iov, c->nr_in * sizeof(*c->iov));
	rx->nr_parts += c->nr_in;
	rx->room += c->in_len;
	return true;
}

static bool is_full(const struct net_rx *rx)
{
	return rx->nr_bufs == NET_RX_BUFS ||
	       rx->nr_parts > NET_RX_PARTS - VIRTQ_MAX_SEGMENTS;
}

static void fill(struct net_rx *rx, size_t want)
{
	struct virtq_chain c;

	while (rx->room < want && !is_full(rx) &&
	       virtio_take(rx->dev, rx->queue, &c))
		if (!hold(rx, &c))
			return;
}

/* The first nr buffers are the guest's again. */
static void let_go(struct net_rx *rx, unsigned int nr)
{
	unsigned int parts = 0;

	for (unsigned int i = 0; i < nr; i++) {
		parts += rx->bufs[i].nr_parts;
		rx->room -= rx->bufs[i].len;
	}
	rx->nr_bufs -= nr;
	rx->nr_parts -= parts;
	memmove(rx->bufs, rx->bufs + nr, rx->nr_bufs * sizeof(*rx->bufs));
	memmove(rx->parts, rx->parts + parts,
		rx->nr_parts * sizeof(*rx->parts));
}

/* All len bytes are in buffers: fills in the header, gives them back. */
static void deliver(struct net_rx *rx, size_t len)
{
	struct virtqueue *ring = &rx->dev->queues[rx->queue].ring;
	struct virtio_net_hdr_v1 none = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	size_t left = 0;
	uint16_t count = 0;

	while (left < len)
		left += rx->bufs[count++].len;
	if (rx->no_offload)
		iov_put(rx->parts, rx->nr_parts, 0, &none, sizeof(none));
	iov_put(rx->parts, rx->nr_parts,
		offsetof(struct virtio_net_hdr_v1, num_buffers), &count,
		sizeof(count));
	left = len;
	for (unsigned int i = 0; i < count; i++) {
		size_t part = min_of(left, rx->bufs[i].len);

		virtq_fill(ring, rx->bufs[i].head, (uint32_t)part);
		left -= part;
	}
	/* At once: drivers look for all of a packet when they see some. */
	virtq_flush(ring);
	let_go(rx, count);
}

/* Tries to place the rest of a packet; it may be lost.  False: it waits. */
static bool settle(struct net_rx *rx)
{
	const struct virtqueue *ring = &rx->dev->queues[rx->queue].ring;

	fill(rx, rx->waiting);
	if (rx->room >= rx->waiting) {
		iov_put(rx->parts, rx->nr_parts, rx->placed, rx->spill,
			rx->waiting - rx->placed);
		deliver(rx, rx->waiting);
	} else if (!is_full(rx) && rx->nr_bufs < ring->layout.size) {
		return false;
	}
	rx->waiting = 0;
	return true;
}

const struct iovec *net_rx_parts(struct net_rx *rx, size_t want,
				 unsigned int *nr)
{
	if (rx->waiting && !settle(rx))
		return NULL;
	/* Without merging a packet has one buffer, so one is held. */
	fill(rx, rx->merge ? want : 1);
	if (!rx->nr_bufs || rx->dev->broken)
		return NULL;
	rx->parts[rx->nr_parts] =
		(struct iovec){ rx->spill, sizeof(rx->spill) };
	*nr = rx->nr_parts + 1;
	return rx->parts;
}

void net_rx_packet(struct net_rx *rx, size_t len)
{
	if (len <= NET_HEADER_LEN)
		return;
	if (len <= rx->room) {
		deliver(rx, len);
	} else if (rx->merge) {
		rx->placed = rx->room;
		rx->waiting = len;
		settle(rx);
	}
}
