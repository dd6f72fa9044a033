/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch asks of the kernel, and what is left when a call fails. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "suites.h"
#include "support/rig.h"

static int power_off(struct fake_kvm *fake, unsigned int id, unsigned int n,
		     struct kvm_run *run)
{
	if (id)
		return FAKE_BLOCK;
	if (fake->vm.slots[0].len < MIB) /* what a probe tries */
		return n ? fake_exit(run, KVM_EXIT_SHUTDOWN)
			 : fake_exit_hypercall(fake, run);
	run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	return fake_exit(run, KVM_EXIT_SYSTEM_EVENT);
}

static const struct launch {
	uint64_t memory;
	unsigned int nr_vcpus;
	const struct store_ops *store;
	const char *golden;
	const struct cvm_ops *cvm; /* NULL: none */
} launches[] = {
	{ 512 * MIB, 1, &store_guest_memfd, "tests/golden/launch_none.txt",
	  NULL },
	{ 5 * GIB, 2, &store_guest_memfd, "tests/golden/launch_none_5g.txt",
	  NULL },
	{ 512 * MIB, 1, &store_memfd, "tests/golden/launch_none_memfd.txt",
	  NULL },
	{ 512 * MIB, 1, NULL, "tests/golden/launch_emulated.txt",
	  &cvm_emulated },
	{ 5 * GIB, 1, NULL, "tests/golden/launch_sw.txt", &cvm_sw },
};

static struct rig *rig_for(const struct launch *launch)
{
	struct rig *rig = rig_new(launch->memory, launch->nr_vcpus);

	rig->params.store = launch->store;
	if (launch->cvm)
		rig->params.cvm = launch->cvm;
	fake_kvm_set_cap(&rig->fake, KVM_CAP_VM_TYPES,
			 launch->cvm ? 1 | 1 << launch->cvm->vm_type : 1);
	return rig;
}

/* Launch and tear-down; vCPUs would write their lines in any order. */
START_TEST(asks_the_kernel_what_the_golden_file_says)
{
	struct rig *rig = rig_for(&launches[_i]);

	rig->fake.run = power_off;
	ck_assert_int_eq(vm_create(&rig->vm, &rig->trace.sys, &rig->params), 0);
	ck_assert_int_eq(vm_launch(&rig->vm, &rig->image), 0);
	if (launches[_i].nr_vcpus == 1) {
		ck_assert_int_eq(vm_start(&rig->vm), 0);
		while (rig->vm.end == VM_RUNNING)
			sched_yield();
	}
	rig_destroy_vm(rig);
	golden_check(launches[_i].golden, rig->transcript.text);
	rig_free(rig);
}
END_TEST

/* Fails the n-th call; returns how many there were. */
static unsigned int break_call(const struct launch *launch, unsigned int n,
			       int error)
{
	struct rig *rig = rig_for(launch);
	unsigned int calls;
	bool reached, told;
	int rc;

	rig->fake.run = power_off;
	fault_kvm_init(&rig->fault, &rig->fake.sys, n, error);
	rc = rig_start(rig);
	if (!rc) {
		rig_wait(rig);
		ck_assert(rig->vm.end_text[0]);
	}
	calls = atomic_load(&rig->fault.calls);
	reached = calls >= n;
	if (rc) {
		/*
		 * A mapping tells why in its text only, and a probe what is
		 * missing.
		 */
		if (rig->fault.failed_req == KVM_RUN)
			error = -EOPNOTSUPP;
		ck_assert_int_eq(rc, rig->fault.failed_map ? -ENOMEM : error);
		ck_assert(err_text()[0]);
		ck_assert_ptr_nonnull(strchr(err_text(), ':'));
		ck_assert_int_eq(rig->ended, 0);
	} else if (reached && rig->fault.failed_req == KVM_RUN) {
		/*
		 * Another vCPU may have ended the VM before, or a probe had
		 * seen what it wanted.
		 */
		ck_assert(rig->vm.end == VM_FAILED || launch->nr_vcpus > 1 ||
			  launch->cvm);
		if (rig->vm.end == VM_FAILED)
			ck_assert_ptr_nonnull(
				strstr(rig->vm.end_text, "KVM_RUN"));
	} else {
		ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
	}
	rig_destroy_vm(rig);
	/*
	 * What comes up to here is a launch's; its failure must be told, but
	 * for that of an optimization, of a probe's last words, and of what
	 * frees nothing yet.
	 */
	told = rc || rig->fault.failed_req == KVM_RUN ||
	       (launch->cvm && rig->fault.failed_req == KVM_GET_REGS) ||
	       (launch->cvm && rig->fault.failed_req == KVM_GET_SREGS);
	ck_assert(told || !reached ||
		  rig->fault.failed_req == KVM_PRE_FAULT_MEMORY ||
		  rig->fault.failed_punch);
	rig_free(rig);
	return calls;
}

