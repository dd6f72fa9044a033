/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where guest RAM is, and what E820 says of it.  One function of the size
 * alone, so the launch list, the memslots and the tests agree.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"

#define MEMMAP_MAX 16

enum memmap_type { MEMMAP_RAM = 1, MEMMAP_RESERVED = 2, MEMMAP_ACPI = 3 };

struct memmap_entry {
	gpa_t gpa;
	uint64_t len;
	enum memmap_type type; /* E820 numbers, ACPI 6.5, 15.1 */
};

struct memmap {
	/* Memslots: what is backed.  Below the hole, then above 4 GiB. */
	unsigned int nr_ram;
	struct {
		gpa_t gpa;
		uint64_t len;
	} ram[2];
	/* E820, sorted.  Legacy and ACPI areas inside RAM are carved out. */
	unsigned int nr_e820;
	struct memmap_entry e820[MEMMAP_MAX];
};

/*
 * Lays out memory bytes of RAM (multiple of the page size; 16 MiB to 1 TiB,
 * checked).  -EINVAL with text otherwise.
 */
int memmap_build(struct memmap *map, uint64_t memory);
