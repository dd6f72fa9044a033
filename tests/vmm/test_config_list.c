/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/config_list.c, with disks as the things there are many of. */
#include <stdio.h>
#include <string.h>

#include "suites.h"
#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/config.h"

static struct config config;

static void setup(void)
{
	ck_assert_int_eq(config_init(&config), 0);
}

static void teardown(void)
{
	config_destroy(&config);
}

static const struct config_disk *disk(unsigned int i)
{
	ck_assert_uint_lt(i, config.disks.count);
	return config.disks.items[i];
}

static void add(const char *text)
{
	int rc = config_add_item(&config, "disk.*.path", text);

	ck_assert_msg(!rc, "%s: %s", text, err_text());
}

START_TEST(reads_an_item_with_its_settings)
{
	add("/a/b.img");
	add("c,ro,queues=4,direct=no,serial=x=y");
	ck_assert_str_eq(disk(0)->name, "disk0");
	ck_assert_str_eq(disk(0)->path, "/a/b.img");
	ck_assert_int_eq(disk(0)->ro, CONFIG_NO);
	ck_assert_uint_eq(disk(0)->queues, 1);
	ck_assert_ptr_null(disk(0)->serial);
	ck_assert_str_eq(disk(1)->name, "disk1");
	ck_assert_str_eq(disk(1)->path, "c");
	ck_assert_int_eq(disk(1)->ro, CONFIG_YES);
	ck_assert_uint_eq(disk(1)->queues, 4);
	ck_assert_int_eq(disk(1)->direct, CONFIG_NO);
	ck_assert_str_eq(disk(1)->serial, "x=y");
	ck_assert_int_eq(config_check(&config), 0);
}
END_TEST

START_TEST(gives_a_name_that_nobody_has)
{
	ck_assert_int_eq(config_set(&config, "disk.disk0.path=first"), 0);
	ck_assert_int_eq(config_set(&config, "disk.root.path=second"), 0);
	add("third");
	ck_assert_str_eq(disk(2)->name, "disk1");
	/* Later settings are of the item that has the name. */
	ck_assert_int_eq(config_set(&config, "disk.root.ro=yes"), 0);
	ck_assert_int_eq(config_set(&config, "disk.root.path=other"), 0);
	ck_assert_uint_eq(config.disks.count, 3);
	ck_assert_str_eq(disk(1)->path, "other");
	ck_assert_int_eq(disk(1)->ro, CONFIG_YES);
	ck_assert_int_eq(disk(0)->ro, CONFIG_NO);
}
END_TEST

START_TEST(takes_so_many_and_no_more)
{
	for (unsigned int i = 0; i < CONFIG_MAX_ITEMS; i++)
		add("x");
	ck_assert_int_lt(config_add_item(&config, "disk.*.path", "y"), 0);
	ck_assert(strstr(err_text(), "more than 31") != NULL);
	ck_assert_uint_eq(config.disks.count, CONFIG_MAX_ITEMS);
}
END_TEST

static const struct {
	const char *text, *words;
} wrong[] = {
	{ "a,readonly", "unknown key" },
	{ "a,", "is not a key, nor key=value" },
	{ "a,=x", "is not a key, nor key=value" },
	{ "a,ro=maybe", "not one of no, yes" },
	{ "a,queues", "'yes' is not a number from 1 to 16" },
	{ "a,queues=0", "not a number from 1 to 16" },
	{ "a,queues=17", "not a number from 1 to 16" },
	{ "a,serial=", "must not be empty" },
	{ "a,serial=123456789012345678901", "longer than 20" },
};

START_TEST(rejects_settings_that_are_none)
{
	ck_assert_int_lt(config_add_item(&config, "disk.*.path",
					 wrong[_i].text),
			 0);
	ck_assert_msg(strstr(err_text(), wrong[_i].words) != NULL, "%s",
		      err_text());
}
END_TEST

START_TEST(wants_a_path_for_each_disk)
{
	ck_assert_int_eq(config_set(&config, "disk.data.ro=yes"), 0);
	ck_assert_int_lt(config_check(&config), 0);
	ck_assert(strstr(err_text(), "[disk.data]") != NULL);
}
END_TEST

Suite *config_list_suite(void)
{
	Suite *s = suite_create("config_list");
	TCase *t = tcase_create("config_list");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, reads_an_item_with_its_settings);
	tcase_add_test(t, gives_a_name_that_nobody_has);
	tcase_add_test(t, takes_so_many_and_no_more);
	tcase_add_loop_test(t, rejects_settings_that_are_none, 0,
			    ARRAY_SIZE(wrong));
	tcase_add_test(t, wants_a_path_for_each_disk);
	suite_add_tcase(s, t);
	return s;
}