START_TEST(leaves_nothing_whatever_call_fails)
{
	static const int errors[] = { -ENOMEM, -EINVAL, -EPERM };
	const struct launch *launch = &launches[_i];

	for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
		unsigned int n = 1;

		while (break_call(launch, n, errors[e]) >= n)
			n++;
		ck_assert_uint_gt(n, 15); /* it did break something */
	}
}
END_TEST

static unsigned int count_calls(const struct rig *rig, const char *name)
{
	const char *at = rig->transcript.text;
	unsigned int n = 0;

	while ((at = strstr(at, name))) {
		at += strlen(name);
		n++;
	}
	return n;
}

#define ALL (RIG_BIG_LEN - PAGE_SIZE) /* but the hole, so two stretches */

static const struct {
	const char *name;
	uint64_t step, len; /* between signals; of the big file */
	uint64_t want;
	unsigned int calls;
	int cap, error;
	bool empty; /* nothing fills it */
} pre_faults[] = {
	{ "at once", 0, RIG_BIG_LEN, ALL, 2, 1, 0, false },
	{ "interrupted", 64 * KIB, RIG_BIG_LEN, ALL, 4 + 12, 1, 0, false },
	{ "page by page", PAGE_SIZE, RIG_BIG_LEN, ALL, 255, 1, 0, false },
	{ "never let go", 0, RIG_BIG_LEN, 0, 2, 1, -EINTR, false },
	{ "shadow paging", 0, RIG_BIG_LEN, 0, 2, 1, -EOPNOTSUPP, false },
	{ "no memory", 0, RIG_BIG_LEN, 0, 2, 1, -ENOMEM, false },
	{ "not offered", 0, RIG_BIG_LEN, 0, 0, 0, 0, false },
	{ "empty", 0, RIG_BIG_LEN, 0, 0, 1, 0, true },
	{ "small", 0, ALL, 0, 0, 1, 0, false },
};

START_TEST(pre_faults_what_is_there_of_a_big_region)
{
	struct rig *rig = rig_for(&launches[0]);
	uint64_t done;
	unsigned int calls;

	rig->fake.run = power_off;
	rig->fake.pre_fault_step = pre_faults[_i].step;
	rig->fake.pre_fault_error = pre_faults[_i].error;
	fake_kvm_set_cap(&rig->fake, KVM_CAP_PRE_FAULT_MEMORY,
			 pre_faults[_i].cap);
	rig->image.regions[2].len = pre_faults[_i].len;
	if (pre_faults[_i].empty)
		rig->image.regions[2].fill = NULL;
	rig_run(rig);
	ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
	done = rig->fake.vm.pre_faulted;
	calls = count_calls(rig, " PRE_FAULT_MEMORY end");
	ck_assert_msg(done == pre_faults[_i].want &&
			      calls == pre_faults[_i].calls,
		      "%s: %#" PRIx64 " bytes, %u calls", pre_faults[_i].name,
		      done, calls);
	rig_free(rig);
}
END_TEST

