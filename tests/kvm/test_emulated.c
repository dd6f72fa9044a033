/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest of `emulated` is told, and the two views of its memory. */
#include <errno.h>
#include <string.h>

#include "suites.h"
#include "support/rig.h"
#include "vmm/kvm/x86.h"

#define RAM (64 * MIB)
#define BLOCK PAGES_BLOCK
#define SEV_STATUS 0xc0010131
#define MIGRATION_CONTROL 0x4b564d08

static struct fake_kvm fake;
static struct kvm kvm;
static struct memory mem;

static void setup(void)
{
	static const struct memory_range ranges[] = { { 0, RAM },
						      { 4 * GIB, RAM } };

	fake_kvm_init(&fake);
	rig_memory_init(&mem, &kvm, &fake, KVM_X86_DEFAULT_VM, &store_views,
			ranges);
}

static void teardown(void)
{
	rig_memory_free(&mem, &kvm, &fake);
}

/* What the guest finds at gpa: by memslot, as KVM does. */
static uint8_t *at(gpa_t gpa)
{
	for (unsigned int i = 0; i < FAKE_MAX_SLOTS; i++) {
		const struct fake_slot *s = &fake.vm.slots[i];

		if (s->used && gpa >= s->gpa && gpa - s->gpa < s->len)
			return (uint8_t *)(uintptr_t)(s->host + (gpa - s->gpa));
	}
	ck_abort_msg("nothing at %#llx", (unsigned long long)gpa);
	return NULL;
}

static int convert(gpa_t gpa, uint64_t len, bool to_private)
{
	return memory_convert(&mem, gpa, len, to_private, CONVERT_ASKED);
}

START_TEST(the_bit_tells_two_stores_apart)
{
	static const gpa_t gpas[] = { 2 * BLOCK, 4 * GIB + 3 * BLOCK };
	const gpa_t gpa = gpas[_i];

	/* One at first: for who writes before it says that it shares. */
	*at(gpa | STORE_VIEWS_BIT) = 1;
	*at(gpa) = 2;
	ck_assert_int_eq(*at(gpa | STORE_VIEWS_BIT), 2);
	ck_assert_ptr_null(guest_at(&mem.guest, gpa, 1));
	ck_assert_int_eq(convert(0, RAM, true), 0); /* it is */
	ck_assert_int_eq(*at(gpa), 2);
	/* The first pages to be shared keep what is in them; then it ends. */
	*at(gpa + BLOCK) = 3;
	ck_assert_int_eq(convert(gpa, BLOCK, false), 0);
	ck_assert_int_eq(*at(gpa), 2);
	ck_assert_int_eq(*at(gpa | STORE_VIEWS_BIT), 0);
	ck_assert_int_eq(*at(gpa + BLOCK), 0);
	ck_assert_int_eq(*at((gpa + BLOCK) | STORE_VIEWS_BIT), 3);
	ck_assert_ptr_eq(guest_at(&mem.guest, gpa, BLOCK), at(gpa));
	/* Others do not, and neither does what was private. */
	ck_assert_int_eq(convert(gpa + BLOCK, PAGE_SIZE, false), 0);
	ck_assert_int_eq(*at(gpa + BLOCK), 0);
	ck_assert_int_eq(*at((gpa + BLOCK) | STORE_VIEWS_BIT), 0);
	ck_assert_int_eq(convert(gpa, BLOCK, true), 0);
	ck_assert_int_eq(*at(gpa), 0);
	ck_assert_ptr_null(guest_at(&mem.guest, gpa, 1));
}
END_TEST

/* Processors start there with paging off. */
START_TEST(the_first_mib_stays_one)
{
	ck_assert_int_eq(convert(BLOCK, BLOCK, false), 0);
	*at(0x1000 | STORE_VIEWS_BIT) = 1;
	ck_assert_int_eq(*at(0x1000), 1);
	ck_assert_ptr_null(guest_at(&mem.guest, 0x1000, 1));
	ck_assert_int_eq(convert(0, BLOCK, false), 0);
	ck_assert_int_eq(*at(0x1000), 1);
	ck_assert_int_eq(convert(0, BLOCK, true), 0);
	ck_assert_int_eq(*at(0x1000 | STORE_VIEWS_BIT), 1);
}
END_TEST

