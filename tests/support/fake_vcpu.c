/* SPDX-License-Identifier: Apache-2.0 */
/* The ioctls of a vCPU of the fake kernel. */
#include "support/fake_kvm.h"

#include <errno.h>
#include <linux/kvm_para.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

/* Intel SDM vol. 3, 2.5; vol. 4, table 2-2. */
#define CR0_PE (1ULL << 0)
#define CR0_NW (1ULL << 29)
#define CR0_CD (1ULL << 30)
#define CR0_PG (1ULL << 31)
#define CR4_PAE (1ULL << 5)
#define CR4_ALWAYS_KNOWN 0x7ffULL /* VME to OSXMMEXCPT */
#define EFER_LME (1ULL << 8)
#define EFER_LMA (1ULL << 10)
#define APIC_BASE_BSP (1ULL << 8)
#define APIC_BASE_X2APIC (1ULL << 10)
#define APIC_BASE_ENABLE (1ULL << 11)
#define MSR_MTRR_DEF_TYPE 0x2ff

#define MAX_CPUID_ENTRIES 256 /* asm/kvm_host.h */
#define MAX_IO_MSRS 256       /* x86.c */
#define LOST_KICK_S 10

void fake_vcpu_reset(struct fake_vcpu *vcpu, unsigned int id)
{
	*vcpu = (struct fake_vcpu){
		.exists = true,
		.maxphyaddr = 36, /* cpuid_query_maxphyaddr() without CPUID */
		/* Intel SDM vol. 3, table 10-1 */
		.regs = { .rip = 0xfff0, .rflags = 2 },
		.sregs = { .cr0 = 0x60000010,
			   .cs = { .base = 0xffff0000, .selector = 0xf000 },
			   .apic_base = 0xfee00000 | APIC_BASE_ENABLE |
					(id ? 0 : APIC_BASE_BSP) },
	};
}

/* kvm_vcpu_ioctl_set_cpuid2(), kvm_check_cpuid() */
static int set_cpuid(struct fake_vcpu *vcpu, const struct kvm_cpuid2 *cpuid)
{
	unsigned int maxphyaddr = 36;

	if (cpuid->nent > MAX_CPUID_ENTRIES)
		return -E2BIG;
	/* api.rst, KVM_SET_CPUID2: not after KVM_RUN, unless it is the same */
	if (vcpu->runs)
		return -EINVAL;
	for (unsigned int i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		unsigned int virtual_bits = e->eax >> 8 & 0xff;

		if (e->function != 0x80000008)
			continue;
		if (virtual_bits && virtual_bits != 48 && virtual_bits != 57)
			return -EINVAL;
		maxphyaddr = e->eax & 0xff;
	}
	vcpu->maxphyaddr = maxphyaddr;
	vcpu->nr_cpuid = cpuid->nent;
	memcpy(vcpu->cpuid, cpuid->entries,
	       cpuid->nent * sizeof(cpuid->entries[0]));
	return 0;
}

/* kvm_mtrr_valid(): bits 0-7 a memory type, 10 and 11 enable */
static bool mtrr_def_type_valid(uint64_t data)
{
	unsigned int type = data & 0xff;

	return !(data & ~0xcffULL) && type < 8 && (1u << type & 0x73);
}

/* Stops at the first MSR refused and tells how many were set: api.rst. */
static int set_msrs(struct fake_vcpu *vcpu, const struct kvm_msrs *msrs,
		    uint32_t refused)
{
	static const uint32_t known[] = { 0x10,  0x1b,       0x174,     0x175,
					  0x176, 0x1a0,      0x277,     0x2ff,
					  0x6e0, 0xc0000080, 0xc0000100 };
	unsigned int i, k;

	if (msrs->nmsrs >= MAX_IO_MSRS)
		return -E2BIG;
	vcpu->nr_msrs = 0;
	for (i = 0; i < msrs->nmsrs; i++) {
		const struct kvm_msr_entry *e = &msrs->entries[i];

		for (k = 0; k < ARRAY_SIZE(known); k++)
			if (known[k] == e->index)
				break;
		if (k == ARRAY_SIZE(known) || e->index == refused)
			break;
		if (e->index == MSR_MTRR_DEF_TYPE &&
		    !mtrr_def_type_valid(e->data))
			break;
		if (vcpu->nr_msrs < ARRAY_SIZE(vcpu->msrs))
			vcpu->msrs[vcpu->nr_msrs++] = *e;
	}
	return (int)i;
}

/* kvm_is_valid_sregs(), kvm_is_valid_cr0(), kvm_is_valid_cr4() */
static bool sregs_valid(const struct fake_vcpu *vcpu, const struct kvm_sregs *s)
{
	if (s->efer & EFER_LME && s->cr0 & CR0_PG) {
		/* 64-bit mode: with PAE, LMA, and an address for CR3 */
		if (!(s->cr4 & CR4_PAE) || !(s->efer & EFER_LMA))
			return false;
		if (s->cr3 >> vcpu->maxphyaddr)
			return false;
	} else if (s->efer & EFER_LMA || s->cs.l) {
		return false;
	}
	if (s->cr4 & ~CR4_ALWAYS_KNOWN) /* the fake's CPU has no others */
		return false;
	if (s->cr0 >> 32)
		return false;
	if (s->cr0 & CR0_NW && !(s->cr0 & CR0_CD))
		return false;
	return !(s->cr0 & CR0_PG) || s->cr0 & CR0_PE;
}

