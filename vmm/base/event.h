/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one event loop: epoll over file descriptors, run by the main thread.
 * Callbacks run on that thread only.  Sources are embedded in what owns them.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct event_source {
	int fd; /* not owned */
	/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, ... */
	void (*ready)(struct event_source *s, uint32_t events);
};

struct event_loop {
	int epoll_fd, stop_fd;
	struct event_source stop_source;
	atomic_int stopping;
};

/* Makes an empty loop.  On failure nothing is left behind. */
int event_loop_init(struct event_loop *loop);
void event_loop_destroy(struct event_loop *loop); /* twice is fine */

/*
 * Watches s->fd for events until event_remove().  -EPERM: the fd is always
 * ready (a regular file) and cannot be watched.  Any thread.
 */
int event_add(struct event_loop *loop, struct event_source *s, uint32_t events);
int event_modify(struct event_loop *loop, struct event_source *s,
		 uint32_t events);
void event_remove(struct event_loop *loop, struct event_source *s);

/* Dispatches until event_loop_stop(), which any thread may call. */
int event_loop_run(struct event_loop *loop);
void event_loop_stop(struct event_loop *loop);
