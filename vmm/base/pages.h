/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages of guest RAM are private and which are shared with the host, and
 * what of them host I/O is using.  A page is named by its offset in RAM, not
 * by its guest address.  RAM is walked in blocks of 2 MiB, each with a lock of
 * its own, so who converts one does not wait for who converts another; those
 * who only look take no lock.
 *
 * A page that turns private while I/O uses it is discarded twice: at once, and
 * when the I/O that was under way has ended, which may have written to it.
 * I/O pins not blocks but one of 64 groups of them (block number modulo 64):
 * what a request has pinned is then two words.  See pages_pin().
 *
 * Locks: a block's, then a group's; never two of a kind.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/base/util.h"

#define PAGES_PER_BLOCK 512U
#define PAGES_BLOCK (PAGES_PER_BLOCK * PAGE_SIZE)
#define PAGES_GROUPS 64U

struct pages_block { /* zeroed: as at the beginning */
	pthread_mutex_t lock;
	atomic_bool touched; /* else it is as RAM is at first */
	atomic_uchar wait;   /* enum wait of pages.c */
	atomic_uint_least64_t shared[PAGES_PER_BLOCK / 64]; /* a bit each */
	/* Under the lock: pages to be discarded once more. */
	uint64_t again[PAGES_PER_BLOCK / 64];
};

/*
 * Pins are counted in two epochs, so that those waited for get fewer while
 * new ones come.
 */
struct pages_group {
	pthread_mutex_t lock;
	unsigned int epoch, count[2];
	bool now, next; /* blocks wait for the other epoch; for this one */
};

struct pages {
	uint64_t len;
	unsigned int nr_blocks;
	bool starts_private;
	struct pages_block *blocks; /* costs nothing before it is touched */
	struct pages_group groups[PAGES_GROUPS];
	/* Changes whenever a page turns private that may have been shared. */
	atomic_uint turned;
	atomic_uint waiting; /* blocks to be discarded once more */
	/* Discards [off, off + len), private, of the shared store. */
	void (*discard)(void *ctx, uint64_t off, uint64_t len);
	void *ctx;
};

struct pages_pins { /* zeroed: none */
	uint64_t groups, epochs;
};

/* len bytes, all of one kind.  -ENOMEM without text. */
int pages_init(struct pages *p, uint64_t len, bool starts_private);
void pages_destroy(struct pages *p); /* nothing is pinned; twice is fine */

/* Is all of [off, off + len), which is RAM, shared now? */
bool pages_are_shared(const struct pages *p, uint64_t off, uint64_t len);

/*
 * The same, for I/O: until pages_unpin() none of it comes back to life once
 * it has turned private.  Adds to what *pins holds, on failure as well.  Any
 * thread.
 */
bool pages_pin(struct pages *p, uint64_t off, uint64_t len,
	       struct pages_pins *pins);
void pages_unpin(struct pages *p, struct pages_pins *pins); /* none is fine */

/*
 * For who uses pages for long without pins, and asks again whether they are
 * shared when `turned` has changed: it has, and [off, off + len) may have been
 * written to since.
 */
void pages_scrub(struct pages *p, uint64_t off, uint64_t len);

/* --- for who converts: block's lock held, pages counted in the block --- */

void pages_lock(struct pages *p, unsigned int block);
void pages_unlock(struct pages *p, unsigned int block);
bool pages_touched(const struct pages *p, unsigned int block); /* no lock */
void pages_touch(struct pages *p, unsigned int block);
/* Pages of a block: fewer in the last one. */
unsigned int pages_in_block(const struct pages *p, unsigned int block);

/*
 * Finds the first pages of [first, end) that are shared (or private): returns
 * where, *nr of them, or end.
 */
unsigned int pages_find(const struct pages *p, unsigned int block, bool shared,
			unsigned int first, unsigned int end, unsigned int *nr);
void pages_set(struct pages *p, unsigned int block, bool shared,
	       unsigned int first, unsigned int nr);
/*
 * Pages that have been set private are about to be discarded: while I/O is
 * under way they are discarded again whenever some of it has ended.
 */
void pages_discard_later(struct pages *p, unsigned int block,
			 unsigned int first, unsigned int nr);
/* Is the page private and still to be discarded for that? */
bool pages_discarded_later(const struct pages *p, unsigned int block,
			   unsigned int page);
