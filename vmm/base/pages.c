/* SPDX-License-Identifier: Apache-2.0 */
/* What pages.h declares. */
#include "vmm/base/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum wait {
	WAIT_NONE,
	WAIT_NOW,  /* for pins of the epoch that is over */
	WAIT_NEXT, /* for those of the present one as well */
	WAIT_OVER, /* to be discarded here and now */
};

int pages_init(struct pages *p, uint64_t len, bool starts_private)
{
	uint64_t nr = align_up(len, PAGES_BLOCK) / PAGES_BLOCK;

	*p = (struct pages){ .len = len,
			     .nr_blocks = (unsigned int)nr,
			     .starts_private = starts_private };
	for (unsigned int i = 0; i < PAGES_GROUPS; i++)
		pthread_mutex_init(&p->groups[i].lock, NULL);
	/* Zeroes are what an initialized mutex of Linux consists of. */
	p->blocks = calloc(nr, sizeof(*p->blocks));
	return p->blocks ? 0 : -ENOMEM;
}

void pages_destroy(struct pages *p)
{
	free(p->blocks);
	p->blocks = NULL;
	p->nr_blocks = 0;
}

/* --- looking --- */

/* The bits of word w that stand for pages of [first, end). */
static uint64_t mask(unsigned int w, unsigned int first, unsigned int end)
{
	unsigned int from = first > 64 * w ? first - 64 * w : 0;
	unsigned int to = min_of(end - 64 * w, 64);

	return (to == 64 ? ~0ULL : (1ULL << to) - 1) & ~((1ULL << from) - 1);
}

static bool block_is_shared(const struct pages *p, const struct pages_block *b,
			    unsigned int first, unsigned int end)
{
	if (!atomic_load(&b->touched))
		return !p->starts_private;
	for (unsigned int w = first / 64; 64 * w < end; w++)
		if (~atomic_load(&b->shared[w]) & mask(w, first, end))
			return false;
	return true;
}

bool pages_are_shared(const struct pages *p, uint64_t off, uint64_t len)
{
	while (len) {
		uint64_t in = off % PAGES_BLOCK;
		uint64_t part = min_of(len, PAGES_BLOCK - in);

		if (!block_is_shared(p, &p->blocks[off / PAGES_BLOCK],
				     (unsigned int)(in / PAGE_SIZE),
				     (unsigned int)((in + part + PAGE_SIZE -
						     1) /
						    PAGE_SIZE)))
			return false;
		off += part;
		len -= part;
	}
	return true;
}

/* --- pins --- */

static void pin_group(struct pages_group *g, unsigned int i,
		      struct pages_pins *pins)
{
	pthread_mutex_lock(&g->lock);
	g->count[g->epoch]++;
	pins->groups |= 1ULL << i;
	pins->epochs |= (uint64_t)g->epoch << i;
	pthread_mutex_unlock(&g->lock);
}

bool pages_pin(struct pages *p, uint64_t off, uint64_t len,
	       struct pages_pins *pins)
{
	uint64_t first = off / PAGES_BLOCK;
	uint64_t nr = len ? (off + len - 1) / PAGES_BLOCK - first + 1 : 0;

	for (uint64_t n = 0; n < min_of(nr, PAGES_GROUPS); n++) {
		unsigned int i = (first + n) % PAGES_GROUPS;

		if (!(pins->groups >> i & 1))
			pin_group(&p->groups[i], i, pins);
	}
	/*
	 * After the pins: either this sees a page that turns private, or who
	 * turns it sees the pin, in pages_discard_later().
	 */
	return pages_are_shared(p, off, len);
}

static bool is_shared(const struct pages_block *b, unsigned int page)
{
	return atomic_load(&b->shared[page / 64]) >> page % 64 & 1;
}

/* Is the page private, and to be discarded (again)? */
static bool is_left(const struct pages_block *b, unsigned int page, bool all)
{
	return !is_shared(b, page) &&
	       (all || (b->again[page / 64] >> page % 64 & 1));
}

/* Discards what was private before, or all that is private, in the block. */
static void discard_private(struct pages *p, unsigned int block, bool all)
{
	unsigned int end = pages_in_block(p, block), at, to;
	struct pages_block *b = &p->blocks[block];
	bool last;

	pages_lock(p, block);
	/* Before it is walked: what ends now may write behind our back. */
	last = atomic_load(&b->wait) == WAIT_NONE;
	for (at = 0; at < end; at = to + 1) {
		for (to = at; to < end && is_left(b, to, all); to++)
			;
		if (to > at)
			p->discard(p->ctx, block * PAGES_BLOCK + at * PAGE_SIZE,
				   (to - at) * PAGE_SIZE);
	}
	if (last)
		memset(b->again, 0, sizeof(b->again));
	pages_unlock(p, block);
}

/*
 * The epoch that is over has no pins any more: those that wait for it need
 * not, and another one is over if some wait for that.  Under the lock.
 */
static void turn_epoch(struct pages *p, unsigned int i)
{
	struct pages_group *g = &p->groups[i];

	for (unsigned int b = i; b < p->nr_blocks; b += PAGES_GROUPS) {
		atomic_uchar *wait = &p->blocks[b].wait;

		if (*wait == WAIT_NOW)
			*wait = WAIT_OVER;
		else if (*wait == WAIT_NEXT)
			*wait = WAIT_NOW;
	}
	g->now = g->next;
	g->next = false;
	if (g->now)
		g->epoch ^= 1;
}

