/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel address space randomization done here, because a kernel that is
 * unpacked on the host skips the stage of it that would do so: where the
 * kernel goes in physical memory, at which virtual address it runs, and the
 * relocation that this takes.
 */
#pragma once

#include <stdbool.h>

#include "boot/image.h"

/* The next of a deterministic sequence of 64-bit numbers (splitmix64). */
uint64_t kaslr_next(uint64_t *state);

/*
 * What the command line allows, as the kernel's own unpacker reads it:
 * "nokaslr" forbids all of it, "mem=" and "memmap=" change the memory map
 * behind our back and so forbid to choose a physical address.
 */
void kaslr_allowed(const char *cmdline, bool *virt, bool *phys);

/* What to look for: a free range of which some byte is at a round address. */
struct kaslr_range {
	uint64_t len;
	uint64_t lead;  /* so many bytes before that byte */
	uint64_t align; /* of that byte: a power of two */
	gpa_t low;      /* that byte is not below: at least lead */
	gpa_t high;     /* the range ends here or below */
};

/*
 * Finds a range that meets no region of the image: the lowest for state NULL,
 * else a random one.  Returns its round address; UINT64_MAX: there is none.
 */
gpa_t kaslr_place(const struct image *image, const struct kaslr_range *range,
		  uint64_t *state);

/*
 * By how much to shift the virtual addresses of a kernel of len bytes that
 * was linked for the physical address base: a multiple of align, possibly 0.
 */
uint32_t kaslr_shift(uint64_t base, uint64_t len, uint64_t align,
		     uint64_t *state);

/* A kernel in memory and the table at the end of its compressed payload. */
struct kaslr_kernel {
	uint8_t *mem;         /* the kernel as loaded, its first byte ... */
	uint64_t len;         /* ... so long in memory, ... */
	uint64_t base;        /* ... linked for this physical address */
	const uint8_t *table; /* relocations: may lie within mem */
	uint64_t table_len;
};

/*
 * Adds shift to all that the table names.  The table is lists of virtual
 * addresses (32 bits each, to be sign-extended), each list preceded by a
 * zero: of 64-bit words; in kernels before 6.15 then of 32-bit words to
 * subtract from; of 32-bit words.  -EPROTO with text where it is not.
 */
int kaslr_relocate(const struct kaslr_kernel *k, uint32_t shift);
