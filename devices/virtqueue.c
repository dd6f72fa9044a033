/* SPDX-License-Identifier: Apache-2.0 */
/* What virtqueue.h declares. */
#include "devices/virtqueue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

/*
 * The rings are shared with a processor that may do anything: each field is
 * read or written exactly once, as a whole.
 */
#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)

static uint16_t *used_event(const struct virtqueue *q)
{
	return &((struct vring_avail *)q->avail)->ring[q->layout.size];
}

static uint16_t *avail_event(const struct virtqueue *q)
{
	struct vring_used *used = q->used;

	return (uint16_t *)(void *)&used->ring[q->layout.size];
}

int virtq_start(struct virtqueue *q, const struct guest_mem *mem,
		const struct virtq_layout *layout, bool event_idx)
{
	uint64_t n = layout->size;

	virtq_stop(q);
	/* 2.7: alignments 16, 2 and 4; each ring ends with an event field. */
	if (!is_pow2(n) || n > VIRTQ_MAX_SIZE || layout->desc % 16 ||
	    layout->avail % 2 || layout->used % 4)
		return -EPROTO;
	q->desc = guest_at(mem, layout->desc, n * sizeof(struct vring_desc));
	q->avail = guest_at(mem, layout->avail, 6 + 2 * n);
	q->used = guest_at(mem, layout->used,
			   6 + n * sizeof(struct vring_used_elem));
	if (!q->desc || !q->avail || !q->used)
		return -EPROTO;
	q->layout = *layout;
	q->event_idx = event_idx;
	q->mem = mem;
	return 0;
}

void virtq_stop(struct virtqueue *q)
{
	*q = (struct virtqueue){ 0 };
}

/* Adds one buffer to the chain. */
static int add(struct virtqueue *q, struct virtq_chain *c,
	       const struct vring_desc *d)
{
	unsigned int i = c->nr_out + c->nr_in;
	void *host;

	if (i == VIRTQ_MAX_SEGMENTS || !d->len)
		return -EPROTO;
	host = guest_at(q->mem, d->addr, d->len);
	if (!host)
		return -EPROTO;
	c->iov[i] = (struct iovec){ host, d->len };
	if (d->flags & VRING_DESC_F_WRITE) {
		c->nr_in++;
		c->in_len += d->len;
	} else if (c->nr_in) {
		return -EPROTO; /* 2.7.4.2: writable ones come last */
	} else {
		c->nr_out++;
		c->out_len += d->len;
	}
	return 0;
}

/*
 * Follows a chain through a table of nr descriptors; *indirect is set when it
 * ends in one of an indirect table.
 */
static int follow(struct virtqueue *q, struct virtq_chain *c,
		  const uint8_t *table, uint32_t nr, uint32_t at,
		  struct vring_desc *indirect)
{
	/* As many steps as there are descriptors: a loop ends here. */
	for (uint32_t step = 0; step < nr; step++) {
		struct vring_desc d;
		int rc;

		if (at >= nr)
			return -EPROTO;
		memcpy(&d, table + (size_t)at * sizeof(d), sizeof(d));
		__asm__ volatile("" ::: "memory"); /* one copy, no second */
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* 2.7.5.3.1: not inside one, not with NEXT */
			if (!indirect || (d.flags & VRING_DESC_F_NEXT))
				return -EPROTO;
			*indirect = d;
			return 0;
		}
		rc = add(q, c, &d);
		if (rc || !(d.flags & VRING_DESC_F_NEXT))
			return rc;
		at = d.next;
	}
	return -EPROTO;
}

static int collect(struct virtqueue *q, struct virtq_chain *c)
{
	struct vring_desc indirect = { 0 };
	const uint8_t *table;
	int rc = follow(q, c, q->desc, q->layout.size, c->head, &indirect);

	if (rc || !(indirect.flags & VRING_DESC_F_INDIRECT))
		return rc;
	table = guest_at(q->mem, indirect.addr, indirect.len);
	if (!table || !indirect.len || indirect.len % sizeof(indirect))
		return -EPROTO;
	return follow(q, c, table, indirect.len / sizeof(indirect), 0, NULL);
}

int virtq_pop(struct virtqueue *q, struct virtq_chain *c)
{
	struct vring_avail *avail = q->avail;
	uint16_t waiting, slot;
	int rc;

	if (!q->mem)
		return 0;
	waiting = (uint16_t)(LOAD(avail->idx) - q->next_avail);
	if (!waiting)
		return 0;
	if (waiting > q->layout.size)
		return -EPROTO;
	slot = q->next_avail & (q->layout.size - 1);
	c->head = LOAD(avail->ring[slot]);
	c->nr_out = c->nr_in = 0;
	c->out_len = c->in_len = 0;
	rc = collect(q, c);
	if (rc)
		return rc;
	q->next_avail++;
	return 1;
}

void virtq_unpop(struct virtqueue *q)
{
	q->next_avail--;
}

void virtq_fill(struct virtqueue *q, uint16_t head, uint32_t written)
{
	struct vring_used *used = q->used;
	struct vring_used_elem *e;

	if (!q->mem)
		return;
	e = &used->ring[q->next_used & (q->layout.size - 1)];
	STORE(e->id, head);
	STORE(e->len, written);
	q->next_used++;
}

void virtq_flush(struct virtqueue *q)
{
	struct vring_used *used = q->used;

	if (q->mem)
		STORE(used->idx, q->next_used);
}

void virtq_push(struct virtqueue *q, uint16_t head, uint32_t written)
{
	virtq_fill(q, head, written);
	virtq_flush(q);
}

bool virtq_must_notify(struct virtqueue *q)
{
	const struct vring_avail *avail = q->avail;
	uint16_t old = q->notified;

	if (!q->mem || q->next_used == old)
		return false;
	/* The index must be visible before the driver's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->notified = q->next_used;
	if (!q->event_idx)
		return !(LOAD(avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(LOAD(*used_event(q)), q->next_used, old);
}

void virtq_kicks_off(struct virtqueue *q)
{
	struct vring_used *used = q->used;

	/* With event_idx an old event number keeps the driver silent. */
	if (q->mem && !q->event_idx)
		STORE(used->flags, (uint16_t)VRING_USED_F_NO_NOTIFY);
}

bool virtq_kicks_on(struct virtqueue *q)
{
	const struct vring_avail *avail = q->avail;
	struct vring_used *used = q->used;

	if (!q->mem)
		return false;
	if (q->event_idx)
		STORE(*avail_event(q), q->next_avail);
	else
		STORE(used->flags, (uint16_t)0);
	/* Pairs with the driver's: it publishes, then reads our wish. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return LOAD(avail->idx) != q->next_avail;
}

size_t virtq_read(const struct virtq_chain *c, uint64_t off, void *buf,
		  size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < c->nr_out && done < len; i++) {
		const struct iovec *v = &c->iov[i];
		size_t n;

		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}
		n = min_of(v->iov_len - off, len - done);
		memcpy((uint8_t *)buf + done, (uint8_t *)v->iov_base + off, n);
		done += n;
		off = 0;
	}
	__asm__ volatile("" ::: "memory");
	return done;
}

size_t virtq_write(const struct virtq_chain *c, uint64_t off, const void *buf,
		   size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < c->nr_in && done < len; i++) {
		const struct iovec *v = &c->iov[c->nr_out + i];
		size_t n;

		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}
		n = min_of(v->iov_len - off, len - done);
		memcpy((uint8_t *)v->iov_base + off,
		       (const uint8_t *)buf + done, n);
		done += n;
		off = 0;
	}
	return done;
}
