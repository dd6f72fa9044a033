/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM: created, launched once, run until it ends.  Every vCPU has a thread;
 * the bus windows are fixed before the first one starts.  A VM ends for one
 * reason, the first that vm_end() is told.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/base/bus.h"
#include "vmm/base/err.h"
#include "vmm/kvm/exit.h"
#include "vmm/kvm/memory.h"
#include "vmm/kvm/prefault.h"

#define VM_MAX_VCPUS 255

struct cvm_ops;
struct image;
struct vm;

enum vm_end {
	VM_RUNNING,
	VM_POWEROFF,     /* the guest asked to be switched off */
	VM_RESET,        /* the guest asked for a reset */
	VM_TRIPLE_FAULT, /* a vCPU shut down */
	VM_FAILED,       /* KVM or the host cannot go on */
	VM_STOPPED,      /* somebody outside asked */
};

struct vcpu {
	struct vm *vm;
	unsigned int index; /* also the APIC id */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;   /* for who starts and joins: one thread */
	atomic_int tid; /* of the thread while it runs, else 0 */
	/* The last memory fault: where, what was converted, how often then. */
	gpa_t fault;
	uint64_t fault_converted;
	unsigned int fault_repeats;
	atomic_uint_least64_t exits[EXIT_KINDS];
};

struct vm {
	struct kvm kvm;
	struct memory memory;
	struct bus mmio, pio;
	const struct cvm_ops *cvm;
	/* As cvm says: */
	bool faults_convert, translates_result;
	uint64_t private_bit;
	bool (*msr)(uint32_t index, bool write, uint64_t *value);
	unsigned int nr_vcpus;
	struct vcpu *vcpus;
	bool launched; /* set only at the end of vm_launch() */
	bool prefault_all;
	struct prefault prefault;

	_Atomic(enum vm_end) end;
	char end_text[256]; /* written once, by who set end */
	/* Called once, from any thread, when the VM has ended. */
	void (*ended)(void *ctx);
	/* Called from any vCPU's thread; of the RAM that was asked for. */
	void (*prefaulted)(void *ctx, unsigned int percent);
	void *ctx;
};

struct vm_params {
	const struct cvm_ops *cvm;
	const struct store_ops *store; /* unless the technology has its own */
	const struct memory_range *ranges; /* guest RAM */
	unsigned int nr_ranges;
	unsigned int nr_vcpus; /* 1 to VM_MAX_VCPUS */
	bool prefault; /* all of RAM is there before the first instruction */
	enum window_mode window;
};

/* Makes the VM, its RAM and its vCPUs.  On failure nothing is left behind. */
int vm_create(struct vm *vm, struct kvm_sys *sys, const struct vm_params *p);

/*
 * Imports the launch list and sets the vCPUs' first state.  After it the VM is
 * what was asked for, protection included.
 */
int vm_launch(struct vm *vm, const struct image *image);

/* Starts the vCPU threads.  The VM must be launched. */
int vm_start(struct vm *vm);

/*
 * Ends the VM: the first caller's reason and words stay.  Returns at once; the
 * vCPUs stop soon after.  Any thread.
 */
void vm_end(struct vm *vm, enum vm_end why, const char *fmt, ...) PRINTF(3, 4);

/* Ends the VM if need be and waits for the vCPU threads.  Twice is fine. */
void vm_stop(struct vm *vm);
/* The same, then frees everything.  Twice is fine. */
void vm_destroy(struct vm *vm);

/* Sum over the vCPUs of exits of one kind, so far. */
uint64_t vm_exits(const struct vm *vm, enum exit_kind kind);
