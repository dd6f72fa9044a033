/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the headers of a 64-bit x86 ELF executable: what goes where in guest
 * memory.  Bytes in, description out; the file is not trusted.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"

#define ELF_MAX_SEGMENTS 16
/* Both header tables' beginning must be within so many bytes of the start. */
#define ELF_HEAD_LEN 4096

struct elf_segment {
	uint64_t off, filesz;  /* in the file */
	uint64_t paddr, memsz; /* in memory; the excess over filesz is zero */
};

struct elf {
	gpa_t entry;
	unsigned int count;
	/* The loadable ones, sorted by paddr, disjoint, none empty. */
	struct elf_segment segments[ELF_MAX_SEGMENTS];
	gpa_t low, high;   /* all segments are in [low, high) */
	uint64_t file_end; /* where headers and segments say the file ends */
};

/* Whether head, len bytes from the start of a file, is an ELF file at all. */
bool elf_detect(const uint8_t *head, size_t len);

/*
 * Checks the file of file_len bytes that starts with the len bytes at head
 * (ELF_HEAD_LEN or the whole file).  On success every segment lies within
 * the file, no paddr + memsz wraps, and entry is in a segment.  -ENOEXEC
 * with text otherwise.
 */
int elf_parse(struct elf *elf, const uint8_t *head, size_t len,
	      uint64_t file_len);

/* Copies the segments of fd to dst, which is zeroed and becomes [low, high). */
int elf_fill(const struct elf *elf, int fd, uint8_t *dst);
