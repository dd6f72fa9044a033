/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the launch list, the memory map and the x86 tables. */
#include "boot/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/memmap.h"
#include "boot/x86_tables.h"
#include "suites.h"
#include "support/fake_kernel.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

static const struct add_case {
	gpa_t gpa;
	uint64_t len;
	int rc;
} add_cases[] = {
	/* Beside a region of two pages at 0x2000. */
	{ 0x1000, 0x1000, 0 },
	{ 0x4000, 1, 0 },
	{ 0x1000, 0x1001, -EEXIST },
	{ 0x3000, 1, -EEXIST },
	{ 0, 0x100000, -EEXIST },
	{ 0x1234, 0x1000, -EINVAL },
	{ 0x5000, 0, -EINVAL },
	{ 0x5000, UINT64_MAX, -EINVAL },
	{ UINT64_MAX - 0xfff, 0x1001, -EINVAL },
	{ 0x5000, UINT64_MAX - 0x5000, -EINVAL },
};

START_TEST(adds_pages_that_are_free)
{
	const struct add_case *c = &add_cases[_i];
	struct image_region r = { .name = "x", .gpa = 0x2000, .len = 0x1001 };
	struct image image = { 0 };

	ck_assert_int_eq(image_add(&image, &r), 0);
	ck_assert_uint_eq(image.regions[0].len, 0x2000);
	r.gpa = c->gpa;
	r.len = c->len;
	ck_assert_int_eq(image_add(&image, &r), c->rc);
	ck_assert_uint_eq(image.count, c->rc ? 1 : 2);
	image_destroy(&image);
}
END_TEST

START_TEST(owns_what_it_is_given_even_when_full)
{
	struct bytes b = { .data = calloc(1, 16), .len = 16 };
	struct image image = { 0 };
	int fd, extra;

	for (unsigned int i = 0; i < IMAGE_MAX_REGIONS; i++)
		ck_assert_int_eq(image_add_data(&image, "x", i * PAGE_SIZE,
						malloc(8), 8),
				 0);
	ck_assert_int_eq(image_add_data(&image, "x", MIB, malloc(8), 8),
			 -ENOSPC);
	ck_assert_int_eq(image_add_data(&image, "x", MIB, NULL, 8), -ENOMEM);
	fake_file(b, &fd);
	for (unsigned int i = 0; i < ARRAY_SIZE(image.fds); i++)
		ck_assert_int_eq(image_own_fd(&image, i ? dup(fd) : fd), 0);
	ck_assert_int_eq(image_own_fd(&image, fd), 0);
	extra = dup(fd);
	ck_assert_int_eq(image_own_fd(&image, extra), -ENOSPC);
	ck_assert_int_eq(fcntl(extra, F_GETFD), -1);
	image_destroy(&image);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	image_destroy(&image);
}
END_TEST

START_TEST(fills_from_memory_and_from_files)
{
	static const char text[] = "0123456789";
	struct bytes b = { .data = (uint8_t *)strdup(text), .len = 10 };
	uint8_t page[PAGE_SIZE] = { 0 };
	struct image image = { 0 };
	struct image_region *r = image.regions;
	int fd;

	fake_file(b, &fd);
	ck_assert_int_eq(image_add_data(&image, "d", 0, strdup(text), 4), 0);
	ck_assert_int_eq(image_add_file(&image, "f", PAGE_SIZE, fd, 3, 5), 0);
	ck_assert_int_eq(r[0].fill(&r[0], page), 0);
	ck_assert_str_eq((char *)page, "0123");
	ck_assert_int_eq(r[1].fill(&r[1], page), 0);
	ck_assert_str_eq((char *)page, "34567");
	ck_assert_int_eq(ftruncate(fd, 7), 0);
	ck_assert_int_eq(r[1].fill(&r[1], page), -ENODATA);
	ck_assert_str_eq(err_text(), "f: the file became shorter");
	image_destroy(&image);
}
END_TEST

