/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/config, config_value, ini and suggest. */
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"
#include "tests/support/temp.h"
#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/config.h"
#include "vmm/config_key.h"
#include "vmm/ini.h"
#include "vmm/suggest.h"

static struct temp temp;
static struct config config;

static void setup(void)
{
	temp_make(&temp);
	ck_assert_int_eq(config_init(&config), 0);
}

static void teardown(void)
{
	config_destroy(&config);
	temp_remove(&temp);
}

static int load_and_check(const char *path)
{
	int rc;

	config_destroy(&config);
	rc = config_init(&config);
	if (!rc)
		rc = config_load(&config, path);
	return rc ? rc : config_check(&config);
}

static void load_text(const char *text)
{
	int rc = load_and_check(temp_text(&temp, "vm.ini", text));

	ck_assert_msg(!rc, "%s", err_text());
}

/* All files that fit; the caller runs globfree(). */
static glob_t find(const char *pattern)
{
	glob_t g;

	ck_assert_msg(!glob(pattern, 0, NULL, &g), "no %s", pattern);
	return g;
}

START_TEST(says_in_one_line_what_is_wrong_with_a_bad_file)
{
	static const char dir[] = "tests/golden/config/";
	glob_t g = find("tests/golden/config/*.ini");

	ck_assert_uint_ge(g.gl_pathc, 60);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		const char *path = g.gl_pathv[i], *said;
		char *golden = strdup(path), *wanted;
		char line[600];

		strcpy(strrchr(golden, '.'), ".err");
		wanted = temp_read(golden);
		ck_assert_msg(load_and_check(path) < 0, "%s loads", path);
		said = err_text();
		if (!strncmp(said, dir, strlen(dir)))
			said += strlen(dir);
		snprintf(line, sizeof(line), "%s\n", said);
		ck_assert_msg(!strcmp(line, wanted), "%s: '%s' not '%s'", path,
			      line, wanted);
		free(golden);
		free(wanted);
	}
	globfree(&g);
}
END_TEST

static const char *const our_files[] = { "configs/*.ini", "tests/vms/*/*.ini" };

/* Sets the variable that the error is about; false: it is about another. */
static bool set_variable(void)
{
	static const char before[] = "the environment variable ";
	const char *at = strstr(err_text(), before);
	char name[64];

	if (!at || sscanf(at + strlen(before), "%63[A-Z0-9_]", name) != 1)
		return false;
	return !setenv(name, "/", 0);
}

START_TEST(loads_every_file_that_comes_with_it)
{
	glob_t g = find(our_files[_i]);

	for (size_t i = 0; i < g.gl_pathc; i++) {
		int rc = load_and_check(g.gl_pathv[i]);

		for (int vars = 0; rc && vars < 8 && set_variable(); vars++)
			rc = load_and_check(g.gl_pathv[i]);
		ck_assert_msg(!rc, "%s", err_text());
	}
	globfree(&g);
}
END_TEST

START_TEST(has_the_defaults_of_the_table)
{
	ck_assert_str_eq(config.name, "vm");
	ck_assert_uint_eq(config.cpus, 1);
	ck_assert_uint_eq(config.memory, 512 * MIB);
	ck_assert_str_eq(config.cvm, "none");
	ck_assert_int_eq(config.on_reboot, CONFIG_REBOOT_EXIT);
	ck_assert_uint_eq(config.restart_burst, 5);
	ck_assert_uint_eq(config.restart_interval_ms, 10000);
	ck_assert_ptr_null(config.kernel);
	ck_assert_ptr_null(config.initrd);
	ck_assert_str_eq(config.cmdline, "console=ttyS0,115200 panic=-1");
	ck_assert_int_eq(config.decompress, CONFIG_DECOMPRESS_AUTO);
	ck_assert_int_eq(config.backing, CONFIG_BACKING_GUEST_MEMFD);
	ck_assert_uint_eq(config.swiotlb, 0);
	ck_assert_int_eq(config.window, WINDOW_REPORT);
	ck_assert_uint_eq(config.expect.timeout_ms, 60000);
	config_destroy(&config);
	config_destroy(&config);
	ck_assert_ptr_null(config.name);
}
END_TEST

