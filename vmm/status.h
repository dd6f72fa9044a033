/* SPDX-License-Identifier: Apache-2.0 */
/* How cvmm ended, as its exit status: one table for code and manual. */
#pragma once

enum status {
	STATUS_OK = 0,    /* also: all checks of the embedded guest */
	STATUS_ERROR = 1, /* what a negative return of a command gives */
	STATUS_CHECKS_FAILED = 2, /* guest status register was not 0 */
	STATUS_REBOOT = 3,
	STATUS_PANIC = 4,
	STATUS_TRIPLE_FAULT = 5,
	STATUS_VM_FAILED = 6,
	STATUS_HUNG_UP = 129,     /* 128 + SIGHUP */
	STATUS_INTERRUPTED = 130, /* 128 + SIGINT, as a shell has it */
	STATUS_QUIT = 131,        /* 128 + SIGQUIT */
	STATUS_TERMINATED = 143,  /* 128 + SIGTERM */
};

struct status_row {
	int status;
	const char *text;
};
extern const struct status_row status_table[]; /* ends with text NULL */

/* What a status means, in a few words; never NULL. */
const char *status_text(int status);
