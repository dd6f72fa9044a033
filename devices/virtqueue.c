/* SPDX-License-Identifier: Apache-2.0 */
/* What virtqueue.h declares. */
#include "devices/virtqueue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

/*
 * The rings are shared with a processor that may do anything: each field is
 * read or written exactly once, as a whole.
 */
#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)

/* 2.7: each of the last two ends with an event field. */
#define DESC_LEN(l) ((l)->size * sizeof(struct vring_desc))
#define AVAIL_LEN(l) (6 + 2ULL * (l)->size)
#define USED_LEN(l) (6 + (l)->size * sizeof(struct vring_used_elem))

static uint16_t *used_event(const struct virtqueue *q)
{
	return &((struct vring_avail *)q->avail)->ring[q->layout.size];
}

static uint16_t *avail_event(const struct virtqueue *q)
{
	struct vring_used *used = q->used;

	return (uint16_t *)(void *)&used->ring[q->layout.size];
}

/*
 * The rings are used for as long as the queue runs, so they are not pinned:
 * they are looked for again whenever a page has turned private.
 */
static bool find_rings(struct virtqueue *q)
{
	const struct virtq_layout *l = &q->layout;

	q->desc = guest_at(q->mem, l->desc, DESC_LEN(l));
	q->avail = guest_at(q->mem, l->avail, AVAIL_LEN(l));
	q->used = guest_at(q->mem, l->used, USED_LEN(l));
	return q->desc && q->avail && q->used;
}

/* What was written to them meanwhile has to go. */
static void scrub_rings(const struct virtqueue *q)
{
	const struct virtq_layout *l = &q->layout;

	guest_scrub(q->mem, l->desc, DESC_LEN(l));
	guest_scrub(q->mem, l->avail, AVAIL_LEN(l));
	guest_scrub(q->mem, l->used, USED_LEN(l));
}

/* Nothing of a head is used any more. */
static void let_go(struct virtqueue *q, uint16_t head)
{
	if (!q->heads)
		return;
	guest_unpin(q->mem, &q->heads[head].pins);
	q->heads[head].in_window = 0;
}

/* A request that was taken as a whole is given back. */
static void give_back(struct virtqueue *q, uint16_t head)
{
	if (!q->heads)
		return;
	if (q->heads[head].in_window)
		window_end(q->mem->window, q->heads[head].in_window);
	let_go(q, head);
}

int virtq_start(struct virtqueue *q, const struct guest_mem *mem,
		const struct virtq_layout *layout, bool event_idx)
{
	uint64_t n = layout->size;
	int rc = 0;

	virtq_stop(q);
	/* 2.7: alignments 16, 2 and 4 */
	if (!is_pow2(n) || n > VIRTQ_MAX_SIZE || layout->desc % 16 ||
	    layout->avail % 2 || layout->used % 4)
		return -EPROTO;
	q->mem = mem;
	q->layout = *layout;
	q->event_idx = event_idx;
	if (mem->pages) {
		q->turned = atomic_load(&mem->pages->turned);
		q->heads = calloc(n, sizeof(*q->heads));
		rc = q->heads ? 0 : -ENOMEM;
	}
	if (!find_rings(q))
		rc = -EPROTO;
	if (rc)
		virtq_stop(q);
	return rc;
}

void virtq_stop(struct virtqueue *q)
{
	for (unsigned int i = 0; q->heads && i < q->layout.size; i++)
		give_back(q, (uint16_t)i);
	if (q->heads && atomic_load(&q->mem->pages->turned) != q->turned)
		scrub_rings(q);
	free(q->heads);
	*q = (struct virtqueue){ 0 };
}

/* Can the rings be used?  Not when a driver has made one private. */
static bool is_usable(struct virtqueue *q)
{
	unsigned int turned;

	if (!q->mem || !q->desc)
		return false;
	if (!q->heads)
		return true;
	turned = atomic_load(&q->mem->pages->turned);
	if (turned == q->turned)
		return true;
	q->turned = turned;
	if (find_rings(q))
		return true;
	q->desc = NULL;
	scrub_rings(q);
	return false;
}

/*
 * What turned private while we were at it may have come back to life, and
 * nobody else would see to it before the driver rings again.
 */
static void leave(struct virtqueue *q)
{
	is_usable(q);
}

/* Where memory may turn private. */
static void *pin(struct virtqueue *q, uint16_t head, const struct vring_desc *d)
{
	struct virtq_head *h = &q->heads[head];
	void *host = guest_pin(q->mem, d->addr, d->len, &h->pins);

	if (!host || !q->mem->window)
		return host;
	return window_admits(q->mem->window, d->addr, d->len, &h->in_window)
		       ? host
		       : NULL;
}

