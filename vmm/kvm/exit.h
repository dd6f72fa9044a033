/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a vCPU stopped, in our words.  Decoding is a pure function of the run
 * page, so it can be tested and fuzzed without a kernel.
 */
#pragma once

#include <stdbool.h>

#include "vmm/kvm/kvm.h"

enum exit_kind {
	EXIT_PIO,
	EXIT_MMIO,
	EXIT_INTERRUPTED,  /* a signal, or nothing: run again */
	EXIT_MSR,          /* RDMSR or WRMSR of addr; data: its value */
	EXIT_SHUTDOWN,     /* triple fault */
	EXIT_RESET,        /* the kernel says that the guest wants a reset */
	EXIT_POWEROFF,     /* ... or to be powered off */
	EXIT_HYPERCALL,    /* the guest asks for bytes at addr to_private */
	EXIT_MEMORY_FAULT, /* access to addr needs memory it does not have */
	EXIT_FAILED,       /* KVM cannot go on; see exit_describe() */
	EXIT_KINDS
};

struct vm_exit {
	enum exit_kind kind;
	bool write;
	bool to_private;    /* memory fault: the guest wanted private */
	int refusal;        /* EXIT_HYPERCALL: 0, -EINVAL, -ENOSYS */
	uint64_t bytes;     /* EXIT_HYPERCALL: whole pages */
	uint64_t addr;      /* port, MSR, or guest physical address */
	unsigned int len;   /* of one access: 1, 2, 4 or 8 */
	unsigned int count; /* of accesses: 1 but for string I/O */
	uint8_t *data;      /* len * count bytes inside the run page */
	uint32_t reason;    /* KVM_EXIT_*, for messages */
	uint64_t detail;    /* suberror or hardware reason, for messages */
	int error;          /* what KVM_RUN returned */
};

/*
 * run_rc is what KVM_RUN returned (0 or -errno), run_size the length of the
 * run area.  -EPROTO, without text: the kernel told us something impossible.
 */
int exit_decode(struct kvm_run *run, size_t run_size, int run_rc,
		struct vm_exit *e);

/* Words for an exit that ends the VM, into buf of len bytes; returns buf. */
const char *exit_describe(const struct vm_exit *e, char *buf, size_t len);
