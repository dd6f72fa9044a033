/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/expect and expect_watch: patterns, input, hostile output. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/expect.h"

static struct expect expect;
static struct expect_watch watch;

static void setup(void)
{
	ck_assert_int_eq(expect_watch_init(&watch, &expect.lines,
					   &expect.never),
			 0);
}

static void teardown(void)
{
	expect_watch_destroy(&watch);
	expect_watch_destroy(&watch);
	expect_destroy(&expect);
	expect_destroy(&expect);
}

static void add_line(const char *number, const char *text)
{
	ck_assert_int_eq(expect_add_pattern(&expect.lines, number, text), 0);
}

static void feed(const char *text)
{
	expect_watch_feed(&watch, text, strlen(text));
}

START_TEST(keeps_the_order_of_the_numbers)
{
	add_line("10", "ten");
	add_line("2", "two");
	add_line("9999", "last");
	add_line("2", "two again");
	ck_assert_uint_eq(expect.lines.count, 3);
	ck_assert_str_eq(expect.lines.items[0].text, "two again");
	ck_assert_str_eq(expect.lines.items[1].text, "ten");
	ck_assert_uint_eq(expect.lines.items[2].number, 9999);
	ck_assert_ptr_eq(expect_find(&expect.lines, 10),
			 &expect.lines.items[1]);
	ck_assert_ptr_null(expect_find(&expect.lines, 3));
}
END_TEST

START_TEST(takes_only_so_many)
{
	char number[16];

	for (int i = 1; i <= EXPECT_MAX_ITEMS; i++) {
		snprintf(number, sizeof(number), "%d", i);
		add_line(number, i % 2 ? "fixed" : "~regex");
	}
	ck_assert_int_lt(expect_add_pattern(&expect.lines, "9000", "x"), 0);
	ck_assert_int_lt(expect_add_pattern(&expect.lines, "9000", "~x"), 0);
	add_line("1", "replaced");
}
END_TEST

START_TEST(rejects_long_regular_expressions)
{
	char text[EXPECT_MAX_REGEX + 3];

	memset(text, 'a', sizeof(text));
	text[0] = '~';
	text[EXPECT_MAX_REGEX + 1] = '\0';
	add_line("1", text);
	text[EXPECT_MAX_REGEX + 1] = 'a';
	text[EXPECT_MAX_REGEX + 2] = '\0';
	ck_assert_int_eq(expect_add_pattern(&expect.lines, "2", text), -EINVAL);
}
END_TEST

static const struct {
	const char *pattern;
	int rc;
} repeats[] = {
	{ "~[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", 0 },
	{ "~a{255}b{255}", 0 },
	{ "~(x+)+ [(]{1,3} \\({2,} []^]{9}", 0 },
	{ "~a{2,1}", -EINVAL },
	{ "~(a*){1,200}{1,200}", -EINVAL },
	{ "~((a*){1,200}b){1,200}", -EINVAL },
	{ "~(a|b){1,10000}", -EINVAL },
	{ "~(a|b){18446744073709551615}", -EINVAL },
	{ "~a++++++++++++++++++++++++++++++++", -EINVAL },
	{ "~((((((((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+"
	  ")+)+)+)+",
	  -EINVAL },
	{ "~[", -EINVAL },
	{ "~[^", -EINVAL },
	{ "~((", -EINVAL },
	{ "~{", -EINVAL },
};

/* Compiling these would take all memory. */
START_TEST(rejects_repeats_of_repeats)
{
	ck_assert_int_eq(expect_add_pattern(&expect.lines, "1",
					    repeats[_i].pattern),
			 repeats[_i].rc);
}
END_TEST

static const struct {
	const char *text, *bytes;
	size_t len;
} inputs[] = {
	{ "root\\n", "root\n", 5 },
	{ "", "", 0 },
	{ "\\r\\t\\e\\\\", "\r\t\x1b\\", 4 },
	{ "\\x01x\\x00\\xFf", "\x01x\0\xff", 4 },
	{ "\\\\n", "\\n", 2 },
	{ "\\q", NULL, 0 },
	{ "a\\", NULL, 0 },
	{ "\\x", NULL, 0 },
	{ "\\x1", NULL, 0 },
	{ "\\xg0", NULL, 0 },
};

START_TEST(decodes_what_is_typed)
{
	int rc = expect_add_input(&expect.inputs, "1", inputs[_i].text);

	ck_assert_int_eq(rc, inputs[_i].bytes ? 0 : -EINVAL);
	if (rc)
		return;
	ck_assert_uint_eq(expect.inputs.items[0].len, inputs[_i].len);
	ck_assert_mem_eq(expect.inputs.items[0].text, inputs[_i].bytes,
			 inputs[_i].len + 0);
}
END_TEST

static const struct {
	const char *lines[4], *never;
	const char *output;
	size_t matched;
	bool broken;
} cases[] = {
	{ { "a" }, NULL, "a", 1, false },
	{ { "a" }, NULL, "", 0, false },
	{ { "a", "b" }, NULL, "b\na\n", 1, false },
	{ { "a", "b" }, NULL, "a b\n", 2, false },
	{ { "b", "a" }, NULL, "a b\n", 1, false },
	{ { "ab", "bc" }, NULL, "abc\n", 1, false },
	{ { "login: " }, NULL, "\nbox login: ", 1, false },
	{ { "a", "a", "a" }, NULL, "aa\n", 2, false },
	{ { "a", "a", "a" }, NULL, "a\na\na\n", 3, false },
	{ { "ab" }, NULL, "a\nb\n", 0, false },
	{ { "~^ab$" }, NULL, "ab", 1, false },
	{ { "~^ab$" }, NULL, "ab\r\n", 1, false },
	{ { "~^ab$" }, NULL, "abc\n", 0, false },
	{ { "~^b" }, NULL, "ab\n", 0, false },
	{ { "a", "~^b" }, NULL, "ab\n", 1, false },
	{ { "a", "~b$" }, NULL, "ab\n", 2, false },
	{ { "a", "~x*", "b" }, NULL, "a\nb\n", 3, false },
	{ { "~(a|b)+[0-9]{2}" }, NULL, "..ab42..\n", 1, false },
	{ { "end" }, "BUG:", "BUG: x\nend\n", 1, true },
	{ { "end" }, "BUG:", "BUG\n: end\n", 1, false },
	{ { "end" }, "~^BUG", "a BUG\nend\n", 1, false },
	{ { "end" }, "~^BUG", "end\nBUG", 1, true },
	{ { "end" }, "x", "x", 0, true },
};

