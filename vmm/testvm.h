/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One test: a VM definition run by a child process whose console is read,
 * typed on and compared with [expect].  Nothing here blocks; the caller polls.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/config.h"

enum test_state {
	TEST_WAITING,
	TEST_RUNNING,
	TEST_STOPPING, /* asked to end; killed soon */
	TEST_PASSED,
	TEST_FAILED,
	TEST_SKIPPED,
};

/* The places of a running test in the array for poll(). */
enum { TEST_OUT, TEST_ERR, TEST_IN, TEST_EXIT, TEST_FDS };

struct test {           /* zeroed, but for the first three: a test that waits */
	char *path;     /* of the VM definition; owned, as all here */
	char *name;     /* for people */
	char *log_path; /* console and messages go there as they are */
	enum test_state state;
	char *why; /* one line: why it failed or was skipped */
	int64_t started_ms, took_ms;

	struct config config; /* only config.expect counts */
	struct expect_watch console, messages;
	int64_t deadline_ms;
	pid_t pid;
	int fds[TEST_FDS], log_fd;
	uint64_t log_len;
	bool log_mid_line;
	char *typing; /* what is still to be typed */
	size_t typing_len;
};

/*
 * Starts "program... FILE.ini -v", or ends the test at once: skipped, or
 * failed.  program ends with NULL and program[0] is a path; it must not be
 * NULL.  Call with SIGPIPE ignored, and from the thread that lives as long as
 * the children shall.
 */
void test_start(struct test *t, const char *const *program);

/* Ends a test that waits. */
void test_skip(struct test *t, const char *why);

/* Fills fds[TEST_FDS] for poll(). */
void test_poll_fds(const struct test *t, struct pollfd *fds);

/* Acts on what poll() said and on the time. */
void test_step(struct test *t, const struct pollfd *fds);

/* Lets a running test fail for this reason; it ends a little later. */
void test_stop(struct test *t, const char *why);

/* Kills what runs, frees what is owned; twice is fine. */
void test_destroy(struct test *t);

bool test_ended(const struct test *t);
