/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that changes between private and shared, by CPUs that keep account of
 * it: each has an area of its own, of which it knows what every page holds,
 * and all of them change one area together.
 */
#pragma once

#include "firmware/guest/guest.h"

#define MAX_WORKERS 8
#define BLOCK (2ULL << 20)
#define AREA (64ULL << 20) /* what the CPUs share, then one for each */
#define AREA_STEP (2 * BLOCK)
#define NR_PAGES 768 /* a block and two halves */

struct worker {
	uint64_t own;            /* area */
	uint32_t tags[NR_PAGES]; /* what each page begins with */
	bool shared[NR_PAGES];
	bool busy[NR_PAGES];  /* a device may write to it: not to be touched */
	bool moved[NR_PAGES]; /* changed since somebody cleared this */
	uint64_t random;
	unsigned int calls, refused, wrong;
};

static inline uint64_t area(unsigned int i)
{
	return AREA + i * AREA_STEP + BLOCK / 2;
}

/* A CPU's own account, its area shared; NULL: there are enough. */
struct worker *worker_begin(unsigned int cpu);
uint64_t worker_random(struct worker *w, uint64_t below);
/* Changes pages of the worker's area, or of that of all. */
void worker_convert(struct worker *w, bool common, uint64_t first, uint64_t nr,
		    bool shared);
/*
 * Some of each, of any size, and looks at pages of its own; touch: at those of
 * all, too, while others change them.
 */
void worker_step(struct worker *w, bool touch);
/* Where page begins, as far as tags are concerned. */
volatile uint32_t *worker_page(const struct worker *w, uint64_t page);
/* Looks at all of its pages, and has them private. */
void worker_end(struct worker *w);
/* Checks what all of them have found, and returns how often they asked. */
uint64_t workers_check(void);
