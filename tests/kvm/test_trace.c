/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of the trace: names instead of numbers, errors by name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suites.h"
#include "support/fake_kvm.h"
#include "support/fault_kvm.h"
#include "support/golden.h"
#include "vmm/kvm/trace.h"

static struct fake_kvm fake;
static struct fault_kvm fault;
static struct kvm_trace trace;
static struct transcript said = { .lock = PTHREAD_MUTEX_INITIALIZER };
static struct kvm_sys *const sys = &trace.sys;
static int kvm, vm;

static void setup(void)
{
	fake_kvm_init(&fake);
	fault_kvm_init(&fault, &fake.sys, 0, 0);
	kvm_trace_init(&trace, &fault.sys, transcript_line, &said);
	kvm = sys->open(sys, "/dev/kvm");
	vm = sys->ioctl(sys, kvm, KVM_CREATE_VM, NULL);
}

static void teardown(void)
{
	transcript_destroy(&said);
}

/* What was said since the last time, without the newline at the end. */
static const char *news(void)
{
	static char text[2048];

	text[0] = '\0';
	if (said.text)
		snprintf(text, sizeof(text), "%.*s", (int)said.len - 1,
			 said.text);
	transcript_destroy(&said);
	return text;
}

START_TEST(things_are_named_after_what_made_them)
{
	ck_assert_str_eq(news(), "open /dev/kvm -> kvm\n"
				 "kvm CREATE_VM type=0 -> vm");
	sys->ioctl(sys, kvm, KVM_CREATE_VM, NULL);
	ck_assert_str_eq(news(), "kvm CREATE_VM type=0 -> vm1");
	sys->close(sys, vm);
	ck_assert_str_eq(news(), "close vm");
	/* The name is free again. */
	sys->ioctl(sys, kvm, KVM_CREATE_VM, NULL);
	ck_assert_str_eq(news(), "kvm CREATE_VM type=0 -> vm");
}
END_TEST

START_TEST(errors_are_told_by_name)
{
	news();
	sys->ioctl(sys, kvm, KVM_CREATE_VM, (void *)7);
	ck_assert_str_eq(news(), "kvm CREATE_VM type=7 -> EINVAL");
	sys->ioctl(sys, vm, KVM_NMI, NULL);
	ck_assert_str_eq(news(), "vm ioctl 0xae9a -> ENOTTY");
	sys->ioctl(sys, 4000, KVM_RUN, NULL);
	ck_assert_str_eq(news(), "? RUN -> EBADF");
	sys->open(sys, "/dev/zero");
	ck_assert_str_eq(news(), "open /dev/zero -> ENOENT");
	fault_kvm_init(&fault, &fake.sys, 1, -ENFILE);
	errno = 0;
	ck_assert_ptr_null(sys->map(sys, vm, PAGE_SIZE));
	ck_assert_int_eq(errno, ENFILE);
	ck_assert_str_eq(news(), "map vm len=0x1000 -> failed");
}
END_TEST

START_TEST(memory_is_told_as_offsets)
{
	struct kvm_create_guest_memfd g = { .size = 2 * MIB, .flags = 3 };
	int fd = sys->ioctl(sys, vm, KVM_CREATE_GUEST_MEMFD, &g);
	uint8_t *p = sys->map(sys, fd, 2 * MIB);
	struct kvm_userspace_memory_region2 r = {
		.slot = 1,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = GIB,
		.memory_size = MIB,
		.guest_memfd = (__u32)fd,
		.guest_memfd_offset = MIB,
		.userspace_addr = (uintptr_t)p + MIB,
	};

	news();
	sys->ioctl(sys, vm, KVM_SET_USER_MEMORY_REGION2, &r);
	ck_assert_str_eq(news(),
			 "vm SET_USER_MEMORY_REGION2 slot=1 flags=0x4 "
			 "gpa=0x40000000 len=0x100000 gmem=gmem+0x100000 "
			 "host=gmem+0x100000");
	r.userspace_addr = 0x1000;
	r.memory_size = 0;
	r.flags = 0;
	sys->ioctl(sys, vm, KVM_SET_USER_MEMORY_REGION2, &r);
	ck_assert_str_eq(news(), "vm SET_USER_MEMORY_REGION2 slot=1 flags=0 "
				 "gpa=0x40000000 len=0 host=?");
	sys->close(sys, fd); /* the mapping still has its name */
	sys->unmap(sys, p, 2 * MIB);
	ck_assert_str_eq(news(), "close gmem\nunmap gmem len=0x200000");
}
END_TEST

START_TEST(a_file_of_another_kind_is_a_file)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	void *p;

	ck_assert_int_eq(ftruncate(fd, PAGE_SIZE), 0);
	news();
	p = sys->map(sys, fd, PAGE_SIZE);
	close(fd);
	sys->unmap(sys, p, PAGE_SIZE);
	ck_assert_str_eq(news(), "map file len=0x1000\n"
				 "unmap file len=0x1000");
}
END_TEST

static int (*next_exit)(struct kvm_run *run);

static int guest(struct fake_kvm *f, unsigned int id, unsigned int n,
		 struct kvm_run *run)
{
	(void)f;
	(void)id;
	(void)n;
	return next_exit(run);
}

static int exit_out(struct kvm_run *run)
{
	return fake_exit_pio(run, KVM_EXIT_IO_OUT, 0x3f8, 1, 3, "key");
}

