/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions: what the guest asks for, what KVM is told, what is freed. */
#include <errno.h>
#include <string.h>

#include "suites.h"
#include "support/rig.h"

/* The last block is not a whole one. */
#define LOW_LEN (3 * GIB)
#define HIGH_LEN (64 * MIB + 3 * PAGE_SIZE)
#define HIGH (4 * GIB)
#define BLOCK PAGES_BLOCK
#define ENC (1 << 4) /* hypercalls.rst, KVM_HC_MAP_GPA_RANGE */

static struct fake_kvm fake;
static struct kvm kvm;
static struct memory mem;

static void setup(void)
{
	static const struct memory_range ranges[] = { { 0, LOW_LEN },
						      { HIGH, HIGH_LEN } };

	fake_kvm_init(&fake);
	fake_kvm_set_cap(&fake, KVM_CAP_VM_TYPES,
			 1 | 1 << KVM_X86_SW_PROTECTED_VM);
	rig_memory_init(&mem, &kvm, &fake, KVM_X86_SW_PROTECTED_VM, &store_two,
			ranges);
}

static void teardown(void)
{
	rig_memory_free(&mem, &kvm, &fake);
}

static int convert(gpa_t gpa, uint64_t len, bool to_private)
{
	return memory_convert(&mem, gpa, len, to_private, CONVERT_ASKED);
}

static void check_page(gpa_t gpa, bool shared)
{
	ck_assert_int_eq(guest_at(&mem.guest, gpa, 1) != NULL, shared);
	ck_assert_int_eq(guest_at(&mem.guest, gpa, PAGE_SIZE) != NULL, shared);
	if (shared)
		ck_assert(!fake_is_private(&fake, gpa));
}

START_TEST(shares_and_takes_back)
{
	static const gpa_t at[] = { BLOCK, LOW_LEN - BLOCK, HIGH,
				    HIGH + HIGH_LEN - PAGE_SIZE, 0x7000 };
	gpa_t gpa = at[_i];
	uint64_t len = _i < 3 ? BLOCK : PAGE_SIZE, punched;
	uint8_t *p;

	check_page(gpa, false);
	ck_assert_int_eq(convert(gpa, len, false), 0);
	check_page(gpa, true);
	check_page(gpa + len - PAGE_SIZE, true);
	check_page(gpa + len, false);
	p = guest_at(&mem.guest, gpa, len);
	ck_assert_ptr_nonnull(p);
	memset(p, 1, len);
	ck_assert_uint_eq(memory_allocated(&mem, false), len);
	punched = mem.counts.punched[0];
	ck_assert_int_eq(convert(gpa, len, true), 0);
	check_page(gpa, false);
	ck_assert(fake_is_private(&fake, gpa));
	ck_assert(fake_is_private(&fake, gpa + len - PAGE_SIZE));
	ck_assert_uint_eq(memory_allocated(&mem, false), 0);
	ck_assert_uint_eq(mem.counts.bytes[0], len);
	ck_assert_uint_eq(mem.counts.bytes[1], len);
	ck_assert_uint_eq(mem.counts.punched[0] - punched, len);
	ck_assert_uint_eq(mem.counts.unaligned[1], len % BLOCK ? 1 : 0);
}
END_TEST

START_TEST(what_is_as_wanted_costs_nothing)
{
	unsigned int calls;

	/* All of it is private, and KVM hears of it when somebody asks. */
	ck_assert_uint_eq(fake.vm.attribute_calls, 0);
	ck_assert_int_eq(convert(0, BLOCK, true), 0);
	ck_assert_uint_eq(fake.vm.attribute_calls, 1);
	ck_assert_int_eq(convert(BLOCK, 2 * BLOCK, false), 0);
	calls = fake.vm.attribute_calls;
	ck_assert_uint_eq(calls, 3); /* nothing about what was private */
	ck_assert_int_eq(convert(BLOCK, 2 * BLOCK, false), 0);
	ck_assert_int_eq(convert(0, BLOCK, true), 0);
	ck_assert_uint_eq(fake.vm.attribute_calls, calls);
	/* One page of a block that was shared: one call, one hole. */
	ck_assert_int_eq(convert(BLOCK + PAGE_SIZE, PAGE_SIZE, true), 0);
	ck_assert_uint_eq(fake.vm.attribute_calls, calls + 1);
	/* Around it, in two runs. */
	ck_assert_int_eq(convert(BLOCK, BLOCK, true), 0);
	ck_assert_uint_eq(fake.vm.attribute_calls, calls + 3);
	ck_assert_uint_eq(mem.counts.bytes[1], BLOCK);
	ck_assert_uint_eq(mem.counts.punched[0], 2 * BLOCK);
	ck_assert_uint_eq(mem.counts.calls[1][CONVERT_ASKED], 4);
}
END_TEST

