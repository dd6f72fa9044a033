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
	/* Where Linux will have its SWIOTLB pool; len 0: not planned. */
	gpa_t pool;
	uint64_t pool_len;
};

/*
 * Lays out memory bytes of RAM (multiple of the page size; 16 MiB to 1 TiB,
 * checked).  -EINVAL with text otherwise.
 */
int memmap_build(struct memmap *map, uint64_t memory);

/*
 * What Linux 6.1 to 7.2 takes for SWIOTLB if its memory is encrypted: 6 % of
 * RAM, from 64 MiB to 1 GiB, a power of two (Linux, mem_encrypt_setup_arch()).
 */
uint64_t memmap_default_pool(uint64_t memory);

/*
 * Has E820 lead Linux to put a pool of len bytes, whole blocks of 2 MiB and
 * more than one, on a boundary of 2 MiB, so that it can be shared in whole
 * blocks.  Linux takes memory from the top, page aligned: spare bytes there,
 * which are for what it takes before the pool and too few for that, are set
 * apart by a page that is no RAM, and so the pool ends where they begin.
 * -ENOSPC without text: no room for both below the hole; the map is as it was.
 */
int memmap_place_pool(struct memmap *map, uint64_t len, uint64_t spare);
