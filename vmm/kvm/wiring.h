/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wiring of a VM (vmm/base/wiring.h) out of KVM's irqfds, ioeventfds and
 * its one table of interrupt routes.
 */
#pragma once

#include <pthread.h>

#include "vmm/base/wiring.h"
#include "vmm/kvm/kvm.h"

#define KVM_WIRING_LINES 1024

struct kvm_wiring {
	struct wiring wiring; /* what devices get */
	struct kvm *kvm;
	pthread_mutex_t lock; /* KVM takes only whole tables */
	unsigned int nr_lines;
	struct msi *lines; /* as connected last; all zero: never */
};

/* Wires devices to the VM of kvm, which must outlive it. */
void kvm_wiring_init(struct kvm_wiring *w, struct kvm *kvm);
void kvm_wiring_destroy(struct kvm_wiring *w); /* twice is fine */