START_TEST(the_rest_of_a_block_stays_private)
{
	ck_assert_int_eq(convert(BLOCK + 5 * PAGE_SIZE, PAGE_SIZE, false), 0);
	for (unsigned int i = 0; i < PAGES_PER_BLOCK; i++) {
		check_page(BLOCK + i * PAGE_SIZE, i == 5);
		ck_assert(fake_is_private(&fake, BLOCK + i * PAGE_SIZE) ==
			  (i != 5));
	}
	/* What crosses from shared to private is not the host's. */
	ck_assert_ptr_null(guest_at(&mem.guest, BLOCK + 6 * PAGE_SIZE - 1, 2));
	ck_assert_ptr_nonnull(guest_at(&mem.guest, BLOCK + 6 * PAGE_SIZE, 0));
}
END_TEST

static const struct {
	gpa_t gpa;
	uint64_t len;
	gpa_t converted; /* or 0 */
} bad[] = {
	{ 0, 0, 0 },
	{ 1, PAGE_SIZE, 0 },
	{ PAGE_SIZE, 1, 0 },
	{ LOW_LEN, PAGE_SIZE, 0 },
	{ HIGH - PAGE_SIZE, PAGE_SIZE, 0 },
	{ HIGH + HIGH_LEN, PAGE_SIZE, 0 },
	{ 0xfee00000, PAGE_SIZE, 0 },
	{ LOW_LEN - PAGE_SIZE, 2 * PAGE_SIZE, LOW_LEN - PAGE_SIZE },
	{ HIGH - PAGE_SIZE, 2 * PAGE_SIZE, HIGH },
	{ LOW_LEN - PAGE_SIZE, GIB + 2 * PAGE_SIZE, HIGH },
	{ HIGH + HIGH_LEN - PAGE_SIZE, 2 * PAGE_SIZE,
	  HIGH + HIGH_LEN - PAGE_SIZE },
	{ (gpa_t)-PAGE_SIZE, 2 * PAGE_SIZE, 0 },
	{ PAGE_SIZE, (uint64_t)-PAGE_SIZE, PAGE_SIZE },
	{ 2 * PAGE_SIZE, (uint64_t)-PAGE_SIZE, 0 },
	{ 1ULL << 51, 1ULL << 62, 0 },
};

START_TEST(refuses_what_is_not_ram_and_converts_the_rest)
{
	ck_assert_int_eq(convert(bad[_i].gpa, bad[_i].len, false), -EINVAL);
	ck_assert_int_eq(mem.counts.bytes[0] != 0, bad[_i].converted != 0);
	if (bad[_i].converted)
		check_page(bad[_i].converted, true);
	ck_assert_uint_eq(mem.counts.failures, 0);
}
END_TEST

/* What a guest has used without asking is in the wrong store. */
START_TEST(what_nobody_asked_for_is_lost)
{
	uint8_t *host = mem.map;

	memset(host + BLOCK, 1, BLOCK);
	memset(host + 2 * BLOCK, 1, BLOCK);
	ck_assert_int_eq(convert(BLOCK + PAGE_SIZE, PAGE_SIZE, true), 0);
	ck_assert_int_eq(convert(2 * BLOCK, PAGE_SIZE, false), 0);
	ck_assert_uint_eq(memory_allocated(&mem, false), 0);
	ck_assert(fake_is_private(&fake, BLOCK));
	ck_assert(fake_is_private(&fake, 3 * BLOCK - PAGE_SIZE));
	ck_assert(!fake_is_private(&fake, 3 * BLOCK));
}
END_TEST