static const struct map_case {
	uint64_t memory;
	uint64_t low, high; /* 0: refused */
} map_cases[] = {
	{ 16 * MIB, 16 * MIB, 0 },
	{ 512 * MIB, 512 * MIB, 0 },
	{ 3 * GIB, 3 * GIB, 0 },
	{ 3 * GIB + 4096, 3 * GIB, 4096 },
	{ 5 * GIB, 3 * GIB, 2 * GIB },
	{ 192 * GIB, 3 * GIB, 189 * GIB },
	{ 1024 * GIB, 3 * GIB, 1021 * GIB },
	{ 1024 * GIB + 4096, 0, 0 },
	{ 16 * MIB - 4096, 0, 0 },
	{ 64 * MIB + 1, 0, 0 },
	{ 0, 0, 0 },
	{ UINT64_MAX, 0, 0 },
};

START_TEST(lays_out_ram_around_the_hole)
{
	const struct map_case *c = &map_cases[_i];
	uint64_t ram = 0, end = 0;
	struct memmap map;

	if (!c->low) {
		ck_assert_int_eq(memmap_build(&map, c->memory), -EINVAL);
		return;
	}
	ck_assert_int_eq(memmap_build(&map, c->memory), 0);
	ck_assert_uint_eq(map.nr_ram, c->high ? 2 : 1);
	ck_assert_uint_eq(map.ram[0].gpa, 0);
	ck_assert_uint_eq(map.ram[0].len, c->low);
	ck_assert_uint_eq(map.ram[1].gpa, c->high ? 4 * GIB : 0);
	ck_assert_uint_eq(map.ram[1].len, c->high);
	/* E820 is sorted and disjoint; its RAM is all but [640K, 1M). */
	for (unsigned int i = 0; i < map.nr_e820; i++) {
		const struct memmap_entry *e = &map.e820[i];

		ck_assert_uint_ge(e->gpa, end);
		ck_assert_uint_gt(e->len, 0);
		end = e->gpa + e->len;
		ram += e->type == MEMMAP_RAM ? e->len : 0;
	}
	ck_assert_uint_eq(ram, c->memory - (0x100000 - 0xa0000));
	ck_assert_int_eq(map.e820[2].type, MEMMAP_ACPI);
	ck_assert_uint_eq(map.e820[2].gpa, X86_ACPI_TABLES);
}
END_TEST

/* For any size of RAM, pool and what comes before it. */
START_TEST(leaves_a_pool_on_a_boundary)
{
	static const uint64_t spares[] = { 0, 4096, 27 * MIB + 4096, GIB };
	const uint64_t spare = spares[_i];
	struct memmap map, plain;

	for (uint64_t ram = 128 * MIB; ram < 65 * GIB; ram += ram / 3) {
		const uint64_t memory = align_down(ram, PAGE_SIZE);
		const uint64_t len = memmap_default_pool(memory);
		const struct memmap_entry *e;
		uint64_t top;

		ck_assert_int_eq(memmap_build(&map, memory), 0);
		plain = map;
		if (memmap_place_pool(&map, len, spare)) {
			ck_assert_uint_lt(memory, 2 * len + 4 * MIB);
			ck_assert_mem_eq(&map, &plain, sizeof(map));
			continue;
		}
		ck_assert_uint_eq(map.pool % (2 * MIB), 0);
		ck_assert_uint_eq(map.pool_len, len);
		ck_assert_uint_eq(map.nr_e820, plain.nr_e820 + 2);
		e = &map.e820[3]; /* from 1 MiB; the gap; the rest */
		ck_assert_uint_eq(e[0].gpa + e[0].len, map.pool + len);
		ck_assert_uint_eq(e[1].gpa, map.pool + len);
		ck_assert_uint_eq(e[1].len, PAGE_SIZE);
		ck_assert_int_eq(e[1].type, MEMMAP_RESERVED);
		ck_assert_int_eq(e[2].type, MEMMAP_RAM);
		top = e[2].gpa + e[2].len;
		ck_assert_uint_eq(top, map.ram[0].len);
		ck_assert_uint_lt(e[2].len, len); /* no room for the pool */
		ck_assert(e[2].len + PAGE_SIZE >= min_of(spare, len - 2 * MIB));
		ck_assert_mem_eq(e + 3, &plain.e820[4],
				 (plain.nr_e820 - 4) * sizeof(*e));
	}
}
END_TEST

