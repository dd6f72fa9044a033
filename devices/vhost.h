/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues that the host's kernel serves (vhost, linux/vhost.h): for a
 * device whose virtio_ops have no kick.  The kernel then waits for kick_fd,
 * reads and writes guest memory and signals the queue's interrupt itself.
 */
#pragma once

#include "devices/virtio.h"

/* The kernel, so that a test can be it.  Functions return -errno. */
struct vhost_sys {
	int (*open)(struct vhost_sys *sys, const char *path);
	int (*ioctl)(struct vhost_sys *sys, int fd, unsigned long request,
		     void *arg);
};
extern struct vhost_sys vhost_linux;

struct vhost {
	struct vhost_sys *sys; /* NULL: empty */
	struct virtio *dev;    /* set when there is one: what errors break */
	int fd;
	uint64_t features; /* the kernel's */
	struct event_source failed;
	int err_fd; /* eventfd: the kernel cannot use what the driver wrote */
};

/*
 * Opens path, of kernel module `module`, for the guest's memory.  sys NULL: the
 * real kernel.  One line says what is missing.  On failure nothing is left.
 */
int vhost_open(struct vhost *v, struct vhost_sys *sys, const char *path,
	       const char *module, const struct guest_mem *mem);
void vhost_close(struct vhost *v); /* twice is fine */

/*
 * For a device that virtio_init() has made: offers only what the kernel can do
 * too, but for `ours`, features that it need not know of; and breaks the
 * device when the kernel finds its driver breaking the rules.
 */
int vhost_attach(struct vhost *v, struct virtio *d, uint64_t ours);

/* A request of one device type's, as VHOST_VSOCK_SET_RUNNING. */
int vhost_ioctl(struct vhost *v, unsigned long request, void *arg);

/*
 * Tells the kernel everything about queue q, which is its ring number index:
 * in start_queue().  It is served from when the device type's own request
 * says so.  vhost_forget_queue(): when that has ended.
 */
int vhost_set_queue(struct vhost *v, unsigned int index, unsigned int q);
void vhost_forget_queue(struct vhost *v, unsigned int index);
/* In signal_changed(). */
void vhost_set_signal(struct vhost *v, unsigned int index, unsigned int q);