/* What is seen does not depend on how the output was cut. */
START_TEST(finds_what_comes_in_order)
{
	const char *output = cases[_i].output;
	size_t len = strlen(output);

	for (size_t i = 0; i < 4 && cases[_i].lines[i]; i++)
		add_line((char[]){ (char)('1' + i), 0 }, cases[_i].lines[i]);
	if (cases[_i].never)
		ck_assert_int_eq(expect_add_pattern(&expect.never, "1",
						    cases[_i].never),
				 0);
	for (size_t chunk = 1; chunk <= len + 1; chunk++) {
		expect_watch_destroy(&watch);
		setup();
		for (size_t at = 0; at < len; at += chunk)
			expect_watch_feed(&watch, output + at,
					  min_of(chunk, len - at));
		expect_watch_end(&watch);
		ck_assert_uint_eq(watch.next, cases[_i].matched);
		ck_assert_int_eq(watch.broken != NULL, cases[_i].broken);
	}
}
END_TEST

START_TEST(remembers_where_it_was)
{
	add_line("1", "beta");
	ck_assert_int_eq(expect_add_pattern(&expect.never, "7", "del"), 0);
	feed("alpha\nbe");
	ck_assert_uint_eq(watch.next, 0);
	feed("ta \x1b[1;32mgreen\x1b[0m\x07");
	ck_assert_uint_eq(watch.next, 1);
	feed(" more\r\ngamma\ndel");
	ck_assert_uint_eq(watch.last_nr, 2);
	ck_assert_str_eq(watch.last, "beta green? more");
	feed("ta\nomega\n");
	ck_assert_uint_eq(watch.broken->number, 7);
	ck_assert_uint_eq(watch.broken_nr, 4);
	ck_assert_str_eq(watch.broken_line, "delta");
}
END_TEST

START_TEST(bears_a_line_without_end)
{
	static char block[100000];

	add_line("1", "needle");
	add_line("2", "~^[x]+$");
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 100; i++)
		expect_watch_feed(&watch, block, sizeof(block));
	ck_assert_uint_le(watch.len, EXPECT_MAX_LINE);
	ck_assert_uint_eq(watch.nr, 1 + 100 * sizeof(block) / EXPECT_MAX_LINE);
	ck_assert_uint_eq(watch.next, 0);
	feed("needle");
	ck_assert_uint_eq(watch.next, 1);
	feed("\n");
	/* A regular expression sees the first part of a line only. */
	expect_watch_feed(&watch, block, sizeof(block));
	ck_assert_uint_eq(watch.next, 2);
}
END_TEST

START_TEST(drops_bytes_that_are_zero)
{
	static const char zeroes[70000];

	add_line("1", "login");
	add_line("2", "~^a..b$");
	expect_watch_feed(&watch, zeroes, sizeof(zeroes));
	expect_watch_feed(&watch, "lo\0gin\na\0\xff\0b\n", 13);
	ck_assert_uint_eq(watch.next, 1);
	feed("a\xff\xfe"
	     "b\n");
	ck_assert_uint_eq(watch.next, 2);
}
END_TEST

static const struct {
	const char *text, *shown;
} printables[] = {
	{ "plain", "plain" },
	{ "a\tb\r", "a b" },
	{ "\x1b[31mred\x1b[0m", "red" },
	{ "\x1b]0;title\x07", "?]0;title?" },
	{ "\x1b[", "" },
	{ "\x1b", "?" },
	{ "\x1b[1;2", "" },
	{ "\xc3\xbc\x9b"
	  "31m",
	  "???31m" },
	{ "0123456789abcdefghij", "0123456789abcde" },
};

START_TEST(prints_nothing_that_a_terminal_obeys)
{
	char out[16];

	ck_assert_str_eq(expect_printable(out, sizeof(out), printables[_i].text,
					  strlen(printables[_i].text)),
			 printables[_i].shown);
}
END_TEST

Suite *expect_suite(void)
{
	Suite *s = suite_create("expect");
	TCase *tc = tcase_create("expect");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, keeps_the_order_of_the_numbers);
	tcase_add_test(tc, takes_only_so_many);
	tcase_add_test(tc, rejects_long_regular_expressions);
	tcase_add_loop_test(tc, rejects_repeats_of_repeats, 0,
			    ARRAY_SIZE(repeats));
	tcase_add_loop_test(tc, decodes_what_is_typed, 0,
			    (int)ARRAY_SIZE(inputs));
	tcase_add_loop_test(tc, finds_what_comes_in_order, 0,
			    (int)ARRAY_SIZE(cases));
	tcase_add_test(tc, remembers_where_it_was);
	tcase_add_test(tc, bears_a_line_without_end);
	tcase_add_test(tc, drops_bytes_that_are_zero);
	tcase_add_loop_test(tc, prints_nothing_that_a_terminal_obeys, 0,
			    (int)ARRAY_SIZE(printables));
	suite_add_tcase(s, tc);
	return s;
}