/* What a descriptor of a request names, or NULL: it is not to be used. */
static inline void *take(struct virtqueue *q, uint16_t head,
			 const struct vring_desc *d)
{
	return q->heads ? pin(q, head, d) : guest_at(q->mem, d->addr, d->len);
}

/* Adds one buffer to the chain. */
static int add(struct virtqueue *q, struct virtq_chain *c,
	       const struct vring_desc *d)
{
	unsigned int i = c->nr_out + c->nr_in;
	void *host;

	if (i == VIRTQ_MAX_SEGMENTS || !d->len)
		return -EPROTO;
	host = take(q, c->head, d);
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
	if (!indirect.len || indirect.len % sizeof(indirect))
		return -EPROTO;
	table = take(q, c->head, &indirect);
	if (!table)
		return -EPROTO;
	return follow(q, c, table, indirect.len / sizeof(indirect), 0, NULL);
}

static int pop(struct virtqueue *q, struct virtq_chain *c)
{
	struct vring_avail *avail = q->avail;
	uint16_t waiting, slot;
	int rc;

	waiting = (uint16_t)(LOAD(avail->idx) - q->next_avail);
	if (!waiting)
		return 0;
	if (waiting > q->layout.size)
		return -EPROTO;
	slot = q->next_avail & (q->layout.size - 1);
	c->head = LOAD(avail->ring[slot]);
	c->nr_out = c->nr_in = 0;
	c->out_len = c->in_len = 0;
	/* In use: a driver that gives it twice has lost count. */
	if (q->heads &&
	    (c->head >= q->layout.size || q->heads[c->head].pins.groups))
		return -EPROTO;
	rc = collect(q, c);
	if (rc) {
		let_go(q, c->head);
		return rc;
	}
	if (q->heads && q->heads[c->head].in_window)
		window_begin(q->mem->window, q->heads[c->head].in_window);
	q->next_avail++;
	return 1;
}

int virtq_pop(struct virtqueue *q, struct virtq_chain *c)
{
	int rc;

	if (!q->mem)
		return 0;
	if (!is_usable(q))
		return -EPROTO;
	rc = pop(q, c);
	leave(q);
	return rc;
}

void virtq_unpop(struct virtqueue *q, uint16_t head)
{
	give_back(q, head);
	q->next_avail--;
}

void virtq_fill(struct virtqueue *q, uint16_t head, uint32_t written)
{
	struct vring_used_elem *e;
	struct vring_used *used;

	give_back(q, head);
	if (!is_usable(q))
		return;
	used = q->used;
	e = &used->ring[q->next_used & (q->layout.size - 1)];
	STORE(e->id, head);
	STORE(e->len, written);
	q->next_used++;
	q->written += written;
	leave(q);
}

void virtq_flush(struct virtqueue *q)
{
	struct vring_used *used;

	if (!is_usable(q))
		return;
	used = q->used;
	STORE(used->idx, q->next_used);
	leave(q);
}

void virtq_push(struct virtqueue *q, uint16_t head, uint32_t written)
{
	virtq_fill(q, head, written);
	virtq_flush(q);
}

bool virtq_must_notify(struct virtqueue *q)
{
	const struct vring_avail *avail;
	uint16_t old = q->notified;
	bool wanted;

	if (!is_usable(q) || q->next_used == old)
		return false;
	avail = q->avail;
	/* The index must be visible before the driver's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->notified = q->next_used;
	wanted = q->event_idx
			 ? vring_need_event(LOAD(*used_event(q)), q->next_used,
					    old)
			 : !(LOAD(avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	leave(q);
	return wanted;
}

void virtq_kicks_off(struct virtqueue *q)
{
	struct vring_used *used;

	/* With event_idx an old event number keeps the driver silent. */
	if (!is_usable(q) || q->event_idx)
		return;
	used = q->used;
	STORE(used->flags, (uint16_t)VRING_USED_F_NO_NOTIFY);
	leave(q);
}

bool virtq_kicks_on(struct virtqueue *q)
{
	const struct vring_avail *avail;
	struct vring_used *used;
	bool more;

	if (!is_usable(q))
		return q->mem; /* have virtq_pop() tell */
	avail = q->avail;
	used = q->used;
	if (q->event_idx)
		STORE(*avail_event(q), q->next_avail);
	else
		STORE(used->flags, (uint16_t)0);
	/* Pairs with the driver's: it publishes, then reads our wish. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	more = LOAD(avail->idx) != q->next_avail;
	leave(q);
	return more;
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
