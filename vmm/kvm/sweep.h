/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back ends of others (vhost, vhost-user) pin nothing: what a guest has them
 * write to a page that has turned private lands in the shared store, where
 * nobody reads it, and backs that page twice.  A sweep gives it back, once a
 * second, a part of RAM at a time.
 */
#pragma once

#include "vmm/base/event.h"
#include "vmm/kvm/memory.h"

struct sweep {
	struct memory *mem; /* NULL: nothing to do */
	struct event_source tick;
	uint64_t at; /* where the next part begins */
};

/*
 * Sweeps mem, which outlives it, on the loop's thread; nothing where RAM has
 * one state.
 */
int sweep_init(struct sweep *s, struct memory *mem, struct event_loop *loop);
void sweep_destroy(struct sweep *s); /* zeroed or twice is fine */

/*
 * Discards of the shared store what is in pages that are private, from offset
 * `from` of RAM on.  Returns where it stopped since it had taken long, or 0
 * when it got to the end.  One thread at a time.
 */
uint64_t memory_sweep(struct memory *mem, uint64_t from);
