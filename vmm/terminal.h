/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From standard input to the guest's console.  A terminal is raw while the
 * VM runs in the foreground, and as it was found at any other time.
 *
 * Ctrl-a x ends the VM; Ctrl-a a and Ctrl-a Ctrl-a send one Ctrl-a; before
 * any other key Ctrl-a is sent as it is.  The same holds for pipes and files.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/event.h"
#include "vmm/base/util.h"

struct terminal;

struct terminal_user {
	/* Input for the guest; returns how much of len bytes it took. */
	size_t (*input)(void *ctx, const uint8_t *data, size_t len);
	void (*quit)(void *ctx); /* Ctrl-a x */
	/* The terminal's size, once and whenever it changes.  May be NULL. */
	void (*resized)(void *ctx, uint16_t cols, uint16_t rows);
	void *ctx;
};

/*
 * Starts reading fd (not owned; a closed one: no input).  Callbacks come on
 * the thread that runs loop.  After input() took less than it was given,
 * nothing is read until terminal_room().  One at a time in a process, as
 * there is one terminal; it handles SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU
 * and SIGWINCH while fd is one.
 */
int terminal_create(struct terminal **out, struct event_loop *loop, int fd,
		    const struct terminal_user *user);
void terminal_destroy(struct terminal *t); /* restores; NULL is fine */

void terminal_room(struct terminal *t); /* any thread, never waits */

/* The size of the terminal that fd is; false, and zeros, if it has none. */
bool terminal_size(int fd, uint16_t *cols, uint16_t *rows);

/* Gives the terminal back as it was.  Async-signal-safe; twice is fine. */
void terminal_restore(void);
