/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes back to life after its page has been converted, and backs it
 * twice, though nobody reads it.  KVM does that: a fault that looked at the
 * page before allocates what it was, and is only then tried again.  And back
 * ends of others (vhost, vhost-user), which pin nothing, do it whenever a guest
 * has them write to a page that it has made private.  A sweep gives it back,
 * once a second, a part of RAM at a time.
 */
#pragma once

#include "vmm/base/event.h"
#include "vmm/kvm/memory.h"

struct sweep {
	struct memory *mem; /* NULL: nothing to do */
	struct event_source tick;
	bool always;        /* there are back ends of others */
	uint64_t at;        /* where the next part begins */
	uint64_t converted; /* bytes, when the last sweep began */
	bool settled;       /* one sweep has found it so */
};

/*
 * Sweeps mem, which outlives it, on the loop's thread; nothing where RAM has
 * one store.  Without others' back ends only after conversions.
 */
int sweep_init(struct sweep *s, struct memory *mem, struct event_loop *loop,
	       bool back_ends);
void sweep_destroy(struct sweep *s); /* zeroed or twice is fine */

/*
 * Frees, of pages that the shared store has, what they are not: that, or what
 * the private one has.  From offset `from` of RAM on; returns where it stopped
 * since it had taken long, or 0 when it got to the end.  One thread at a time.
 */
uint64_t memory_sweep(struct memory *mem, uint64_t from);
