/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power block: how a guest switches the machine off, resets it, and says
 * how its own checks ended.  Registers in vmm/base/layout_x86.h.
 */
#pragma once

#include <stdatomic.h>

#include "vmm/base/bus.h"

enum power_request { POWER_OFF, POWER_RESET };

struct power { /* embedded in the machine; zeroed is valid */
	struct bus_window window;
	/*
	 * Called on the vCPU thread that wrote the register, under the
	 * window's mutex: it notes the wish and returns.
	 */
	void (*request)(void *ctx, enum power_request what);
	void *ctx;
	atomic_uchar status; /* guest status register; 0: all is well */
};

/* Prepares the window for bus_add().  Owns nothing, so no destroy. */
void power_init(struct power *power,
		void (*request)(void *ctx, enum power_request what), void *ctx);
