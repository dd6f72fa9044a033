/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as the shared window, for how long, and what is in use of it. */
#include "vmm/base/window.h"

#include <string.h>

#include "suites.h"

#define AT (64 * MIB)
#define LEN (16 * MIB)
#define STEP (2 * MIB)

static struct window w;

static void set_up(void)
{
	memset(&w, 0, sizeof(w));
}

/* As Linux does it: one call for each entry of its page tables. */
static void share(gpa_t base, uint64_t len)
{
	for (gpa_t gpa = base; gpa < base + len; gpa += STEP)
		window_note(&w, gpa, min_of(STEP, base + len - gpa));
}

static void check(gpa_t base, uint64_t len)
{
	const struct window_run run = window_get(&w);

	ck_assert_uint_eq(run.base, base);
	ck_assert_uint_eq(run.len, len);
	ck_assert_uint_eq(run.calls, (len + STEP - 1) / STEP);
}

START_TEST(the_longest_run_is_the_window)
{
	check(0, 0);
	window_note(&w, 0, PAGE_SIZE);
	share(AT, WINDOW_MIN - PAGE_SIZE); /* too short */
	check(0, 0);
	share(AT, WINDOW_MIN);
	check(AT, WINDOW_MIN);
	share(AT + WINDOW_MIN, LEN - WINDOW_MIN);
	check(AT, LEN);
	share(0, LEN); /* as long */
	share(2 * AT, WINDOW_MIN);
	check(AT, LEN);
	window_note(&w, 4 * AT, PAGE_SIZE);
	share(2 * AT, LEN + STEP);
	check(2 * AT, LEN + STEP);
	share(1024 * GIB, 2 * LEN); /* where the last RAM is */
	check(1024 * GIB, 2 * LEN);
}
END_TEST

static const struct {
	gpa_t gpa;
	uint64_t len;
	bool part;
} parts[] = {
	{ 0, PAGE_SIZE, false },
	{ 0, AT, false },
	{ AT - PAGE_SIZE, PAGE_SIZE, false },
	{ AT + LEN, PAGE_SIZE, false },
	{ AT + LEN, GIB, false },
	{ AT, PAGE_SIZE, true },
	{ AT + LEN - PAGE_SIZE, PAGE_SIZE, true },
	{ AT + LEN / 2, STEP, true },
	{ AT - PAGE_SIZE, 2 * PAGE_SIZE, true },
	{ AT + LEN - PAGE_SIZE, 2 * PAGE_SIZE, true },
	{ AT, LEN, true },
	{ 0, GIB, true },
};

START_TEST(a_window_of_which_a_page_turns_private_is_none)
{
	uint64_t inside = 0;

	share(AT, LEN);
	window_note(&w, 0, PAGE_SIZE);
	ck_assert(window_admits(&w, AT, LEN, &inside));
	ck_assert_uint_eq(inside, LEN);
	window_forget(&w, parts[_i].gpa, parts[_i].len);
	check(parts[_i].part ? 0 : AT, parts[_i].part ? 0 : LEN);
	inside = 0;
	ck_assert(window_admits(&w, AT, LEN, &inside));
	ck_assert_uint_eq(inside, parts[_i].part ? 0 : LEN);
	/* What is shared next is one, if it is long enough. */
	share(AT, LEN);
	check(AT, LEN);
}
END_TEST

/* ... nor does a run become one that would go on from it. */
START_TEST(a_run_of_which_a_page_turns_private_begins_anew)
{
	share(AT, WINDOW_MIN - PAGE_SIZE);
	window_forget(&w, AT, PAGE_SIZE);
	window_note(&w, AT + WINDOW_MIN - PAGE_SIZE, PAGE_SIZE);
	check(0, 0);
	share(AT + WINDOW_MIN, WINDOW_MIN);
	ck_assert_uint_eq(window_get(&w).base, AT + WINDOW_MIN - PAGE_SIZE);
}
END_TEST

static const struct {
	gpa_t gpa;
	uint64_t len;
	bool inside;
} buffers[] = {
	{ AT, 1, true },
	{ AT, LEN, true },
	{ AT + LEN - 1, 1, true },
	{ AT - 1, 1, false },
	{ AT - 1, 2, false },
	{ AT, LEN + 1, false },
	{ AT + LEN - 1, 2, false },
	{ AT + LEN, 1, false },
	{ AT + 1, UINT32_MAX, false },
	{ 0, 1, false },
	{ -1ULL, 1, false },
	{ -1ULL, 0xffffffff, false },
};

START_TEST(strict_refuses_what_is_not_all_inside)
{
	bool inside = buffers[_i].inside;
	gpa_t gpa = buffers[_i].gpa;
	uint64_t len = buffers[_i].len, sum = 7;

	w.strict = true;
	ck_assert(!window_admits(&w, gpa, len, &sum)); /* there is none yet */
	share(AT, LEN);
	ck_assert_int_eq(window_admits(&w, gpa, len, &sum), inside);
	ck_assert_uint_eq(sum, inside ? 7 + len : 7);
	ck_assert_uint_eq(w.refused, inside ? 1 : 2);
	w.strict = false;
	ck_assert(window_admits(&w, gpa, len, &sum));
	ck_assert_uint_eq(sum, inside ? 7 + 2 * len : 7);
	ck_assert_uint_eq(w.refused, inside ? 1 : 2);
}
END_TEST

START_TEST(the_high_water_mark_is_the_most_at_a_time)
{
	window_begin(&w, 100);
	window_begin(&w, 20);
	window_end(&w, 100);
	window_begin(&w, 70);
	ck_assert_uint_eq(w.in_use, 90);
	ck_assert_uint_eq(w.high_water, 120);
	window_begin(&w, 31);
	ck_assert_uint_eq(w.high_water, 121);
	window_end(&w, 121);
	ck_assert_uint_eq(w.in_use, 0);
	ck_assert_uint_eq(w.high_water, 121);
}
END_TEST

Suite *window_suite(void)
{
	Suite *s = suite_create("window");
	TCase *tc = tcase_create("window");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, the_longest_run_is_the_window);
	tcase_add_loop_test(tc, a_window_of_which_a_page_turns_private_is_none,
			    0, ARRAY_SIZE(parts));
	tcase_add_test(tc, a_run_of_which_a_page_turns_private_begins_anew);
	tcase_add_loop_test(tc, strict_refuses_what_is_not_all_inside, 0,
			    ARRAY_SIZE(buffers));
	tcase_add_test(tc, the_high_water_mark_is_the_most_at_a_time);
	suite_add_tcase(s, tc);
	return s;
}
