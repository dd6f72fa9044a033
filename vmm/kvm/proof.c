/* SPDX-License-Identifier: Apache-2.0 */
/* What proof.h declares. */
#include "vmm/kvm/proof.h"

#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 200 /* of work: the caller has other things to do */

/* What this thread has worked so far; others may have the processors. */
static int64_t worked_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Pages of [at, end), which the shared store has, in a block. */
static void look_twice(struct memory *mem, unsigned int block, uint64_t at,
		       uint64_t end, struct memory_use *use)
{
	if (!store_cached(mem->gmem_fd, at, end - at))
		return;
	for (; at < end; at += PAGE_SIZE) {
		unsigned int page =
			(unsigned int)(at % PAGES_BLOCK / PAGE_SIZE);
		uint64_t both = store_cached(mem->gmem_fd, at, PAGE_SIZE);

		if (pages_discarded_later(&mem->pages, block, page))
			use->in_flight += both;
		else
			use->twice += both;
	}
}

/*
 * Private first: while the lock is held both stores only get more, so what
 * makes the sums too large is seen below.
 */
static void look(struct memory *mem, unsigned int block, struct memory_use *use)
{
	uint64_t at = block * PAGES_BLOCK;
	uint64_t end = min_of(at + PAGES_BLOCK, mem->len);
	off_t data = (off_t)at, hole;

	pages_lock(&mem->pages, block);
	use->private += store_cached(mem->gmem_fd, at, end - at);
	while ((data = lseek(mem->memfd, data, SEEK_DATA)) >= 0 &&
	       data < (off_t)end) {
		hole = lseek(mem->memfd, data, SEEK_HOLE);
		if (hole <= data)
			break;
		hole = min_of(hole, (off_t)end);
		use->shared += (uint64_t)(hole - data);
		look_twice(mem, block, (uint64_t)data, (uint64_t)hole, use);
		data = hole;
	}
	pages_unlock(&mem->pages, block);
}

/* Blocks that have nothing in the shared store. */
static void skip(struct memory *mem, uint64_t from, uint64_t to,
		 struct memory_use *use)
{
	if (from < to)
		use->private += store_cached(mem->gmem_fd, from, to - from);
}

/* False if there was no time for all of it. */
static bool walk(struct memory *mem, struct memory_use *use)
{
	int64_t until = worked_ms() + PATIENCE_MS;
	uint64_t done = 0;
	off_t data;

	while (done < mem->len &&
	       (data = lseek(mem->memfd, (off_t)done, SEEK_DATA)) >= 0) {
		uint64_t at = align_down((uint64_t)data, PAGES_BLOCK);

		skip(mem, done, at, use);
		look(mem, (unsigned int)(at / PAGES_BLOCK), use);
		done = at + PAGES_BLOCK;
		if (worked_ms() >= until)
			return false;
	}
	skip(mem, done, mem->len, use);
	return true;
}

void memory_measure(struct memory *mem, struct memory_use *use)
{
	bool two = mem->gmem_fd >= 0 && mem->memfd >= 0;

	*use = (struct memory_use){ .whole = true };
	if (two)
		use->whole = walk(mem, use);
	if (two && use->whole)
		return;
	use->private = memory_allocated(mem, true);
	use->shared = memory_allocated(mem, false);
}
