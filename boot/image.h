/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launch list: what is in guest memory before the first instruction.
 * boot/ and firmware/ write it, the confidential technology imports it, and
 * nothing else passes between them.  A region does not hold its bytes; it
 * knows how to produce them, so a 60 MiB kernel is unpacked straight into
 * guest RAM and never exists twice.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"

#define IMAGE_MAX_REGIONS 32

enum image_kind { IMAGE_DATA, IMAGE_ZERO, IMAGE_CPUID, IMAGE_SECRETS };

struct image_region {
	const char *name;     /* for messages and transcripts */
	enum image_kind kind; /* neutral: a backend maps it to page types */
	gpa_t gpa;            /* page aligned */
	uint64_t len;         /* multiple of the page size, not 0 */
	bool measured;

	/*
	 * Writes the region's len bytes to dst, which is zeroed.  0 or a
	 * negative errno with text.  NULL: zeroes.  May be called again and
	 * gives the same bytes.
	 */
	int (*fill)(const struct image_region *r, uint8_t *dst);
	const void *data;  /* for fill: memory of the image, or ... */
	uint64_t data_len; /* ... how much of it */
	int fd;            /* ... or a file of the image, and where in it */
	uint64_t off;
};

struct image {
	unsigned int count;
	struct image_region regions[IMAGE_MAX_REGIONS]; /* disjoint */
	gpa_t entry;       /* first RIP, 64-bit mode, paging on */
	gpa_t arg;         /* RSI: struct boot_params */
	gpa_t page_table;  /* CR3 */
	gpa_t gdt;         /* GDTR base; selectors 0x10 code64, 0x18 data */
	gpa_t pool;        /* where Linux should have its SWIOTLB pool ... */
	uint64_t pool_len; /* ... of so many bytes; 0: where it likes */
	unsigned int nr_owned, nr_fds;
	void *owned[IMAGE_MAX_REGIONS]; /* freed by image_destroy() */
	int fds[4];                     /* closed by image_destroy() */
	char note[128];  /* who unpacks the kernel and why; or "" */
	bool note_warns; /* of something the host lacks; else it is for -v */
};

/*
 * Adds a region.  gpa page aligned; the length is rounded up to pages and the
 * rest is zero.  -EEXIST: overlaps a region already there; -ENOSPC: full.
 */
int image_add(struct image *image, const struct image_region *region);

/* The first region that meets [gpa, gpa + len), which must not wrap; or NULL.
 */
const struct image_region *image_find(const struct image *image, gpa_t gpa,
				      uint64_t len);

/*
 * For a fill() that is about to write all of [dst, dst + len): has the host
 * allocate guest memory in one go, which takes it half the time that page
 * faults do.  A hint only.
 */
void image_populate(uint8_t *dst, uint64_t len);

/* A fill() for regions whose bytes are at data. */
int image_fill_data(const struct image_region *r, uint8_t *dst);

/*
 * Adds len bytes of data, which must be malloc()ed and belong to the image
 * from here on, also on failure.  NULL data: -ENOMEM with text.
 */
int image_add_data(struct image *image, const char *name, gpa_t gpa, void *data,
		   size_t len);

/* Has the image free() data in the end.  -ENOSPC: freed at once. */
int image_own(struct image *image, void *data);

/*
 * Adds len bytes at off of the open file fd.  The image owns fd from here on,
 * also on failure; owning the same fd twice is fine.
 */
int image_add_file(struct image *image, const char *name, gpa_t gpa, int fd,
		   uint64_t off, uint64_t len);

/* Has the image close fd in the end.  -ENOSPC: closed at once. */
int image_own_fd(struct image *image, int fd);

void image_destroy(struct image *image); /* twice is fine */
