/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of a console that is not standard input and output: a
 * pseudo-terminal, a file or a Unix socket.
 *
 *	pty        a new one; its name is printed once
 *	file:PATH  made with mode 0600 if need be, and added to; no input
 *	unix:PATH  listens, mode 0600; one peer at a time, who may go and come
 *	           back; a socket that nobody listens on is replaced, and ours
 *	           removed in the end
 *
 * Nobody is waited for: while no peer is there output is dropped.
 */
#pragma once

#include "vmm/base/event.h"
#include "vmm/base/util.h"

struct endpoint;

struct endpoint_user {
	/* Input for the guest; returns how much of len bytes it took. */
	size_t (*input)(void *ctx, const uint8_t *data, size_t len);
	/* Output goes to fd from now on, as spool_attach() has it. */
	void (*attached)(void *ctx, int fd);
	void *ctx;
};

enum endpoint_kind {
	ENDPOINT_STDIO, /* "stdio": not one of these */
	ENDPOINT_PTY,
	ENDPOINT_FILE,
	ENDPOINT_UNIX
};

/*
 * What kind `where` is, and its path, which is part of it; NULL: it has none.
 * -EINVAL with text.
 */
int endpoint_parse(const char *where, const char **path);

/*
 * Makes what `where` says, for a console called name in messages.  attached()
 * may be called at once; later callbacks come on the thread that runs loop.
 * After input() took less than it was given, nothing is read until
 * endpoint_room().
 */
int endpoint_create(struct endpoint **out, struct event_loop *loop,
		    const char *name, const char *where,
		    const struct endpoint_user *user);
/* NULL is fine; loop not running.  attached() is not called. */
void endpoint_destroy(struct endpoint *e);

void endpoint_room(struct endpoint *e); /* any thread, never waits */
