/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posted writes: KVM keeps what the guest writes to a port in a ring instead
 * of exiting for each byte (KVM_CAP_COALESCED_PIO; Documentation/virt/kvm/
 * api.rst, 4.116).  Whatever access to the device does exit is preceded by
 * what is in the ring, so the device sees all of them in the guest's order.
 *
 * KVM tells nobody that it put something there.  So that a guest that writes
 * and then does not exit is heard all the same, the ring is "full" for KVM,
 * and writes exit, but for a while after a write did; then a timer empties and
 * closes it.  An idle guest costs no timer.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/bus.h"
#include "vmm/base/event.h"
#include "vmm/kvm/kvm.h"

struct posted { /* one a VM, as KVM's ring; guarded by the window's mutex */
	struct bus_posted before;
	struct bus_window *window; /* NULL: nothing is posted */
	uint16_t port;
	struct kvm_coalesced_mmio_ring *ring;
	uint32_t next; /* the first entry that the window has not seen */
	bool open;     /* KVM may add */
	bool armed;    /* the timer */
	struct event_loop *loop;
	struct event_source timer;
};

/*
 * Has bytes that the guest writes to port, one of the window's on the PIO bus,
 * posted; without effect where KVM does not offer it.  run is the run area of
 * any vCPU.  Before the VM runs.  Not for guests whose registers KVM cannot
 * see: of their string output KVM drops what a full ring does not take.
 * On failure nothing is left behind.
 */
int posted_init(struct posted *p, struct kvm *kvm, struct kvm_run *run,
		struct event_loop *loop, struct bus_window *window,
		uint16_t port);

/* Hands over what is left.  When the vCPUs have stopped. */
void posted_finish(struct posted *p);

/* Before the window and the vCPUs are gone; loop not running.  Twice is fine.
 */
void posted_destroy(struct posted *p);
