/* SPDX-License-Identifier: Apache-2.0 */
/* What exit.h declares: Documentation/virt/kvm/api.rst, section 5. */
#include "vmm/kvm/exit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int decode_pio(struct kvm_run *run, size_t run_size, struct vm_exit *e)
{
	uint64_t bytes = (uint64_t)run->io.size * run->io.count;

	if (run->io.size != 1 && run->io.size != 2 && run->io.size != 4)
		return -EPROTO;
	if (!bytes)
		return -EPROTO;
	if (run->io.data_offset > run_size ||
	    bytes > run_size - run->io.data_offset)
		return -EPROTO;
	e->kind = EXIT_PIO;
	e->write = run->io.direction == KVM_EXIT_IO_OUT;
	e->addr = run->io.port;
	e->len = run->io.size;
	e->count = run->io.count;
	e->data = (uint8_t *)run + run->io.data_offset;
	return 0;
}

static int decode_mmio(struct kvm_run *run, struct vm_exit *e)
{
	/* Any size: KVM splits an access that crosses a page, as in 3 + 1. */
	if (!run->mmio.len || run->mmio.len > sizeof(run->mmio.data))
		return -EPROTO;
	e->kind = EXIT_MMIO;
	e->write = run->mmio.is_write;
	e->addr = run->mmio.phys_addr;
	e->len = run->mmio.len;
	e->count = 1;
	e->data = run->mmio.data;
	return 0;
}

/*
 * Documentation/virt/kvm/x86/hypercalls.rst, KVM_HC_MAP_GPA_RANGE: attributes
 * are the preferred page size in bits 0 to 3 (4 KiB, 2 MiB, 1 GiB), encrypted
 * in bit 4, and others must be zero; KVM hands on whatever it gets.
 */
#define MAP_GPA_PAGE_SIZE 0xfULL
#define MAP_GPA_LARGEST 2
#define MAP_GPA_ENCRYPTED (1ULL << 4)

static void decode_hypercall(const struct kvm_run *run, struct vm_exit *e)
{
	uint64_t pages = run->hypercall.args[1];
	uint64_t attributes = run->hypercall.args[2];

	e->kind = EXIT_HYPERCALL;
	e->addr = run->hypercall.args[0];
	e->bytes = pages * PAGE_SIZE;
	e->to_private = attributes & MAP_GPA_ENCRYPTED;
	if (run->hypercall.nr != KVM_HC_MAP_GPA_RANGE)
		e->refusal = -ENOSYS;
	else if (attributes & ~(MAP_GPA_PAGE_SIZE | MAP_GPA_ENCRYPTED) ||
		 (attributes & MAP_GPA_PAGE_SIZE) > MAP_GPA_LARGEST || !pages ||
		 pages > UINT64_MAX / PAGE_SIZE || e->addr % PAGE_SIZE ||
		 e->bytes - 1 > UINT64_MAX - e->addr)
		e->refusal = -EINVAL;
}

static void decode_msr(struct kvm_run *run, struct vm_exit *e)
{
	e->kind = EXIT_MSR;
	e->write = run->exit_reason == KVM_EXIT_X86_WRMSR;
	e->addr = run->msr.index;
	e->len = sizeof(run->msr.data);
	e->count = 1;
	e->data = (uint8_t *)&run->msr.data;
	run->msr.error = 0;
}

/* KVM_RUN itself failed. */
static int decode_error(const struct kvm_run *run, struct vm_exit *e)
{
	struct abi_memory_fault fault;

	if (e->error == -EINTR || e->error == -EAGAIN) {
		e->kind = EXIT_INTERRUPTED;
		return 0;
	}
	e->kind = EXIT_FAILED;
	if ((e->error != -EFAULT && e->error != -EHWPOISON) ||
	    run->exit_reason != KVM_EXIT_MEMORY_FAULT)
		return 0;
	memcpy(&fault, (const uint8_t *)run + ABI_RUN_UNION, sizeof(fault));
	e->kind = EXIT_MEMORY_FAULT;
	e->to_private = fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;
	e->addr = fault.gpa;
	return 0;
}

static void decode_system_event(const struct kvm_run *run, struct vm_exit *e)
{
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_RESET:
		e->kind = EXIT_RESET;
		break;
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		e->kind = EXIT_POWEROFF;
		break;
	default:
		e->detail = run->system_event.type;
	}
}

int exit_decode(struct kvm_run *run, size_t run_size, int run_rc,
		struct vm_exit *e)
{
	*e = (struct vm_exit){ .kind = EXIT_FAILED,
			       .reason = run->exit_reason,
			       .error = run_rc };
	if (run_rc < 0)
		return decode_error(run, e);

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return decode_pio(run, run_size, e);
	case KVM_EXIT_MMIO:
		return decode_mmio(run, e);
	case KVM_EXIT_HYPERCALL:
		decode_hypercall(run, e);
		return 0;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		decode_msr(run, e);
		return 0;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		e->kind = EXIT_INTERRUPTED;
		return 0;
	case KVM_EXIT_SHUTDOWN:
		e->kind = EXIT_SHUTDOWN;
		return 0;
	case KVM_EXIT_SYSTEM_EVENT:
		decode_system_event(run, e);
		return 0;
	case KVM_EXIT_INTERNAL_ERROR:
		e->detail = run->internal.suberror;
		return 0;
	case KVM_EXIT_FAIL_ENTRY:
		e->detail = run->fail_entry.hardware_entry_failure_reason;
		return 0;
	default:
		return 0;
	}
}

const char *exit_describe(const struct vm_exit *e, char *buf, size_t len)
{
	static const char *const suberrors[] = {
		[KVM_INTERNAL_ERROR_EMULATION] =
			"it cannot emulate an instruction of the guest",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "simultaneous exceptions",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] =
			"an exit while an event was being delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] =
			"an exit of unknown reason",
	};

	if (e->kind == EXIT_MEMORY_FAULT)
		snprintf(buf, len, "no %s memory at %#" PRIx64 ": %s",
			 e->to_private ? "private" : "shared", e->addr,
			 strerror(-e->error));
	else if (e->error)
		snprintf(buf, len, "KVM_RUN: %s", strerror(-e->error));
	else if (e->reason == KVM_EXIT_FAIL_ENTRY)
		snprintf(buf, len,
			 "KVM cannot enter the guest: hardware reason "
			 "%#" PRIx64,
			 e->detail);
	else if (e->reason == KVM_EXIT_INTERNAL_ERROR)
		snprintf(buf, len, "KVM internal error %" PRIu64 ": %s",
			 e->detail,
			 e->detail < ARRAY_SIZE(suberrors) &&
					 suberrors[e->detail]
				 ? suberrors[e->detail]
				 : "unknown");
	else
		snprintf(buf, len,
			 "unexpected KVM exit %u (detail %" PRIu64 ")",
			 e->reason, e->detail);
	return buf;
}
