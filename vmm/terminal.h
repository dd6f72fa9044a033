/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From standard input to the guest's console.  A terminal is raw while the
 * VM runs in the foreground, and as it was found at any other time.
 *
 * Ctrl-a x ends the VM; Ctrl-a a and Ctrl-a Ctrl-a send one Ctrl-a; before
 * any other key Ctrl-a is sent as it is.  The same holds for pipes and files.
 */
#pragma once

#include "vmm/base/event.h"
#include "vmm/base/util.h"

struct terminal;

struct terminal_user {
	/* Input for the guest; returns how much of len bytes it took. */
	size_t (*input)(void *ctx, const uint8_t *data, size_t len);
	void (*quit)(void *ctx); /* Ctrl-a x */
	void *ctx;
};

/*
 * Starts reading fd (not owned; a closed one: no input).  Callbacks come on
 * the thread that runs loop.  After input() took less than it was given,
 * nothing is read until terminal_room().  One at a time in a process, as
 * there is one terminal; it handles SIGCONT, SIGTSTP, SIGTTIN and SIGTTOU
 * while fd is one.
 */
int terminal_create(struct terminal **out, struct event_loop *loop, int fd,
		    const struct terminal_user *user);
void terminal_destroy(struct terminal *t); /* restores; NULL is fine */

void terminal_room(struct terminal *t); /* any thread, never waits */

/* Gives the terminal back as it was.  Async-signal-safe; twice is fine. */
void terminal_restore(void);
