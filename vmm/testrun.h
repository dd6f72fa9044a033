/* SPDX-License-Identifier: Apache-2.0 */
/* Many tests side by side, in the order given. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "vmm/testreport.h"

#define TESTRUN_MAX_JOBS 256

struct testrun {
	/* What runs a VM definition; see test_start(). */
	const char *const *program;
	const char *log_dir; /* exists */
	unsigned int jobs;   /* 1 to TESTRUN_MAX_JOBS */
	bool fail_fast;      /* the first failure skips what has not begun */
	struct test_report report;
	struct test *tests;
	size_t count;
	bool interrupted; /* by SIGINT, SIGTERM or SIGHUP */
};

/* Adds the VM definition at path, or all *.ini in the directory path. */
int testrun_add(struct testrun *run, const char *path);

/*
 * Runs all that was added.  0 when every test has ended, well or not, and
 * no child is left; -errno if that was not possible.
 */
int testrun(struct testrun *run);

void testrun_destroy(struct testrun *run); /* twice is fine */