START_TEST(a_fault_has_kvm_told_of_the_chunk)
{
	const gpa_t shared = 2 * CONVERT_CHUNK - PAGE_SIZE;

	ck_assert_int_eq(convert(shared, PAGE_SIZE, false), 0);
	memory_touch(&mem, CONVERT_CHUNK + 5 * PAGE_SIZE);
	for (gpa_t gpa = 0; gpa < 3 * CONVERT_CHUNK; gpa += PAGE_SIZE)
		ck_assert_int_eq(fake_is_private(&fake, gpa),
				 gpa / CONVERT_CHUNK == 1 && gpa != shared);
	check_page(shared, true);
	/* The end of RAM, and what is none. */
	memory_touch(&mem, HIGH + HIGH_LEN - PAGE_SIZE);
	ck_assert(fake_is_private(&fake, HIGH + HIGH_LEN - PAGE_SIZE));
	ck_assert(!fake_is_private(&fake, HIGH + HIGH_LEN));
	memory_touch(&mem, LOW_LEN);
	ck_assert(!fake_is_private(&fake, LOW_LEN));
}
END_TEST

START_TEST(a_vm_that_ends_converts_no_more)
{
	mem.given_up = true;
	ck_assert_int_eq(convert(0, LOW_LEN, true), -EINTR);
	ck_assert_uint_eq(fake.vm.attribute_calls, 0);
}
END_TEST

START_TEST(io_under_way_leaves_nothing_in_what_turns_private)
{
	struct pages_pins pins = { 0 }, later = { 0 };
	uint8_t *p;

	ck_assert_int_eq(convert(BLOCK, 4 * BLOCK, false), 0);
	p = guest_pin(&mem.guest, BLOCK, BLOCK, &pins);
	ck_assert_ptr_nonnull(p);
	memset(p, 1, BLOCK);
	ck_assert_int_eq(convert(BLOCK, PAGE_SIZE, true), 0);
	ck_assert_uint_eq(memory_allocated(&mem, false), BLOCK - PAGE_SIZE);
	/* The device is not done and writes to it. */
	p[0] = 1;
	ck_assert_uint_eq(memory_allocated(&mem, false), BLOCK);
	ck_assert_uint_eq(mem.pages.waiting, 1);
	/* What comes later is not waited for. */
	ck_assert_ptr_nonnull(guest_pin(&mem.guest, 2 * BLOCK - PAGE_SIZE,
					PAGE_SIZE, &later));
	ck_assert_ptr_null(guest_pin(&mem.guest, BLOCK, 1, &later));
	guest_unpin(&mem.guest, &pins);
	ck_assert_uint_eq(memory_allocated(&mem, false), BLOCK - PAGE_SIZE);
	ck_assert_uint_eq(mem.pages.waiting, 0);
	guest_unpin(&mem.guest, &later);
	guest_unpin(&mem.guest, &later);
	ck_assert_uint_eq(mem.pages.groups[1].count[0], 0);
	ck_assert_uint_eq(mem.pages.groups[1].count[1], 0);
}
END_TEST

/* The same block again while it is waited for, and one of the same group. */
START_TEST(a_second_conversion_waits_for_later_io_too)
{
	struct pages_pins first = { 0 }, second = { 0 };
	gpa_t other = (1 + PAGES_GROUPS) * BLOCK;
	uint8_t *p, *q;

	ck_assert_int_eq(convert(BLOCK, BLOCK, false), 0);
	ck_assert_int_eq(convert(other, BLOCK, false), 0);
	p = guest_pin(&mem.guest, BLOCK, BLOCK, &first);
	ck_assert_int_eq(convert(BLOCK, PAGE_SIZE, true), 0);
	q = guest_pin(&mem.guest, other, BLOCK, &second);
	ck_assert(p && q);
	ck_assert_int_eq(convert(other, BLOCK, true), 0);
	ck_assert_int_eq(convert(BLOCK + PAGE_SIZE, PAGE_SIZE, true), 0);
	p[0] = p[PAGE_SIZE] = q[0] = 1;
	ck_assert_uint_eq(mem.pages.waiting, 2);
	ck_assert_uint_eq(memory_allocated(&mem, false), 3 * PAGE_SIZE);
	guest_unpin(&mem.guest, &first);
	guest_unpin(&mem.guest, &second);
	ck_assert_uint_eq(memory_allocated(&mem, false), 0);
	ck_assert_uint_eq(mem.pages.waiting, 0);
}
END_TEST

/* --- by way of KVM_RUN --- */

#define REFUSED ((uint64_t)-EINVAL)