START_TEST(reads_every_key)
{
	load_text(
		"[vm]\nname = box\ncpus = 8\nmemory = 5G\ncvm = emulated\n"
		"on_reboot = restart\nrestart_burst = 2\n"
		"restart_interval = 0s\n"
		"[boot]\nkernel = /k\ninitrd = sub/i\ncmdline = quiet\n"
		"decompress = guest\n[memory]\nbacking = memfd\nswiotlb = 32M\n"
		"window = strict\n"
		"[expect]\nline.1 = x\ntype.1 = y\nnever.1 = z\n"
		"message.1 = m\nstatus = 3\ntimeout = 1500ms\n"
		"requires = /dev/null\n");
	ck_assert_str_eq(config.name, "box");
	ck_assert_uint_eq(config.cpus, 8);
	ck_assert_uint_eq(config.memory, 5 * GIB);
	ck_assert_str_eq(config.cvm, "emulated");
	ck_assert_int_eq(config.on_reboot, CONFIG_REBOOT_RESTART);
	ck_assert_uint_eq(config.restart_burst, 2);
	ck_assert_uint_eq(config.restart_interval_ms, 0);
	ck_assert_str_eq(config.kernel, "/k");
	ck_assert_str_eq(config.initrd, temp_path(&temp, "sub/i"));
	ck_assert_str_eq(config.cmdline, "quiet");
	ck_assert_int_eq(config.decompress, CONFIG_DECOMPRESS_GUEST);
	ck_assert_int_eq(config.backing, CONFIG_BACKING_MEMFD);
	ck_assert_uint_eq(config.swiotlb, 32 * MIB);
	ck_assert_int_eq(config.window, WINDOW_STRICT);
	ck_assert_uint_eq(config.expect.lines.count, 1);
	ck_assert_uint_eq(config.expect.never.count, 1);
	ck_assert_uint_eq(config.expect.inputs.count, 1);
	ck_assert_uint_eq(config.expect.messages.count, 1);
	ck_assert_uint_eq(config.expect.status, 3);
	ck_assert_uint_eq(config.expect.timeout_ms, 1500);
	ck_assert_str_eq(config.expect.requires, "/dev/null");
}
END_TEST

static const struct {
	const char *text, *cmdline;
} values[] = {
	{ "[boot]\ncmdline = a b\n", "a b" },
	{ "[boot]\ncmdline=a", "a" },
	{ "\xef\xbb\xbf[boot]\r\ncmdline = a\r\n", "a" },
	{ "\n  [boot]  \n\t cmdline \t=\t a  \n", "a" },
	{ "[BOOT]\nCmdLine = A\n", "A" },
	{ "[boot]\ncmdline = \"\"\n", "" },
	{ "[boot]\ncmdline =\n", "" },
	{ "[boot]\ncmdline = ; nothing\n", "" },
	{ "[boot]\ncmdline = a ; said\n", "a" },
	{ "[boot]\ncmdline = a # said\n", "a" },
	{ "[boot]\ncmdline = \"a;b#c\" # said\n", "a;b#c" },
	{ "[boot]\ncmdline = '  \"a\"  '\n", "  \"a\"  " },
	{ "[boot]\ncmdline = \"it's\"\n", "it's" },
	{ "[boot]\ncmdline = a=\"b c\" d='e'\n", "a=\"b c\" d='e'" },
	{ "[boot]\ncmdline = a=b=c\n", "a=b=c" },
	{ "[boot]\ncmdline == a\n", "= a" },
	{ "[boot]\ncmdline = \xc3\xbc\n", "\xc3\xbc" },
	{ "; c\n# c\n[vm]\n[boot]\n[vm]\n[boot]\ncmdline = a\n", "a" },
	{ "[boot]\ncmdline = $HOME\n", "$HOME" },
	{ "", "console=ttyS0,115200 panic=-1" },
};

START_TEST(reads_values_as_they_are_meant)
{
	load_text(values[_i].text);
	ck_assert_str_eq(config.cmdline, values[_i].cmdline);
}
END_TEST

START_TEST(reads_a_line_of_full_length)
{
	char text[INI_MAX_LINE + 64];
	int n = snprintf(text, sizeof(text), "[boot]\ncmdline = ");

	memset(text + n, 'x', INI_MAX_LINE - 10);
	strcpy(text + n + INI_MAX_LINE - 10, "\n");
	load_text(text);
	ck_assert_uint_eq(strlen(config.cmdline), INI_MAX_LINE - 10);
	/* Blanks at the end do not count. */
	memset(text + n, ' ', INI_MAX_LINE - 10);
	load_text(text);
	ck_assert_str_eq(config.cmdline, "");
}
END_TEST

