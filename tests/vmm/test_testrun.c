/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of vmm/testrun, testvm and testreport with processes for real; only
 * what they run is a script instead of a VM (tests/support/fake_run.sh).
 */
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
#include "vmm/commands.h"
#include "vmm/testrun.h"

static const char *const program[] = { "/bin/sh", "tests/support/fake_run.sh",
				       NULL };
static struct temp temp;
static struct testrun run;
static char *printed;
static size_t printed_len;

static void setup(void)
{
	temp_make(&temp);
	printed = NULL;
	run = (struct testrun){ .program = program,
				.log_dir = temp.dir,
				.jobs = 4 };
	run.report.out = open_memstream(&printed, &printed_len);
}

static void teardown(void)
{
	if (run.report.out)
		fclose(run.report.out);
	free(printed);
	testrun_destroy(&run);
	testrun_destroy(&run);
	temp_remove(&temp);
}

static void add(const char *name, const char *text)
{
	ck_assert_int_eq(testrun_add(&run, temp_text(&temp, name, text)), 0);
}

static void go(void)
{
	ck_assert_int_eq(testrun(&run), 0);
	ck_assert_int_eq(fclose(run.report.out), 0);
	run.report.out = NULL;
}

static const struct {
	const char *text;
	enum test_state state;
	const char *why; /* what it must have in it */
} cases[] = {
	{ "#sh exit 0\n", TEST_PASSED, NULL },
	{ "#sh exit 3\n[expect]\nstatus = 3\n", TEST_PASSED, NULL },
	{ "#sh echo one; echo two\n[expect]\nline.1 = one\nline.2 = ~^two$\n",
	  TEST_PASSED, NULL },
	{ "#sh printf 'login: '; read x; echo \"hello $x\"\n"
	  "[expect]\nline.1 = login:\ntype.1 = root\\n\n"
	  "line.2 = hello root\n",
	  TEST_PASSED, NULL },
	{ "#sh read a; read b; echo $b$a\n"
	  "#sh exit 4\n"
	  "[expect]\nline.1 = x\ntimeout = 200ms\n",
	  TEST_FAILED, "timed out" },
	{ "#sh echo cvmm: vCPU 0 >&2; exit 5\n"
	  "[expect]\nmessage.1 = ~^cvmm: vCPU [0-9]$\nstatus = 5\n",
	  TEST_PASSED, NULL },
	{ "#sh echo cvmm: no >&2\n[expect]\nmessage.1 = yes\n", TEST_FAILED,
	  "message.1 \"yes\" did not come" },
	{ "#sh exit 4\n", TEST_FAILED,
	  "exit status 4 (the guest's kernel panicked) instead of 0" },
	{ "#sh exit 0\n[expect]\nstatus = 4\n", TEST_FAILED,
	  "exit status 0 (the guest powered off" },
	{ "#sh echo first; echo other\n[expect]\nline.1 = first\n"
	  "line.5 = second\n",
	  TEST_FAILED,
	  "line.5 \"second\" did not come, after line.1 in line 1: first" },
	{ "#sh echo fine; echo BUG: bad; sleep 60\n"
	  "[expect]\nnever.3 = BUG:\n",
	  TEST_FAILED, "never.3 \"BUG:\" came in console line 2: BUG: bad" },
	{ "#sh kill -SEGV $$\n", TEST_FAILED, "cvmm was killed by signal 11" },
	{ "#sh echo up; sleep 60\n[expect]\nline.1 = up\ntimeout = 200ms\n",
	  TEST_FAILED,
	  "timed out after 200ms; every line came, but the VM did not end" },
	{ "#sh trap '' TERM; exec sleep 3\n[expect]\nline.1 = x\n"
	  "timeout = 100ms\n",
	  TEST_FAILED, "timed out after 100ms; line.1 \"x\" did not come" },
	{ "[expect]\nline.1 = ~(\n", TEST_FAILED, "line 2: expect.line.1" },
	{ "#sh exit 1\n[expect]\nrequires = /dev/null /nonexistent/x\n",
	  TEST_SKIPPED, "requires /nonexistent/x: No such file or directory" },
	{ "#sh exit 1\n[expect]\nrequires = $CVMM_NO_SUCH_VARIABLE\n",
	  TEST_SKIPPED, "CVMM_NO_SUCH_VARIABLE is not set" },
	{ "[expect]\nrequires = t.ini /dev/null\n", TEST_PASSED, NULL },
	{ "#sh exec <&- >&- 2>&-; sleep 0.1; exit 0\n", TEST_PASSED, NULL },
	{ "#sh exec <&-; echo a; sleep 0.1\n"
	  "[expect]\nline.1 = a\ntype.1 = nobody listens\n",
	  TEST_PASSED, NULL },
};

