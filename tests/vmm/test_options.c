/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/options: command lines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "suites.h"
#include "tests/support/temp.h"
#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/config.h"
#include "vmm/options.h"

enum { MAX_ARGS = 12 };

static struct config config;
static struct run_options run;

static void teardown(void)
{
	config_destroy(&config);
}

static int parse(const char *const *args)
{
	char *argv[MAX_ARGS + 2] = { (char *)"run" };
	int argc = 1;

	while (argc <= MAX_ARGS && args[argc - 1]) {
		argv[argc] = (char *)args[argc - 1];
		argc++;
	}
	config_destroy(&config);
	return run_options_parse(argc, argv, &config, &run);
}

static const struct {
	const char *args[MAX_ARGS];
	uint64_t memory;
	const char *kernel, *cmdline;
} good[] = {
	{ { NULL }, 512 * MIB, NULL, "console=ttyS0,115200 panic=-1" },
	{ { "-k", "a", "-m", "64" }, 64 * MIB, "a", NULL },
	{ { "-ka", "-m64" }, 64 * MIB, "a", NULL },
	{ { "--kernel=a", "--mem=64M" }, 64 * MIB, "a", NULL },
	{ { "--kernel", "a", "--mem", "2G" }, 2 * GIB, "a", NULL },
	{ { "-k", "a", "-k", "b" }, 512 * MIB, "b", NULL },
	{ { "-k", "-" }, 512 * MIB, "-", NULL },
	{ { "-k", "--" }, 512 * MIB, "--", NULL },
	{ { "--kernel=a=b" }, 512 * MIB, "a=b", NULL },
	{ { "-p", "quiet", "--params", "ro" },
	  512 * MIB,
	  NULL,
	  "console=ttyS0,115200 panic=-1 quiet ro" },
	{ { "--set", "boot.cmdline=", "-p", "x" }, 512 * MIB, NULL, "x" },
	{ { "-p", "x", "--set=boot.cmdline=y" }, 512 * MIB, NULL, "y" },
	{ { "--set", "vm.memory=1G", "-m", "32" }, 32 * MIB, NULL, NULL },
};

START_TEST(accepts_every_spelling)
{
	ck_assert_msg(!parse(good[_i].args), "%s", err_text());
	ck_assert_uint_eq(config.memory, good[_i].memory);
	ck_assert_pstr_eq(config.kernel, good[_i].kernel);
	if (good[_i].cmdline)
		ck_assert_str_eq(config.cmdline, good[_i].cmdline);
}
END_TEST

static const struct {
	const char *args[MAX_ARGS];
	const char *said;
} bad[] = {
	{ { "-x" }, "unknown option -x, see 'cvmm help run'" },
	{ { "-vx" }, "unknown option -x, see 'cvmm help run'" },
	{ { "--"
	    "kernl",
	    "a" },
	  "unknown option --kernl, did you mean --kernel? (see 'cvmm help "
	  "run')" },
	{ { "--frobnicate=1" },
	  "unknown option --frobnicate, see 'cvmm help run'" },
	{ { "--ker", "a" },
	  "unknown option --ker, did you mean --kernel? (see "
	  "'cvmm help run')" },
	{ { "-k" }, "--kernel needs a value: --kernel FILE" },
	{ { "--mem" }, "--mem needs a value: --mem SIZE" },
	{ { "--quiet=1" }, "--quiet takes no value" },
	{ { "--rng=yes" }, "--rng takes no value" },
	{ { "--console", "tty" },
	  "--console: console.mode: 'tty' is not one of serial, virtio" },
	{ { "-c", "0" }, "--cpus: vm.cpus: '0' is not a number from 1 to 255" },
	{ { "-m", "1" }, "--mem: vm.memory: '1M' is not from 16M to 1T" },
	{ { "-m", "" },
	  "--mem: vm.memory: '' is not a size: a number and K, "
	  "M, G or T, as in 512M" },
	{ { "-m", "99999999999999999999999999999999" },
	  "--mem: vm.memory: '99999999999999999999999999999999' is not "
	  "from 16M to 1T" },
	{ { "-m", "99999999999999999999" },
	  "--mem: vm.memory: '99999999999999999999M' is not from 16M to 1T" },
	{ { "-k", "" },
	  "--kernel: its FILE is empty: say which, or leave the option out" },
	{ { "-k", "a", "--initrd=" },
	  "--initrd: its FILE is empty: say which, or leave the option out" },
	{ { "-d", "" },
	  "--disk: its PATH[,..] is empty: say which, or leave the option "
	  "out" },
	{ { "--name",
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "4" },
	  "--name: vm.name: "
	  "'012345678901234567890123456789012345678901234567890123456789' is "
	  "longer than 64 characters" },
	{ { "" }, "'': No such file or directory" },
	{ { "--set", "vm.cpus" }, "--set: 'vm.cpus' is not section.key=value" },
	{ { "--cvm", "xyz" },
	  "--cvm: vm.cvm: 'xyz' is not one of none, "
	  "emulated, sw, snp, tdx" },
	{ { "/dev/null", "/dev/zero" },
	  "'/dev/null' and '/dev/zero': only one VM definition can be given" },
	{ { "--", "-k" }, "-k: No such file or directory" },
	{ { "-i", "initrd" },
	  "boot.initrd is set but boot.kernel is not: add "
	  "--kernel, or the key" },
	{ { "/nonexistent.ini" },
	  "/nonexistent.ini: No such file or directory" },
};