static void unpin_group(struct pages *p, unsigned int i, unsigned int epoch)
{
	struct pages_group *g = &p->groups[i];
	bool waiting;

	pthread_mutex_lock(&g->lock);
	waiting = g->now;
	g->count[epoch]--;
	while (g->now && !g->count[!g->epoch])
		turn_epoch(p, i);
	pthread_mutex_unlock(&g->lock);
	/*
	 * It may be this I/O that has written to what turned private, and a
	 * long time until that is waited for no more.
	 */
	for (unsigned int b = i; waiting && b < p->nr_blocks;
	     b += PAGES_GROUPS) {
		unsigned char want = WAIT_OVER;

		if (atomic_load(&p->blocks[b].wait) == WAIT_NONE)
			continue;
		if (atomic_compare_exchange_strong(&p->blocks[b].wait, &want,
						   WAIT_NONE))
			atomic_fetch_sub(&p->waiting, 1);
		discard_private(p, b, false);
	}
}

void pages_unpin(struct pages *p, struct pages_pins *pins)
{
	while (pins->groups) {
		unsigned int i = (unsigned int)__builtin_ctzll(pins->groups);

		unpin_group(p, i, pins->epochs >> i & 1);
		pins->groups &= pins->groups - 1;
	}
	pins->epochs = 0;
}

void pages_scrub(struct pages *p, uint64_t off, uint64_t len)
{
	for (uint64_t b = off / PAGES_BLOCK; b * PAGES_BLOCK < off + len; b++)
		if (pages_touched(p, (unsigned int)b))
			discard_private(p, (unsigned int)b, true);
}

/* --- converting --- */

void pages_lock(struct pages *p, unsigned int block)
{
	pthread_mutex_lock(&p->blocks[block].lock);
}

void pages_unlock(struct pages *p, unsigned int block)
{
	pthread_mutex_unlock(&p->blocks[block].lock);
}

bool pages_touched(const struct pages *p, unsigned int block)
{
	return atomic_load(&p->blocks[block].touched);
}

void pages_touch(struct pages *p, unsigned int block)
{
	struct pages_block *b = &p->blocks[block];

	if (atomic_load(&b->touched))
		return;
	for (size_t w = 0; w < ARRAY_SIZE(b->shared); w++)
		atomic_store(&b->shared[w], p->starts_private ? 0 : ~0ULL);
	atomic_store(&b->touched, true);
}

unsigned int pages_in_block(const struct pages *p, unsigned int block)
{
	uint64_t len = p->len - block * PAGES_BLOCK;

	return (unsigned int)(min_of(len, PAGES_BLOCK) / PAGE_SIZE);
}

unsigned int pages_find(const struct pages *p, unsigned int block, bool shared,
			unsigned int first, unsigned int end, unsigned int *nr)
{
	const struct pages_block *b = &p->blocks[block];
	unsigned int to;

	while (first < end && is_shared(b, first) != shared)
		first++;
	for (to = first; to < end && is_shared(b, to) == shared; to++)
		;
	*nr = to - first;
	return first;
}

void pages_set(struct pages *p, unsigned int block, bool shared,
	       unsigned int first, unsigned int nr)
{
	struct pages_block *b = &p->blocks[block];
	unsigned int end = first + nr;

	for (unsigned int w = first / 64; 64 * w < end; w++) {
		uint64_t bits = mask(w, first, end);

		if (shared)
			atomic_fetch_or(&b->shared[w], bits);
		else
			atomic_fetch_and(&b->shared[w], ~bits);
	}
	if (!shared)
		atomic_fetch_add(&p->turned, 1);
}

void pages_discard_later(struct pages *p, unsigned int block,
			 unsigned int first, unsigned int nr)
{
	struct pages_group *g = &p->groups[block % PAGES_GROUPS];
	struct pages_block *b = &p->blocks[block];
	enum wait wait = WAIT_NONE;

	for (unsigned int w = first / 64; 64 * w < first + nr; w++)
		b->again[w] |= mask(w, first, first + nr);
	pthread_mutex_lock(&g->lock);
	if (g->now) {
		wait = WAIT_NEXT;
		g->next = true;
	} else if (g->count[g->epoch]) {
		/* The other one has none, or it would be waited for. */
		wait = WAIT_NOW;
		g->now = true;
		g->epoch ^= 1;
	}
	if (wait != WAIT_NONE &&
	    atomic_exchange(&b->wait, (unsigned char)wait) == WAIT_NONE)
		atomic_fetch_add(&p->waiting, 1);
	pthread_mutex_unlock(&g->lock);
	/* Not those of others: who waited for them may be about to discard. */
	for (unsigned int w = first / 64;
	     wait == WAIT_NONE && 64 * w < first + nr; w++)
		b->again[w] &= ~mask(w, first, first + nr);
}

bool pages_discarded_later(const struct pages *p, unsigned int block,
			   unsigned int page)
{
	return is_left(&p->blocks[block], page, false);
}
