/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared window: the pool through which a guest with private memory does
 * its I/O, SWIOTLB in Linux.  It is recognised by how it is shared: no other
 * run of addresses that a guest shares one after the other is as long.  It
 * lasts until a page of it turns private.
 *
 * Locks: its own may be taken under a block's of pages.h, and none under it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/base/util.h"

/* A shorter run is none: the smallest pool that one can ask for. */
#define WINDOW_MIN (4 * MIB)

enum window_mode {
	WINDOW_OFF, /* nobody looks for it */
	WINDOW_REPORT,
	WINDOW_STRICT /* devices use no buffer outside of it */
};

struct window_run {
	gpa_t base;
	uint64_t len;       /* 0: none */
	unsigned int calls; /* it took to share it */
};

struct window { /* zeroed: there is none, and nothing is refused */
	bool strict;
	pthread_mutex_t lock;
	struct window_run last, longest;
	/* The longest is another one now.  Under the lock; may be absent. */
	void (*moved)(void *ctx, gpa_t base, uint64_t len);
	void *ctx;
	/* Both, each in one word, for who takes no lock. */
	atomic_uint_least64_t last_span, span;
	/*
	 * Bytes of buffers in it that devices have taken and not given back,
	 * and the most there ever were at a time; a buffer that two
	 * descriptors name counts twice.
	 */
	atomic_uint_least64_t in_use, high_water;
	atomic_uint_least64_t refused; /* descriptors, as strict has it */
};

/*
 * The guest has shared [gpa, gpa + len), whole pages of RAM.  Any thread; one
 * that meets another does not wait, and is not noted.
 */
void window_note(struct window *w, gpa_t gpa, uint64_t len);

/*
 * [gpa, gpa + len) has turned private: a window, or what might become one, of
 * which it is a part is none any more.  Any thread.
 */
void window_forget(struct window *w, gpa_t gpa, uint64_t len);

/* The window; len 0 if there is none. */
struct window_run window_get(struct window *w);

/*
 * A device is about to use the buffer [gpa, gpa + len), len not 0, which the
 * guest shares.  false: it must not, and that is counted.  Else *inside grows
 * by what counts for window_begin().  Takes no lock.
 */
bool window_admits(struct window *w, gpa_t gpa, uint64_t len, uint64_t *inside);

/* A request with so many bytes inside begins, and ends.  Take no lock. */
void window_begin(struct window *w, uint64_t inside);
void window_end(struct window *w, uint64_t inside);
