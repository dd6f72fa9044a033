/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the limit on restarts, on a clock of their own. */
#include "vmm/restart.h"

#include "suites.h"

#define T0 5000000 /* the clock need not begin at 0 */

START_TEST(refuses_what_comes_too_often)
{
	struct restart_limit l = { .burst = 3, .interval_ms = 1000 };

	ck_assert(restart_allowed(&l, T0));
	ck_assert(restart_allowed(&l, T0));
	ck_assert(restart_allowed(&l, T0 + 900));
	ck_assert(!restart_allowed(&l, T0 + 999));
}
END_TEST

START_TEST(bears_for_ever_what_comes_seldom)
{
	struct restart_limit l = { .burst = 3, .interval_ms = 1000 };

	for (int64_t i = 0; i < 1000; i++)
		ck_assert(restart_allowed(&l, T0 + 334 * i));
}
END_TEST

START_TEST(begins_anew_when_the_time_is_over)
{
	struct restart_limit l = { .burst = 1, .interval_ms = 1000 };

	ck_assert(restart_allowed(&l, T0));
	ck_assert(restart_allowed(&l, T0 + 1000));
	ck_assert(!restart_allowed(&l, T0 + 1001));
	ck_assert(restart_allowed(&l, T0 + 2000));
}
END_TEST

START_TEST(an_interval_of_zero_is_no_limit)
{
	struct restart_limit l = { .burst = 1 };

	for (int i = 0; i < 1000; i++)
		ck_assert(restart_allowed(&l, T0));
}
END_TEST

Suite *restart_suite(void)
{
	Suite *s = suite_create("restart");
	TCase *tc = tcase_create("restart");

	tcase_add_test(tc, refuses_what_comes_too_often);
	tcase_add_test(tc, bears_for_ever_what_comes_seldom);
	tcase_add_test(tc, begins_anew_when_the_time_is_over);
	tcase_add_test(tc, an_interval_of_zero_is_no_limit);
	suite_add_tcase(s, tc);
	return s;
}
