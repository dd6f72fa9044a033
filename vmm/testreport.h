/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people and programs get to read about tests.  Whatever came from a
 * guest is made printable first.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "vmm/testvm.h"

struct test_report {
	FILE *out;
	bool tap;      /* TAP 13 instead of lines for people */
	bool progress; /* out is a terminal: keep a line of what runs */
	size_t total, passed, failed, skipped;
	char shown[79]; /* the line of what runs that is there now, or "" */
};

void report_begin(struct test_report *r);

/* Once for each test, when it has ended. */
void report_test(struct test_report *r, const struct test *t);

/* Renews the line of what runs, if it says something new. */
void report_progress(struct test_report *r, const struct test *tests,
		     size_t count);

/* "N passed, N failed, N skipped". */
void report_end(struct test_report *r);

/* All tests, ended, as JUnit XML. */
void report_junit(FILE *out, const struct test *tests, size_t count);
