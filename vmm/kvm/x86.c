/* SPDX-License-Identifier: Apache-2.0 */
/* What x86.h declares, but CPUID. */
#include "vmm/kvm/x86.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot/image.h"
#include "vmm/base/err.h"
#include "vmm/cvm/cvm.h"

/* Intel SDM vol. 4, table 2-2. */
#define MSR_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRING 1
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLED_WRITE_BACK 0x806

/* Intel SDM vol. 3, 2.5 and 2.2.1. */
#define CR0_PE (1UL << 0)
#define CR0_MP (1UL << 1)
#define CR0_ET (1UL << 4)
#define CR0_NE (1UL << 5)
#define CR0_WP (1UL << 16)
#define CR0_PG (1UL << 31)
#define CR4_PAE (1UL << 5)
#define EFER_LME (1UL << 8)
#define EFER_LMA (1UL << 10)
#define EFER_NX (1UL << 11)
#define RFLAGS_ALWAYS_1 (1UL << 1)

int x86_init_vm(struct vm *vm)
{
	/*
	 * Local APICs in the kernel and nothing else: TDX accepts no other,
	 * and every device of ours signals by MSI.  No IOAPIC pins.
	 */
	return kvm_enable_cap(&vm->kvm, KVM_CAP_SPLIT_IRQCHIP,
			      "KVM_CAP_SPLIT_IRQCHIP", 0);
}

/* What a PC's firmware leaves in every CPU. */
static int set_msrs(struct vm *vm, const struct vcpu *vcpu)
{
	static const struct kvm_msr_entry first[] = {
		{ .index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
		{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WRITE_BACK },
	};
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(first)];
	} msrs = { .head.nmsrs = ARRAY_SIZE(first) };

	memcpy(msrs.room + sizeof(msrs.head), first, sizeof(first));
	return kvm_set_msrs(&vm->kvm, vcpu->fd, &msrs.head);
}

static int init_vcpu(struct vm *vm, const struct vcpu *vcpu,
		     const struct kvm_cpuid2 *supported, bool tsc_deadline)
{
	size_t room = sizeof(*supported) +
		      X86_CPUID_MAX * sizeof(supported->entries[0]);
	auto_free struct kvm_cpuid2 *cpuid = malloc(room);
	int rc;

	if (!cpuid)
		return err_set(-ENOMEM, "CPUID: out of memory");
	memcpy(cpuid, supported, room);
	x86_cpuid_adapt(cpuid, vcpu->index, vm->nr_vcpus, tsc_deadline);
	rc = vm->cvm->cpuid ? vm->cvm->cpuid(cpuid) : 0;
	if (!rc)
		rc = kvm_set_cpuid(&vm->kvm, vcpu->fd, cpuid);
	if (!rc)
		rc = set_msrs(vm, vcpu);
	return rc < 0 ? err_in(rc, "vCPU %u", vcpu->index) : 0;
}

int x86_init_vcpus(struct vm *vm)
{
	auto_free struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) +
				  X86_CPUID_MAX * sizeof(cpuid->entries[0]));
	int deadline, rc;

	if (!cpuid)
		return err_set(-ENOMEM, "CPUID: out of memory");
	cpuid->nent = X86_CPUID_MAX;
	rc = kvm_get_supported_cpuid(&vm->kvm, cpuid);
	if (rc < 0)
		return rc;
	deadline = kvm_check_extension(&vm->kvm, KVM_CAP_TSC_DEADLINE_TIMER);
	if (deadline < 0)
		return deadline;
	for (unsigned int i = 0; !rc && i < vm->nr_vcpus; i++)
		rc = init_vcpu(vm, &vm->vcpus[i], cpuid, deadline);
	return rc;
}

static void set_long_mode(struct kvm_sregs *sregs, const struct image *image)
{
	/* Flat 64-bit code, selector 0x10, and data, 0x18: as in image.gdt. */
	const struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = 0x10,
		.type = 0xb,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = 0x18,
		.type = 0x3,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};

	sregs->cs = code;
	sregs->ds = data;
	sregs->es = data;
	sregs->ss = data;
	sregs->fs = data;
	sregs->gs = data;
	sregs->gdt.base = image->gdt;
	sregs->gdt.limit = 4 * 8 - 1;
	sregs->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs->cr3 = image->page_table;
	sregs->cr4 = CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA | EFER_NX;
}

int x86_set_entry(struct vm *vm, const struct image *image)
{
	const struct vcpu *vcpu = &vm->vcpus[0];
	struct kvm_regs regs = {
		.rip = image->entry,
		.rsi = image->arg,
		.rflags = RFLAGS_ALWAYS_1,
	};
	struct kvm_sregs sregs;
	int rc = kvm_get_sregs(&vm->kvm, vcpu->fd, &sregs);

	if (rc < 0)
		return rc;
	set_long_mode(&sregs, image);
	rc = kvm_set_sregs(&vm->kvm, vcpu->fd, &sregs);
	if (!rc)
		rc = kvm_set_regs(&vm->kvm, vcpu->fd, &regs);
	return rc;
}