START_TEST(rejects_with_one_line_that_helps)
{
	ck_assert_int_lt(parse(bad[_i].args), 0);
	ck_assert_str_eq(err_text(), bad[_i].said);
	ck_assert_ptr_null(config.cmdline); /* destroyed */
}
END_TEST

START_TEST(options_name_devices)
{
	ck_assert_int_eq(parse((const char *[]){ NULL }), 0);
	ck_assert_uint_eq(config.rng, CONFIG_NO);
	ck_assert_uint_eq(config.console_mode, CONFIG_CONSOLE_SERIAL);
	ck_assert_str_eq(config.console_to, "stdio");
	ck_assert_int_eq(parse((const char *[]){ "--rng", "--console", "virtio",
						 NULL }),
			 0);
	ck_assert_uint_eq(config.rng, CONFIG_YES);
	ck_assert_uint_eq(config.console_mode, CONFIG_CONSOLE_VIRTIO);
}
END_TEST

/* A path in a file is relative to the file, as others are. */
START_TEST(finds_a_consoles_path_from_its_file)
{
	struct temp temp;
	const char *path;
	char want[80];

	temp_make(&temp);
	path = temp_text(&temp, "vm.ini", "[console]\nto = unix:socket\n");
	snprintf(want, sizeof(want), "unix:%s", temp_path(&temp, "socket"));
	ck_assert_int_eq(parse((const char *[]){ path, NULL }), 0);
	ck_assert_str_eq(config.console_to, want);
	ck_assert_int_eq(parse((const char *[]){ path, "--set",
						 "console.to=file:log", NULL }),
			 0);
	ck_assert_str_eq(config.console_to, "file:log");
	temp_remove(&temp);
}
END_TEST

START_TEST(options_win_over_the_file_wherever_they_stand)
{
	struct temp temp;
	const char *path;

	temp_make(&temp);
	path = temp_text(&temp, "web.ini",
			 "[vm]\ncpus = 2\nmemory = 1G\non_reboot = restart\n"
			 "[boot]\nkernel = k\ncmdline = a\n");
	ck_assert_int_eq(parse((const char *[]){ "-c3", path, "-p", "b",
						 "--no-reboot", NULL }),
			 0);
	ck_assert_uint_eq(config.cpus, 3);
	ck_assert_uint_eq(config.memory, GIB);
	ck_assert_str_eq(config.name, "web");
	ck_assert_str_eq(config.cmdline, "a b");
	ck_assert_str_eq(config.kernel, temp_path(&temp, "k"));
	ck_assert_int_eq(config.on_reboot, CONFIG_REBOOT_EXIT);
	ck_assert_int_eq(parse((const char *[]){ path, "--name", "db", "-k",
						 "k", NULL }),
			 0);
	ck_assert_str_eq(config.name, "db");
	ck_assert_str_eq(config.kernel, "k");
	temp_remove(&temp);
}
END_TEST

START_TEST(flags_add_up)
{
	ck_assert_int_eq(parse((const char *[]){ "-v", "-vv", "--verbose",
						 "--trace-kvm", NULL }),
			 0);
	ck_assert_uint_eq(run.verbose, 4);
	ck_assert(run.trace_kvm);
	ck_assert(!run.quiet);
	ck_assert_int_eq(parse((const char *[]){ "--quiet", NULL }), 0);
	ck_assert_uint_eq(run.verbose, 0);
	ck_assert(run.quiet);
}
END_TEST

Suite *options_suite(void)
{
	Suite *s = suite_create("options");
	TCase *tc = tcase_create("options");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, accepts_every_spelling, 0,
			    (int)ARRAY_SIZE(good));
	tcase_add_loop_test(tc, rejects_with_one_line_that_helps, 0,
			    (int)ARRAY_SIZE(bad));
	tcase_add_test(tc, options_name_devices);
	tcase_add_test(tc, finds_a_consoles_path_from_its_file);
	tcase_add_test(tc, options_win_over_the_file_wherever_they_stand);
	tcase_add_test(tc, flags_add_up);
	suite_add_tcase(s, tc);
	return s;
}
