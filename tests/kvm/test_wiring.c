/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of vmm/kvm/wiring.c on the fake kernel; and the fake's rules for what
 * it asks, on /dev/kvm too (see world.h).
 */
#include "vmm/kvm/wiring.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "suites.h"
#include "support/fault_kvm.h"
#include "support/world.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

/* ---- What the kernel says ---- */

static int event(void)
{
	return eventfd(0, EFD_CLOEXEC); /* lives as long as the test */
}

static int irqfd(struct world *w, int fd, uint32_t gsi, uint32_t flags)
{
	struct kvm_irqfd arg = { .fd = (__u32)fd, .gsi = gsi, .flags = flags };

	return world_call(w, w->vm, KVM_IRQFD, &arg);
}

static int bell(struct world *w, int fd, uint64_t addr, uint32_t len,
		uint32_t flags)
{
	struct kvm_ioeventfd arg = {
		.addr = addr, .len = len, .fd = fd, .flags = flags
	};

	return world_call(w, w->vm, KVM_IOEVENTFD, &arg);
}

static int irqfd_without_irqchip(struct world *w)
{
	return irqfd(w, event(), 3, 0);
}

static int irqfd_of_no_fd(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return irqfd(w, 9999, 3, 0);
}

static int irqfd_of_another_fd(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return irqfd(w, open("/dev/null", O_RDWR | O_CLOEXEC), 3, 0);
}

static int irqfd_with_unknown_flag(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return irqfd(w, event(), 3, 1 << 5);
}

static int irqfd_that_resamples(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return irqfd(w, event(), 3, KVM_IRQFD_FLAG_RESAMPLE);
}

static int irqfd_without_route(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return irqfd(w, event(), 4000, 0);
}

static int irqfd_twice(struct world *w)
{
	int fd = event();

	world_split_irqchip(w, 0, 0);
	irqfd(w, fd, 3, 0);
	return irqfd(w, fd, 4, 0);
}

static int irqfd_again_after_its_end(struct world *w)
{
	int fd = event();

	world_split_irqchip(w, 0, 0);
	irqfd(w, fd, 3, 0);
	if (irqfd(w, fd, 3, KVM_IRQFD_FLAG_DEASSIGN))
		return -ENOTRECOVERABLE;
	return irqfd(w, fd, 4, 0);
}

static int irqfd_ended_that_is_not(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return irqfd(w, event(), 3, KVM_IRQFD_FLAG_DEASSIGN);
}

static int irqfd_ended_by_another_gsi(struct world *w)
{
	int fd = event();

	world_split_irqchip(w, 0, 0);
	irqfd(w, fd, 3, 0);
	irqfd(w, fd, 4, KVM_IRQFD_FLAG_DEASSIGN);
	return irqfd(w, fd, 3, 0);
}

static int bell_of_any_width(struct world *w)
{
	return bell(w, event(), 0xc0003000, 0, 0);
}

static int bell_of_three_bytes(struct world *w)
{
	return bell(w, event(), 0xc0003000, 3, 0);
}

static int bell_that_wraps(struct world *w)
{
	return bell(w, event(), -2ULL, 4, 0);
}

static int bell_with_unknown_flag(struct world *w)
{
	return bell(w, event(), 0xc0003000, 0, 1 << 10);
}

static int bell_of_no_width_for_a_value(struct world *w)
{
	return bell(w, event(), 0xc0003000, 0, KVM_IOEVENTFD_FLAG_DATAMATCH);
}

static int bell_of_another_fd(struct world *w)
{
	return bell(w, open("/dev/null", O_RDWR | O_CLOEXEC), 0xc0003000, 0, 0);
}

static int bells_in_one_place(struct world *w)
{
	bell(w, event(), 0xc0003000, 0, 0);
	return bell(w, event(), 0xc0003000, 4, 0);
}

static int bells_side_by_side(struct world *w)
{
	bell(w, event(), 0xc0003000, 0, 0);
	return bell(w, event(), 0xc0003004, 0, 0);
}