START_TEST(takes_the_name_from_the_file)
{
	ck_assert_int_eq(load_and_check(temp_text(&temp, "web.ini", "")), 0);
	ck_assert_str_eq(config.name, "web");
	ck_assert_int_eq(load_and_check(temp_text(&temp, "web.conf", "")), 0);
	ck_assert_str_eq(config.name, "web.conf");
	ck_assert_int_eq(load_and_check(temp_text(&temp, ".ini", "")), 0);
	ck_assert_str_eq(config.name, "vm");
}
END_TEST

START_TEST(replaces_variables_in_paths_of_files_only)
{
	setenv("CVMM_TEST_A", "/a", 1);
	setenv("CVMM_TEST_EMPTY", "", 1);
	load_text("[boot]\nkernel = $CVMM_TEST_A/k$\n"
		  "initrd = ${CVMM_TEST_A}b/$1\n");
	ck_assert_str_eq(config.kernel, "/a/k$");
	ck_assert_str_eq(config.initrd, "/ab/$1");
	ck_assert_int_eq(config_set(&config, "boot.kernel=$CVMM_TEST_A"), 0);
	ck_assert_str_eq(config.kernel, "$CVMM_TEST_A");
	ck_assert_int_eq(config_set(&config, "boot.initrd="), 0);
	ck_assert_ptr_null(config.initrd);
	ck_assert_int_eq(load_and_check(temp_text(
				 &temp, "v.ini",
				 "[boot]\nkernel = $CVMM_TEST_EMPTY\n")),
			 -ENOENT);
	unsetenv("CVMM_TEST_A");
	unsetenv("CVMM_TEST_EMPTY");
}
END_TEST

START_TEST(says_what_cannot_be_read)
{
	char *big = calloc(1, INI_MAX_FILE + 1);
	const char *path = temp_path(&temp, "none.ini");
	char wanted[200];

	ck_assert_int_eq(load_and_check(path), -ENOENT);
	snprintf(wanted, sizeof(wanted), "%s: No such file or directory", path);
	ck_assert_str_eq(err_text(), wanted);
	ck_assert_int_eq(load_and_check(temp.dir), -EISDIR);
	ck_assert_int_eq(load_and_check(""), -ENOENT);
	memset(big, '\n', INI_MAX_FILE + 1);
	path = temp_write(&temp, "big.ini", big, INI_MAX_FILE + 1);
	ck_assert_int_eq(load_and_check(path), -EFBIG);
	ck_assert_int_eq(load_and_check("/dev/zero"), -EFBIG);
	ck_assert_int_eq(load_and_check("/dev/null"), 0);
	free(big);
	if (geteuid()) { /* root may read everything */
		path = temp_text(&temp, "secret.ini", "");
		ck_assert_int_eq(chmod(path, 0), 0);
		ck_assert_int_eq(load_and_check(path), -EACCES);
	}
}
END_TEST