static const struct {
	uint64_t gpa, pages, attributes, ret;
} calls[] = {
	{ 16 * MIB, 512, 0, 0 },
	{ 16 * MIB, 512, ENC, 0 },
	{ 16 * MIB, 1, 1, 0 }, /* the page size one would like */
	{ 16 * MIB, 1, 2 | ENC, 0 },
	{ 16 * MIB, 1, 3, REFUSED },
	{ 16 * MIB, 1, 0xf | ENC, REFUSED },
	{ 16 * MIB, 1, 1 << 5, REFUSED },
	{ 16 * MIB, 1, 1ULL << 63, REFUSED },
	{ 16 * MIB, 0, 0, REFUSED },
	{ 16 * MIB + 1, 1, 0, REFUSED },
	{ 16 * MIB, UINT64_MAX, 0, REFUSED },
	{ 16 * MIB, UINT64_MAX / PAGE_SIZE, 0, REFUSED },
	{ 16 * MIB, 1ULL << 52, 0, REFUSED }, /* 0 bytes, times 4096 */
	{ (uint64_t)-PAGE_SIZE, 1, 0, REFUSED },
	{ (uint64_t)-PAGE_SIZE, 2, 0, REFUSED },
	{ 512 * MIB - PAGE_SIZE, 1, 0, 0 },
	{ 512 * MIB - PAGE_SIZE, 2, ENC, REFUSED },
	{ 512 * MIB, 1, 0, REFUSED },
	{ 0xfee00000, 1, ENC, REFUSED },
	{ 0, 512 * MIB / PAGE_SIZE, ENC, 0 },
	{ 0, 512 * MIB / PAGE_SIZE, 0, 0 },
};

static uint64_t results[ARRAY_SIZE(calls)];

static int power_off(struct kvm_run *run)
{
	run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	return fake_exit(run, KVM_EXIT_SYSTEM_EVENT);
}

static int ask_all(struct fake_kvm *f, unsigned int id, unsigned int n,
		   struct kvm_run *run)
{
	(void)id;
	if (n && n <= ARRAY_SIZE(calls))
		results[n - 1] = run->hypercall.ret;
	if (n >= ARRAY_SIZE(calls))
		return power_off(run);
	return fake_exit_map_gpa(f, run, calls[n].gpa, calls[n].pages,
				 calls[n].attributes);
}

static struct rig *sw_rig(void)
{
	struct rig *rig = rig_new(512 * MIB, 1);

	rig->params.cvm = &cvm_sw;
	fake_kvm_set_cap(&rig->fake, KVM_CAP_VM_TYPES,
			 1 | 1 << KVM_X86_SW_PROTECTED_VM);
	return rig;
}

START_TEST(every_hypercall_is_answered)
{
	struct rig *rig = sw_rig();

	rig->fake.run = ask_all;
	rig_run(rig);
	ck_assert_msg(rig->vm.end == VM_POWEROFF, "%s", rig->vm.end_text);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		ck_assert_msg(results[i] == calls[i].ret, "call %zu: %#lx", i,
			      (unsigned long)results[i]);
	rig_free(rig);
}
END_TEST

static int ask_other(struct fake_kvm *f, unsigned int id, unsigned int n,
		     struct kvm_run *run)
{
	(void)id;
	if (n)
		results[0] = run->hypercall.ret;
	if (n)
		return power_off(run);
	fake_exit_map_gpa(f, run, 0, 1, 0);
	run->hypercall.nr = KVM_HC_SEND_IPI;
	return 0;
}

START_TEST(another_hypercall_is_not_there)
{
	struct rig *rig = sw_rig();

	rig->fake.run = ask_other;
	rig_run(rig);
	ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
	ck_assert_uint_eq(results[0], (uint64_t)-KVM_ENOSYS);
	rig_free(rig);
}
END_TEST

static unsigned int nr_faults, fault_gpa;

/* The first page that is private may be entered again, the hole not. */
static int fault(struct fake_kvm *f, unsigned int id, unsigned int n,
		 struct kvm_run *run)
{
	(void)f;
	(void)id;
	if (n == nr_faults)
		return power_off(run);
	return fake_exit_memory_fault(run, fault_gpa, true);
}

static const struct {
	gpa_t gpa;
	unsigned int faults;
	enum vm_end end;
} faults[] = {
	{ 16 * MIB, 5, VM_POWEROFF },
	{ 16 * MIB, 100000, VM_FAILED },
	{ 512 * MIB, 1, VM_FAILED },
};

START_TEST(a_fault_that_met_a_conversion_is_tried_again)
{
	struct rig *rig = sw_rig();

	fault_gpa = (unsigned int)faults[_i].gpa;
	nr_faults = faults[_i].faults;
	rig->fake.run = fault;
	rig_run(rig);
	ck_assert_int_eq(rig->vm.end, faults[_i].end);
	rig_free(rig);
}
END_TEST

