/* SPDX-License-Identifier: Apache-2.0 */
/* What endpoint.h declares; endpoint_open.c makes the files. */
#include "devices/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/endpoint_open.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"

#define READ_LEN 512

struct endpoint {
	struct event_loop *loop;
	struct endpoint_user user;
	struct endpoint_place place;
	struct event_source listener; /* a Unix socket's; .fd -1: none */
	struct event_source input;    /* from the peer; .fd -1: none */
	struct event_source wake;     /* eventfd: there is room */
	int out_fd; /* the peer a second time: a loop knows an fd once */
	bool watching;
	size_t len; /* pending: read but not yet taken */
	uint8_t pending[READ_LEN];
};

static void watch(struct endpoint *e, bool on)
{
	if (e->watching && !on)
		event_remove(e->loop, &e->input);
	if (!e->watching && on)
		on = event_add(e->loop, &e->input, EPOLLIN) == 0;
	e->watching = on;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void drop_peer(struct endpoint *e)
{
	if (e->out_fd >= 0)
		e->user.attached(e->user.ctx, -1);
	close_fd(&e->out_fd);
	watch(e, false);
	close_fd(&e->input.fd);
	e->len = 0;
}

/* Hands over what is pending.  true: all of it was taken. */
static bool hand_over(struct endpoint *e)
{
	size_t taken = 0;

	if (e->len)
		taken = e->user.input(e->user.ctx, e->pending, e->len);
	e->len -= taken;
	memmove(e->pending, e->pending + taken, e->len);
	return !e->len;
}

static void on_input(struct event_source *source, uint32_t events)
{
	struct endpoint *e = container_of(source, struct endpoint, input);
	ssize_t n = read(source->fd, e->pending, sizeof(e->pending));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		e->len = (size_t)n;
		if (!hand_over(e))
			watch(e, false); /* until endpoint_room() */
	} else if (!n && !(events & (EPOLLHUP | EPOLLERR))) {
		/* It has nothing more to say but may still listen. */
		event_modify(e->loop, source, 0);
	} else {
		drop_peer(e);
	}
}

static void on_wake(struct event_source *source, uint32_t events)
{
	struct endpoint *e = container_of(source, struct endpoint, wake);
	eventfd_t count;

	(void)events;
	eventfd_read(source->fd, &count);
	if (e->input.fd >= 0 && hand_over(e))
		watch(e, true);
}

/* A second description of the peer's fd is for output. */
static int add_peer(struct endpoint *e, int fd)
{
	int rc;

	e->input.fd = fd;
	e->out_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (e->out_fd < 0) {
		rc = err_set(-errno, "%s", strerror(errno));
		close_fd(&e->input.fd);
		return rc;
	}
	e->user.attached(e->user.ctx, e->out_fd);
	watch(e, true);
	return 0;
}

/* Its input waits for the guest, so nobody has read that it has gone. */
static bool peer_gone(const struct endpoint *e)
{
	struct pollfd p = { .fd = e->input.fd };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

static void on_connection(struct event_source *source, uint32_t events)
{
	static const char busy[] = "cvmm: somebody else uses this console\r\n";
	struct endpoint *e = container_of(source, struct endpoint, listener);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (e->input.fd >= 0 && !peer_gone(e)) {
		send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
		return;
	}
	drop_peer(e);
	if (add_peer(e, fd))
		log_warn("console: a peer was refused: %s", err_text());
}

static int start(struct endpoint *e, const char *name, const char *where)
{
	int rc = endpoint_open(&e->place, name, where);

	if (rc)
		return rc;
	switch (e->place.kind) {
	case ENDPOINT_FILE:
		e->user.attached(e->user.ctx, e->place.fd);
		return 0;
	case ENDPOINT_UNIX:
		e->listener.fd = e->place.fd;
		rc = event_add(e->loop, &e->listener, EPOLLIN);
		break;
	case ENDPOINT_PTY:
	case ENDPOINT_STDIO:
		rc = fcntl(e->place.fd, F_DUPFD_CLOEXEC, 0);
		rc = rc < 0 ? err_set(-errno, "%s", strerror(errno))
			    : add_peer(e, rc);
		break;
	}
	if (rc)
		return err_in(rc, "%s", name);
	e->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->wake.fd < 0)
		return err_set(-errno, "%s: eventfd: %s", name,
			       strerror(errno));
	return event_add(e->loop, &e->wake, EPOLLIN);
}

int endpoint_create(struct endpoint **out, struct event_loop *loop,
		    const char *name, const char *where,
		    const struct endpoint_user *user)
{
	struct endpoint *e = calloc(1, sizeof(*e));
	int rc;

	*out = NULL;
	if (!e)
		return err_set(-ENOMEM, "%s: out of memory", name);
	e->loop = loop;
	e->user = *user;
	e->place.fd = e->place.peer_fd = -1;
	e->listener = (struct event_source){ -1, on_connection };
	e->input = (struct event_source){ -1, on_input };
	e->wake = (struct event_source){ -1, on_wake };
	e->out_fd = -1;
	rc = start(e, name, where);
	if (rc)
		endpoint_destroy(e);
	else
		*out = e;
	return rc;
}

void endpoint_destroy(struct endpoint *e)
{
	if (!e)
		return;
	watch(e, false);
	if (e->listener.fd >= 0)
		event_remove(e->loop, &e->listener);
	if (e->wake.fd >= 0)
		event_remove(e->loop, &e->wake);
	close_fd(&e->wake.fd);
	close_fd(&e->input.fd);
	close_fd(&e->out_fd);
	endpoint_close(&e->place);
	free(e);
}

void endpoint_room(struct endpoint *e)
{
	if (e->wake.fd >= 0)
		eventfd_write(e->wake.fd, 1);
}
