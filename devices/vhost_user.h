/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues that another process serves: the front end of the vhost-user
 * protocol (QEMU's docs/interop/vhost-user.rst).  The back end is given the
 * memory that the guest shares, the eventfds of its queues, and nothing else.
 *
 * It is not trusted to answer, or to answer sense: each operation has
 * vhost_user_timeout_ms in all, and the first thing wrong ends the connection.
 * Then the device is broken for good, and the VM goes on.
 */
#pragma once

#include "devices/virtio.h"

extern int vhost_user_timeout_ms; /* 10 s; tests have no time */

struct vhost_user {
	int fd; /* the connection; -1: none any more */
	struct virtio *dev;
	uint64_t features; /* the back end's */
	bool reply_ack;
	unsigned int running; /* queues */
	int64_t deadline;     /* of the operation that is under way */
	struct event_source socket;
	/* The connection is gone; on the device's thread.  May be absent. */
	void (*lost)(struct vhost_user *v);
};

/*
 * Makes the acquaintance of the back end at the other end of fd, which is
 * owned from here on, and gives it the guest's memory.  -errno with text if it
 * is none, or none for nr_queues.  On failure nothing is left.
 */
int vhost_user_open(struct vhost_user *v, int fd, const struct guest_mem *mem,
		    unsigned int nr_queues);
void vhost_user_close(struct vhost_user *v); /* twice is fine */

/* What of a device type's features the back end has. */
uint64_t vhost_user_offer(const struct vhost_user *v, uint64_t features);

/*
 * For a device that virtio_init() has made: offers of the transport's features
 * only what the back end has too, and breaks the device when that goes away.
 */
int vhost_user_attach(struct vhost_user *v, struct virtio *d);

/*
 * The queues of the device are those of the back end.  These are the
 * callbacks of virtio_ops; when a queue has stopped, the back end has
 * said that it leaves its memory alone, or is gone.
 */
int vhost_user_start_queue(struct vhost_user *v, unsigned int q);
void vhost_user_stop_queue(struct vhost_user *v, unsigned int q);
void vhost_user_set_signal(struct vhost_user *v, unsigned int q);
