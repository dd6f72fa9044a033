/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop: scripted exits, what devices see, how a VM ends. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "suites.h"
#include "support/rig.h"

/* A device that remembers what was written and counts when read. */
struct recorder {
	struct bus_window window;
	uint8_t bytes[64];
	unsigned int nr_bytes, nr_accesses;
	uint64_t last_off;
};

static void record_read(struct bus_window *w, uint64_t off, void *data,
			unsigned int len)
{
	struct recorder *r = container_of(w, struct recorder, window);

	r->last_off = off;
	memset(data, (int)++r->nr_accesses, len);
}

static void record_write(struct bus_window *w, uint64_t off, const void *data,
			 unsigned int len)
{
	struct recorder *r = container_of(w, struct recorder, window);

	r->last_off = off;
	r->nr_accesses++;
	memcpy(r->bytes + r->nr_bytes, data, len);
	r->nr_bytes += len;
}

static const struct bus_ops record_ops = { .read = record_read,
					   .write = record_write };
static struct recorder port, device;

static void add_recorders(struct rig *rig)
{
	memset(&port, 0, sizeof(port));
	memset(&device, 0, sizeof(device));
	port.window = (struct bus_window){
		.name = "port", .base = 0x600, .len = 8, .ops = &record_ops
	};
	device.window = (struct bus_window){ .name = "device",
					     .base = 0xe0000000,
					     .len = PAGE_SIZE,
					     .ops = &record_ops };
	ck_assert_int_eq(bus_add(&rig->vm.pio, &port.window), 0);
	ck_assert_int_eq(bus_add(&rig->vm.mmio, &device.window), 0);
}

static int power_off(struct kvm_run *run)
{
	run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	return fake_exit(run, KVM_EXIT_SYSTEM_EVENT);
}

/* Runs vCPU 0 by the script, one vCPU, until the VM ends. */
static struct rig *run_script(int (*script)(struct fake_kvm *fake,
					    unsigned int id, unsigned int n,
					    struct kvm_run *run))
{
	struct rig *rig = rig_new(512 * MIB, 1);

	rig->prepare = add_recorders;
	rig->fake.run = script;
	rig_run(rig);
	return rig;
}

static int script_pio(struct fake_kvm *fake, unsigned int id, unsigned int n,
		      struct kvm_run *run)
{
	const uint8_t *data = fake_pio_data(run);

	(void)fake;
	(void)id;
	switch (n) {
	case 0: /* OUTSB of 4 */
		return fake_exit_pio(run, KVM_EXIT_IO_OUT, 0x601, 1, 4, "abcd");
	case 1:
		return fake_exit_pio(run, KVM_EXIT_IO_OUT, 0x604, 4, 1, "efgh");
	case 2: /* INSW of 3: each reads the port anew */
		return fake_exit_pio(run, KVM_EXIT_IO_IN, 0x600, 2, 3, NULL);
	case 3:
		if (memcmp(data, "\6\6\7\7\10\10", 6) != 0)
			return -EIO;
		memset(fake_pio_data(run), 0, 8);
		return fake_exit_pio(run, KVM_EXIT_IO_IN, 0x5fe, 4, 2, NULL);
	case 4: /* nobody there: across the window's start */
		return memcmp(data, "\xff\xff\xff\xff\xff\xff\xff\xff", 8)
			       ? -EIO
			       : fake_exit_pio(run, KVM_EXIT_IO_OUT, 0x80, 1, 1,
					       "x");
	}
	return power_off(run);
}

START_TEST(ports_see_every_access_of_a_string)
{
	struct rig *rig = run_script(script_pio);

	ck_assert_msg(rig->vm.end == VM_POWEROFF, "%s", rig->vm.end_text);
	ck_assert_mem_eq(port.bytes, "abcdefgh", 8);
	ck_assert_uint_eq(port.nr_accesses, 8);
	ck_assert_uint_eq(rig->vm.pio.unclaimed, 3);
	rig_free(rig);
}
END_TEST