START_TEST(reads_a_pipe_once)
{
	static const char text[] = "[vm]\ncpus = 7\n";
	char path[32];
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], text, strlen(text)), strlen(text));
	close(fds[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
	ck_assert_int_eq(load_and_check(path), 0);
	ck_assert_uint_eq(config.cpus, 7);
	close(fds[0]);
}
END_TEST

START_TEST(later_settings_win)
{
	load_text("[vm]\ncpus = 2\n[expect]\nline.1 = a\nline.2 = b\n");
	ck_assert_int_eq(config_set(&config, "vm.cpus=3"), 0);
	ck_assert_uint_eq(config.cpus, 3);
	ck_assert_int_eq(config_set(&config, "expect.line.1=c=d"), 0);
	ck_assert_uint_eq(config.expect.lines.count, 2);
	ck_assert_str_eq(config.expect.lines.items[0].text, "c=d");
	/* What is refused changes nothing. */
	ck_assert_int_lt(config_set(&config, "vm.cpus=300"), 0);
	ck_assert_uint_eq(config.cpus, 3);
}
END_TEST

static const struct {
	const char *assignment, *said;
} bad_assignments[] = {
	{ "", "'' is not section.key=value" },
	{ "=1", "'=1' is not section.key=value" },
	{ "vm.cpus", "'vm.cpus' is not section.key=value" },
	{ "cpus=1", "cpus: unknown key, see 'cvmm help keys'" },
	{ "vm.cpu=1", "vm.cpu: unknown key, did you mean vm.cpus?" },
	{ "vm.=1", "vm.: unknown key, did you mean vm.name?" },
	{ "expect.line.=1",
	  "expect.line.: unknown key, did you mean expect.line.*?" },
	{ "expect.line.1.2=1",
	  "expect.line.1.2: unknown key, did you mean expect.line.*?" },
};

START_TEST(rejects_assignments_that_are_none)
{
	ck_assert_int_eq(config_set(&config, bad_assignments[_i].assignment),
			 -EINVAL);
	ck_assert_str_eq(err_text(), bad_assignments[_i].said);
}
END_TEST

START_TEST(loads_only_what_is_expected_on_request)
{
	const char *path = temp_text(&temp, "t.ini",
				     "[boot]\nkernel = $CVMM_UNSET\n[vm]\n"
				     "cpus = 9999\n[expect]\nstatus = 2\n");

	ck_assert_int_eq(config_load_expect(&config, path), 0);
	ck_assert_uint_eq(config.expect.status, 2);
	ck_assert_ptr_null(config.kernel);
	ck_assert_int_lt(config_load(&config, path), 0);
}
END_TEST

START_TEST(table_can_be_printed_and_extended)
{
	for (const struct config_key *a = config_keys; a->name; a++) {
		ck_assert_msg(!a->kind != !a->choice, "%s", a->name);
		ck_assert_msg(strlen(a->help) > 8, "%s", a->name);
		ck_assert_ptr_nonnull(strchr(a->name, '.'));
		for (const struct config_key *b = config_keys; b != a; b++)
			ck_assert_str_ne(a->name, b->name);
	}
}
END_TEST

static const struct {
	const char *word, *candidate;
	int near;
} pairs[] = {
	{ "memroy", "memory", 1 },
	{ "vm.memroy", "vm.memory", 1 },
	{ "boot.memory", "vm.memory", 1 },
	{ "rn", "run", 1 },
	{ "x", "run", 0 },
	{ "kernel", "cpus", 0 },
	{ "vm.", "boot.", 0 },
	{ "", "run", 0 },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "run", 0 },
};

START_TEST(suggests_what_is_near)
{
	struct suggestion s = { .word = pairs[_i].word };

	suggest(&s, pairs[_i].candidate);
	ck_assert_int_eq(s.best != NULL, pairs[_i].near);
	ck_assert_int_eq(!!strstr(suggest_text(&s), "did you mean"),
			 pairs[_i].near);
}
END_TEST

Suite *config_suite(void)
{
	Suite *s = suite_create("config");
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, says_in_one_line_what_is_wrong_with_a_bad_file);
	tcase_add_loop_test(tc, loads_every_file_that_comes_with_it, 0,
			    (int)ARRAY_SIZE(our_files));
	tcase_add_test(tc, has_the_defaults_of_the_table);
	tcase_add_test(tc, reads_every_key);
	tcase_add_loop_test(tc, reads_values_as_they_are_meant, 0,
			    (int)ARRAY_SIZE(values));
	tcase_add_test(tc, reads_a_line_of_full_length);
	tcase_add_test(tc, takes_the_name_from_the_file);
	tcase_add_test(tc, replaces_variables_in_paths_of_files_only);
	tcase_add_test(tc, says_what_cannot_be_read);
	tcase_add_test(tc, reads_a_pipe_once);
	tcase_add_test(tc, later_settings_win);
	tcase_add_loop_test(tc, rejects_assignments_that_are_none, 0,
			    (int)ARRAY_SIZE(bad_assignments));
	tcase_add_test(tc, loads_only_what_is_expected_on_request);
	tcase_add_test(tc, table_can_be_printed_and_extended);
	tcase_add_loop_test(tc, suggests_what_is_near, 0,
			    (int)ARRAY_SIZE(pairs));
	suite_add_tcase(s, tc);
	return s;
}
