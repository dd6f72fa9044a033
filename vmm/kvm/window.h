/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared window: the pool through which a guest with private memory does
 * its I/O, SWIOTLB in Linux.  It is recognised by how it is shared: no other
 * run of addresses that a guest shares one after the other is as long.
 */
#pragma once

#include <pthread.h>

#include "vmm/base/util.h"

struct window_run {
	gpa_t base;
	uint64_t len;       /* 0: none yet */
	unsigned int calls; /* it took to share it */
};

struct window { /* zeroed: nothing has been shared */
	pthread_mutex_t lock;
	struct window_run last, longest;
};

/*
 * The guest has shared [gpa, gpa + len).  Any thread; one that meets another
 * does not wait, and is not noted.
 */
void window_note(struct window *w, gpa_t gpa, uint64_t len);

/* The longest run so far. */
struct window_run window_get(struct window *w);
