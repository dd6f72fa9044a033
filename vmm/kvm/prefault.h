/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM that is allocated and mapped before the first instruction: all of it
 * where that is asked for, else what a guest is known to write first of all.
 * The vCPUs' threads do it, a block of pages.h at a time, and vCPU 0, without
 * which no other runs, waits for the last of them.  So whatever ends a VM ends
 * this, too.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/base/util.h"

struct kvm;
struct vcpu;
struct vm;

struct prefault {                          /* zeroed: nothing is to be done */
	uint64_t off, len;                 /* in all of RAM; see pages.h */
	bool must;                         /* the VM ends if it cannot be */
	atomic_uint_least64_t taken, done; /* bytes */
	pthread_mutex_t lock;
	pthread_cond_t finished;
	unsigned int working; /* threads that are not done yet */
};

/* Can this host do it?  0, or -EOPNOTSUPP with text. */
int prefault_check(struct kvm *kvm);

/*
 * Chooses what is to be done, before the threads start: all of RAM, or of
 * private memory [gpa, gpa + len), if it is all RAM and this host can.
 */
void prefault_all(struct vm *vm);
void prefault_private(struct vm *vm, gpa_t gpa, uint64_t len);

/* On the vCPU's thread, before it runs: returns when the guest may. */
void prefault_run(struct vcpu *vcpu);