/* What is accessed is backed, and that once. */
START_TEST(nothing_is_backed_twice)
{
	memset(at(STORE_VIEWS_BIT | BLOCK), 1, 2 * BLOCK);
	ck_assert_int_eq(convert(BLOCK, PAGE_SIZE, false), 0);
	ck_assert_uint_eq(memory_allocated(&mem, false), PAGE_SIZE);
	memset(guest_at(&mem.guest, BLOCK, PAGE_SIZE), 1, PAGE_SIZE);
	ck_assert_int_eq(convert(2 * BLOCK, BLOCK, false), 0);
	memset(guest_at(&mem.guest, 2 * BLOCK, BLOCK), 1, BLOCK);
	ck_assert_uint_eq(memory_allocated(&mem, false), BLOCK + PAGE_SIZE);
	ck_assert_uint_eq(mem.counts.punched[1], BLOCK + PAGE_SIZE);
	ck_assert_int_eq(convert(2 * BLOCK, BLOCK, true), 0);
	ck_assert_uint_eq(memory_allocated(&mem, false), PAGE_SIZE);
}
END_TEST

/* Whatever else is shared before and after it, and aligned or not. */
START_TEST(recognises_the_window)
{
	struct window_run run = window_get(&mem.window);

	ck_assert_uint_eq(run.len, 0);
	ck_assert_int_eq(convert((4 * GIB), PAGE_SIZE, false), 0);
	for (gpa_t gpa = 3 * BLOCK; gpa < 7 * BLOCK; gpa += BLOCK)
		ck_assert_int_eq(convert(gpa, BLOCK, false), 0);
	ck_assert_int_eq(convert(9 * BLOCK, BLOCK, false), 0);
	ck_assert_int_eq(convert(7 * BLOCK, BLOCK, true), 0);
	ck_assert_int_eq(convert((4 * GIB), PAGE_SIZE, false), 0);
	ck_assert_int_eq(convert(RAM, PAGE_SIZE, false), -EINVAL);
	run = window_get(&mem.window);
	ck_assert_uint_eq(run.base, 3 * BLOCK);
	ck_assert_uint_eq(run.len, 4 * BLOCK);
	ck_assert_uint_eq(run.calls, 4);
	/* Pages of it that turn private end it. */
	ck_assert_int_eq(convert(4 * BLOCK, PAGE_SIZE, true), 0);
	ck_assert_uint_eq(window_get(&mem.window).len, 0);
	ck_assert_int_eq(convert(3 * BLOCK, 2 * BLOCK, false), 0);
	ck_assert_uint_eq(window_get(&mem.window).len, 2 * BLOCK);
}
END_TEST

START_TEST(looks_for_no_window_if_it_is_not_to)
{
	mem.guest.window = NULL;
	memory_keep_window(&mem, WINDOW_OFF);
	ck_assert_ptr_null(mem.guest.window);
	ck_assert_int_eq(convert(BLOCK, 2 * BLOCK, false), 0);
	ck_assert_int_eq(convert(BLOCK, 2 * BLOCK, true), 0);
	ck_assert_uint_eq(mem.window.last.calls, 0);
}
END_TEST

START_TEST(refuses_ram_that_reaches_the_bit)
{
	const struct memory_range ranges[] = {
		{ 0, 3 * GIB },
		{ 4 * GIB, STORE_VIEWS_BIT - 4 * GIB + BLOCK },
	};

	memory_destroy(&mem);
	memset(fake.vm.slots, 0, sizeof(fake.vm.slots));
	ck_assert_int_eq(memory_init(&mem, &kvm, &store_views, ranges, 2),
			 -EINVAL);
	ck_assert_str_eq(err_text(),
			 "no more than 255 GiB of RAM: set vm.memory");
}
END_TEST

static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *cpuid,
					   uint32_t function)
{
	for (unsigned int i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function)
			return &cpuid->entries[i];
	ck_abort_msg("no leaf %#x", function);
	return NULL;
}