START_TEST(survives_interruption_of_every_run)
{
	struct rig *rig = rig_for(&launches[0]);
	unsigned int n = 1;

	rig->fake.run = power_off;
	ck_assert_int_eq(rig_start(rig), 0);
	rig_wait(rig);
	n = atomic_load(&rig->fault.calls); /* the last one is the KVM_RUN */
	rig_destroy_vm(rig);
	rig_free(rig);

	rig = rig_for(&launches[0]);
	rig->fake.run = power_off;
	fault_kvm_init(&rig->fault, &rig->fake.sys, n, -EINTR);
	rig_run(rig);
	ck_assert_uint_eq(rig->fault.failed_req, KVM_RUN);
	ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
	rig_free(rig);
}
END_TEST

static const struct {
	const char *words;
	int error;
} opens[] = {
	{ "load kvm-intel or kvm-amd", -ENOENT },
	{ "join its group (kvm) or run as root", -EACCES },
	{ "/dev/kvm: Device or resource busy", -EBUSY },
};

START_TEST(says_what_to_do_about_dev_kvm)
{
	struct rig *rig = rig_for(&launches[0]);

	rig->fake.open_error = opens[_i].error;
	ck_assert_int_eq(rig_start(rig), opens[_i].error);
	ck_assert_ptr_nonnull(strstr(err_text(), opens[_i].words));
	rig_destroy_vm(rig);
	rig_free(rig);
}
END_TEST

START_TEST(refuses_a_kernel_it_does_not_know)
{
	struct rig *rig = rig_for(&launches[0]);

	rig->fake.api_version = 13;
	ck_assert_int_eq(rig_start(rig), -ENOSYS);
	ck_assert_ptr_nonnull(strstr(err_text(), "API version 13"));
	rig->fake.api_version = KVM_API_VERSION;
	rig->fake.run_size = 2048;
	ck_assert_int_eq(rig_start(rig), -ENOSYS);
	ck_assert_ptr_nonnull(strstr(err_text(), "too small"));
	rig_destroy_vm(rig);
	rig_free(rig);
}
END_TEST

/* Linux before 6.8 has none, before 6.18 none that can be mapped. */
START_TEST(names_the_way_out_without_guest_memfd)
{
	struct rig *rig = rig_for(&launches[0]);

	fake_kvm_set_cap(&rig->fake, KVM_CAP_GUEST_MEMFD_FLAGS, _i);
	if (!_i) {
		fake_kvm_set_cap(&rig->fake, KVM_CAP_VM_TYPES, 0);
		rig->fake.knows_gmem = false;
	}
	ck_assert_int_eq(rig_start(rig), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err_text(), "memory.backing = memfd"));
	rig_destroy_vm(rig);
	rig_free(rig);
}
END_TEST

START_TEST(runs_on_an_old_kernel_with_memfd)
{
	struct rig *rig = rig_for(&launches[2]);

	rig->fake.nr_caps = 0; /* none of those newer than 6.1 */
	fake_kvm_set_cap(&rig->fake, KVM_CAP_MAX_VCPUS, 8);
	fake_kvm_set_cap(&rig->fake, KVM_CAP_SPLIT_IRQCHIP, 1);
	rig->fake.knows_gmem = false;
	rig->fake.run = power_off;
	rig_run(rig);
	ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
	rig_free(rig);
}
END_TEST

START_TEST(names_the_msr_that_kvm_refuses)
{
	struct rig *rig = rig_for(&launches[0]);

	rig->fake.refused_msr = 0x2ff;
	ck_assert_int_eq(rig_start(rig), -EINVAL);
	ck_assert_str_eq(err_text(), "VM type none: vCPU 0: KVM_SET_MSRS: "
				     "MSR 0x2ff refused");
	rig_destroy_vm(rig);
	rig_free(rig);
}
END_TEST

START_TEST(refuses_a_type_it_can_only_probe)
{
	struct rig *rig = rig_for(&launches[0]);

	rig->params.cvm = &cvm_tdx;
	ck_assert_int_eq(rig_start(rig), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err_text(), "VM type tdx"));
	rig_destroy_vm(rig);
	rig_free(rig);
}
END_TEST

