/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio device for tests of what all of them have in common. */
#pragma once

#include "support/fake_driver.h"

#define TOY_QUEUES 3
#define TOY_MAX_SIZE 16
/* Its configuration; of the second byte 4 bits are writable. */
#define TOY_CONFIG "config"

/*
 * A device that fills what it gets with the number of the queue.  Told to
 * hold, it keeps requests and does not let go of queues until released.
 */
struct toy {
	struct virtio virtio;
	struct event_source released;
	int release_fd;
	atomic_bool hold, endless, refuse;
	atomic_bool stuck, waits; /* its thread, until it is stuck no more */
	atomic_uint starts, stops, resets, config_writes, served, holds;
	/* Its own thread only. */
	uint16_t held[TOY_QUEUES][TOY_MAX_SIZE];
	uint8_t *into[TOY_QUEUES][TOY_MAX_SIZE]; /* NULL: to be read */
	unsigned int nr_held[TOY_QUEUES];
	bool stopping[TOY_QUEUES];
	struct fake_queue *feed; /* endless, more: who asks anew */
	/* When all is served: so often one more; how many had to ring. */
	atomic_uint more, rings;
};

/* Its params are not looked at. */
virtio_create toy_create;
struct toy *toy_of(struct virtio *v);
/* Ends holding: gives everything back, and queues that were stopped. */
void toy_release(struct toy *t);
