/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/memmap.h"

#include <assert.h>
#include <errno.h>

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
