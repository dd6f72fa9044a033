/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues, the device's side (virtio 1.2, 2.7).  One thread at a
 * time.  Everything a driver writes is copied once and checked; a driver that
 * breaks the rules gets -EPROTO and the device stops (DEVICE_NEEDS_RESET).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/guest.h"

#define VIRTQ_MAX_SIZE 1024
#define VIRTQ_MAX_SEGMENTS 256 /* of a chain; a block request has 254 + 2 */

struct virtq_layout { /* what the driver configures */
	uint16_t size;
	gpa_t desc, avail, used;
};

/* What a request in flight uses, where memory may turn private. */
struct virtq_head {
	struct pages_pins pins;
	uint64_t in_window; /* bytes of its buffers, descriptors included */
};

struct virtqueue {
	const struct guest_mem *mem; /* NULL: not started */
	struct virtq_layout layout;
	bool event_idx;
	uint16_t next_avail, next_used;
	uint16_t notified; /* next_used when the driver was last told */
	uint64_t written;  /* bytes, of all given back; others may zero it */
	/* The rings, guest memory: only virtqueue.c looks at them. */
	void *desc, *avail, *used;
	struct virtq_head *heads; /* NULL: no memory turns private */
	unsigned int turned;      /* pages.turned when the rings were shared */
};

/*
 * One request: the parts the device may read, then those it may write.  The
 * pointers are checked, and pinned until the request is given back; what they
 * point at is the guest's and changes.
 */
struct virtq_chain {
	uint16_t head;
	unsigned int nr_out, nr_in;
	uint64_t out_len, in_len;
	struct iovec iov[VIRTQ_MAX_SEGMENTS]; /* nr_out, then nr_in of them */
};

/*
 * Starts a queue at its beginning.  -EPROTO: size is no power of two up to
 * VIRTQ_MAX_SIZE, or a ring is misaligned or not RAM that is shared; -ENOMEM.
 */
int virtq_start(struct virtqueue *q, const struct guest_mem *mem,
		const struct virtq_layout *layout, bool event_idx);
/* No request is under way any more.  Twice is fine. */
void virtq_stop(struct virtqueue *q);

/*
 * Takes the next request.  1, 0 when there is none, -EPROTO: the driver broke
 * the rules; one is to have its rings and buffers shared with us, and, if the
 * window is strict, buffers and indirect tables inside of that.
 */
int virtq_pop(struct virtqueue *q, struct virtq_chain *c);

/* Puts the last request taken, head, back for a later virtq_pop(). */
void virtq_unpop(struct virtqueue *q, uint16_t head);

/*
 * Gives a request back, of which the first `written` bytes of its writable
 * part have been written.  The driver sees it at once, its interrupt is
 * for virtq_must_notify().
 */
void virtq_push(struct virtqueue *q, uint16_t head, uint32_t written);

/*
 * The same in two steps, for requests that the driver must see together: all
 * that was filled, at the flush.
 */
void virtq_fill(struct virtqueue *q, uint16_t head, uint32_t written);
void virtq_flush(struct virtqueue *q);

/* True if the driver wants an interrupt for what was pushed since the last. */
bool virtq_must_notify(struct virtqueue *q);

/*
 * Kicks off and on, for a queue that is being emptied.  virtq_kicks_on() is
 * true if requests came meanwhile: pop again.  Without it no kick comes.
 */
void virtq_kicks_off(struct virtqueue *q);
bool virtq_kicks_on(struct virtqueue *q);

/*
 * Copies between a chain and a buffer: from byte off of the readable part, to
 * byte off of the writable part.  Returns the bytes copied, fewer at its end.
 */
size_t virtq_read(const struct virtq_chain *c, uint64_t off, void *buf,
		  size_t len);
size_t virtq_write(const struct virtq_chain *c, uint64_t off, const void *buf,
		   size_t len);
