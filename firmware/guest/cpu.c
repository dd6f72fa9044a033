/* SPDX-License-Identifier: Apache-2.0 */
/* What the boot CPU is: its mode at entry, CPUID and MSRs. */
#include "firmware/guest/guest.h"

#define CR4_PAE (1ULL << 5)
#define RFLAGS_IF (1ULL << 9)
#define CPUID_1_C_HYPERVISOR (1u << 31)
#define CPUID_KVM 0x40000000u
#define KVM_FEATURE_CLOCKSOURCE2 (1u << 3)
#define CPUID_TOPOLOGY 0xbu
#define TOPOLOGY_MAX_LEVELS 8
#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_APIC_BASE_BSP (1ULL << 8)
#define MSR_APIC_BASE_ENABLE (1ULL << 11)
#define MSR_APIC_BASE_ADDR 0x000ffffffffff000ULL
#define MSR_NOBODY_HAS                                         \
	0x4b5dffff /* in no vendor's and no hypervisor's range \
		    */

static void check_mode(void)
{
	uint64_t both = CR0_PE | CR0_PG;

	check_bits("CR0.PE and PG at entry", both, entry.cr0 & both);
	check_bits("CR4.PAE at entry", CR4_PAE, entry.cr4 & CR4_PAE);
	check_bits("EFER.LME and LMA", EFER_LME | EFER_LMA,
		   rdmsr(MSR_EFER) & (EFER_LME | EFER_LMA));
	check_bits("CS at entry", GDT_CODE64, entry.cs);
	check_bits("DS at entry", GDT_DATA, entry.ds);
	check_bits("SS at entry", GDT_DATA, entry.ss);
	check_bits("RFLAGS.IF at entry", 0, entry.rflags & RFLAGS_IF);
}

static void check_cpuid(void)
{
	struct cpuid one = cpuid(1, 0), kvm = cpuid(CPUID_KVM, 0);

	check_that("CPUID: runs under a hypervisor",
		   one.c & CPUID_1_C_HYPERVISOR);
	check_that("CPUID: the hypervisor is KVM",
		   kvm.b == 0x4b4d564b && kvm.c == 0x564b4d56 && kvm.d == 0x4d);
	check_that("CPUID: kvmclock",
		   cpuid(CPUID_KVM + 1, 0).a & KVM_FEATURE_CLOCKSOURCE2);
	check_that("CPUID: x2APIC", one.c & CPUID_1_C_X2APIC);
	check_that("CPUID: TSC deadline timer", one.c & CPUID_1_C_TSC_DEADLINE);
}

/* Tried again: the host may have taken us to another CPU meanwhile. */
static bool tsc_agrees(void)
{
	bool agrees = false;

	for (unsigned int i = 0; !agrees && i < 8; i++) {
		uint64_t before = rdtsc(), tsc = rdmsr(MSR_TSC);

		agrees = before <= tsc && tsc <= rdtsc();
	}
	return agrees;
}

static void check_msrs(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE), value = 0;

	check_bits("APIC_BASE: address", X86_LAPIC, base & MSR_APIC_BASE_ADDR);
	check_bits("APIC_BASE: enabled, boot CPU",
		   MSR_APIC_BASE_ENABLE | MSR_APIC_BASE_BSP,
		   base & (MSR_APIC_BASE_ENABLE | MSR_APIC_BASE_BSP));
	check_that("TSC: RDMSR and RDTSC agree", tsc_agrees());
	check_is("RDMSR of an unknown MSR: exception", VECTOR_GP,
		 (uint64_t)(int64_t)try_rdmsr(MSR_NOBODY_HAS, &value));
	check_is("WRMSR of an unknown MSR: exception", VECTOR_GP,
		 (uint64_t)(int64_t)try_wrmsr(MSR_NOBODY_HAS, 1));
	check_is("WRMSR of a reserved EFER bit: exception", VECTOR_GP,
		 (uint64_t)(int64_t)try_wrmsr(MSR_EFER,
					      rdmsr(MSR_EFER) | 1ULL << 63));
}

void cpu_check(void)
{
	check_mode();
	check_cpuid();
	check_msrs();
}

/*
 * Bits of the APIC id that lie inside one package, by the extended topology
 * leaf (SDM vol. 2, CPUID leaf 0BH), and the number of CPUs at its top level.
 */
static unsigned int package_shift(unsigned int *nr, bool *sane)
{
	unsigned int shift = 0;

	*nr = 1;
	*sane = true;
	for (uint32_t i = 0; i < TOPOLOGY_MAX_LEVELS; i++) {
		struct cpuid level = cpuid(CPUID_TOPOLOGY, i);

		if (!(level.c >> 8 & 0xff))
			break;
		*sane = *sane && (level.c & 0xff) == i &&
			(level.a & 0x1f) >= shift && (level.b & 0xffff) >= *nr;
		shift = level.a & 0x1f;
		*nr = level.b & 0xffff;
	}
	return shift;
}

void cpu_check_topology(unsigned int nr_cpus)
{
	struct cpuid one = cpuid(1, 0);
	unsigned int shift, nr;
	bool sane;

	check_is("CPUID 1: APIC id", apic_id() & 0xff, one.b >> 24);
	if (cpuid(0, 0).a < CPUID_TOPOLOGY)
		return;
	check_is("CPUID 0xb: APIC id", apic_id(), cpuid(CPUID_TOPOLOGY, 0).d);
	shift = package_shift(&nr, &sane);
	check_that("CPUID 0xb: levels grow", sane);
	check_is("CPUID 0xb: CPUs in the package", nr_cpus, nr);
	check_in("CPUID 0xb: APIC id bits of the package", 0, shift,
		 nr_cpus > 1 ? 32 - (unsigned int)__builtin_clz(nr_cpus - 1)
			     : 0);
}