START_TEST(judges_what_a_vm_does)
{
	char text[1024];

	/* Long enough for a busy machine. */
	snprintf(text, sizeof(text), "%s%s%s", cases[_i].text,
		 strstr(cases[_i].text, "[expect]") ? "" : "[expect]\n",
		 strstr(cases[_i].text, "timeout") ? "" : "timeout = 20s\n");
	add("t.ini", text);
	go();
	ck_assert_msg(run.tests[0].state == cases[_i].state, "%s", printed);
	if (cases[_i].why)
		ck_assert_msg(strstr(printed, cases[_i].why) != NULL, "%s",
			      printed);
	else
		ck_assert_ptr_null(run.tests[0].why);
}
END_TEST

START_TEST(bears_a_vm_that_prints_without_end)
{
	struct stat st;

	add("flood.ini", "#sh cat /dev/zero\n"
			 "[expect]\ntimeout = 300ms\nline.1 = x\n");
	add("lines.ini",
	    "#sh for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; "
	    "do printf '\\033]0;x\\007\\n'; done\n"
	    "[expect]\ntimeout = 20s\nline.1 = nothing\n");
	go();
	ck_assert_uint_eq(run.report.failed, 2);
	ck_assert_ptr_nonnull(strstr(printed, "| ?]0;x?"));
	ck_assert_ptr_null(strchr(printed, '\033'));
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(stat(run.tests[i].log_path, &st), 0);
		ck_assert_int_le(st.st_size, 17 * 1024 * 1024);
	}
}
END_TEST

START_TEST(prints_for_people)
{
	run.jobs = 1;
	add("a.ini", "#sh exit 0\n");
	add("b.ini", "#sh echo said; echo cvmm: why >&2; exit 2\n");
	add("c.ini", "[expect]\nrequires = /nonexistent\n");
	go();
	ck_assert_ptr_nonnull(strstr(printed, "PASS  a ("));
	ck_assert_ptr_nonnull(strstr(printed, "FAIL  b ("));
	ck_assert_ptr_nonnull(strstr(printed, "\n      | cvmm: why\n"));
	ck_assert_ptr_nonnull(strstr(printed, "\n      | said\n"));
	ck_assert_ptr_nonnull(strstr(printed, "/b.log\n"));
	ck_assert_ptr_nonnull(
		strstr(printed,
		       "\nSKIP  c: requires /nonexistent: No such file or "
		       "directory\n1 passed, 1 failed, 1 skipped\n"));
}
END_TEST

START_TEST(prints_tap)
{
	run.jobs = 1;
	run.report.tap = true;
	add("a#1.ini", "#sh exit 0\n");
	add("b.ini", "#sh printf 'said \"\\\\'; exit 2\n"
		     "[expect]\nline.1 = \"wanted \\\"\n");
	add("c.ini", "[expect]\nrequires = /nonexistent\n");
	go();
	ck_assert_ptr_eq(printed, strstr(printed, "TAP version 13\n1..3\n"
						  "ok 1 - a\\#1\n"
						  "not ok 2 - b\n  ---\n"
						  "  message: \"exit status 2 "
						  "(the guest's own checks "
						  "failed) instead of 0; "
						  "line.1 \\\"wanted "
						  "\\\\\\\" did not come\"\n"
						  "  duration_ms: "));
	ck_assert_ptr_nonnull(strstr(printed, "\n  ...\n# | said \"\\\n"
					      "ok 3 - c # SKIP requires "
					      "/nonexistent"));
	ck_assert_ptr_nonnull(
		strstr(printed, "\n# 1 passed, 1 failed, 1 skipped\n"));
}
END_TEST

START_TEST(writes_junit)
{
	char *xml;
	size_t size;
	FILE *f;

	run.jobs = 1;
	add("a&b.ini", "#sh exit 0\n");
	add("b.ini", "#sh printf '<b>\\033[31m\\001\\377]]>'; exit 2\n"
		     "[expect]\nline.1 = <\"&>\n");
	add("c.ini", "[expect]\nrequires = /nonexistent\n");
	go();
	f = open_memstream(&xml, &size);
	report_junit(f, run.tests, run.count);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(xml, "tests=\"3\" failures=\"1\" "
					  "errors=\"0\" skipped=\"1\""));
	ck_assert_ptr_nonnull(strstr(xml, "name=\"a&amp;b\""));
	ck_assert_ptr_nonnull(
		strstr(xml, "line.1 &quot;&lt;&quot;&amp;&gt;&quot; did not"));
	ck_assert_ptr_nonnull(strstr(xml, "\n&lt;b&gt;??]]&gt;\n</failure>"));
	ck_assert_ptr_nonnull(strstr(xml, "<skipped message=\"requires "));
	free(xml);
}
END_TEST