static int bell_taken_off(struct world *w)
{
	int fd = event();

	bell(w, fd, 0xc0003000, 0, 0);
	return bell(w, fd, 0xc0003000, 0, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

static int bell_of_somebody_else_taken_off(struct world *w)
{
	bell(w, event(), 0xc0003000, 0, 0);
	return bell(w, event(), 0xc0003000, 0, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

static int routes(struct world *w, uint32_t nr, uint32_t gsi, uint32_t step,
		  uint32_t type, uint32_t flags)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[2];
	} t = { .head = { .nr = nr } };

	for (uint32_t i = 0; i < 2; i++)
		t.entries[i] = (struct kvm_irq_routing_entry){
			.gsi = gsi + i * step,
			.type = type,
			.flags = flags,
			.u.msi = { .address_lo = 0xfee00000, .data = 0x41 },
		};
	return world_call(w, w->vm, KVM_SET_GSI_ROUTING, &t);
}

static int routes_without_irqchip(struct world *w)
{
	return routes(w, 1, 0, 1, KVM_IRQ_ROUTING_MSI, 0);
}

static int routes_of_messages(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return routes(w, 2, 4094, 1, KVM_IRQ_ROUTING_MSI, 0);
}

static int routes_beyond_the_last(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return routes(w, 2, 4095, 1, KVM_IRQ_ROUTING_MSI, 0);
}

static int routes_from_one_line(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return routes(w, 2, 7, 0, KVM_IRQ_ROUTING_MSI, 0);
}

static int routes_none(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return routes(w, 0, 0, 0, 0, 0);
}

static int routes_too_many(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return routes(w, 4097, 0, 1, KVM_IRQ_ROUTING_MSI, 0);
}

static int route_of_unknown_type(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return routes(w, 1, 0, 1, 99, 0);
}

static int route_with_unknown_flag(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return routes(w, 1, 0, 1, KVM_IRQ_ROUTING_MSI, 2);
}

static const struct world_case cases[] = {
	CASE(-EINVAL, irqfd_without_irqchip),
	CASE(-EBADF, irqfd_of_no_fd),
	CASE(-EINVAL, irqfd_of_another_fd),
	CASE(-EINVAL, irqfd_with_unknown_flag),
	CASE(-EINVAL, irqfd_that_resamples),
	CASE(0, irqfd_without_route),
	CASE(-EBUSY, irqfd_twice),
	CASE(0, irqfd_again_after_its_end),
	CASE(0, irqfd_ended_that_is_not),
	CASE(-EBUSY, irqfd_ended_by_another_gsi),
	CASE(0, bell_of_any_width),
	CASE(-EINVAL, bell_of_three_bytes),
	CASE(-EINVAL, bell_that_wraps),
	CASE(-EINVAL, bell_with_unknown_flag),
	CASE(-EINVAL, bell_of_no_width_for_a_value),
	CASE(-EINVAL, bell_of_another_fd),
	CASE(-EEXIST, bells_in_one_place),
	CASE(0, bells_side_by_side),
	CASE(0, bell_taken_off),
	CASE(-ENOENT, bell_of_somebody_else_taken_off),
	CASE(-EINVAL, routes_without_irqchip),
	CASE(0, routes_of_messages),
	CASE(-EINVAL, routes_beyond_the_last),
	CASE(-EINVAL, routes_from_one_line),
	CASE(0, routes_none),
	CASE(-EINVAL, routes_too_many),
	CASE(-EINVAL, route_of_unknown_type),
	CASE(-EINVAL, route_with_unknown_flag),
};

/* ---- What the wiring makes of it ---- */

static struct fake_kvm fake;
static struct fault_kvm fault;
static struct kvm kvm;
static struct kvm_wiring wiring;
static struct wiring *const w = &wiring.wiring;

static void setup(void)
{
	fake_kvm_init(&fake);
	fault_kvm_init(&fault, &fake.sys, 0, 0);
	ck_assert_int_eq(kvm_open(&kvm, &fault.sys), 0);
	ck_assert_int_eq(kvm_create_vm(&kvm, 0), 0);
	ck_assert_int_eq(kvm_enable_cap(&kvm, KVM_CAP_SPLIT_IRQCHIP, "", 0), 0);
	kvm_wiring_init(&wiring, &kvm);
}

static void teardown(void)
{
	kvm_wiring_destroy(&wiring);
	kvm_wiring_destroy(&wiring); /* twice is fine */
	kvm_close(&kvm);
	ck_assert_int_eq(fake.open_fds, 0);
}

/* What a signal of fd sends: address and data in one, 0: nothing. */
static uint64_t sent(int fd)
{
	uint64_t addr;
	uint32_t data;

	return fake_kvm_message(&fake, fd, &addr, &data) ? addr << 32 | data
							 : 0;
}

START_TEST(lines_send_what_they_were_connected_with_last)
{
	int fds[3];

	for (uint32_t i = 0; i < 3; i++) {
		const struct msi m = { X86_LAPIC + (i << 12), 0x30 + i };

		fds[i] = event();
		ck_assert_int_eq(w->new_line(w), (int)i);
		ck_assert_int_eq(w->connect(w, i, fds[i], &m), 0);
	}
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_uint_eq(sent(fds[i]),
				  (X86_LAPIC + ((uint64_t)i << 12)) << 32 |
					  (0x30 + i));
	w->disconnect(w, 1, fds[1]);
	ck_assert_uint_eq(sent(fds[1]), 0);
	ck_assert_int_eq(w->connect(w, 1, fds[1],
				    &(struct msi){ X86_LAPIC, 0x77 }),
			 0);
	ck_assert_uint_eq(sent(fds[1]), (uint64_t)X86_LAPIC << 32 | 0x77);
	ck_assert_uint_eq(fake.vm.wires.nr_routes, 3);
}
END_TEST

START_TEST(an_old_message_costs_no_new_table)
{
	const struct msi m = { X86_LAPIC, 0x41 };
	int fd = event();
	unsigned int calls;

	w->new_line(w);
	w->connect(w, 0, fd, &m);
	calls = atomic_load(&fault.calls);
	for (int i = 0; i < 10; i++) {
		w->disconnect(w, 0, fd);
		ck_assert_int_eq(w->connect(w, 0, fd, &m), 0);
	}
	ck_assert_uint_eq(atomic_load(&fault.calls), calls + 20);
}
END_TEST

static const uint64_t odd[] = {
	0,
	0x1000,
	0xfed00000,
	0xfef00000,
	0xfee0000000000000,
	0x1fee00000,
	0xfffffffffffffffc,
};

START_TEST(a_message_to_another_address_is_no_interrupt)
{
	const struct msi m = { odd[_i], 0x41 };
	int fd = event(), other = event();

	w->new_line(w);
	w->new_line(w);
	ck_assert_int_eq(w->connect(w, 0, fd, &m), 0);
	ck_assert_uint_eq(sent(fd), 0);
	ck_assert_int_eq(w->connect(w, 1, other,
				    &(struct msi){ X86_LAPIC, 0x42 }),
			 0);
	ck_assert_uint_eq(fake.vm.wires.nr_routes, 1);
	w->disconnect(w, 1, other);
	ck_assert_int_eq(w->connect(w, 1, other, &m), 0);
	ck_assert_uint_eq(fake.vm.wires.nr_routes, 0);
}
END_TEST

START_TEST(survives_a_kernel_that_refuses)
{
	const struct msi good = { X86_LAPIC, 0x41 }, bad = { X86_LAPIC, 0x42 };
	int fd = event();

	w->new_line(w);
	ck_assert_int_eq(w->connect(w, 0, fd, &good), 0);
	w->disconnect(w, 0, fd);
	for (unsigned int n = 1; n < 3; n++) { /* the table, the irqfd */
		fault_kvm_init(&fault, &fake.sys, n, -ENOMEM);
		ck_assert_int_eq(w->connect(w, 0, fd, &bad), -ENOMEM);
		ck_assert_uint_eq(sent(fd), 0);
		fault_kvm_init(&fault, &fake.sys, 0, 0);
		ck_assert_int_eq(w->connect(w, 0, fd, &bad), 0);
		ck_assert_uint_eq(sent(fd), (uint64_t)X86_LAPIC << 32 | 0x42);
		w->disconnect(w, 0, fd);
		ck_assert_int_eq(w->connect(w, 0, fd, &good), 0);
		ck_assert_uint_eq(sent(fd), (uint64_t)X86_LAPIC << 32 | 0x41);
		w->disconnect(w, 0, fd);
	}
	fault_kvm_init(&fault, &fake.sys, 1, -ENOSPC);
	ck_assert_int_eq(w->bell(w, 0xc0003000, fd, true), -ENOSPC);
	ck_assert_uint_eq(fake.vm.wires.nr_bells, 0);
	ck_assert_int_eq(w->bell(w, 0xc0003000, fd, true), 0);
	ck_assert_int_eq(w->bell(w, 0xc0003000, fd, false), 0);
	ck_assert_uint_eq(fake.vm.wires.nr_bells, 0);
}
END_TEST

START_TEST(lines_end_at_their_number)
{
	for (int i = 0; i < KVM_WIRING_LINES; i++)
		ck_assert_int_eq(w->new_line(w), i);
	ck_assert_int_eq(w->new_line(w), -ENOSPC);
	ck_assert(err_text()[0]);
}
END_TEST

Suite *wiring_suite(void)
{
	Suite *s = suite_create("wiring");
	TCase *tc = tcase_create("wiring");
	TCase *kernel = tcase_create("kernel");

	world_add(kernel, cases, ARRAY_SIZE(cases));
	suite_add_tcase(s, kernel);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lines_send_what_they_were_connected_with_last);
	tcase_add_test(tc, an_old_message_costs_no_new_table);
	tcase_add_loop_test(tc, a_message_to_another_address_is_no_interrupt, 0,
			    ARRAY_SIZE(odd));
	tcase_add_test(tc, survives_a_kernel_that_refuses);
	tcase_add_test(tc, lines_end_at_their_number);
	suite_add_tcase(s, tc);
	return s;
}
