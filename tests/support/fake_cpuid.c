/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID tables with the leaves that matter to us, as KVM reports them: the
 * host's caches and cores are in them, and must not reach the guest.
 */
#include "support/fake_kvm.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX
#define ENTRY(f, i, fl, a, b, c, d)                                       \
	{                                                                 \
		.function = (f), .index = (i), .flags = (fl), .eax = (a), \
		.ebx = (b), .ecx = (c), .edx = (d)                        \
	}
#define LEAF(f, a, b, c, d) ENTRY(f, 0, 0, a, b, c, d)
#define SUBLEAF(f, i, a, b, c, d) ENTRY(f, i, INDEXED, a, b, c, d)

/* 64 cores of 2 threads, seen from the one with APIC id 0x35. */
#define TOPOLOGY(f) \
	SUBLEAF(f, 0, 1, 2, 0x100, 0x35), SUBLEAF(f, 1, 7, 128, 0x201, 0x35)
/* "KVMKVMKVM", and its features. */
#define KVM_LEAVES                                                  \
	LEAF(0x40000000, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d), \
		LEAF(0x40000001, 0x1007efb, 0, 0, 0)

/* A Xeon; vendor "GenuineIntel". */
const struct kvm_cpuid_entry2 fake_cpuid_intel[] = {
	LEAF(0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69),
	LEAF(1, 0x806f8, 0x35800800, 0xfffa3223, 0x1f8bfbff),
	SUBLEAF(4, 0, 0xfc004121, 0x02c0003f, 0x3f, 0),
	SUBLEAF(4, 1, 0xfc004122, 0x01c0003f, 0x3f, 0),
	SUBLEAF(4, 2, 0xfc01c143, 0x03c0003f, 0x7ff, 0),
	SUBLEAF(4, 3, 0xfc1fc163, 0x0380003f, 0x1bfff, 4),
	SUBLEAF(4, 4, 0, 0, 0, 0),
	SUBLEAF(7, 0, 2, 0xf1bf07ab, 0x1b415f7e, 0xbc814410),
	TOPOLOGY(0xb),
	SUBLEAF(0xd, 0, 0x602e7, 0x2b00, 0x2b00, 0),
	TOPOLOGY(0x1f),
	KVM_LEAVES,
	LEAF(0x80000000, 0x80000008, 0, 0, 0),
	LEAF(0x80000001, 0, 0, 0x121, 0x2c100800),
	LEAF(0x80000008, 0x302e, 0, 0, 0),
};
const unsigned int fake_cpuid_intel_count = ARRAY_SIZE(fake_cpuid_intel);

/* An EPYC; vendor "AuthenticAMD". */
const struct kvm_cpuid_entry2 fake_cpuid_amd[] = {
	LEAF(0, 0x10, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(1, 0xa00f11, 0x35800800, 0xfed83203, 0x178bfbff),
	SUBLEAF(7, 0, 0, 0x219c97a9, 0x40061c, 0x10),
	TOPOLOGY(0xb),
	SUBLEAF(0xd, 0, 0x207, 0x988, 0x988, 0),
	KVM_LEAVES,
	LEAF(0x80000000, 0x80000026, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(0x80000001, 0xa00f11, 0x40000000, 0x75c237ff, 0x2fd3fbff),
	LEAF(0x80000008, 0x3030, 0x111ef657, 0x707f, 0x10007),
	SUBLEAF(0x8000001d, 0, 0x4121, 0x1c0003f, 0x3f, 0),
	SUBLEAF(0x8000001d, 1, 0x4122, 0x1c0003f, 0x3f, 0),
	SUBLEAF(0x8000001d, 2, 0x4143, 0x1c0003f, 0x3ff, 2),
	SUBLEAF(0x8000001d, 3, 0x3c163, 0x3c0003f, 0x7fff, 1),
	SUBLEAF(0x8000001d, 4, 0, 0, 0, 0),
	LEAF(0x8000001e, 0x35, 0x11a, 0x101, 0),
	SUBLEAF(0x80000026, 0, 1, 2, 0x100, 0x35),
};
const unsigned int fake_cpuid_amd_count = ARRAY_SIZE(fake_cpuid_amd);