static int script_mmio(struct fake_kvm *fake, unsigned int id, unsigned int n,
		       struct kvm_run *run)
{
	(void)fake;
	(void)id;
	switch (n) {
	case 0:
		return fake_exit_mmio(run, true, 0xe0000010, 8, "12345678");
	case 1:
		return fake_exit_mmio(run, false, 0xe0000ffc, 4, "\0\0\0\0");
	case 2:
		return memcmp(run->mmio.data, "\2\2\2\2", 4)
			       ? -EIO
			       : fake_exit_mmio(run, false, 0xd0000000, 8,
						"\0\0\0\0\0\0\0\0");
	case 3:
		return memcmp(run->mmio.data,
			      "\xff\xff\xff\xff\xff\xff\xff\xff", 8)
			       ? -EIO
			       : fake_exit_mmio(run, true, UINT64_MAX, 1, "z");
	case 4: /* 4 bytes across the end of a page: 3 and 1 */
		return fake_exit_mmio(run, false, 0xe0000ffd, 3, "\0\0\0");
	case 5:
		return memcmp(run->mmio.data, "\xff\xff\xff", 3)
			       ? -EIO
			       : fake_exit_mmio(run, true, 0xe0000000, 5,
						"12345");
	}
	return power_off(run);
}

START_TEST(devices_see_offsets_and_nobody_is_all_ones)
{
	struct rig *rig = run_script(script_mmio);

	ck_assert_msg(rig->vm.end == VM_POWEROFF, "%s", rig->vm.end_text);
	ck_assert_mem_eq(device.bytes, "12345678", 8);
	ck_assert_uint_eq(device.last_off, 0xffc);
	ck_assert_uint_eq(device.nr_accesses, 2);
	ck_assert_uint_eq(rig->vm.mmio.unclaimed, 4);
	rig_free(rig);
}
END_TEST

static int script_storm(struct fake_kvm *fake, unsigned int id, unsigned int n,
			struct kvm_run *run)
{
	(void)fake;
	(void)id;
	if (n == 2000)
		return power_off(run);
	if (n % 3 == 2)
		return fake_exit(run, KVM_EXIT_INTR);
	return n % 3 ? -EINTR : -EAGAIN;
}

START_TEST(interruptions_do_not_stop_a_vcpu)
{
	struct rig *rig = rig_new(512 * MIB, 1);

	rig->fake.run = script_storm;
	ck_assert_int_eq(rig_start(rig), 0);
	rig_wait(rig);
	ck_assert_int_eq(rig->vm.end, VM_POWEROFF);
	/* The vCPU counts an exit before it handles it. */
	ck_assert_uint_eq(vm_exits(&rig->vm, EXIT_INTERRUPTED), 2000);
	ck_assert_uint_eq(vm_exits(&rig->vm, EXIT_POWEROFF), 1);
	rig_destroy_vm(rig);
	ck_assert_uint_eq(vm_exits(&rig->vm, EXIT_INTERRUPTED), 0);
	rig_free(rig);
}
END_TEST

/* --- how a VM ends: one exit each --- */

static int triple_fault(struct kvm_run *run)
{
	return fake_exit(run, KVM_EXIT_SHUTDOWN);
}

static int reset(struct kvm_run *run)
{
	run->system_event.type = KVM_SYSTEM_EVENT_RESET;
	return fake_exit(run, KVM_EXIT_SYSTEM_EVENT);
}

static int internal_error(struct kvm_run *run)
{
	run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	return fake_exit(run, KVM_EXIT_INTERNAL_ERROR);
}

static int fail_entry(struct kvm_run *run)
{
	run->fail_entry.hardware_entry_failure_reason = 0x80000021;
	return fake_exit(run, KVM_EXIT_FAIL_ENTRY);
}

static int memory_fault(struct kvm_run *run)
{
	const struct abi_memory_fault fault = {
		.flags = KVM_MEMORY_EXIT_FLAG_PRIVATE,
		.gpa = 0x7000000,
		.size = PAGE_SIZE,
	};

	memcpy((uint8_t *)run + ABI_RUN_UNION, &fault, sizeof(fault));
	fake_exit(run, KVM_EXIT_MEMORY_FAULT);
	return -EFAULT;
}

static int plain_fault(struct kvm_run *run)
{
	fake_exit(run, KVM_EXIT_UNKNOWN);
	return -EFAULT;
}

static int unknown(struct kvm_run *run)
{
	return fake_exit(run, 77);
}

static int nonsense(struct kvm_run *run)
{
	fake_exit_pio(run, KVM_EXIT_IO_IN, 0x600, 1, 1, NULL);
	run->io.data_offset = FAKE_RUN_SIZE;
	return 0;
}

