/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file descriptor of the user's that is written without ever waiting for
 * its reader.  The descriptor is often shared (a shell's stdout), so its own
 * O_NONBLOCK flag is never touched.  The process must ignore SIGPIPE.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/base/util.h"

struct outlet {
	int fd; /* for poll(); -1: none */
	enum {
		OUTLET_PLAIN,  /* never waits: a file, /dev/null, or ours */
		OUTLET_SOCKET, /* send() takes the flag with each call */
		OUTLET_POLLED  /* ask poll() before each small piece */
	} how;
	bool owned;
};

/* Wraps fd, which stays the caller's.  A closed fd gives a broken outlet. */
void outlet_open(struct outlet *o, int fd);

/* The same for an fd of the process's own that does not block, or -1. */
void outlet_adopt(struct outlet *o, int fd);

/*
 * Writes some of len (not 0) bytes.  Returns how many; -EAGAIN: none now,
 * poll o->fd for POLLOUT; any other negative errno: never again.
 */
ssize_t outlet_write(struct outlet *o, const void *data, size_t len);

void outlet_close(struct outlet *o); /* twice is fine */