START_TEST(fail_fast_begins_no_more)
{
	run.jobs = 1;
	run.fail_fast = true;
	add("a.ini", "#sh exit 0\n");
	add("b.ini", "#sh exit 2\n");
	add("c.ini", "#sh exit 0\n");
	go();
	ck_assert_uint_eq(run.report.passed, 1);
	ck_assert_uint_eq(run.report.failed, 1);
	ck_assert_int_eq(run.tests[2].state, TEST_SKIPPED);
	ck_assert_str_eq(run.tests[2].why, "an earlier test failed");
}
END_TEST

START_TEST(runs_side_by_side)
{
	static const char text[] =
		"#sh touch $(dirname $1)/$$; "
		"until [ $(ls $(dirname $1)/[0-9]* | wc -l) = 3 ]; "
		"do sleep 0.02; done\n"
		"[expect]\ntimeout = 20s\n";

	/* Each waits for all: only together can they end. */
	add("a.ini", text);
	add("b.ini", text);
	add("c.ini", text);
	go();
	ck_assert_uint_eq(run.report.passed, 3);
}
END_TEST

/*
 * Does a process run in the group of the one whose number the file has?  A
 * zombie that init has not collected yet does not.
 */
static bool group_lives(const char *name)
{
	char *text = temp_read(temp_path(&temp, name));
	long group = strtol(text, NULL, 10);
	bool lives = false;
	glob_t g;

	free(text);
	ck_assert_int_gt(group, 1);
	ck_assert_int_eq(glob("/proc/[0-9]*/stat", 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		FILE *f = fopen(g.gl_pathv[i], "re");
		char state;
		long of;

		if (!f)
			continue; /* gone since */
		if (fscanf(f, "%*d (%*[^)]) %c %*d %ld", &state, &of) == 2)
			lives |= of == group && state != 'Z';
		fclose(f);
	}
	globfree(&g);
	return lives;
}

START_TEST(leaves_nothing_running)
{
	add("a.ini", "#sh echo $$ >$(dirname $1)/pid; sleep 50 & exit 0\n"
		     "[expect]\ntimeout = 20s\n");
	go();
	ck_assert_uint_eq(run.report.passed, 1);
	/* SIGKILL is on its way, but need not have arrived. */
	for (int tries = 100; group_lives("pid"); usleep(10000))
		ck_assert_int_gt(--tries, 0);
}
END_TEST

START_TEST(an_interrupt_ends_all)
{
	run.jobs = 1;
	add("a.ini", "#sh echo $$ >$(dirname $1)/pid; kill -INT $PPID; "
		     "sleep 50\n");
	add("b.ini", "#sh exit 0\n");
	go();
	ck_assert(run.interrupted);
	ck_assert_str_eq(run.tests[0].why, "interrupted");
	ck_assert_int_eq(run.tests[1].state, TEST_SKIPPED);
	ck_assert_uint_eq(run.report.failed, 1);
	/* SIGKILL is on its way, but need not have arrived. */
	for (int tries = 100; group_lives("pid"); usleep(10000))
		ck_assert_int_gt(--tries, 0);
}
END_TEST

START_TEST(shows_what_runs)
{
	run.report.progress = true;
	add("slow.ini", "#sh sleep 0.05\n");
	go();
	ck_assert_ptr_nonnull(
		strstr(printed, "0 of 1 done, running: slow (0 s)"));
	ck_assert_ptr_nonnull(strstr(printed, "\r\x1b[KPASS  slow"));
}
END_TEST

START_TEST(takes_all_of_a_directory_in_order)
{
	mkdir(temp_path(&temp, "d"), 0700);
	mkdir(temp_path(&temp, "e"), 0700);
	temp_text(&temp, "d/b.ini", "");
	temp_text(&temp, "d/a.ini", "");
	temp_text(&temp, "d/.ini", "");
	temp_text(&temp, "d/notes.txt", "");
	temp_text(&temp, "e/a.ini", "");
	ck_assert_int_eq(testrun_add(&run, temp_path(&temp, "d/")), 0);
	ck_assert_int_eq(testrun_add(&run, temp_path(&temp, "e")), 0);
	ck_assert_uint_eq(run.count, 3);
	ck_assert_str_eq(run.tests[0].name, "a");
	ck_assert_str_eq(run.tests[1].name, "b");
	ck_assert_str_eq(run.tests[2].name, "a-2");
	ck_assert_str_eq(run.tests[0].path, temp_path(&temp, "d/a.ini"));
	mkdir(temp_path(&temp, "f"), 0700);
	ck_assert_int_eq(testrun_add(&run, temp_path(&temp, "f")), -ENOENT);
	ck_assert_int_eq(testrun_add(&run, temp_path(&temp, "g")), -ENOENT);
}
END_TEST

START_TEST(says_what_it_cannot_start)
{
	static const char *const absent[] = { "/nonexistent/cvmm", NULL };

	run.program = absent;
	add("a.ini", "");
	go();
	ck_assert_uint_eq(run.report.failed, 1);
	ck_assert_ptr_nonnull(
		strstr(printed, "| cvmm: /nonexistent/cvmm: No such file"));
	testrun_destroy(&run);
	free(printed);
	run.report =
		(struct test_report){ .out = open_memstream(&printed,
							    &printed_len) };
	run.log_dir = "/nonexistent";
	add("a.ini", "");
	go();
	ck_assert_ptr_nonnull(strstr(printed, "/nonexistent/a.log: No such"));
}
END_TEST

/* Opening a FIFO waits for who writes to it. */
START_TEST(takes_only_files)
{
	const char *path = temp_path(&temp, "fifo.ini");

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(testrun_add(&run, path), 0);
	mkdir(temp_path(&temp, "d.ini"), 0700);
	temp_text(&temp, "d.ini/e.ini", "");
	mkdir(temp_path(&temp, "d.ini/f.ini"), 0700);
	ck_assert_int_eq(testrun_add(&run, temp_path(&temp, "d.ini")), 0);
	go();
	ck_assert_uint_eq(run.report.failed, 2);
	ck_assert_ptr_nonnull(strstr(printed, "/fifo.ini: not a regular file"));
	ck_assert_ptr_nonnull(strstr(printed, "/f.ini: is a directory"));
	/* No log was begun. */
	ck_assert_ptr_null(strstr(printed, "fifo.log"));
}
END_TEST

static const struct {
	const char *arg, *said;
} bad_options[] = {
	{ "--jobs=0", "--jobs: '0' is not a number from 1 to 256" },
	{ "-j257", "--jobs: '257' is not a number from 1 to 256" },
	{ "-jx", "--jobs: 'x' is not a number from 1 to 256" },
	{ "--tab", "unknown option --tab, did you mean --tap? (see 'cvmm help "
		   "test')" },
	{ "/nonexistent.ini", "/nonexistent.ini: No such file or directory" },
	{ "--junit=/nonexistent/x",
	  "/nonexistent/x: No such file or directory" },
	{ "--log-dir=/dev/null/x", "/dev/null/x: Not a directory" },
	{ "--tap", "nothing to test: name VM definitions or directories" },
};

START_TEST(command_rejects_what_it_cannot_do)
{
	char *argv[] = { (char *)"test", (char *)bad_options[_i].arg, NULL };

	ck_assert_int_lt(cmd_test(2, argv), 0);
	ck_assert_str_eq(err_text(), bad_options[_i].said);
}
END_TEST

Suite *testrun_suite(void)
{
	Suite *s = suite_create("testrun");
	TCase *tc = tcase_create("testrun");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, judges_what_a_vm_does, 0,
			    (int)ARRAY_SIZE(cases));
	tcase_add_test(tc, bears_a_vm_that_prints_without_end);
	tcase_add_test(tc, prints_for_people);
	tcase_add_test(tc, prints_tap);
	tcase_add_test(tc, writes_junit);
	tcase_add_test(tc, fail_fast_begins_no_more);
	tcase_add_test(tc, runs_side_by_side);
	tcase_add_test(tc, leaves_nothing_running);
	tcase_add_test(tc, an_interrupt_ends_all);
	tcase_add_test(tc, shows_what_runs);
	tcase_add_test(tc, takes_all_of_a_directory_in_order);
	tcase_add_test(tc, says_what_it_cannot_start);
	tcase_add_test(tc, takes_only_files);
	tcase_add_loop_test(tc, command_rejects_what_it_cannot_do, 0,
			    (int)ARRAY_SIZE(bad_options));
	suite_add_tcase(s, tc);
	return s;
}
