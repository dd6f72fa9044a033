/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of choosing addresses for a kernel and of relocating it. */
#include "boot/kaslr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "support/fake_kernel.h"
#include "vmm/base/err.h"

START_TEST(places_a_kernel_everywhere_it_may_be_and_nowhere_else)
{
	/* Round addresses 2, 4, ... 18 MiB; a region at 8 MiB in the way. */
	const struct kaslr_range range = { .len = 3 * MIB,
					   .lead = MIB,
					   .align = 2 * MIB,
					   .low = MIB,
					   .high = 20 * MIB };
	const struct image_region r = { .name = "x",
					.gpa = 8 * MIB,
					.len = PAGE_SIZE };
	struct kaslr_range full = range;
	struct image image = { 0 };
	uint64_t state = 1;
	uint32_t seen = 0;

	ck_assert_int_eq(image_add(&image, &r), 0);
	ck_assert_uint_eq(kaslr_place(&image, &range, NULL), 2 * MIB);
	for (int i = 0; i < 1000; i++) {
		gpa_t at = kaslr_place(&image, &range, &state);

		ck_assert_uint_eq(at % (2 * MIB), 0);
		seen |= 1U << at / (2 * MIB);
	}
	/* [7, 10) for 8 meets the region; [17, 20) for 18 fits exactly. */
	ck_assert_uint_eq(seen, 0x3ee);
	full.low = 20 * MIB;
	ck_assert_uint_eq(kaslr_place(&image, &full, &state), UINT64_MAX);
	full.len = 0;
	full.high = 0;
	ck_assert_uint_eq(kaslr_place(&image, &full, NULL), UINT64_MAX);
}
END_TEST

START_TEST(keeps_a_large_kernel_within_the_kernel_mapping)
{
	uint64_t state = 1;
	uint32_t max = 0;

	for (int i = 0; i < 1000; i++) {
		uint32_t s = kaslr_shift(FAKE_BASE, GIB - FAKE_BASE - 4 * MIB,
					 2 * MIB, &state);

		max = max_of(max, s);
	}
	ck_assert_uint_eq(max, 4 * MIB);
	ck_assert_uint_eq(kaslr_shift(FAKE_BASE, GIB, 2 * MIB, &state), 0);
	ck_assert_uint_eq(kaslr_shift(4 * GIB, 1, 2 * MIB, &state), 0);
}
END_TEST

#define V(x) (uint32_t)(0x80000000 + FAKE_BASE + (x))

static const struct {
	uint32_t table[8];
	unsigned int n;
	const char *says; /* NULL: accepted */
} tables[] = {
	{ { 0, V(0), 0, V(8) }, 4, NULL },
	{ { 0, V(0), 0, 0, V(8) }, 5, NULL },
	{ { 0, V(56), 0, V(60) }, 4, NULL },
	{ { 0, 0 }, 2, NULL },
	{ { 0 }, 0, "unknown format" },
	{ { 0 }, 1, "unknown format" },
	{ { V(0), 0, 0 }, 3, "unknown format" },
	{ { 0, 0, 0, 0 }, 4, "unknown format" },
	{ { 0, V(57), 0 }, 3, "0x81000039 is outside" },
	{ { 0, 0, V(61) }, 3, "outside" },
	{ { 0, 0, V(61), 0 }, 4, "outside" },
	{ { 0, V(64), 0 }, 3, "outside" },
	{ { 0, V(-1), 0 }, 3, "outside" },
	{ { 0, 1, 0 }, 3, "outside" },
	{ { 0, UINT32_MAX, 0 }, 3, "outside" },
	{ { 0, 0x7fffffff, 0 }, 3, "outside" },
};

START_TEST(relocates_nothing_outside_the_kernel)
{
	/* Exact sizes, so that an overrun is seen by the sanitizer. */
	uint8_t *mem = calloc(1, 64);
	struct bytes t = { malloc(tables[_i].n * 4 + 1), tables[_i].n * 4 };
	const struct kaslr_kernel k = { .mem = mem,
					.len = 64,
					.base = FAKE_BASE,
					.table = t.data,
					.table_len = t.len };
	int rc;

	memcpy(t.data, tables[_i].table, t.len);
	rc = kaslr_relocate(&k, 0x200000);
	if (tables[_i].says) {
		ck_assert_int_eq(rc, -EPROTO);
		ck_assert_msg(strstr(err_text(), tables[_i].says), "says: %s",
			      err_text());
	} else {
		ck_assert_int_eq(rc, 0);
	}
	free(t.data);
	free(mem);
}
END_TEST

START_TEST(survives_a_table_that_relocates_itself)
{
	/* The third list's first word becomes a zero when it is its turn. */
	uint32_t mem[16] = { 0, V(16), 0, V(12), V(16), 0 };
	struct kaslr_kernel k = { .mem = (uint8_t *)mem,
				  .len = sizeof(mem),
				  .base = FAKE_BASE,
				  .table = (uint8_t *)mem,
				  .table_len = 5 * 4 };

	ck_assert_int_eq(kaslr_relocate(&k, -V(16)), -EPROTO);
	ck_assert_str_eq(err_text(), "the relocation table relocates itself");
}
END_TEST

Suite *kaslr_suite(void)
{
	Suite *s = suite_create("kaslr");
	TCase *tc = tcase_create("kaslr");

	tcase_add_test(tc,
		       places_a_kernel_everywhere_it_may_be_and_nowhere_else);
	tcase_add_test(tc, keeps_a_large_kernel_within_the_kernel_mapping);
	tcase_add_loop_test(tc, relocates_nothing_outside_the_kernel, 0,
			    ARRAY_SIZE(tables));
	tcase_add_test(tc, survives_a_table_that_relocates_itself);
	suite_add_tcase(s, tc);
	return s;
}
