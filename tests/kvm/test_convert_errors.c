/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions that are interrupted, refused by the host, or outlive the VM. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "suites.h"
#include "support/rig.h"

#define RAM (512 * MIB)
#define AT (16 * MIB)
#define ENC (1 << 4) /* hypercalls.rst, KVM_HC_MAP_GPA_RANGE */

static const int errors[] = { -EINTR, -EAGAIN, -ENOMEM };

/* ---- A host that does not do what it is asked for ---- */

static struct fake_kvm fake;
static struct kvm kvm;
static struct memory mem;

/* In front of the fake one: fails so many calls of a kind. */
static struct {
	struct kvm_sys sys;
	unsigned int holes, attributes, calls;
	int error;
} host;

static int host_punch(struct kvm_sys *sys, int fd, uint64_t off, uint64_t len)
{
	(void)sys;
	host.calls++;
	if (host.holes) {
		host.holes--;
		return host.error;
	}
	return fake.sys.punch(&fake.sys, fd, off, len);
}

static int host_ioctl(struct kvm_sys *sys, int fd, unsigned long req, void *arg)
{
	(void)sys;
	if (req == KVM_SET_MEMORY_ATTRIBUTES && host.attributes) {
		host.attributes--;
		return host.error;
	}
	return fake.sys.ioctl(&fake.sys, fd, req, arg);
}

static void setup(void)
{
	static const struct memory_range ranges[] = { { 0, RAM },
						      { 4 * GIB, RAM } };

	fake_kvm_init(&fake);
	fake_kvm_set_cap(&fake, KVM_CAP_VM_TYPES,
			 1 | 1 << KVM_X86_SW_PROTECTED_VM);
	rig_memory_init(&mem, &kvm, &fake, KVM_X86_SW_PROTECTED_VM, &store_two,
			ranges);
	memset(&host, 0, sizeof(host));
	host.sys = fake.sys;
	host.sys.ioctl = host_ioctl;
	host.sys.punch = host_punch;
	kvm.sys = &host.sys;
	/* A block of two kinds, with something in what is shared of it. */
	ck_assert_int_eq(memory_convert(&mem, AT, 2 * PAGE_SIZE, false,
					CONVERT_ASKED),
			 0);
	memset(guest_at(&mem.guest, AT, 2 * PAGE_SIZE), 1, 2 * PAGE_SIZE);
}

static void teardown(void)
{
	kvm.sys = &fake.sys;
	rig_memory_free(&mem, &kvm, &fake);
}

static int convert(bool to_private)
{
	return memory_convert(&mem, AT, PAGE_SIZE, to_private, CONVERT_ASKED);
}

/* A signal in the midst of it: the hole is made again, the guest sees none. */
START_TEST(a_hole_that_is_interrupted_is_made)
{
	host.error = -EINTR;
	host.holes = 3;
	host.calls = 0;
	ck_assert_int_eq(convert(true), 0);
	ck_assert_uint_eq(host.calls, 4);
	ck_assert_uint_eq(mem.counts.failures, 0);
	ck_assert_uint_eq(memory_allocated(&mem, false), PAGE_SIZE);
}
END_TEST

/* What never comes is not waited for; it is counted, the state is right. */
START_TEST(a_hole_that_cannot_be_made_is_counted)
{
	host.error = errors[_i];
	host.holes = UINT32_MAX;
	host.calls = 0;
	ck_assert_int_eq(convert(true), 0);
	ck_assert_uint_eq(host.calls, host.error == -EINTR ? 100 : 1);
	ck_assert_uint_eq(mem.counts.failures, 1);
	ck_assert(fake_is_private(&fake, AT));
	ck_assert_ptr_null(guest_at(&mem.guest, AT, 1));
	host.holes = 0;
	ck_assert_int_eq(convert(false), 0);
	ck_assert_int_eq(convert(true), 0);
	ck_assert_uint_eq(memory_allocated(&mem, false), PAGE_SIZE);
}
END_TEST

/* KVM_SET_MEMORY_ATTRIBUTES is all or nothing, so then it is nothing. */
START_TEST(attributes_that_cannot_be_set_leave_all_as_it_was)
{
	uint8_t *p = guest_at(&mem.guest, AT, PAGE_SIZE);

	host.error = errors[_i];
	host.attributes = 1;
	ck_assert_int_eq(convert(true), errors[_i]);
	ck_assert_ptr_eq(guest_at(&mem.guest, AT, PAGE_SIZE), p);
	ck_assert(!fake_is_private(&fake, AT));
	ck_assert_uint_eq(p[0], 1);
	ck_assert_int_eq(convert(true), 0);
	host.attributes = 1;
	ck_assert_int_eq(convert(false), errors[_i]);
	ck_assert_ptr_null(guest_at(&mem.guest, AT, 1));
	ck_assert(fake_is_private(&fake, AT));
	ck_assert_int_eq(convert(false), 0);
	ck_assert_uint_eq(p[0], 0);
	ck_assert_uint_eq(mem.counts.failures, 2);
}
END_TEST