/* As TDX and SNP do: private first, then shared, then private for good. */
static int fault_as_wanted(struct fake_kvm *f, unsigned int id, unsigned int n,
			   struct kvm_run *run)
{
	const gpa_t gpa = 128 * MIB + 5 * PAGE_SIZE;

	(void)id;
	if (n)
		results[n] = fake_is_private(f, gpa) |
			     fake_is_private(f, gpa + PAGE_SIZE) << 1;
	return n < 3 ? fake_exit_memory_fault(run, gpa, n != 1)
		     : power_off(run);
}

START_TEST(a_fault_that_says_what_is_wanted_converts)
{
	struct cvm_ops cvm = cvm_sw;
	struct rig *rig = sw_rig();

	cvm.faults_convert = true;
	rig->params.cvm = &cvm;
	rig->fake.run = fault_as_wanted;
	rig_run(rig);
	ck_assert_msg(rig->vm.end == VM_POWEROFF, "%s", rig->vm.end_text);
	ck_assert_uint_eq(results[1], 3);
	ck_assert_uint_eq(results[2], 2);
	ck_assert_uint_eq(results[3], 3);
	rig_free(rig);
}
END_TEST

/* Those know only 0 and EINVAL, and make a status of their own of it. */
START_TEST(a_result_is_what_the_technology_makes_of_it)
{
	struct cvm_ops cvm = cvm_sw;
	struct rig *rig = sw_rig();

	cvm.translates_result = true;
	rig->params.cvm = &cvm;
	rig->fake.run = ask_all;
	rig_run(rig);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		ck_assert_uint_eq(results[i], calls[i].ret ? EINVAL : 0);
	rig_free(rig);
}
END_TEST

/* The host fails in the midst: the guest is told, and the VM goes on. */
START_TEST(a_host_that_fails_is_an_error_to_the_guest)
{
	unsigned int calls_made = 1, told = 0;

	for (unsigned int n = 0; n <= calls_made; n++) {
		struct rig *rig = sw_rig();
		bool failed;

		rig->fake.run = ask_all;
		fault_kvm_init(&rig->fault, &rig->fake.sys, n, -ENOMEM);
		failed = rig_start(rig);
		if (!failed)
			rig_wait(rig);
		rig_destroy_vm(rig);
		if (!n) /* nothing fails: how many there are */
			calls_made = rig->fault.calls;
		failed |= rig->fault.failed_req != KVM_SET_MEMORY_ATTRIBUTES;
		ck_assert(failed || rig->vm.end == VM_POWEROFF);
		for (size_t i = 0; !failed && i < ARRAY_SIZE(calls); i++)
			told += results[i] != calls[i].ret;
		rig_free(rig);
	}
	/* Each attribute call of ask_all() failed once. */
	ck_assert_uint_ge(told, 6);
}
END_TEST

Suite *convert_suite(void)
{
	Suite *s = suite_create("convert");
	TCase *tc = tcase_create("convert");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, shares_and_takes_back, 0, 5);
	tcase_add_test(tc, what_is_as_wanted_costs_nothing);
	tcase_add_test(tc, the_rest_of_a_block_stays_private);
	tcase_add_loop_test(tc, refuses_what_is_not_ram_and_converts_the_rest,
			    0, ARRAY_SIZE(bad));
	tcase_add_test(tc, what_nobody_asked_for_is_lost);
	tcase_add_test(tc, a_fault_has_kvm_told_of_the_chunk);
	tcase_add_test(tc, a_vm_that_ends_converts_no_more);
	tcase_add_test(tc, io_under_way_leaves_nothing_in_what_turns_private);
	tcase_add_test(tc, a_second_conversion_waits_for_later_io_too);
	suite_add_tcase(s, tc);
	tc = tcase_create("by KVM_RUN");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_hypercall_is_answered);
	tcase_add_test(tc, another_hypercall_is_not_there);
	tcase_add_loop_test(tc, a_fault_that_met_a_conversion_is_tried_again, 0,
			    ARRAY_SIZE(faults));
	tcase_add_test(tc, a_fault_that_says_what_is_wanted_converts);
	tcase_add_test(tc, a_result_is_what_the_technology_makes_of_it);
	tcase_add_test(tc, a_host_that_fails_is_an_error_to_the_guest);
	suite_add_tcase(s, tc);
	return s;
}
