/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID of every vCPU, from tables like those of real hosts. */
#include <string.h>

#include "suites.h"
#include "support/fake_kvm.h"
#include "vmm/kvm/x86.h"

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[X86_CPUID_MAX];
};

static const unsigned int counts[] = { 1, 2, 6, 8, 255 };

static void adapt(struct table *t, bool intel, unsigned int id,
		  unsigned int count, bool deadline)
{
	t->head.nent = intel ? fake_cpuid_intel_count : fake_cpuid_amd_count;
	memcpy(t->entries, intel ? fake_cpuid_intel : fake_cpuid_amd,
	       t->head.nent * sizeof(t->entries[0]));
	x86_cpuid_adapt(&t->head, id, count, deadline);
}

static const struct kvm_cpuid_entry2 *find(const struct table *t,
					   uint32_t function, uint32_t index)
{
	for (unsigned int i = 0; i < t->head.nent; i++)
		if (t->entries[i].function == function &&
		    t->entries[i].index == index)
			return &t->entries[i];
	return NULL;
}

static unsigned int bits(unsigned int count)
{
	unsigned int n = 0;

	while (1u << n < count)
		n++;
	return n;
}

static void check_leaf_1(const struct table *t, unsigned int id,
			 unsigned int count)
{
	const struct kvm_cpuid_entry2 *e = find(t, 1, 0);

	ck_assert_uint_eq(e->ebx >> 24, id);
	ck_assert_uint_eq(e->ebx >> 16 & 0xff, count);
	ck_assert_uint_eq(e->ebx & 0xffff, 0x0800);
	ck_assert_uint_eq(e->edx >> 28 & 1, count > 1);
	ck_assert_uint_eq(e->ecx >> 21 & 1, 1); /* x2APIC */
	ck_assert_uint_eq(e->ecx >> 31 & 1, 1); /* hypervisor */
}

static void check_topology(const struct table *t, unsigned int id,
			   unsigned int count)
{
	const struct kvm_cpuid_entry2 *smt = find(t, 0xb, 0),
				      *core = find(t, 0xb, 1),
				      *end = find(t, 0xb, 2);

	ck_assert_uint_ge(find(t, 0, 0)->eax, 0xb);
	ck_assert(smt && core && end && !find(t, 0xb, 3));
	ck_assert_uint_eq(smt->eax, 0);
	ck_assert_uint_eq(smt->ebx, 1);
	ck_assert_uint_eq(smt->ecx, 0x100);
	ck_assert_uint_eq(core->eax, bits(count));
	ck_assert_uint_eq(core->ebx, count);
	ck_assert_uint_eq(core->ecx, 0x201);
	ck_assert_uint_eq(end->ebx, 0);
	ck_assert_uint_eq(end->ecx, 2);
	ck_assert_uint_eq(smt->edx, id);
	ck_assert_uint_eq(core->edx, id);
	ck_assert_uint_eq(end->edx, id);
	/* What else tells topology would tell the host's. */
	ck_assert_ptr_null(find(t, 0x1f, 0));
	ck_assert_ptr_null(find(t, 0x80000026, 0));
}

/* Who shares cache `index`: bits 25:14 of EAX, plus one. */
static void check_cache(const struct table *t, uint32_t leaf,
			unsigned int count)
{
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(find(t, leaf, i)->eax >> 14 & 0xfff, 0);
		ck_assert_uint_ne(find(t, leaf, i)->eax & 0x3fff, 0);
	}
	ck_assert_uint_eq((find(t, leaf, 3)->eax >> 14 & 0xfff) + 1,
			  1u << bits(count));
	ck_assert_uint_eq(find(t, leaf, 4)->eax, 0);
}

static void check_intel(const struct table *t, unsigned int count)
{
	unsigned int cores = (find(t, 4, 0)->eax >> 26) + 1;

	check_cache(t, 4, count);
	ck_assert_uint_eq(cores, min_of(1u << bits(count), 64));
	ck_assert_uint_eq(find(t, 0x80000001, 0)->ecx & 2, 0);
	ck_assert_uint_eq(find(t, 0x80000008, 0)->ecx, 0);
}

