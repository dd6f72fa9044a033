/* SPDX-License-Identifier: Apache-2.0 */
/* RAM that is there before the guest is. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "suites.h"
#include "support/rig.h"

#define POOL (64 * MIB)

static struct rig *rig;
static uint64_t before; /* bytes at the first instruction */
static unsigned int percents[16], nr_percents;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int power_off(struct fake_kvm *fake, unsigned int id, unsigned int n,
		     struct kvm_run *run)
{
	if (id)
		return FAKE_BLOCK;
	if (fake->vm.slots[0].len < MIB) /* what a probe tries */
		return n ? fake_exit(run, KVM_EXIT_SHUTDOWN)
			 : fake_exit_hypercall(fake, run);
	before = fake->vm.pre_faulted;
	run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	return fake_exit(run, KVM_EXIT_SYSTEM_EVENT);
}

static void on_progress(void *ctx, unsigned int percent)
{
	(void)ctx;
	pthread_mutex_lock(&lock);
	ck_assert_uint_lt(nr_percents, ARRAY_SIZE(percents));
	percents[nr_percents++] = percent;
	pthread_mutex_unlock(&lock);
}

static void watch(struct rig *r)
{
	r->vm.prefaulted = on_progress;
}

static void begin(const struct cvm_ops *cvm, uint64_t memory,
		  unsigned int nr_vcpus)
{
	rig = rig_new(memory, nr_vcpus);
	rig->params.cvm = cvm;
	rig->params.prefault = true;
	rig->prepare = watch;
	rig->fake.run = power_off;
	fake_kvm_set_cap(&rig->fake, KVM_CAP_VM_TYPES, 1 | 1 << cvm->vm_type);
	rig->image.regions[2].len = PAGE_SIZE; /* nothing is, for itself */
	rig->image.regions[2].fill = NULL;
	nr_percents = 0;
	before = 0;
}

static void finish(void)
{
	rig_destroy_vm(rig);
	rig_free(rig);
}

static const struct {
	const struct cvm_ops *cvm;
	uint64_t memory;
	unsigned int nr_vcpus;
	uint64_t step; /* between signals */
	int error;     /* of some calls */
} all[] = {
	{ &cvm_none, 256 * MIB, 1, 0, 0 },
	{ &cvm_none, 5 * GIB, 4, 0, 0 },
	{ &cvm_none, 21 * MIB, 3, 0, 0 },
	{ &cvm_none, 64 * MIB, 1, 64 * KIB, 0 },
	{ &cvm_none, 64 * MIB, 4, 0, -EINTR },
	{ &cvm_none, 64 * MIB, 4, 0, -EAGAIN },
	{ &cvm_emulated, 5 * GIB, 2, 0, 0 },
	{ &cvm_sw, 5 * GIB, 2, 0, 0 },
};

START_TEST(all_is_there_before_the_first_instruction)
{
	begin(all[_i].cvm, all[_i].memory, all[_i].nr_vcpus);
	rig->fake.pre_fault_step = all[_i].step;
	rig->fake.pre_fault_error = all[_i].error;
	rig->fake.pre_fault_errors = 1000;
	ck_assert_msg(!rig_start(rig), "%s", err_text());
	rig_wait(rig);
	vm_stop(&rig->vm);
	ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
	ck_assert_uint_eq(before, all[_i].memory);
	/* Who says so need not be the one who was there first. */
	ck_assert_uint_eq(nr_percents, 10);
	for (unsigned int p = 10; p <= 100; p += 10) {
		unsigned int times = 0;

		for (unsigned int i = 0; i < nr_percents; i++)
			times += percents[i] == p;
		ck_assert_uint_eq(times, 1);
	}
	finish();
}
END_TEST

/* Private, as nobody has asked it to be yet; but for what was loaded. */
START_TEST(what_starts_private_is_there_as_that)
{
	begin(&cvm_sw, 5 * GIB, 2);
	ck_assert_int_eq(rig_start(rig), 0);
	rig_wait(rig);
	vm_stop(&rig->vm);
	ck_assert(fake_is_private(&rig->fake, 5 * GIB));
	ck_assert(fake_is_private(&rig->fake, 64 * MIB));
	ck_assert(!fake_is_private(&rig->fake, 0x100000));
	finish();

	begin(&cvm_emulated, 256 * MIB, 1);
	ck_assert_int_eq(rig_start(rig), 0);
	rig_wait(rig);
	vm_stop(&rig->vm);
	ck_assert_ptr_nonnull(
		strstr(rig->transcript.text,
		       "PRE_FAULT_MEMORY end=0x4010000000 left=0"));
	ck_assert_ptr_null(strstr(rig->transcript.text,
				  "PRE_FAULT_MEMORY end=0x10000000"));
	finish();
}
END_TEST