/* ---- vCPUs ---- */

static struct rig *sw_rig(unsigned int nr_vcpus)
{
	struct rig *rig = rig_new(RAM, nr_vcpus);

	rig->params.cvm = &cvm_sw;
	fake_kvm_set_cap(&rig->fake, KVM_CAP_VM_TYPES,
			 1 | 1 << KVM_X86_SW_PROTECTED_VM);
	return rig;
}

#define NR_CALLS 500
static unsigned int answers;

/* Between a hypercall and its result KVM_RUN is interrupted in every way. */
static int call_in_a_storm(struct fake_kvm *f, unsigned int id, unsigned int n,
			   struct kvm_run *run)
{
	(void)id;
	if (n == 4 * NR_CALLS) {
		run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
		return fake_exit(run, KVM_EXIT_SYSTEM_EVENT);
	}
	switch (n % 4) {
	case 0:
		return fake_exit_map_gpa(f, run, AT + n * PAGE_SIZE, 1,
					 n & 4 ? ENC : 0);
	case 1: /* KVM takes the result when it is entered, then this */
		answers += !run->hypercall.ret;
		return -EINTR;
	case 2:
		return -EAGAIN;
	default:
		return fake_exit(run, KVM_EXIT_INTR);
	}
}

START_TEST(interruptions_take_no_answer_away)
{
	struct rig *rig = sw_rig(1);

	answers = 0;
	rig->fake.run = call_in_a_storm;
	ck_assert_int_eq(rig_start(rig), 0);
	rig_wait(rig);
	ck_assert_msg(rig->vm.end == VM_POWEROFF, "%s", rig->vm.end_text);
	ck_assert_uint_eq(answers, NR_CALLS);
	ck_assert_uint_eq(vm_exits(&rig->vm, EXIT_INTERRUPTED), 3 * NR_CALLS);
	rig_destroy_vm(rig);
	rig_free(rig);
}
END_TEST

#define NR_VCPUS 4
static atomic_uint asked, ends_at;

/* For ever, all of RAM or a little of it; one of them ends the VM. */
static int convert_for_ever(struct fake_kvm *f, unsigned int id, unsigned int n,
			    struct kvm_run *run)
{
	uint64_t pages = n % 16 ? n % 700 + 1 : RAM / PAGE_SIZE;
	uint64_t gpa = n % 16 ? AT + (uint64_t)id * 3 * MIB : 0;

	if (++asked == ends_at)
		return fake_exit(run, KVM_EXIT_SHUTDOWN);
	return fake_exit_map_gpa(f, run, gpa, pages, n & 1 ? ENC : 0);
}

/* By a guest's end, by ours, while all others convert: nothing is left. */
START_TEST(a_vm_can_be_stopped_while_it_converts)
{
	for (unsigned int i = 0; i < 10; i++) {
		struct rig *rig = sw_rig(NR_VCPUS);

		asked = 0;
		ends_at = _i ? 40 * (i + 1) : 0;
		rig->fake.run = convert_for_ever;
		ck_assert_int_eq(rig_start(rig), 0);
		if (_i)
			rig_wait(rig);
		while (!_i && asked < 40 * i)
			usleep(100);
		rig_destroy_vm(rig);
		ck_assert_int_eq(rig->vm.end,
				 _i ? VM_TRIPLE_FAULT : rig->vm.end);
		rig_free(rig);
	}
}
END_TEST

Suite *convert_errors_suite(void)
{
	Suite *s = suite_create("convert_errors");
	TCase *tc = tcase_create("host");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_hole_that_is_interrupted_is_made);
	tcase_add_loop_test(tc, a_hole_that_cannot_be_made_is_counted, 0,
			    ARRAY_SIZE(errors));
	tcase_add_loop_test(tc,
			    attributes_that_cannot_be_set_leave_all_as_it_was,
			    0, ARRAY_SIZE(errors));
	suite_add_tcase(s, tc);
	tc = tcase_create("vCPUs");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, interruptions_take_no_answer_away);
	tcase_add_loop_test(tc, a_vm_can_be_stopped_while_it_converts, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
