/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM with a PCI device, whose guest programs it: what that asks of the
 * kernel, and what is left when a call fails.
 */
#include <errno.h>

#include "devices/rng.h"
#include "suites.h"
#include "support/rig.h"
#include "vmm/base/layout_x86.h"
#include "vmm/device_set.h"

#define SLOT1 (X86_ECAM + (1 << 15))
#define BAR (X86_PCI_MMIO32 + X86_PCI_MMIO32_LEN / PCI_SLOTS)
#define TABLE (BAR + 0x4000)
#define ELSEWHERE (X86_PCI_MMIO64 + 0x100000)

static struct pci_bus pci;
static struct device_set devices;

/* What the guest writes, one exit each, before it powers off. */
static const struct {
	uint64_t gpa;
	uint32_t len, value;
} writes[] = {
	{ SLOT1 + 0x04, 2, 0x0006 }, /* memory on */
	{ BAR + 0x16, 2, 0 },
	{ BAR + 0x1c, 2, 1 },        /* queue 0 on: a bell */
	{ TABLE + 0, 4, X86_LAPIC }, /* vector 0 */
	{ TABLE + 8, 4, 0x41 },
	{ TABLE + 12, 4, 0 },
	{ SLOT1 + 0x42, 2, 0x8000 },  /* MSI-X on: it is connected */
	{ TABLE + 8, 4, 0x42 },       /* another message */
	{ TABLE + 16, 4, X86_LAPIC }, /* vector 1 */
	{ TABLE + 24, 4, 0x43 },
	{ TABLE + 28, 4, 0 },
	{ SLOT1 + 0x42, 2, 0xc000 }, /* all masked */
	{ SLOT1 + 0x42, 2, 0x8000 },
	{ TABLE + 0, 4, 0x1000 }, /* to memory: no interrupt */
	{ SLOT1 + 0x04, 2, 0 },   /* moves the BAR */
	{ SLOT1 + 0x10, 4, (uint32_t)ELSEWHERE },
	{ SLOT1 + 0x14, 4, ELSEWHERE >> 32 },
	{ SLOT1 + 0x04, 2, 0x0006 },
	{ ELSEWHERE + 0x14, 1, 1 }, /* virtio status */
};

static int guest(struct fake_kvm *fake, unsigned int id, unsigned int n,
		 struct kvm_run *run)
{
	(void)fake;
	(void)id;
	if (n < ARRAY_SIZE(writes))
		return fake_exit_mmio(run, true, writes[n].gpa, writes[n].len,
				      &writes[n].value);
	run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	return fake_exit(run, KVM_EXIT_SYSTEM_EVENT);
}

static void add_device(struct rig *rig)
{
	pci_bus_init(&pci);
	device_set_init(&devices, &pci, &rig->vm.kvm, &rig->vm.memory.guest);
	ck_assert_int_eq(bus_add(&rig->vm.mmio, &pci.window), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(pci.bars); i++)
		ck_assert_int_eq(bus_add(&rig->vm.mmio, &pci.bars[i]), 0);
	ck_assert_int_eq(device_set_add(&devices, "rng", rng_create, NULL), 0);
	ck_assert_int_eq(device_set_start(&devices), 0);
}

/* Everything that machine.c does, in its order. */
static int live(struct rig *rig)
{
	int rc;

	rig->prepare = add_device;
	rig->fake.run = guest;
	rc = rig_start(rig);
	if (!rc)
		rig_wait(rig);
	vm_stop(&rig->vm);
	device_set_destroy(&devices);
	device_set_destroy(&devices); /* twice is fine */
	if (!rig->fault.fail_at) {    /* what was made has been undone */
		ck_assert_uint_eq(rig->fake.vm.wires.nr_irqfds, 0);
		ck_assert_uint_eq(rig->fake.vm.wires.nr_bells, 0);
	}
	rig_destroy_vm(rig);
	return rc;
}

START_TEST(asks_the_kernel_what_the_golden_file_says)
{
	struct rig *rig = rig_new(512 * MIB, 1);

	ck_assert_int_eq(live(rig), 0);
	ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
	golden_check("tests/golden/launch_device.txt", rig->transcript.text);
	rig_free(rig);
}
END_TEST

static bool wires(unsigned long req)
{
	return req == KVM_IRQFD || req == KVM_IOEVENTFD ||
	       req == KVM_SET_GSI_ROUTING;
}

/* Fails the n-th call; false: there were not so many. */
static bool break_call(unsigned int n, int error, unsigned int *survived)
{
	struct rig *rig = rig_new(512 * MIB, 1);
	bool reached;
	int rc;

	fault_kvm_init(&rig->fault, &rig->fake.sys, n, error);
	rc = live(rig);
	reached = atomic_load(&rig->fault.calls) >= n;
	if (wires(rig->fault.failed_req)) {
		/* Nothing that a guest causes ends the VM. */
		ck_assert_int_eq(rc, 0);
		ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
		(*survived)++;
	} else if (rc) {
		ck_assert(err_text()[0]);
	}
	rig_free(rig);
	return reached;
}

START_TEST(leaves_nothing_whatever_call_fails)
{
	static const int errors[] = { -ENOMEM, -EINVAL, -ENOSPC };
	unsigned int n = 1, survived = 0;

	while (break_call(n, errors[_i], &survived))
		n++;
	ck_assert_uint_gt(survived, 10); /* it did break something */
}
END_TEST

Suite *launch_device_suite(void)
{
	Suite *s = suite_create("launch_device");
	TCase *tc = tcase_create("launch_device");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, asks_the_kernel_what_the_golden_file_says);
	tcase_add_loop_test(tc, leaves_nothing_whatever_call_fails, 0, 3);
	suite_add_tcase(s, tc);
	return s;
}