static const int errors[] = { -ENOENT, -EOPNOTSUPP, -ENOMEM };

START_TEST(what_cannot_be_there_ends_the_vm)
{
	begin(&cvm_none, 5 * GIB, 4);
	rig->fake.pre_fault_error = errors[_i];
	ck_assert_int_eq(rig_start(rig), 0);
	rig_wait(rig);
	vm_stop(&rig->vm);
	ck_assert_int_eq(rig->vm.end, VM_FAILED);
	ck_assert_ptr_nonnull(strstr(rig->vm.end_text, "memory.prefault: "));
	ck_assert_ptr_nonnull(strstr(rig->vm.end_text, strerror(-errors[_i])));
	ck_assert_uint_eq(rig->fake.vm.vcpus[0].runs, 0);
	finish();
}
END_TEST

START_TEST(a_host_that_cannot_is_told_at_once)
{
	begin(&cvm_none, 64 * MIB, 1);
	fake_kvm_set_cap(&rig->fake, KVM_CAP_PRE_FAULT_MEMORY, 0);
	ck_assert_int_eq(rig_start(rig), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err_text(), "memory.prefault: "));
	ck_assert_ptr_nonnull(strstr(err_text(), "Linux 6.11"));
	finish();
}
END_TEST

/* Nothing is ever done, so only that can end it. */
START_TEST(ends_with_the_vm)
{
	begin(&cvm_none, 5 * GIB, 4);
	rig->fake.pre_fault_error = -EINTR;
	ck_assert_int_eq(rig_start(rig), 0);
	while (!atomic_load(&rig->vm.prefault.taken))
		sched_yield();
	vm_end(&rig->vm, VM_STOPPED, "stopped");
	vm_stop(&rig->vm);
	ck_assert_int_eq(rig->vm.end, VM_STOPPED);
	ck_assert_uint_eq(rig->fake.vm.vcpus[0].runs, 0);
	ck_assert_uint_eq(nr_percents, 0);
	finish();
}
END_TEST

static const struct {
	const struct cvm_ops *cvm;
	int cap, error;
	uint64_t want;
} pools[] = {
	{ &cvm_emulated, 1, 0, POOL },
	{ &cvm_emulated, 1, -ENOMEM, 0 },
	{ &cvm_emulated, 0, 0, 0 },
	{ &cvm_none, 1, 0, 0 }, /* it clears it, and does not share it */
};

START_TEST(a_pool_that_linux_clears_is_there)
{
	begin(pools[_i].cvm, 5 * GIB, 2);
	rig->params.prefault = false;
	rig->image.pool = 3 * GIB - 2 * POOL;
	rig->image.pool_len = POOL;
	rig->fake.pre_fault_error = pools[_i].error;
	fake_kvm_set_cap(&rig->fake, KVM_CAP_PRE_FAULT_MEMORY, pools[_i].cap);
	ck_assert_int_eq(rig_start(rig), 0);
	rig_wait(rig);
	vm_stop(&rig->vm);
	/* It is an optimization. */
	ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
	ck_assert_uint_eq(before, pools[_i].want);
	ck_assert_uint_eq(nr_percents, 0);
	ck_assert(!pools[_i].want ||
		  strstr(rig->transcript.text,
			 "PRE_FAULT_MEMORY end=0x40bc000000 left=0"));
	finish();
}
END_TEST

Suite *prefault_suite(void)
{
	Suite *s = suite_create("prefault");
	TCase *tc = tcase_create("prefault");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, all_is_there_before_the_first_instruction, 0,
			    ARRAY_SIZE(all));
	tcase_add_test(tc, what_starts_private_is_there_as_that);
	tcase_add_loop_test(tc, what_cannot_be_there_ends_the_vm, 0,
			    ARRAY_SIZE(errors));
	tcase_add_test(tc, a_host_that_cannot_is_told_at_once);
	tcase_add_test(tc, ends_with_the_vm);
	tcase_add_loop_test(tc, a_pool_that_linux_clears_is_there, 0,
			    ARRAY_SIZE(pools));
	suite_add_tcase(s, tc);
	return s;
}
