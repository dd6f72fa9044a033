/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the fake kernel for vCPUs: see world.h. */
#include "suites.h"
#include "support/world.h"

static int cpuid_with_impossible_virtual_size(struct world *w)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry;
	} c = { .head.nent = 1,
		.entry = { .function = 0x80000008, .eax = 0x3330 } };

	return world_call(w, world_vcpu(w, 0), KVM_SET_CPUID2, &c);
}

/* Sets the special registers after `change` of their reset values. */
static int sregs(struct world *w, void (*change)(struct kvm_sregs *s))
{
	struct kvm_sregs s;
	int fd = world_vcpu(w, 0), rc = world_call(w, fd, KVM_GET_SREGS, &s);

	if (rc)
		return -ENOTRECOVERABLE;
	change(&s);
	return world_call(w, fd, KVM_SET_SREGS, &s);
}

static void long_mode(struct kvm_sregs *s)
{
	s->cr0 = 0x80000031;
	s->cr4 = 0x20;
	s->efer = 0x500;
	s->cr3 = 0x1000;
	s->cs.l = 1;
}

static void long_without_pae(struct kvm_sregs *s)
{
	long_mode(s);
	s->cr4 = 0;
}

static void long_without_lma(struct kvm_sregs *s)
{
	long_mode(s);
	s->efer = 0x100;
}

static void long_with_far_cr3(struct kvm_sregs *s)
{
	long_mode(s);
	s->cr3 = 1ULL << 60;
}

static void lma_without_paging(struct kvm_sregs *s)
{
	s->efer = 0x500;
}

static void code_64_without_long(struct kvm_sregs *s)
{
	s->cs.l = 1;
}

static void paging_without_protection(struct kvm_sregs *s)
{
	s->cr0 = 0x80000010;
}

static void not_write_through_alone(struct kvm_sregs *s)
{
	s->cr0 = 0x20000010;
}

static void cr0_high_bits(struct kvm_sregs *s)
{
	s->cr0 |= 1ULL << 32;
}

static void cr4_unknown_bit(struct kvm_sregs *s)
{
	s->cr4 = 1ULL << 40;
}

static void apic_base_reserved_bit(struct kvm_sregs *s)
{
	s->apic_base |= 1;
}

/* A case for each: its values in KVM_SET_SREGS. */
#define SREGS_CASE(change)                         \
	static int sregs_##change(struct world *w) \
	{                                          \
		return sregs(w, change);           \
	}
SREGS_CASE(long_mode)
SREGS_CASE(long_without_pae)
SREGS_CASE(long_without_lma)
SREGS_CASE(long_with_far_cr3)
SREGS_CASE(lma_without_paging)
SREGS_CASE(code_64_without_long)
SREGS_CASE(paging_without_protection)
SREGS_CASE(not_write_through_alone)
SREGS_CASE(cr0_high_bits)
SREGS_CASE(cr4_unknown_bit)
SREGS_CASE(apic_base_reserved_bit)

static int msrs(struct world *w, uint32_t index, uint64_t data)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[2];
	} m = { .head.nmsrs = 2,
		.entries = { { .index = 0x277, .data = 0x0007040600070406 },
			     { .index = index, .data = data } } };

	return world_call(w, world_vcpu(w, 0), KVM_SET_MSRS, &m);
}

static int good_msrs(struct world *w)
{
	return msrs(w, 0x2ff, 0x806);
}

static int unknown_msr(struct world *w)
{
	return msrs(w, 0x4b564dff, 0);
}

static int mtrr_of_unknown_type(struct world *w)
{
	return msrs(w, 0x2ff, 0x802);
}

static int run_with_argument(struct world *w)
{
	return world_number(w, world_vcpu(w, 0), KVM_RUN, 1);
}

