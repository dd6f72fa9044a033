/* SPDX-License-Identifier: Apache-2.0 */
/* What event.h declares. */
#include "vmm/base/event.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"

static void on_stop(struct event_source *s, uint32_t events)
{
	(void)events;
	container_of(s, struct event_loop, stop_source)->stopping = 1;
}

int event_loop_init(struct event_loop *loop)
{
	int rc = 0;

	*loop = (struct event_loop){ .epoll_fd = -1, .stop_fd = -1 };
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd >= 0)
		loop->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->stop_fd < 0) {
		rc = err_set(-errno, "event loop: %s", strerror(errno));
	} else {
		loop->stop_source.fd = loop->stop_fd;
		loop->stop_source.ready = on_stop;
		rc = event_add(loop, &loop->stop_source, EPOLLIN);
	}
	if (rc)
		event_loop_destroy(loop);
	return rc;
}

void event_loop_destroy(struct event_loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->stop_fd >= 0)
		close(loop->stop_fd);
	loop->epoll_fd = -1;
	loop->stop_fd = -1;
}

static int control(struct event_loop *loop, int op, struct event_source *s,
		   uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = s };

	if (epoll_ctl(loop->epoll_fd, op, s->fd, &e) < 0)
		return err_set(-errno, "watch fd %d: %s", s->fd,
			       strerror(errno));
	return 0;
}

int event_add(struct event_loop *loop, struct event_source *s, uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, s, events);
}

int event_modify(struct event_loop *loop, struct event_source *s,
		 uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, s, events);
}

void event_remove(struct event_loop *loop, struct event_source *s)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
}

int event_loop_run(struct event_loop *loop)
{
	/* One event a round: a callback may remove any other source. */
	while (!loop->stopping) {
		struct epoll_event e;
		int n = epoll_wait(loop->epoll_fd, &e, 1, -1);

		if (n < 0 && errno != EINTR)
			return err_set(-errno, "epoll_wait: %s",
				       strerror(errno));
		if (n == 1) {
			struct event_source *s = e.data.ptr;

			s->ready(s, e.events);
		}
	}
	return 0;
}

void event_loop_stop(struct event_loop *loop)
{
	loop->stopping = 1;
	eventfd_write(loop->stop_fd, 1);
}
