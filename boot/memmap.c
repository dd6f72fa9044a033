/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/memmap.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

#define MEMORY_MIN (16 * MIB)
#define MEMORY_MAX (1024 * GIB)

static void add(struct memmap *map, enum memmap_type type, gpa_t from, gpa_t to)
{
	assert(map->nr_e820 < MEMMAP_MAX);
	map->e820[map->nr_e820++] =
		(struct memmap_entry){ from, to - from, type };
}

int memmap_build(struct memmap *map, uint64_t memory)
{
	uint64_t low = min_of(memory, (uint64_t)X86_HOLE);

	*map = (struct memmap){ 0 };
	if (memory % PAGE_SIZE)
		return err_set(-EINVAL,
			       "memory size %llu is not a multiple of 4096",
			       (unsigned long long)memory);
	if (memory < MEMORY_MIN || memory > MEMORY_MAX)
		return err_set(-EINVAL,
			       "memory size %lluK is out of range: 16M to 1T",
			       (unsigned long long)(memory / KIB));
	map->ram[map->nr_ram].gpa = 0;
	map->ram[map->nr_ram++].len = low;
	add(map, MEMMAP_RAM, 0, X86_LOW_RAM_END);
	/* Backed like RAM, so that a guest's probing costs no exits. */
	add(map, MEMMAP_RESERVED, X86_LOW_RAM_END, X86_ACPI_TABLES);
	add(map, MEMMAP_ACPI, X86_ACPI_TABLES,
	    X86_ACPI_TABLES + X86_ACPI_TABLES_LEN);
	add(map, MEMMAP_RAM, X86_KERNEL, low);
	/* Linux uses the ECAM early only if E820 reserves it. */
	add(map, MEMMAP_RESERVED, X86_ECAM, X86_ECAM + X86_ECAM_LEN);
	if (memory > low) {
		map->ram[map->nr_ram].gpa = X86_HOLE_END;
		map->ram[map->nr_ram++].len = memory - low;
		add(map, MEMMAP_RAM, X86_HOLE_END,
		    X86_HOLE_END + (memory - low));
	}
	return 0;
}

#define POOL_MIN (64 * MIB)
#define POOL_MAX (1 * GIB)
#define BLOCK (2 * MIB)

uint64_t memmap_default_pool(uint64_t memory)
{
	uint64_t len = POOL_MIN;

	while (len < POOL_MAX && len < memory / 100 * 6)
		len *= 2;
	return len;
}

int memmap_place_pool(struct memmap *map, uint64_t len, uint64_t spare)
{
	const gpa_t end = map->ram[0].len;
	struct memmap_entry *e = map->e820;
	gpa_t gap;

	assert(len % BLOCK == 0 && len >= 2 * BLOCK);
	/* The pool must not fit there, with what is left of a block. */
	spare = max_of(min_of(spare, len - BLOCK), BLOCK);
	if (end < X86_KERNEL + BLOCK || spare > end - X86_KERNEL - BLOCK)
		return -ENOSPC;
	gap = align_down(end - spare, BLOCK);
	if (len > gap - X86_KERNEL)
		return -ENOSPC;
	while (e->gpa != X86_KERNEL)
		e++;
	assert(map->nr_e820 + 2 <= MEMMAP_MAX);
	memmove(e + 3, e + 1,
		(size_t)(map->e820 + map->nr_e820 - (e + 1)) * sizeof(*e));
	map->nr_e820 += 2;
	e[0].len = gap - X86_KERNEL;
	e[1] = (struct memmap_entry){ gap, PAGE_SIZE, MEMMAP_RESERVED };
	e[2] = (struct memmap_entry){ gap + PAGE_SIZE, end - gap - PAGE_SIZE,
				      MEMMAP_RAM };
	map->pool = gap - len;
	map->pool_len = len;
	return 0;
}
