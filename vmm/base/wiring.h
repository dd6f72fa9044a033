/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device is wired to the machine, as eventfds: a guest's write that
 * rings a bell, and a signal that becomes an interrupt.  vmm/kvm/wiring.c
 * makes it of ioeventfds and irqfds; a test of anything.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"

struct msi { /* what a PCI function writes to interrupt a processor */
	uint64_t addr;
	uint32_t data;
};

/* Functions return 0 or -errno; a guest can cause it, so there is no text. */
struct wiring {
	/* A new interrupt line, at start-up only; -ENOSPC with text. */
	int (*new_line)(struct wiring *w);
	/*
	 * From now on a signal of fd sends msi, one that came before too.
	 * disconnect: signals stay in fd.  Once per line; any thread.
	 */
	int (*connect)(struct wiring *w, unsigned int line, int fd,
		       const struct msi *msi);
	void (*disconnect)(struct wiring *w, unsigned int line, int fd);
	/*
	 * A guest's write of any width to gpa signals fd and does not reach
	 * the bus, while on.  Without it the bus gets the write.
	 */
	int (*bell)(struct wiring *w, gpa_t gpa, int fd, bool on);
};