static struct kvm_cpuid2 *cpuid_of(const struct kvm_cpuid_entry2 *from,
				   unsigned int nr)
{
	static union {
		struct kvm_cpuid2 head;
		uint8_t room[sizeof(struct kvm_cpuid2) +
			     X86_CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
	} u;

	u.head.nent = nr;
	memcpy(u.head.entries, from, nr * sizeof(*from));
	return &u.head;
}

START_TEST(says_sev_on_any_cpu)
{
	struct kvm_cpuid2 *c =
		_i ? cpuid_of(fake_cpuid_amd, fake_cpuid_amd_count)
		   : cpuid_of(fake_cpuid_intel, fake_cpuid_intel_count);
	uint32_t eax = leaf(c, 0x40000001)->eax;

	ck_assert_int_eq(cvm_emulated.cpuid(c), 0);
	ck_assert_uint_ge(leaf(c, 0x80000000)->eax, 0x8000001f);
	ck_assert_uint_eq(leaf(c, 0x8000001f)->eax, 2);
	ck_assert_uint_eq(1ULL << (leaf(c, 0x8000001f)->ebx & 0x3f),
			  cvm_emulated.private_bit);
	ck_assert_uint_eq(leaf(c, 0x80000008)->eax & 0xff, 39);
	ck_assert_uint_eq(leaf(c, 0x40000001)->eax, eax | 3 << 16);
	ck_assert_uint_eq(leaf(c, 7)->ecx >> 16 & 1, 0); /* LA57 */
}
END_TEST

START_TEST(needs_39_address_bits_and_room)
{
	static struct kvm_cpuid_entry2 many[X86_CPUID_MAX];
	struct kvm_cpuid_entry2 few = { .function = 0x80000008, .eax = 0x3024 };

	ck_assert_int_eq(cvm_emulated.cpuid(cpuid_of(&few, 1)), -EOPNOTSUPP);
	ck_assert_str_eq(err_text(), "needs a CPU with 39 physical address "
				     "bits, this one has 36");
	ck_assert_int_eq(cvm_emulated.cpuid(cpuid_of(many, X86_CPUID_MAX)),
			 -E2BIG);
}
END_TEST

static const struct {
	uint32_t msr;
	bool write, allowed;
	uint64_t value;
} accesses[] = {
	{ SEV_STATUS, false, true, 1 },
	{ SEV_STATUS, true, false, 7 },
	{ MIGRATION_CONTROL, true, true, 7 },
	{ MIGRATION_CONTROL, false, true, 0 },
};
static int nth_access;
static uint8_t error_seen;
static uint64_t data_seen;

/* An MSR that KVM hands over, and then the guest is done. */
static int use_msr(struct fake_kvm *f, unsigned int id, unsigned int n,
		   struct kvm_run *run)
{
	if (id || f->vm.slots[0].len < MIB)
		return n ? fake_exit(run, KVM_EXIT_SHUTDOWN)
			 : fake_exit_hypercall(f, run);
	if (n) {
		error_seen = run->msr.error;
		data_seen = run->msr.data;
		run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
		return fake_exit(run, KVM_EXIT_SYSTEM_EVENT);
	}
	run->msr.error = 1; /* stale */
	run->msr.index = accesses[nth_access].msr;
	run->msr.data = accesses[nth_access].write ? 7 : 0;
	return fake_exit(run, accesses[nth_access].write ? KVM_EXIT_X86_WRMSR
							 : KVM_EXIT_X86_RDMSR);
}

START_TEST(answers_for_the_msrs_it_takes)
{
	struct rig *rig = rig_new(64 * MIB, 1);

	nth_access = _i;
	rig->params.cvm = &cvm_emulated;
	rig->fake.run = use_msr;
	rig_run(rig);
	ck_assert_uint_eq(error_seen, !accesses[_i].allowed);
	ck_assert_uint_eq(data_seen, accesses[_i].value);
	rig_free(rig);
}
END_TEST

/* A technology that takes none: KVM was never asked to hand one over. */
START_TEST(unknown_msrs_are_faults)
{
	uint64_t value = 0;

	ck_assert(cvm_emulated.msr(SEV_STATUS, false, &value));
	ck_assert(!cvm_emulated.msr(0x10, false, &value));
}
END_TEST

Suite *emulated_suite(void)
{
	Suite *s = suite_create("emulated");
	TCase *views = tcase_create("views"), *told = tcase_create("told");

	tcase_add_checked_fixture(views, setup, teardown);
	tcase_add_loop_test(views, the_bit_tells_two_stores_apart, 0, 2);
	tcase_add_test(views, the_first_mib_stays_one);
	tcase_add_test(views, nothing_is_backed_twice);
	tcase_add_test(views, recognises_the_window);
	tcase_add_test(views, looks_for_no_window_if_it_is_not_to);
	tcase_add_test(views, refuses_ram_that_reaches_the_bit);
	suite_add_tcase(s, views);
	tcase_add_loop_test(told, says_sev_on_any_cpu, 0, 2);
	tcase_add_test(told, needs_39_address_bits_and_room);
	tcase_add_loop_test(told, answers_for_the_msrs_it_takes, 0,
			    ARRAY_SIZE(accesses));
	tcase_add_test(told, unknown_msrs_are_faults);
	suite_add_tcase(s, told);
	return s;
}
