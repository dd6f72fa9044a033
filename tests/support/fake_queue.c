/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory and the driver's side of virtqueues of fake_driver.h. */
#include <check.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/fake_driver.h"

/* Shared with the device's thread, as with a device. */
#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)

void fake_guest_init(struct fake_guest *g)
{
	static const struct guest_region regions[] = {
		{ .base = FAKE_LOW, .len = FAKE_LOW_LEN },
		{ .base = FAKE_HIGH, .len = FAKE_HIGH_LEN },
	};
	off_t off = 0;

	*g = (struct fake_guest){ .next = FAKE_LOW };
	g->memfd = memfd_create("guest", MFD_CLOEXEC);
	ck_assert_int_ge(g->memfd, 0);
	ck_assert_int_eq(ftruncate(g->memfd, FAKE_LOW_LEN + FAKE_HIGH_LEN), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(regions); i++) {
		struct guest_region *r = &g->mem.regions[g->mem.count++];

		*r = regions[i];
		r->host = mmap(NULL, r->len, PROT_READ | PROT_WRITE, MAP_SHARED,
			       g->memfd, off);
		ck_assert(r->host != MAP_FAILED);
		r->fd = g->memfd;
		r->fd_off = r->off = (uint64_t)off;
		off += (off_t)r->len;
	}
}

void fake_guest_destroy(struct fake_guest *g)
{
	for (unsigned int i = 0; i < g->mem.count; i++)
		munmap(g->mem.regions[i].host, g->mem.regions[i].len);
	close(g->memfd);
	*g = (struct fake_guest){ .memfd = -1 };
}

gpa_t fake_alloc(struct fake_guest *g, uint64_t len, uint64_t align)
{
	gpa_t gpa = align_up(g->next, align);

	ck_assert_msg(gpa - FAKE_LOW <= FAKE_LOW_LEN &&
			      len <= FAKE_LOW_LEN - (gpa - FAKE_LOW),
		      "fake guest: out of memory");
	g->next = gpa + len;
	return gpa;
}

gpa_t fake_alloc_data(struct fake_guest *g, const void *data, uint64_t len)
{
	gpa_t gpa = fake_alloc(g, len, 1);

	memcpy(fake_at(g, gpa), data, len);
	return gpa;
}

void *fake_at(const struct fake_guest *g, gpa_t gpa)
{
	void *p = guest_at(&g->mem, gpa, 1);

	/* An assertion that holds costs a system call as well. */
	if (!p)
		ck_abort_msg("not RAM: %#llx", (unsigned long long)gpa);
	return p;
}

static struct vring_avail *avail(const struct fake_queue *q)
{
	return fake_at(q->guest, q->layout.avail);
}

static struct vring_used *used(const struct fake_queue *q)
{
	return fake_at(q->guest, q->layout.used);
}

void fake_queue_init(struct fake_queue *q, struct fake_guest *g, uint16_t size)
{
	*q = (struct fake_queue){ .guest = g, .layout.size = size };
	q->layout.desc = fake_alloc(g, size * sizeof(struct vring_desc), 16);
	q->layout.avail = fake_alloc(g, 6 + 2ULL * size, 2);
	q->layout.used =
		fake_alloc(g, 6 + size * sizeof(struct vring_used_elem), 4);
}

static void put_desc(struct vring_desc *d, gpa_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	*d = (struct vring_desc){
		.addr = addr, .len = len, .flags = flags, .next = next
	};
}

void fake_queue_desc(struct fake_queue *q, uint16_t i, gpa_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	struct vring_desc *table = fake_at(q->guest, q->layout.desc);

	put_desc(&table[i], addr, len, flags, next);
}

void fake_queue_publish(struct fake_queue *q, uint16_t head)
{
	avail(q)->ring[q->next_avail & (q->layout.size - 1)] = head;
	q->next_avail++;
	STORE(avail(q)->idx, q->next_avail);
}

void fake_queue_set_avail_idx(struct fake_queue *q, uint16_t idx)
{
	q->next_avail = idx;
	STORE(avail(q)->idx, idx);
}

static uint16_t flags_of(const struct fake_buf *b, bool last)
{
	return (uint16_t)((b->write ? VRING_DESC_F_WRITE : 0) |
			  (last ? 0 : VRING_DESC_F_NEXT));
}

uint16_t fake_queue_add(struct fake_queue *q, const struct fake_buf *bufs,
			unsigned int nr)
{
	uint16_t mask = q->layout.size - 1, head = q->next_desc & mask;

	if (nr > q->layout.size)
		ck_abort_msg("%u buffers are too many", nr);
	for (unsigned int i = 0; i < nr; i++) {
		uint16_t at = q->next_desc++ & mask;

		fake_queue_desc(q, at, bufs[i].gpa, bufs[i].len,
				flags_of(&bufs[i], i + 1 == nr),
				q->next_desc & mask);
	}
	fake_queue_publish(q, head);
	return head;
}

uint16_t fake_queue_add_indirect(struct fake_queue *q,
				 const struct fake_buf *bufs, unsigned int nr)
{
	uint16_t head = q->next_desc++ & (q->layout.size - 1);
	uint32_t len = nr * (uint32_t)sizeof(struct vring_desc);
	gpa_t gpa = fake_alloc(q->guest, len, 16);
	struct vring_desc *table = fake_at(q->guest, gpa);

	for (unsigned int i = 0; i < nr; i++)
		put_desc(&table[i], bufs[i].gpa, bufs[i].len,
			 flags_of(&bufs[i], i + 1 == nr), (uint16_t)(i + 1));
	fake_queue_desc(q, head, gpa, len, VRING_DESC_F_INDIRECT, 0);
	fake_queue_publish(q, head);
	return head;
}

bool fake_queue_used(struct fake_queue *q, uint32_t *head, uint32_t *len)
{
	const struct vring_used_elem *e;

	if (LOAD(used(q)->idx) == q->next_used)
		return false;
	e = &used(q)->ring[q->next_used++ & (q->layout.size - 1)];
	*head = e->id;
	*len = e->len;
	return true;
}

bool fake_queue_must_kick(struct fake_queue *q)
{
	const uint16_t *event =
		(const uint16_t *)(const void *)&used(q)->ring[q->layout.size];
	uint16_t old = q->kicked;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	q->kicked = q->next_avail;
	if (!q->event_idx)
		return !(LOAD(used(q)->flags) & VRING_USED_F_NO_NOTIFY);
	return vring_need_event(LOAD(*event), q->next_avail, old);
}

void fake_queue_want_interrupt(struct fake_queue *q, uint16_t at)
{
	STORE(avail(q)->ring[q->layout.size], at);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void fake_queue_interrupts(struct fake_queue *q, bool on)
{
	uint16_t flags = on ? 0 : VRING_AVAIL_F_NO_INTERRUPT;

	STORE(avail(q)->flags, flags);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
