/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of what is linked in as bytes.  What the embedded guest does is
 * tested by running it: tests/vms/guest-*.ini.
 */
#include <string.h>

#include "firmware/blobs.h"
#include "suites.h"
#include "vmm/base/util.h"

START_TEST(guest_stays_small)
{
	size_t len = (size_t)(blob_guest_end - blob_guest);

	ck_assert_uint_gt(len, KIB);
	ck_assert_uint_le(len, 31 * KIB);
}
END_TEST

START_TEST(guest_begins_with_its_entry)
{
	ck_assert_uint_eq(blob_guest[0], 0xfc); /* CLD, as in start.S */
}
END_TEST

START_TEST(dsdt_is_a_whole_table)
{
	uint32_t len;
	uint8_t sum = 0;

	ck_assert_mem_eq(blob_dsdt, "DSDT", 4);
	memcpy(&len, blob_dsdt + 4, sizeof(len));
	ck_assert_uint_eq(len, (size_t)(blob_dsdt_end - blob_dsdt));
	for (uint32_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + blob_dsdt[i]);
	ck_assert_uint_eq(sum, 0);
}
END_TEST

Suite *blobs_suite(void)
{
	Suite *s = suite_create("blobs");
	TCase *tc = tcase_create("blobs");

	tcase_add_test(tc, guest_stays_small);
	tcase_add_test(tc, guest_begins_with_its_entry);
	tcase_add_test(tc, dsdt_is_a_whole_table);
	suite_add_tcase(s, tc);
	return s;
}