START_TEST(refuses_an_image_outside_of_ram)
{
	struct rig *rig = rig_for(&launches[0]);

	rig->image.regions[1].gpa = 512 * MIB - PAGE_SIZE;
	rig->image.regions[1].len = 2 * PAGE_SIZE;
	ck_assert_int_eq(rig_start(rig), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err_text(), "load code: code at"));
	rig_destroy_vm(rig);
	rig_free(rig);
}
END_TEST

START_TEST(enters_the_image_in_64_bit_mode)
{
	struct rig *rig = rig_for(&launches[0]);
	const struct fake_vcpu *vcpu = &rig->fake.vm.vcpus[0];

	rig->fake.run = power_off;
	rig_run(rig);
	ck_assert_uint_eq(vcpu->regs.rip, rig->image.entry);
	ck_assert_uint_eq(vcpu->regs.rsi, rig->image.arg);
	ck_assert_uint_eq(vcpu->regs.rflags, 2);
	ck_assert_uint_eq(vcpu->sregs.cr0, 0x80010033);
	ck_assert_uint_eq(vcpu->sregs.cr3, rig->image.page_table);
	ck_assert_uint_eq(vcpu->sregs.cr4, 0x20);
	ck_assert_uint_eq(vcpu->sregs.efer, 0xd00);
	ck_assert_uint_eq(vcpu->sregs.cs.selector, 0x10);
	ck_assert_uint_eq(vcpu->sregs.cs.l, 1);
	ck_assert_uint_eq(vcpu->sregs.cs.db, 0);
	ck_assert_uint_eq(vcpu->sregs.ss.selector, 0x18);
	ck_assert_uint_eq(vcpu->sregs.ds.type, 3);
	ck_assert_uint_eq(vcpu->sregs.gdt.base, rig->image.gdt);
	ck_assert_uint_eq(vcpu->sregs.gdt.limit, 31);
	ck_assert_uint_eq(vcpu->sregs.apic_base, 0xfee00900);
	rig_free(rig);
}
END_TEST

START_TEST(gives_every_vcpu_its_own_apic_id)
{
	struct rig *rig = rig_new(512 * MIB, 255);

	rig->fake.run = power_off;
	rig_run(rig);
	for (unsigned int id = 0; id < 255; id++) {
		const struct fake_vcpu *vcpu = &rig->fake.vm.vcpus[id];

		ck_assert_uint_eq(vcpu->cpuid[1].function, 1);
		ck_assert_uint_eq(vcpu->cpuid[1].ebx >> 24, id);
		ck_assert_uint_eq(vcpu->nr_msrs, 2);
	}
	rig_free(rig);
}
END_TEST

Suite *launch_suite(void)
{
	Suite *s = suite_create("launch");
	TCase *tc = tcase_create("launch");
	int n = ARRAY_SIZE(launches);

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, asks_the_kernel_what_the_golden_file_says, 0,
			    n);
	tcase_add_loop_test(tc, leaves_nothing_whatever_call_fails, 0, n);
	tcase_add_loop_test(tc, pre_faults_what_is_there_of_a_big_region, 0,
			    ARRAY_SIZE(pre_faults));
	tcase_add_test(tc, survives_interruption_of_every_run);
	tcase_add_loop_test(tc, says_what_to_do_about_dev_kvm, 0,
			    ARRAY_SIZE(opens));
	tcase_add_test(tc, refuses_a_kernel_it_does_not_know);
	tcase_add_loop_test(tc, names_the_way_out_without_guest_memfd, 0, 2);
	tcase_add_test(tc, runs_on_an_old_kernel_with_memfd);
	tcase_add_test(tc, names_the_msr_that_kvm_refuses);
	tcase_add_test(tc, refuses_a_type_it_can_only_probe);
	tcase_add_test(tc, refuses_an_image_outside_of_ram);
	tcase_add_test(tc, enters_the_image_in_64_bit_mode);
	tcase_add_test(tc, gives_every_vcpu_its_own_apic_id);
	suite_add_tcase(s, tc);
	return s;
}
