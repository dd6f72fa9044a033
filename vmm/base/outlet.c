/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlet.h declares.  Pipes and terminals are opened a second time
 * through /proc, which gives a file description of our own to make
 * non-blocking.  Where that is refused, poll() tells that a little fits.
 */
#include "vmm/base/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a terminal or pipe takes at once when poll() says it is writable. */
#define POLLED_PIECE_TTY 64
#define POLLED_PIECE_PIPE PIPE_BUF

static int reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void outlet_open(struct outlet *o, int fd)
{
	struct stat st;
	int own;

	*o = (struct outlet){ .fd = -1 };
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	o->fd = fd;
	if (S_ISSOCK(st.st_mode)) {
		o->how = OUTLET_SOCKET;
		return;
	}
	if (!S_ISFIFO(st.st_mode) && !isatty(fd))
		return;
	own = reopen(fd);
	if (own >= 0) {
		o->fd = own;
		o->owned = true;
	} else {
		o->how = OUTLET_POLLED;
	}
}

void outlet_adopt(struct outlet *o, int fd)
{
	*o = (struct outlet){ .fd = fd };
}

static ssize_t polled_write(int fd, const void *data, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t piece = isatty(fd) ? POLLED_PIECE_TTY : POLLED_PIECE_PIPE;

	if (poll(&p, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, data, min_of(len, piece));
}

ssize_t outlet_write(struct outlet *o, const void *data, size_t len)
{
	ssize_t n;

	do {
		if (o->how == OUTLET_SOCKET)
			n = send(o->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (o->how == OUTLET_POLLED)
			n = polled_write(o->fd, data, len);
		else
			n = write(o->fd, data, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? n : -EAGAIN;
}

void outlet_close(struct outlet *o)
{
	if (o->owned)
		close(o->fd);
	o->fd = -1;
	o->owned = false;
}
