/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/base/child.c. */
#include "vmm/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"
#include "vmm/base/util.h"

static char line[64];

/* Runs a shell's command to its end, and returns what it said last. */
static const char *said(const char *command, int fd)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };
	struct pollfd end = { .events = 0 };
	struct child c;

	ck_assert_int_eq(child_start(&c, argv, fd), 0);
	end.fd = c.out_fd;
	ck_assert_int_eq(poll(&end, 1, 10000), 1); /* POLLHUP */
	child_last_line(&c, line, sizeof(line));
	child_stop(&c, 10000);
	ck_assert_int_eq(c.pid, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	return line;
}

static const struct {
	const char *command, *line;
} lines[] = {
	{ "true", "" },
	{ "echo; echo", "" },
	{ "echo one; echo two", "two" },
	{ "printf 'one\\ntwo'", "two" },
	{ "echo one >&2; echo", "one" },
	{ "i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); echo line $i; done",
	  "line 2000" },
	{ "head -c 9000 /dev/zero | tr '\\0' x",
	  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
	{ "read x || echo no input", "no input" },
	{ "kill -TERM $$; echo alive", "" },
};

START_TEST(knows_what_it_said_last)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_str_eq(said(lines[_i].command, null), lines[_i].line);
	close(null);
}
END_TEST

START_TEST(gives_it_one_descriptor_and_no_other)
{
	int one = open("/dev/null", O_RDWR | O_CLOEXEC);
	int other = open("/dev/null", O_RDWR);
	char command[128], want[16];

	snprintf(want, sizeof(want), "0 1 2 %d", one);
	snprintf(command, sizeof(command),
		 "for i in 0 1 2 %d %d; do [ -e /proc/$$/fd/$i ] && "
		 "got=\"$got $i\"; done; echo $got",
		 one, other);
	ck_assert_str_eq(said(command, one), want);
	/* It stays ours alone for the next one. */
	ck_assert_int_eq(fcntl(one, F_GETFD), FD_CLOEXEC);
	close(one);
	close(other);
}
END_TEST

START_TEST(says_that_it_cannot_be_run)
{
	const char *const argv[] = { "/nonexistent/program", NULL };
	struct pollfd end = { .events = 0 };
	struct child c;

	ck_assert_int_eq(child_start(&c, argv, 0), 0);
	end.fd = c.out_fd;
	ck_assert_int_eq(poll(&end, 1, 10000), 1);
	child_last_line(&c, line, sizeof(line));
	ck_assert_str_eq(line,
			 "/nonexistent/program: No such file or directory");
	child_stop(&c, 10000);
}
END_TEST

START_TEST(kills_what_does_not_end)
{
	const char *const argv[] = { "/bin/sh", "-c",
				     "trap '' TERM HUP; sleep 100", NULL };
	int64_t begin = util_now_ms();
	struct child c;
	pid_t pid;

	ck_assert_int_eq(child_start(&c, argv, 0), 0);
	pid = c.pid;
	child_stop(&c, _i ? 200 : 0);
	child_stop(&c, 200);
	ck_assert_int_ge(util_now_ms() - begin, _i ? 200 : 0);
	ck_assert_int_lt(util_now_ms() - begin, 5000);
	ck_assert(kill(pid, 0) < 0 && errno == ESRCH);
}
END_TEST

Suite *child_suite(void)
{
	Suite *s = suite_create("child");
	TCase *tc = tcase_create("child");

	tcase_add_loop_test(tc, knows_what_it_said_last, 0, ARRAY_SIZE(lines));
	tcase_add_test(tc, gives_it_one_descriptor_and_no_other);
	tcase_add_test(tc, says_that_it_cannot_be_run);
	tcase_add_loop_test(tc, kills_what_does_not_end, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