static const struct {
	int (*exit)(struct kvm_run *run);
	enum vm_end end;
	const char *text;
} ends[] = {
	{ power_off, VM_POWEROFF, "powered off by KVM for vCPU 0" },
	{ reset, VM_RESET, "reset by KVM for vCPU 0" },
	{ triple_fault, VM_TRIPLE_FAULT,
	  "triple fault on vCPU 0, RIP 0x100000, CR2 0" },
	{ internal_error, VM_FAILED,
	  "KVM internal error 1: it cannot emulate an instruction of the "
	  "guest on vCPU 0, RIP 0x100000, CR2 0" },
	{ fail_entry, VM_FAILED,
	  "KVM cannot enter the guest: hardware reason 0x80000021 on vCPU 0, "
	  "RIP 0x100000, CR2 0" },
	{ memory_fault, VM_FAILED,
	  "no private memory at 0x7000000: Bad address on vCPU 0, RIP "
	  "0x100000, CR2 0" },
	{ plain_fault, VM_FAILED,
	  "KVM_RUN: Bad address on vCPU 0, RIP 0x100000, CR2 0" },
	{ unknown, VM_FAILED,
	  "unexpected KVM exit 77 (detail 0) on vCPU 0, RIP 0x100000, CR2 0" },
	{ nonsense, VM_FAILED, "KVM exit 2 makes no sense on vCPU 0" },
};
static unsigned int end_at;

static int script_end(struct fake_kvm *fake, unsigned int id, unsigned int n,
		      struct kvm_run *run)
{
	(void)fake;
	(void)n;
	return id ? FAKE_BLOCK : ends[end_at].exit(run);
}

START_TEST(every_end_has_its_reason_and_words)
{
	struct rig *rig = rig_new(512 * MIB, 3);

	end_at = (unsigned int)_i;
	rig->fake.run = script_end;
	rig_run(rig);
	ck_assert_int_eq(rig->vm.end, ends[_i].end);
	ck_assert_str_eq(rig->vm.end_text, ends[_i].text);
	ck_assert_int_eq(rig->ended, 1);
	rig_free(rig);
}
END_TEST

static unsigned int runs;

static int script_delivery(struct fake_kvm *fake, unsigned int id,
			   unsigned int n, struct kvm_run *run)
{
	(void)fake;
	(void)id;
	runs = n + 1;
	/* A few in a row, then something else, then for ever. */
	if (n == 7)
		return fake_exit(run, KVM_EXIT_INTR);
	run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	return fake_exit(run, KVM_EXIT_INTERNAL_ERROR);
}

START_TEST(an_event_that_cannot_be_delivered_is_tried_a_few_times)
{
	struct rig *rig = run_script(script_delivery);

	ck_assert_int_eq(rig->vm.end, VM_FAILED);
	ck_assert_uint_eq(runs, 7 + 1 + 8);
	ck_assert_ptr_nonnull(strstr(rig->vm.end_text, "internal error 3"));
	rig_free(rig);
}
END_TEST

START_TEST(state_that_cannot_be_read_is_left_out)
{
	struct rig *rig = rig_new(512 * MIB, 1);
	unsigned int calls;

	end_at = 2;
	rig->fake.run = script_end;
	rig_run(rig);
	calls = atomic_load(&rig->fault.calls);
	rig_free(rig);

	rig = rig_new(512 * MIB, 1);
	rig->fake.run = script_end;
	/* The last two calls are GET_REGS and GET_SREGS. */
	fault_kvm_init(&rig->fault, &rig->fake.sys, calls, -EINVAL);
	rig_run(rig);
	ck_assert_str_eq(rig->vm.end_text, "triple fault on vCPU 0");
	rig_free(rig);
}
END_TEST

/* --- ending from outside --- */

START_TEST(kick_is_never_lost)
{
	for (int i = 0; i < 100; i++) {
		struct rig *rig = rig_new(16 * MIB, 4);

		ck_assert_int_eq(rig_start(rig), 0); /* all of them sleep */
		if (i & 1)
			sched_yield();
		vm_end(&rig->vm, VM_STOPPED, "stopped by test %d", i);
		rig_destroy_vm(rig); /* also sees that no kick was lost */
		ck_assert_int_eq(rig->vm.end, VM_STOPPED);
		ck_assert_int_eq(rig->ended, 1);
		rig_free(rig);
	}
}
END_TEST

