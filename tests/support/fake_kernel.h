/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that is no kernel: an ELF file of noise in Linux' layout, with
 * relocations, compressed and wrapped into a bzImage; and, computed without
 * any of the code under test, what has to be in memory in the end.
 */
#pragma once

#include "vmm/base/util.h"

struct bytes {
	uint8_t *data; /* malloc()ed */
	size_t len;
};

#define FAKE_BASE 0x1000000U /* linked for 16 MiB, as Linux is */
#define FAKE_ENTRY 0x123U    /* entry point, relative to that */
#define FAKE_LEAD 0x1000U    /* ELF header and padding before the code */

struct fake_kernel {
	size_t text_len;    /* of the code segment: 0x2000 or more */
	unsigned int lists; /* of relocations: 0, 2 (newer), 3 (older) */
};

/* The ELF file; and the same with the relocations that follow it. */
struct bytes fake_elf(const struct fake_kernel *k);
struct bytes fake_payload(const struct fake_kernel *k);
/* What must be in memory from the kernel's address on. */
struct bytes fake_loaded(const struct fake_kernel *k, uint32_t shift);

/* Compresses and appends the length, as Linux' build does; frees in. */
struct bytes fake_compress(const char *codec, struct bytes in);
/* Wraps a payload into a bzImage; frees it. */
struct bytes fake_bzimage(struct bytes payload);

/* Makes a file with these bytes, frees them.  Returns a path; close(*fd). */
const char *fake_file(struct bytes b, int *fd);

/* Overwrites the little-endian field of 1, 2, 4 or 8 bytes at off. */
void fake_poke(struct bytes b, size_t off, unsigned int size, uint64_t value);