START_TEST(a_pool_is_as_large_as_linux_takes)
{
	static const struct {
		uint64_t memory, pool;
	} cases[] = {
		{ 256 * MIB, 64 * MIB },   { 1 * GIB, 64 * MIB },
		{ 1536 * MIB, 128 * MIB }, { 4 * GIB, 256 * MIB },
		{ 16 * GIB, 1 * GIB },     { 64 * GIB, 1 * GIB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_uint_eq(memmap_default_pool(cases[i].memory),
				  cases[i].pool);
}
END_TEST

/* Walks the tables as a processor does, Intel SDM 3A, 4.5. */
static uint64_t translate(const uint8_t *tables, uint64_t va, uint64_t bit)
{
	uint64_t at = X86_PAGE_TABLES, e = 0;

	for (int shift = 39; shift >= 21; shift -= 9) {
		memcpy(&e,
		       tables + at - X86_PAGE_TABLES + (va >> shift) % 512 * 8,
		       8);
		if ((e & 3) != 3)
			return UINT64_MAX;
		ck_assert_uint_eq(e & 0x000fff0000000000, bit);
		at = e & 0x000000fffffff000;
	}
	ck_assert_uint_eq(e >> 7 & 1, 1);
	return at + va % (2 * MIB);
}

START_TEST(maps_the_first_4_gib_one_to_one)
{
	static const uint64_t mapped[] = { 0, 0x1000, 0x200000, 0xbffff000,
					   0xffffffff };
	static uint8_t page[6 * PAGE_SIZE];
	const uint64_t bit = _i ? 1ULL << 51 : 0;
	struct image image = { 0 };
	uint64_t descriptor;

	ck_assert_int_eq(x86_tables_add(&image, bit), 0);
	ck_assert_uint_eq(image.page_table, X86_PAGE_TABLES | bit);
	ck_assert_uint_eq(image.regions[1].len, sizeof(page));
	ck_assert_int_eq(image.regions[1].fill(&image.regions[1], page), 0);
	for (size_t i = 0; i < ARRAY_SIZE(mapped); i++)
		ck_assert_uint_eq(translate(page, mapped[i], bit), mapped[i]);
	ck_assert_uint_eq(translate(page, 4 * GIB, bit), UINT64_MAX);
	memset(page, 0, sizeof(page));
	ck_assert_uint_eq(image.gdt, X86_GDT);
	ck_assert_int_eq(image.regions[0].fill(&image.regions[0], page), 0);
	memcpy(&descriptor, page + 0x10, 8);
	ck_assert_uint_eq(descriptor >> 53 & 1, 1); /* L: 64-bit code */
	ck_assert_uint_eq(descriptor >> 43 & 3, 3); /* code */
	memcpy(&descriptor, page + 0x18, 8);
	ck_assert_uint_eq(descriptor >> 40 & 0x1f, 0x13); /* writable data */
	image_destroy(&image);
}
END_TEST

Suite *image_suite(void)
{
	Suite *s = suite_create("image");
	TCase *tc = tcase_create("image");

	tcase_add_loop_test(tc, adds_pages_that_are_free, 0,
			    ARRAY_SIZE(add_cases));
	tcase_add_test(tc, owns_what_it_is_given_even_when_full);
	tcase_add_test(tc, fills_from_memory_and_from_files);
	tcase_add_loop_test(tc, lays_out_ram_around_the_hole, 0,
			    ARRAY_SIZE(map_cases));
	tcase_add_loop_test(tc, leaves_a_pool_on_a_boundary, 0, 4);
	tcase_add_test(tc, a_pool_is_as_large_as_linux_takes);
	tcase_add_loop_test(tc, maps_the_first_4_gib_one_to_one, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
