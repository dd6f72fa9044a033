/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds guest RAM.  Each page is in one state, private or shared, and
 * what backs a state is a store's business: nobody else knows of files.
 * Everything is told by its offset in RAM.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"

struct memory;
struct memory_range;

struct store_ops {
	const char *name;
	bool has_private;    /* pages are private or shared; else all shared */
	bool starts_private; /* ... and what nobody has converted is private */

	/* Makes files and mappings for mem->len bytes; memory_destroy() frees.
	 */
	int (*create)(struct memory *mem);
	/*
	 * Shows [off, off + range->len) to the guest at range->gpa, and adds
	 * it to mem->guest for the host.
	 */
	int (*add)(struct memory *mem, const struct memory_range *range,
		   uint64_t off);
	/*
	 * Tells KVM of pages that change, before the other store discards
	 * them.  -errno without text: nothing has changed.  Absent: the guest
	 * finds the store by address alone.  Any thread.
	 */
	int (*set)(struct memory *mem, gpa_t gpa, uint64_t len,
		   bool to_private);
	/*
	 * Frees what backs whole pages in one of their states.  Without text.
	 * Absent: one page backs both.  Any thread.
	 */
	int (*discard)(struct memory *mem, bool of_private, uint64_t off,
		       uint64_t len);
	/* Bytes of a state that the kernel has allocated. */
	uint64_t (*allocated)(const struct memory *mem, bool of_private);
};

/* One guest_memfd, all of it shared; an ordinary file in its place. */
extern const struct store_ops store_guest_memfd, store_memfd;
/* A guest_memfd that nobody maps, and a sparse file for what is shared. */
extern const struct store_ops store_two;

/*
 * Two stores, of which the guest chooses by address: private pages are seen at
 * addresses with STORE_VIEWS_BIT too, shared ones without.  KVM takes no part
 * in it, so any VM type will do, and the host can map both.  See
 * store_views.c.
 */
#define STORE_VIEWS_BIT (1ULL << 38)
extern const struct store_ops store_views;

/* The private view of [gpa, gpa + len); NULL if not all of it is RAM. */
void *store_views_private(const struct memory *mem, gpa_t gpa, uint64_t len);

/* For stores: files, and what a file has allocated. */
int store_create_memfd(uint64_t len);
/*
 * Whether the host may back pages of a mapping by huge ones: not at first, and
 * later only where all is shared, see huge.h.  Some kernels have none.
 */
void store_set_huge(void *host, uint64_t len, bool on);
/* Of a guest_memfd, which counts nothing; len 0: to its end. */
uint64_t store_cached(int fd, uint64_t off, uint64_t len);
uint64_t store_written(int fd); /* of any other file */
