/* SPDX-License-Identifier: Apache-2.0 */
/* What convert.h declares. */
#include "vmm/kvm/convert.h"

#include <errno.h>

#include "vmm/kvm/memory.h"

static void count(atomic_uint_least64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void convert_discard(struct memory *mem, bool of_private, uint64_t off,
		     uint64_t len)
{
	unsigned int tries = 0;
	int rc = 0;

	if (!mem->store->discard)
		return;
	do
		rc = mem->store->discard(mem, of_private, off, len);
	while (rc == -EINTR && ++tries < 100);
	count(rc ? &mem->counts.failures : &mem->counts.punched[of_private],
	      rc ? 1 : len);
}

void convert_discard_again(void *ctx, uint64_t off, uint64_t len)
{
	convert_discard(ctx, false, off, len);
}

uint64_t convert_bytes(const struct convert_count *counts)
{
	return counts->bytes[0] + counts->bytes[1];
}

struct part { /* of one block; pages counted in it */
	unsigned int block, first, end;
	gpa_t base; /* of the block */
	bool to_private;
};

static int tell_kvm(struct memory *mem, gpa_t gpa, uint64_t len,
		    bool to_private)
{
	int rc = 0;

	if (mem->store->set)
		rc = mem->store->set(mem, gpa, len, to_private);
	if (rc)
		count(&mem->counts.failures, 1);
	return rc < 0 ? rc : 0;
}

/*
 * Devices lose a page before KVM takes it, and get one when KVM has given it;
 * what the guest writes between KVM's change and the hole is in the store that
 * keeps its page.
 */
static int convert_run(struct memory *mem, const struct part *p,
		       unsigned int first, unsigned int nr)
{
	gpa_t gpa = p->base + first * PAGE_SIZE;
	uint64_t off = p->block * PAGES_BLOCK + first * PAGE_SIZE;
	uint64_t len = nr * PAGE_SIZE;
	int rc;

	if (p->to_private) {
		pages_set(&mem->pages, p->block, false, first, nr);
		if (mem->guest.window)
			window_forget(mem->guest.window, gpa, len);
	}
	rc = tell_kvm(mem, gpa, len, p->to_private);
	if (rc) {
		pages_set(&mem->pages, p->block, p->to_private, first, nr);
		return rc;
	}
	if (p->to_private)
		pages_discard_later(&mem->pages, p->block, first, nr);
	convert_discard(mem, !p->to_private, off, len);
	if (!p->to_private)
		pages_set(&mem->pages, p->block, true, first, nr);
	count(&mem->counts.bytes[p->to_private], len);
	return 0;
}

/*
 * KVM has all of a block shared until it is told otherwise, so what the guest
 * has written to it before is where it must not be.
 */
static int touch(struct memory *mem, const struct part *p)
{
	unsigned int all = pages_in_block(&mem->pages, p->block);
	int rc = 0;

	if (pages_touched(&mem->pages, p->block))
		return 0;
	if (mem->store->set && mem->pages.starts_private &&
	    (p->to_private || p->first || p->end < all)) {
		rc = tell_kvm(mem, p->base, all * PAGE_SIZE, true);
		if (!rc)
			convert_discard(mem, false, p->block * PAGES_BLOCK,
					all * PAGE_SIZE);
	}
	if (!rc)
		pages_touch(&mem->pages, p->block);
	return rc;
}

static int convert_part(struct memory *mem, const struct part *p)
{
	unsigned int at = p->first, nr;
	int rc;

	/* Untouched it is as wanted, if there is nobody to be told. */
	if (!pages_touched(&mem->pages, p->block) && !mem->store->set &&
	    p->to_private == mem->pages.starts_private)
		return 0;
	pages_lock(&mem->pages, p->block);
	rc = touch(mem, p);
	while (!rc && (at = pages_find(&mem->pages, p->block, p->to_private, at,
				       p->end, &nr)) < p->end) {
		rc = convert_run(mem, p, at, nr);
		at += nr;
	}
	pages_unlock(&mem->pages, p->block);
	return rc;
}

/* [off, off + len) of RAM, which is at gpa. */
static int convert_range(struct memory *mem, gpa_t gpa, uint64_t off,
			 uint64_t len, bool to_private)
{
	int rc = 0;

	while (!rc && len) {
		uint64_t in = off % PAGES_BLOCK;
		uint64_t n = min_of(len, PAGES_BLOCK - in);
		struct part part = {
			.block = (unsigned int)(off / PAGES_BLOCK),
			.first = (unsigned int)(in / PAGE_SIZE),
			.end = (unsigned int)((in + n) / PAGE_SIZE),
			.base = gpa - in,
			.to_private = to_private,
		};

		/* A guest may ask for more than who stops it would wait. */
		rc = mem->given_up ? -EINTR : convert_part(mem, &part);
		gpa += n;
		off += n;
		len -= n;
	}
	return rc;
}

/*
 * What somebody turns private meanwhile is in no window: either he finds it
 * noted, or this finds it private.
 */
static void note_shared(struct memory *mem, gpa_t gpa, uint64_t len)
{
	window_note(mem->guest.window, gpa, len);
	if (!guest_at(&mem->guest, gpa, len))
		window_forget(mem->guest.window, gpa, len);
}

int memory_convert(struct memory *mem, gpa_t gpa, uint64_t len, bool to_private,
		   enum convert_origin origin)
{
	uint64_t covered = 0;
	int rc = 0;

	if (!mem->guest.pages || !len || (gpa | len) % PAGE_SIZE ||
	    len - 1 > UINT64_MAX - gpa)
		return -EINVAL;
	count(&mem->counts.calls[to_private][origin], 1);
	if ((gpa | len) % PAGES_BLOCK)
		count(&mem->counts.unaligned[to_private], 1);
	for (unsigned int i = 0; !rc && i < mem->guest.count; i++) {
		const struct guest_region *r = &mem->guest.regions[i];
		gpa_t from = max_of(gpa, r->base);
		gpa_t last = min_of(gpa + (len - 1), r->base + (r->len - 1));

		if (from > last)
			continue;
		covered += last - from + 1;
		rc = convert_range(mem, from, r->off + (from - r->base),
				   last - from + 1, to_private);
	}
	if (!rc && covered < len) {
		count(&mem->counts.refused, 1);
		rc = -EINVAL;
	}
	if (!rc && !to_private && origin == CONVERT_ASKED && mem->guest.window)
		note_shared(mem, gpa, len);
	return rc;
}

void memory_touch_range(struct memory *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; mem->guest.pages && i < mem->guest.count;
	     i++) {
		const struct guest_region *r = &mem->guest.regions[i];
		gpa_t at = max_of(gpa, r->base);
		gpa_t end = min_of(gpa + len, r->base + r->len);

		for (; at < end; at += PAGES_BLOCK) {
			uint64_t off = r->off + (at - r->base);
			struct part part = {
				.block = (unsigned int)(off / PAGES_BLOCK),
				.base = at,
				.to_private = true,
			};

			/* An empty part: only that KVM is told. */
			convert_part(mem, &part);
		}
	}
}

void memory_touch(struct memory *mem, gpa_t gpa)
{
	memory_touch_range(mem, align_down(gpa, CONVERT_CHUNK), CONVERT_CHUNK);
}
