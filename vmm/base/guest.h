/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as the host may touch it: the only way to guest memory, and to
 * what the guest shares of it only.  The mappings last as long as the VM, so
 * a pointer from guest_at() never dangles; what it points at belongs to the
 * guest and may change at any time, so copy with guest_read() before
 * believing it.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/pages.h"
#include "vmm/base/window.h"

#define GUEST_MAX_REGIONS 4

struct guest_region {
	gpa_t base;
	uint64_t len;
	uint8_t *host;
	/* What it is a mapping of, from fd_off on; 0 or less: not known. */
	int fd;
	uint64_t fd_off;
	uint64_t off; /* where it begins in all of RAM; see pages.h */
};

struct guest_mem { /* filled by vmm/kvm/memory.c, sorted by base */
	unsigned int count;
	struct guest_region regions[GUEST_MAX_REGIONS];
	struct pages *pages;   /* NULL: the host may touch all of it */
	struct window *window; /* NULL, as without pages: nobody looks for it */
};

/*
 * NULL unless all of [gpa, gpa + len) is RAM of one region, and shared; len
 * may be 0.  The guest may make it private the next moment: whoever uses the
 * pointer pins it instead.
 */
void *guest_at(const struct guest_mem *mem, gpa_t gpa, uint64_t len);

/*
 * The same, and what turns private before guest_unpin() does not come back to
 * life for having been used until then.  Pins add up, those of a failure too.
 */
void *guest_pin(const struct guest_mem *mem, gpa_t gpa, uint64_t len,
		struct pages_pins *pins);
void guest_unpin(const struct guest_mem *mem, struct pages_pins *pins);
/* For pointers of guest_at() that were used after all: see pages_scrub(). */
void guest_scrub(const struct guest_mem *mem, gpa_t gpa, uint64_t len);

/* Copies once.  false: guest_at() would refuse, and nothing was copied. */
bool guest_read(const struct guest_mem *mem, gpa_t gpa, void *buf, size_t len);
bool guest_write(const struct guest_mem *mem, gpa_t gpa, const void *buf,
		 size_t len);

/* Is the page at gpa RAM, private or shared? */
bool guest_has(const struct guest_mem *mem, gpa_t gpa);

/* The guest address of what host points at.  false: it is no RAM. */
bool guest_address(const struct guest_mem *mem, const void *host, gpa_t *gpa);

/*
 * Gives whole pages of RAM back to the host; they read as zeros from then on.
 * -EINVAL: not whole pages, or not RAM of one region; -errno of fallocate().
 * A guest can cause them, so there is no text.
 */
int guest_discard(const struct guest_mem *mem, gpa_t gpa, uint64_t len);
