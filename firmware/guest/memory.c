/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM: what E820 says, and whether it is true where it matters.  Pages are
 * probed at the edges of each range, at every power of two inside (a dropped
 * address line shows there) and here and there between; never all of RAM, so
 * 192 GiB cost no more than 1.
 */
#include "firmware/guest/guest.h"

/* struct boot_params: Linux Documentation/arch/x86/zero-page.rst. */
#define BP_E820_ENTRIES 0x1e8
#define BP_E820_TABLE 0x2d0
#define E820_MAX 128
#define E820_RAM 1
struct e820_entry {
	uint64_t addr, len;
	uint32_t type;
} __attribute__((packed));

#define PTE_TABLE 3            /* present, writable */
#define PTE_PAGE 0x83          /* and a large page */
#define PTE_ADDR 0xfffff000ULL /* all of ours are below 4 GiB */
#define LARGE_PAGE (2ULL << 20)
#define MAX_PROBES 192
#define NR_BETWEEN 6  /* pages in the midst of a range */
#define NR_TABLES 128 /* one a GiB that is probed, and few more */
#define WORDS_IN_PAGE (PAGE / sizeof(uint64_t))

static uint64_t tables[NR_TABLES][WORDS_IN_PAGE] SCRATCH
	__attribute__((aligned(4096)));
static unsigned int nr_tables;
static uint64_t probes[MAX_PROBES];
static unsigned int nr_probes;

uint64_t memory_low_end;

static struct e820_entry e820_entry(unsigned int i)
{
	struct e820_entry e;
	uint64_t at = entry.boot_params + BP_E820_TABLE + i * sizeof(e);

	__builtin_memcpy(&e, (const void *)at, sizeof(e));
	return e;
}

static unsigned int e820_count(void)
{
	unsigned int n =
		*(const uint8_t *)(entry.boot_params + BP_E820_ENTRIES);

	return n < E820_MAX ? n : E820_MAX;
}

/* ---- Page tables for what lies above the first 4 GiB ---- */

/* What entries for private memory have set, where they can say so; or 0. */
static uint64_t private_bit(void)
{
	return read_cr3() >> 32 << 32;
}

/* The table that slot points to; makes one when there is none. */
static uint64_t *table_below(uint64_t *slot)
{
	uint64_t *table;

	if (*slot & 1)
		return (uint64_t *)(*slot & PTE_ADDR);
	if (nr_tables == NR_TABLES)
		return NULL;
	table = tables[nr_tables++];
	__builtin_memset(table, 0, PAGE);
	*slot = (uintptr_t)table | PTE_TABLE | private_bit();
	return table;
}

/* Identity maps the 2 MiB around addr.  false: no more tables. */
static bool map(uint64_t addr)
{
	uint64_t *pml4 = (uint64_t *)(read_cr3() & PTE_ADDR);
	uint64_t *pdpt, *pd, *pte;

	if (addr < X86_HOLE_END)
		return true; /* mapped at entry */
	pdpt = table_below(&pml4[addr >> 39 & 511]);
	pd = pdpt ? table_below(&pdpt[addr >> 30 & 511]) : NULL;
	if (!pd)
		return false;
	pte = &pd[addr >> 21 & 511];
	if (!*pte)
		*pte = (addr & ~(LARGE_PAGE - 1)) | PTE_PAGE | private_bit();
	return true;
}

void memory_see_shared(uint64_t addr, uint64_t len)
{
	uint64_t *pml4 = (uint64_t *)(read_cr3() & PTE_ADDR);
	uint64_t *pdpt = (uint64_t *)(pml4[0] & PTE_ADDR);

	for (uint64_t at = addr; at < addr + len; at += LARGE_PAGE) {
		uint64_t *pd = (uint64_t *)(pdpt[at >> 30] & PTE_ADDR);

		pd[at >> 21 & 511] &= ~private_bit();
	}
	write_cr3(read_cr3()); /* forget what was cached of them */
}

/* ---- Probes ---- */

static bool in_use(uint64_t page)
{
	if (page < TRAMPOLINE) /* tables, boot_params, command line */
		return true;
	return page >= X86_KERNEL && page < (uintptr_t)image_end;
}