static int run_when_told_not_to(struct world *w)
{
	int fd, rc, size = world_number(w, w->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run;

	world_split_irqchip(w, 0, 0);
	fd = world_vcpu(w, 0);
	run = w->sys->map(w->sys, fd, (size_t)size);
	if (!run)
		return -ENOTRECOVERABLE;
	run->immediate_exit = 1;
	rc = world_number(w, fd, KVM_RUN, 0);
	w->sys->unmap(w->sys, run, (size_t)size);
	return rc;
}

/* Of a VM with a MiB of RAM at one MiB. */
static int pre_fault(struct world *w, uint64_t gpa, uint64_t size,
		     uint64_t flags, struct kvm_pre_fault_memory *left)
{
	struct kvm_create_guest_memfd gmem = { .size = MIB };
	struct kvm_userspace_memory_region2 r = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = MIB,
		.memory_size = MIB,
	};
	int rc;

	*left = (struct kvm_pre_fault_memory){ gpa, size, flags, { 0 } };
	gmem.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	rc = world_keep(w, world_call(w, w->vm, KVM_CREATE_GUEST_MEMFD, &gmem));
	r.guest_memfd = (uint32_t)rc;
	if (rc >= 0)
		rc = world_call(w, w->vm, KVM_SET_USER_MEMORY_REGION2, &r);
	if (rc < 0)
		return -ENOTRECOVERABLE;
	return world_call(w, world_vcpu(w, 0), KVM_PRE_FAULT_MEMORY, left);
}

static int pre_fault_ram(struct world *w)
{
	struct kvm_pre_fault_memory left;
	int rc = pre_fault(w, MIB, MIB, 0, &left);

	return rc ? rc : (int)left.size;
}

static int pre_fault_beyond_ram(struct world *w)
{
	struct kvm_pre_fault_memory left;
	int rc = pre_fault(w, MIB + MIB / 2, MIB, 0, &left);

	return rc ? rc : (int)(left.size == MIB / 2 && left.gpa == 2 * MIB);
}

/* A case for each: what is asked for, and of a VM with that RAM. */
#define PRE_FAULT_CASE(what, gpa, size, flags)                \
	static int pre_fault_##what(struct world *w)          \
	{                                                     \
		struct kvm_pre_fault_memory left;             \
                                                              \
		return pre_fault(w, gpa, size, flags, &left); \
	}
PRE_FAULT_CASE(outside_of_ram, 4 * MIB, MIB, 0)
PRE_FAULT_CASE(with_flags, MIB, MIB, 1)
PRE_FAULT_CASE(of_nothing, MIB, 0, 0)
PRE_FAULT_CASE(of_half_a_page, MIB, 2048, 0)
PRE_FAULT_CASE(from_within_a_page, MIB + 2048, PAGE_SIZE, 0)
PRE_FAULT_CASE(past_the_end, MIB, -(uint64_t)MIB, 0)

static const struct world_case cases[] = {
	CASE(-EINVAL, cpuid_with_impossible_virtual_size),
	CASE(0, sregs_long_mode),
	CASE(-EINVAL, sregs_long_without_pae),
	CASE(-EINVAL, sregs_long_without_lma),
	CASE(-EINVAL, sregs_long_with_far_cr3),
	CASE(-EINVAL, sregs_lma_without_paging),
	CASE(-EINVAL, sregs_code_64_without_long),
	CASE(-EINVAL, sregs_paging_without_protection),
	CASE(-EINVAL, sregs_not_write_through_alone),
	CASE(-EINVAL, sregs_cr0_high_bits),
	CASE(-EINVAL, sregs_cr4_unknown_bit),
	CASE(-EINVAL, sregs_apic_base_reserved_bit),
	CASE(2, good_msrs),
	CASE(1, unknown_msr),
	CASE(1, mtrr_of_unknown_type),
	CASE(-EINVAL, run_with_argument),
	CASE(-EINTR, run_when_told_not_to),
	/* The other: a host that pages with shadow tables. */
	CASE_OLDER(0, -EOPNOTSUPP, pre_fault_ram),
	CASE_OLDER(1, -EOPNOTSUPP, pre_fault_beyond_ram),
	CASE_OLDER(-ENOENT, -EOPNOTSUPP, pre_fault_outside_of_ram),
	CASE(-EINVAL, pre_fault_with_flags),
	CASE(-EINVAL, pre_fault_of_nothing),
	CASE(-EINVAL, pre_fault_of_half_a_page),
	CASE(-EINVAL, pre_fault_from_within_a_page),
	CASE(-EINVAL, pre_fault_past_the_end),
};

Suite *fake_vcpu_suite(void)
{
	Suite *s = suite_create("fake_vcpu");
	TCase *tc = tcase_create("fake_vcpu");

	world_add(tc, cases, ARRAY_SIZE(cases));
	suite_add_tcase(s, tc);
	return s;
}
