/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread with an event loop of its own, for the work of one device: what
 * blocks it delays nobody else.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "vmm/base/event.h"

struct iothread {
	struct event_loop loop;
	pthread_t thread;
	bool started;
};

/* Makes the loop; nothing runs yet.  On failure nothing is left behind. */
int iothread_init(struct iothread *t);

/* Starts the thread, called name (15 characters are kept) in listings. */
int iothread_start(struct iothread *t, const char *name);

/*
 * Ends the thread when its callback returns; a system call that waits comes
 * back with EINTR.  Twice is fine.
 */
void iothread_stop(struct iothread *t);
void iothread_destroy(struct iothread *t); /* stops it too; twice is fine */