/* On its way into the guest, past all checks, when the kick comes. */
static int script_late(struct fake_kvm *fake, unsigned int id, unsigned int n,
		       struct kvm_run *run)
{
	const struct timespec nap = { .tv_nsec = 20000000 };
	struct rig *rig = container_of(fake, struct rig, fake);

	(void)id;
	(void)n;
	(void)run;
	while (rig->vm.end == VM_RUNNING)
		sched_yield();
	nanosleep(&nap, NULL); /* the signal comes now */
	return FAKE_BLOCK;
}

START_TEST(kick_reaches_a_vcpu_that_is_not_asleep_yet)
{
	struct rig *rig = rig_new(16 * MIB, 1);

	rig->fake.run = script_late;
	ck_assert_int_eq(rig_start(rig), 0);
	while (!atomic_load(&rig->fake.running))
		sched_yield();
	vm_end(&rig->vm, VM_STOPPED, "stopped");
	rig_destroy_vm(rig);
	rig_free(rig);
}
END_TEST

START_TEST(destroying_a_running_vm_stops_it)
{
	struct rig *rig = rig_new(16 * MIB, 2);

	ck_assert_int_eq(rig_start(rig), 0);
	rig_destroy_vm(rig);
	ck_assert_int_eq(rig->vm.end, VM_STOPPED);
	ck_assert_str_eq(rig->vm.end_text, "destroyed");
	rig_free(rig);
}
END_TEST

struct ender {
	pthread_t thread;
	pthread_barrier_t *start;
	struct vm *vm;
	enum vm_end why;
};

static void *end_it(void *arg)
{
	struct ender *e = arg;

	pthread_barrier_wait(e->start);
	vm_end(e->vm, e->why, "reason %d", e->why);
	return NULL;
}

START_TEST(first_reason_stays)
{
	static const enum vm_end reasons[] = { VM_POWEROFF, VM_RESET,
					       VM_TRIPLE_FAULT, VM_FAILED };

	for (int round = 0; round < 50; round++) {
		struct rig *rig = rig_new(16 * MIB, 2);
		struct ender enders[ARRAY_SIZE(reasons)];
		pthread_barrier_t start;
		char want[32];

		ck_assert_int_eq(rig_start(rig), 0);
		pthread_barrier_init(&start, NULL, ARRAY_SIZE(enders));
		for (size_t i = 0; i < ARRAY_SIZE(enders); i++) {
			enders[i] = (struct ender){ .start = &start,
						    .vm = &rig->vm,
						    .why = reasons[i] };
			pthread_create(&enders[i].thread, NULL, end_it,
				       &enders[i]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(enders); i++)
			pthread_join(enders[i].thread, NULL);
		pthread_barrier_destroy(&start);
		snprintf(want, sizeof(want), "reason %d", rig->vm.end);
		ck_assert_str_eq(rig->vm.end_text, want);
		vm_end(&rig->vm, VM_STOPPED, "too late");
		ck_assert_str_eq(rig->vm.end_text, want);
		rig_destroy_vm(rig);
		ck_assert_int_eq(rig->ended, 1);
		rig_free(rig);
	}
}
END_TEST

Suite *run_suite(void)
{
	Suite *s = suite_create("run");
	TCase *tc = tcase_create("run");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, ports_see_every_access_of_a_string);
	tcase_add_test(tc, devices_see_offsets_and_nobody_is_all_ones);
	tcase_add_test(tc, interruptions_do_not_stop_a_vcpu);
	tcase_add_loop_test(tc, every_end_has_its_reason_and_words, 0,
			    ARRAY_SIZE(ends));
	tcase_add_test(tc,
		       an_event_that_cannot_be_delivered_is_tried_a_few_times);
	tcase_add_test(tc, state_that_cannot_be_read_is_left_out);
	tcase_add_test(tc, kick_is_never_lost);
	tcase_add_test(tc, kick_reaches_a_vcpu_that_is_not_asleep_yet);
	tcase_add_test(tc, destroying_a_running_vm_stops_it);
	tcase_add_test(tc, first_reason_stays);
	suite_add_tcase(s, tc);
	return s;
}
