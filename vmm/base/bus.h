/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes guest accesses to devices.  A device sees only offsets into its own
 * window.  All windows are added before the first vCPU runs and never move,
 * so lookups take no lock; a device's callbacks run under its window's mutex.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/base/util.h"

#define BUS_MAX_WINDOWS 64

struct bus_window;

struct bus_ops {
	/* len is 1, 2, 4 or 8 and [off, off + len) lies inside the window. */
	void (*read)(struct bus_window *w, uint64_t off, void *data,
		     unsigned int len);
	void (*write)(struct bus_window *w, uint64_t off, const void *data,
		      unsigned int len);
};

/* Writes that the guest has made and the window has not seen yet. */
struct bus_posted {
	/* Calls the window's write op for them.  Under the window's mutex. */
	void (*hand_over)(struct bus_posted *posted, bool write_follows);
};

struct bus_window { /* embedded in the device; container_of() gets back */
	const char *name;
	uint64_t base, len;
	const struct bus_ops *ops; /* an absent op: all ones, or ignored */
	pthread_mutex_t lock;
	struct bus_posted *posted; /* to see before each access; or NULL */
};

struct bus {
	unsigned int count;
	struct bus_window *windows[BUS_MAX_WINDOWS];
	atomic_ulong unclaimed; /* accesses that met no window */
};

/*
 * Adds a window (not owned; it must outlive the bus).  Errors: -EINVAL empty
 * or wrapping, -EEXIST overlap, -ENOSPC too many.
 */
int bus_add(struct bus *bus, struct bus_window *w);

/*
 * One guest access of len bytes.  Unclaimed reads give all ones and unclaimed
 * writes vanish, as on a PC.  Any thread.
 */
void bus_read(struct bus *bus, uint64_t addr, void *data, unsigned int len);
void bus_write(struct bus *bus, uint64_t addr, const void *data,
	       unsigned int len);
