/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on their way from vCPU threads to a slow reader: a ring that the
 * event loop empties into an outlet.  Putting never waits.  Embedded in a
 * device and guarded by the device's mutex.
 */
#pragma once

#include <pthread.h>

#include "vmm/base/event.h"
#include "vmm/base/outlet.h"

#define SPOOL_LEN 65536

struct spool {
	pthread_mutex_t *lock;   /* the owner's; guards the next five */
	unsigned int head, tail; /* run freely */
	bool draining;           /* the event thread will look */
	bool broken;             /* nobody reads: bytes are dropped */
	uint8_t *data;

	/* The event thread's. */
	struct event_loop *loop;
	struct event_source timer, writable;
	struct outlet outlet;
	bool returns; /* a reader that goes is no loss: another may come */
	/* Something was written or given up; without the lock.  May be NULL. */
	void (*moved)(void *ctx);
	void *ctx;
};

/*
 * Sends to fd (not owned; broken or -1: bytes are dropped) from the thread
 * that runs loop.  The process must ignore SIGPIPE.  Then moved and ctx can
 * be set.
 */
int spool_init(struct spool *sp, pthread_mutex_t *lock, struct event_loop *loop,
	       int fd);
void spool_destroy(struct spool *sp); /* twice is fine; loop not running */

/*
 * Sends to fd from now on: one of the process's own that does not block, or
 * -1, which drops what is left.  On the thread that runs loop, or before it
 * does; not with the lock held.  The fd before may be closed afterwards.
 */
void spool_attach(struct spool *sp, int fd);

/* With the lock held. */
unsigned int spool_room(const struct spool *sp);
void spool_put(struct spool *sp, uint8_t byte); /* dropped without room */

/*
 * Writes what is left, waiting at most timeout_ms for the reader.  Without
 * the lock, when nobody puts and the loop has stopped.
 */
void spool_flush(struct spool *sp, unsigned int timeout_ms);
