/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a running VM, and those who talk to it: DIR/NAME.sock,
 * mode 0600, where DIR is /run/cvmm for root and $XDG_RUNTIME_DIR/cvmm for
 * others.  Only root and the user that runs the VM are answered.
 *
 * A client sends one line, a command.  The answer is "ok" or "error: WORDS",
 * a line, and then what the command prints.  The VM closes the connection when
 * it has said all; after `stop`, when it has ended.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "devices/endpoint_open.h"

#define CONTROL_CLIENTS 8
#define CONTROL_LINE 64 /* a command's longest, with its newline */

struct control;

struct control_client {
	struct control *control;
	struct event_source source; /* fd -1: nobody */
	size_t len;
	char line[CONTROL_LINE];
};

struct control { /* zeroed: none */
	struct event_loop *loop;
	struct endpoint_place place;
	struct event_source listener;
	struct control_client clients[CONTROL_CLIENTS];
	unsigned int oldest;
	/*
	 * On the loop's thread: prints the answer to a command, or returns
	 * what is wrong with it.  *hold: not to be closed before the VM ends.
	 */
	const char *(*command)(void *ctx, const char *line, FILE *out,
			       bool *hold);
	void *ctx;
};

/*
 * With command and ctx set: listens for the VM called name.  When another VM
 * has that name, NAME-PID is ours.  -errno with text, and nothing is left.
 */
int control_open(struct control *c, struct event_loop *loop, const char *name);
void control_close(struct control *c); /* loop not running; twice is fine */

/*
 * The other side: asks the VM called name, or whose socket is at a path with
 * a slash, and copies the answer to out.  Waits for the VM to close, but no
 * longer than 10 seconds for anything to come.
 */
int control_ask(const char *name, const char *line, FILE *out);