static int set_sregs(struct fake_vcpu *vcpu, const struct kvm_sregs *s)
{
	if (!sregs_valid(vcpu, s))
		return -EINVAL;
	/* kvm_apic_set_base(): reserved bits, and x2APIC only if enabled */
	if (s->apic_base & 0x2ff || s->apic_base >> vcpu->maxphyaddr ||
	    (s->apic_base & APIC_BASE_X2APIC &&
	     !(s->apic_base & APIC_BASE_ENABLE)))
		return -EINVAL;
	vcpu->sregs = *s;
	return 0;
}

static bool kicked(const struct kvm_run *run)
{
	return __atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST);
}

/*
 * Sleeps until a signal or immediate_exit.  Like the kernel it loses neither:
 * signals are blocked from before the flag is read until it sleeps.
 */
static int block(struct fake_kvm *fake, const struct kvm_run *run)
{
	const struct timespec limit = { .tv_sec = LOST_KICK_S };
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!kicked(run))
		rc = ppoll(NULL, 0, &limit, &old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0 && !kicked(run)) {
		pthread_mutex_lock(&fake->lock);
		fake->misuse++;
		pthread_mutex_unlock(&fake->lock);
		return -ETIMEDOUT;
	}
	return -EINTR;
}

/* kvm_arch_vcpu_ioctl_run(), x86.c:11538-11619; api.rst, KVM_RUN */
static int run_vcpu(struct fake_kvm *fake, unsigned int id)
{
	struct fake_vcpu *vcpu = &fake->vm.vcpus[id];
	unsigned int n = vcpu->runs++;
	int rc = FAKE_BLOCK;

	if (!vcpu->run)
		return -EINVAL;
	if (kicked(vcpu->run)) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	atomic_fetch_add(&fake->running, 1);
	if (fake->run)
		rc = fake->run(fake, id, n, vcpu->run);
	if (rc == FAKE_BLOCK)
		rc = block(fake, vcpu->run);
	atomic_fetch_sub(&fake->running, 1);
	return rc;
}

int fake_vcpu_ioctl(struct fake_kvm *fake, unsigned int id, unsigned long req,
		    void *arg)
{
	struct fake_vcpu *vcpu = &fake->vm.vcpus[id];

	switch (req) {
	case KVM_RUN: /* kvm_vcpu_ioctl(): takes no argument */
		return arg ? -EINVAL : run_vcpu(fake, id);
	case KVM_SET_CPUID2:
		return set_cpuid(vcpu, arg);
	case KVM_SET_MSRS:
		return set_msrs(vcpu, arg, fake->refused_msr);
	case KVM_GET_REGS:
		memcpy(arg, &vcpu->regs, sizeof(vcpu->regs));
		return 0;
	case KVM_SET_REGS:
		memcpy(&vcpu->regs, arg, sizeof(vcpu->regs));
		return 0;
	case KVM_GET_SREGS:
		memcpy(arg, &vcpu->sregs, sizeof(vcpu->sregs));
		return 0;
	case KVM_SET_SREGS:
		return set_sregs(vcpu, arg);
	case KVM_PRE_FAULT_MEMORY:
		return fake_pre_fault(fake, arg);
	}
	return -ENOTTY;
}

int fake_exit(struct kvm_run *run, uint32_t reason)
{
	run->exit_reason = reason;
	return 0;
}

/* The PIO data page follows the run page: KVM_PIO_PAGE_OFFSET. */
uint8_t *fake_pio_data(struct kvm_run *run)
{
	return (uint8_t *)run + PAGE_SIZE;
}

int fake_exit_pio(struct kvm_run *run, int direction, uint16_t port,
		  uint8_t size, uint32_t count, const void *data)
{
	run->io.direction = (__u8)direction;
	run->io.port = port;
	run->io.size = size;
	run->io.count = count;
	run->io.data_offset = PAGE_SIZE;
	if (data)
		memcpy(fake_pio_data(run), data, (size_t)size * count);
	return fake_exit(run, KVM_EXIT_IO);
}

int fake_exit_mmio(struct kvm_run *run, bool write, uint64_t gpa, uint32_t len,
		   const void *data)
{
	run->mmio.is_write = write;
	run->mmio.phys_addr = gpa;
	run->mmio.len = len;
	if (data)
		memcpy(run->mmio.data, data, len);
	return fake_exit(run, KVM_EXIT_MMIO);
}

int fake_exit_map_gpa(const struct fake_kvm *fake, struct kvm_run *run,
		      uint64_t gpa, uint64_t pages, uint64_t attributes)
{
	if (!(fake->vm.exit_hypercall & 1 << KVM_HC_MAP_GPA_RANGE))
		return fake_exit_pio(run, KVM_EXIT_IO_OUT, 0x80, 1, 1, "x");
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.args[0] = gpa;
	run->hypercall.args[1] = pages;
	run->hypercall.args[2] = attributes;
	run->hypercall.ret = FAKE_STALE_RET;
	return fake_exit(run, KVM_EXIT_HYPERCALL);
}

int fake_exit_hypercall(const struct fake_kvm *fake, struct kvm_run *run)
{
	return fake_exit_map_gpa(fake, run, 0, 1, 0);
}

/* kvm_prepare_memory_fault_exit(), mmu_internal.h:330 */
int fake_exit_memory_fault(struct kvm_run *run, uint64_t gpa, bool private)
{
	const struct abi_memory_fault fault = {
		.flags = private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0,
		.gpa = gpa,
		.size = PAGE_SIZE,
	};

	memcpy((uint8_t *)run + ABI_RUN_UNION, &fault, sizeof(fault));
	run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	return -EFAULT;
}
