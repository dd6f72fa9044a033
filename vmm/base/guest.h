/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as the host may touch it: the only way to guest memory.  The
 * mappings last as long as the VM, so a pointer from guest_at() never
 * dangles; what it points at belongs to the guest and may change at any
 * time, so copy with guest_read() before believing it.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"

#define GUEST_MAX_REGIONS 4

struct guest_region {
	gpa_t base;
	uint64_t len;
	uint8_t *host;
	/* What it is a mapping of, from fd_off on; 0 or less: not known. */
	int fd;
	uint64_t fd_off;
};

struct guest_mem { /* filled by vmm/kvm/memory.c, sorted by base */
	unsigned int count;
	struct guest_region regions[GUEST_MAX_REGIONS];
};

/* NULL unless all of [gpa, gpa + len) is RAM of one region; len may be 0. */
void *guest_at(const struct guest_mem *mem, gpa_t gpa, uint64_t len);

/* Copies once.  false: not all of the range is RAM, and nothing was copied. */
bool guest_read(const struct guest_mem *mem, gpa_t gpa, void *buf, size_t len);
bool guest_write(const struct guest_mem *mem, gpa_t gpa, const void *buf,
		 size_t len);

/* The guest address of what host points at.  false: it is no RAM. */
bool guest_address(const struct guest_mem *mem, const void *host, gpa_t *gpa);

/*
 * Gives whole pages of RAM back to the host; they read as zeros from then on.
 * -EINVAL: not whole pages, or not RAM of one region; -errno of fallocate().
 * A guest can cause them, so there is no text.
 */
int guest_discard(const struct guest_mem *mem, gpa_t gpa, uint64_t len);