static int exit_in(struct kvm_run *run)
{
	return fake_exit_pio(run, KVM_EXIT_IO_IN, 0x3fd, 4, 1, NULL);
}

static int exit_mmio(struct kvm_run *run)
{
	return fake_exit_mmio(run, true, 0xe0000004, 2, "ab");
}

static int exit_shutdown(struct kvm_run *run)
{
	return fake_exit(run, KVM_EXIT_SHUTDOWN);
}

static int exit_event(struct kvm_run *run)
{
	run->system_event.type = 2;
	return fake_exit(run, KVM_EXIT_SYSTEM_EVENT);
}

static int exit_error(struct kvm_run *run)
{
	run->internal.suberror = 1;
	return fake_exit(run, KVM_EXIT_INTERNAL_ERROR);
}

static int exit_other(struct kvm_run *run)
{
	return fake_exit(run, 77);
}

static int exit_eintr(struct kvm_run *run)
{
	(void)run;
	return -EINTR;
}

static const struct {
	int (*exit)(struct kvm_run *run);
	const char *line;
} exits[] = {
	{ exit_out, "vcpu3 RUN -> IO out port=0x3f8 size=1 count=3" },
	{ exit_in, "vcpu3 RUN -> IO in port=0x3fd size=4 count=1" },
	{ exit_mmio, "vcpu3 RUN -> MMIO write gpa=0xe0000004 len=2" },
	{ exit_shutdown, "vcpu3 RUN -> SHUTDOWN" },
	{ exit_event, "vcpu3 RUN -> SYSTEM_EVENT type=2" },
	{ exit_error, "vcpu3 RUN -> INTERNAL_ERROR suberror=1" },
	{ exit_other, "vcpu3 RUN -> exit 77" },
	{ exit_eintr, "vcpu3 RUN -> EINTR" },
};

START_TEST(exits_are_told_without_guest_data)
{
	int fd = sys->ioctl(sys, vm, KVM_CREATE_VCPU, (void *)3);
	void *run = sys->map(sys, fd, FAKE_RUN_SIZE);

	fake.run = guest;
	next_exit = exits[_i].exit;
	news();
	sys->ioctl(sys, fd, KVM_RUN, NULL);
	ck_assert_str_eq(news(), exits[_i].line);
	sys->unmap(sys, run, FAKE_RUN_SIZE);
}
END_TEST

START_TEST(more_things_than_names_are_no_harm)
{
	int fd = -1;

	for (int i = 0; i < TRACE_MAX_OBJECTS + 5; i++)
		fd = sys->open(sys, "/dev/kvm");
	news();
	ck_assert_int_eq(sys->ioctl(sys, fd, KVM_GET_API_VERSION, NULL), 12);
	ck_assert_str_eq(news(), "? GET_API_VERSION -> 12");
	sys->close(sys, fd);
	ck_assert_str_eq(news(), "close ?");
}
END_TEST

START_TEST(interrupts_and_bells_are_told_without_fds)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[6];
	} t = { .head = { .nr = 6 } };
	struct kvm_irqfd irqfd = { .fd = 77, .gsi = 5 };
	struct kvm_ioeventfd bell = { .fd = 77, .addr = 0xc0003004 };

	for (unsigned int i = 0; i < 6; i++)
		t.entries[i] = (struct kvm_irq_routing_entry){
			.gsi = 10 * i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = 0xfee01000,
				   .address_hi = i,
				   .data = 0x40 + i },
		};
	news();
	sys->ioctl(sys, vm, KVM_SET_GSI_ROUTING, &t);
	ck_assert_str_eq(news(), "vm SET_GSI_ROUTING nr=6 "
				 "gsi0=0xfee01000/0x40 "
				 "gsi10=0x1fee01000/0x41 "
				 "gsi20=0x2fee01000/0x42 "
				 "gsi30=0x3fee01000/0x43 ... -> EINVAL");
	t.head.nr = 0;
	sys->ioctl(sys, vm, KVM_SET_GSI_ROUTING, &t);
	ck_assert_str_eq(news(), "vm SET_GSI_ROUTING nr=0 -> EINVAL");
	sys->ioctl(sys, vm, KVM_IRQFD, &irqfd);
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	sys->ioctl(sys, vm, KVM_IRQFD, &irqfd);
	ck_assert_str_eq(news(), "vm IRQFD gsi=5 -> EINVAL\n"
				 "vm IRQFD gsi=5 off -> EBADF");
	sys->ioctl(sys, vm, KVM_IOEVENTFD, &bell);
	bell.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	sys->ioctl(sys, vm, KVM_IOEVENTFD, &bell);
	ck_assert_str_eq(news(),
			 "vm IOEVENTFD gpa=0xc0003004 len=0 -> EBADF\n"
			 "vm IOEVENTFD gpa=0xc0003004 len=0 off -> EBADF");
}
END_TEST

Suite *trace_suite(void)
{
	Suite *s = suite_create("trace");
	TCase *tc = tcase_create("trace");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, things_are_named_after_what_made_them);
	tcase_add_test(tc, errors_are_told_by_name);
	tcase_add_test(tc, memory_is_told_as_offsets);
	tcase_add_test(tc, a_file_of_another_kind_is_a_file);
	tcase_add_loop_test(tc, exits_are_told_without_guest_data, 0,
			    ARRAY_SIZE(exits));
	tcase_add_test(tc, interrupts_and_bells_are_told_without_fds);
	tcase_add_test(tc, more_things_than_names_are_no_harm);
	suite_add_tcase(s, tc);
	return s;
}
