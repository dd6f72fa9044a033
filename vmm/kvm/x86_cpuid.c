/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID as a vCPU sees it: what KVM supports, with identity and topology of
 * our own.  Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E.
 */
#include "vmm/kvm/x86.h"

/* Leaf 1. */
#define ECX1_X2APIC (1u << 21)
#define ECX1_TSC_DEADLINE (1u << 24)
#define ECX1_HYPERVISOR (1u << 31)
#define EDX1_HTT (1u << 28)
/* Leaf 0xb: level types. */
#define LEVEL_SMT 1
#define LEVEL_CORE 2
/* Leaf 0x80000001. */
#define ECX_AMD_CMP_LEGACY (1u << 1)

struct self { /* the vCPU that asks */
	unsigned int id, count;
	bool tsc_deadline;
	bool amd; /* leaves and bits that Intel reserves mean something */
};

static unsigned int bits_for(unsigned int count)
{
	return count > 1 ? 32 - (unsigned int)__builtin_clz(count - 1) : 0;
}

/* Leaves 4 and 0x8000001d: who shares a cache; level 3 is for all cores. */
static void adapt_cache(struct kvm_cpuid_entry2 *e, unsigned int count,
			bool intel)
{
	unsigned int level = (e->eax >> 5) & 7;
	unsigned int sharing = level >= 3 ? (1u << bits_for(count)) - 1 : 0;

	if (!(e->eax & 0x1f))
		return; /* no more caches */
	e->eax &= intel ? 0x3fff : ~(0xfffu << 14);
	e->eax |= sharing << 14;
	if (intel) /* cores of a package, 6 bits */
		e->eax |= min_of((1u << bits_for(count)) - 1, 63) << 26;
}

static void adapt_leaf_1(struct kvm_cpuid_entry2 *e, const struct self *self)
{
	e->ebx = (e->ebx & 0xffff) | self->id << 24 | self->count << 16;
	e->ecx |= ECX1_X2APIC | ECX1_HYPERVISOR;
	e->ecx &= ~ECX1_TSC_DEADLINE;
	if (self->tsc_deadline)
		e->ecx |= ECX1_TSC_DEADLINE;
	e->edx &= ~EDX1_HTT;
	if (self->count > 1)
		e->edx |= EDX1_HTT;
}

static void adapt_entry(struct kvm_cpuid_entry2 *e, const struct self *self)
{
	switch (e->function) {
	case 1:
		adapt_leaf_1(e, self);
		break;
	case 4:
		adapt_cache(e, self->count, true);
		break;
	case 0x80000001:
		e->ecx &= ~ECX_AMD_CMP_LEGACY;
		if (self->amd && self->count > 1)
			e->ecx |= ECX_AMD_CMP_LEGACY;
		break;
	case 0x80000008: /* ECX: APIC id size, cores - 1; Intel: reserved */
		e->ecx = 0;
		if (self->amd)
			e->ecx =
				bits_for(self->count) << 12 | (self->count - 1);
		break;
	case 0x8000001d:
		adapt_cache(e, self->count, false);
		break;
	case 0x8000001e: /* extended APIC id, core id, one thread, node 0 */
		e->eax = self->id;
		e->ebx = self->id & 0xff;
		e->ecx = 0;
		break;
	}
}

/* Other ways to tell topology, which KVM fills from the host. */
static bool is_host_topology(unsigned int function)
{
	return function == 0xb || function == 0x1f || function == 0x80000026;
}

static void add_topology(struct kvm_cpuid2 *cpuid, unsigned int id,
			 unsigned int count)
{
	const struct kvm_cpuid_entry2 levels[] = {
		{ .ebx = 1, .ecx = LEVEL_SMT << 8 | 0 },
		{ .eax = bits_for(count),
		  .ebx = count,
		  .ecx = LEVEL_CORE << 8 | 1 },
		{ .ecx = 2 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(levels); i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[cpuid->nent];

		if (cpuid->nent == X86_CPUID_MAX)
			return;
		*e = levels[i];
		e->function = 0xb;
		e->index = i;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->edx = id;
		cpuid->nent++;
	}
}

/* Leaf 0, EBX: "Auth"enticAMD or "Hygo"nGenuine. */
static bool is_amd(const struct kvm_cpuid2 *cpuid)
{
	for (unsigned int i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 0)
			return cpuid->entries[i].ebx == 0x68747541 ||
			       cpuid->entries[i].ebx == 0x6f677948;
	return false;
}

void x86_cpuid_adapt(struct kvm_cpuid2 *cpuid, unsigned int id,
		     unsigned int count, bool tsc_deadline)
{
	const struct self self = { .id = id,
				   .count = count,
				   .tsc_deadline = tsc_deadline,
				   .amd = is_amd(cpuid) };
	unsigned int kept = 0;
	uint32_t max_basic = 0;

	for (unsigned int i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 e = cpuid->entries[i];

		if (is_host_topology(e.function))
			continue;
		if (e.function == 0) {
			e.eax = max_of(e.eax, 0xbu);
			max_basic = e.eax;
		}
		adapt_entry(&e, &self);
		cpuid->entries[kept++] = e;
	}
	cpuid->nent = kept;
	if (max_basic >= 0xb)
		add_topology(cpuid, id, count);
}