static void check_amd(const struct table *t, unsigned int id,
		      unsigned int count)
{
	const struct kvm_cpuid_entry2 *e = find(t, 0x80000008, 0);

	check_cache(t, 0x8000001d, count);
	ck_assert_uint_eq((e->ecx & 0xff) + 1, count);
	ck_assert_uint_eq(e->ecx >> 12 & 0xf, bits(count));
	ck_assert_uint_eq(find(t, 0x80000001, 0)->ecx >> 1 & 1, count > 1);
	e = find(t, 0x8000001e, 0);
	ck_assert_uint_eq(e->eax, id);
	ck_assert_uint_eq(e->ebx >> 8 & 0xff, 0); /* one thread a core */
	ck_assert_uint_eq(e->ecx, 0);             /* one node */
}

START_TEST(topology_leaves_agree_for_every_vcpu)
{
	bool intel = _i & 1;
	unsigned int count = counts[_i / 2];

	for (unsigned int id = 0; id < count; id++) {
		struct table t;

		adapt(&t, intel, id, count, true);
		check_leaf_1(&t, id, count);
		check_topology(&t, id, count);
		if (intel)
			check_intel(&t, count);
		else
			check_amd(&t, id, count);
	}
}
END_TEST

static bool is_ours(uint32_t function)
{
	static const uint32_t ours[] = { 0,          1,          4,
					 0xb,        0x1f,       0x80000001,
					 0x80000008, 0x8000001d, 0x8000001e,
					 0x80000026 };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (ours[i] == function)
			return true;
	return false;
}

START_TEST(other_leaves_are_what_kvm_says)
{
	const struct kvm_cpuid_entry2 *kvm =
		_i ? fake_cpuid_intel : fake_cpuid_amd;
	unsigned int n = _i ? fake_cpuid_intel_count : fake_cpuid_amd_count;
	struct table t;

	adapt(&t, _i, 1, 2, true);
	for (unsigned int i = 0; i < n; i++) {
		const struct kvm_cpuid_entry2 *e =
			find(&t, kvm[i].function, kvm[i].index);

		if (is_ours(kvm[i].function))
			continue;
		ck_assert_ptr_nonnull(e);
		ck_assert_mem_eq(e, &kvm[i], sizeof(*e));
	}
}
END_TEST

START_TEST(tsc_deadline_is_offered_when_kvm_has_it)
{
	struct table t;

	adapt(&t, true, 0, 1, false);
	ck_assert_uint_eq(find(&t, 1, 0)->ecx >> 24 & 1, 0);
	adapt(&t, true, 0, 1, true);
	ck_assert_uint_eq(find(&t, 1, 0)->ecx >> 24 & 1, 1);
}
END_TEST

START_TEST(full_table_is_not_overrun)
{
	struct table t = { .head.nent = X86_CPUID_MAX };

	t.entries[0].function = 0;
	for (uint32_t i = 1; i < X86_CPUID_MAX; i++)
		t.entries[i].function = 0x40000000 + i;
	x86_cpuid_adapt(&t.head, 0, 2, true);
	ck_assert_uint_eq(t.head.nent, X86_CPUID_MAX);
}
END_TEST

Suite *cpuid_suite(void)
{
	Suite *s = suite_create("cpuid");
	TCase *tc = tcase_create("cpuid");

	tcase_add_loop_test(tc, topology_leaves_agree_for_every_vcpu, 0,
			    2 * ARRAY_SIZE(counts));
	tcase_add_loop_test(tc, other_leaves_are_what_kvm_says, 0, 2);
	tcase_add_test(tc, tsc_deadline_is_offered_when_kvm_has_it);
	tcase_add_test(tc, full_table_is_not_overrun);
	suite_add_tcase(s, tc);
	return s;
}