static void add_probe(uint64_t page)
{
	if (in_use(page) || nr_probes == MAX_PROBES || !map(page))
		return;
	for (unsigned int i = 0; i < nr_probes; i++)
		if (probes[i] == page)
			return;
	probes[nr_probes++] = page;
}

static void add_probes(uint64_t start, uint64_t end)
{
	uint64_t step;

	start = (start + PAGE - 1) & ~(PAGE - 1);
	end &= ~(PAGE - 1);
	if (end <= start)
		return;
	if (start < (uintptr_t)image_end && end > (uintptr_t)image_end)
		add_probe((uintptr_t)image_end);
	add_probe(start);
	add_probe(end - PAGE);
	if (end - start > 2 * PAGE) {
		add_probe(start + PAGE);
		add_probe(end - 2 * PAGE);
	}
	for (uint64_t bit = PAGE; bit && bit < end; bit <<= 1)
		if (bit >= start)
			add_probe(bit);
	step = ((end - start) / (NR_BETWEEN + 1)) & ~(PAGE - 1);
	for (uint64_t i = 1; step && i <= NR_BETWEEN; i++)
		add_probe(start + i * step);
}

/* First, last and one inner word of a page; the value names the place. */
static const unsigned int words[] = { 0, 321, WORDS_IN_PAGE - 1 };

static uint64_t pattern(uint64_t addr)
{
	return addr * 0x9e3779b97f4a7c15ULL ^ ~addr;
}

static void check_words(const char *what, bool written)
{
	for (unsigned int i = 0; i < nr_probes * ARRAY_SIZE(words); i++) {
		uint64_t addr = probes[i / ARRAY_SIZE(words)] +
				8 * words[i % ARRAY_SIZE(words)];
		uint64_t expected = written ? pattern(addr) : 0;
		uint64_t got = mmio_read(uint64_t, addr);

		if (expected != got) {
			check_is_at(what, addr, expected, got);
			return;
		}
	}
	check_that(what, nr_probes > 0);
}

static void check_contents(void)
{
	note("pages probed", nr_probes);
	check_words("RAM is zero before its first use", false);
	for (unsigned int i = 0; i < nr_probes; i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(words); k++) {
			uint64_t addr = probes[i] + 8 * words[k];

			mmio_write(uint64_t, addr, pattern(addr));
		}
	}
	check_words("RAM keeps what is written, no two alike", true);
}

/* ---- E820 ---- */

/* Sorted, disjoint, no entry empty or wrapping. */
static bool e820_sane(void)
{
	uint64_t end = 0;

	for (unsigned int i = 0; i < e820_count(); i++) {
		struct e820_entry e = e820_entry(i);

		if (e.addr < end || !e.len || e.addr + e.len < e.addr)
			return false;
		end = e.addr + e.len;
	}
	return end;
}

static void check_hole(const char *what, uint64_t addr)
{
	if (!map(addr))
		return;
	check_is_at(what, addr, ~0ULL, mmio_read(uint64_t, addr));
}

void memory_check(void)
{
	uint64_t low = 0, high = X86_HOLE_END, usable = 0, size, asked;

	note("E820 entries", e820_count());
	check_that("E820: sorted, no overlap", e820_sane());
	for (unsigned int i = 0; i < e820_count(); i++) {
		struct e820_entry e = e820_entry(i);

		if (e.type != E820_RAM)
			continue;
		usable += e.len;
		if (e.addr < X86_HOLE)
			low = e.addr + e.len;
		else
			high = e.addr + e.len;
		add_probes(e.addr, e.addr + e.len);
	}
	memory_low_end = low;
	size = low + (high - X86_HOLE_END);
	asked = option_number("guest.memory=", size);
	check_is("RAM: size", asked, size);
	check_in("RAM: usable", size - (1 << 20), size, usable);
	check_that("RAM: stops below the hole", low && low <= X86_HOLE);
	check_contents();
	if (low < X86_HOLE) /* devices live in the hole */
		check_hole("no RAM behind its end", low);
	check_hole("no RAM behind its upper end", high);
}
