/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/virtio_pci.c: a PCI function as a hostile guest sees it. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "suites.h"
#include "support/toy.h"
#include "vmm/base/layout_x86.h"

#define COMMON(f) offsetof(struct virtio_pci_common_cfg, f)
#define BAR_LEN 0x8000
#define COMMAND 0x04
#define MEMORY 0x0002
#define MASTER 0x0004
#define BAR0 0x10
#define BAR1 0x14
#define STATUS_READY 0x0b
#define DRIVER_OK 0x04

static struct fake_driver *d;

static void setup(void)
{
	d = fake_driver_new(toy_create, NULL);
}

static void teardown(void)
{
	fake_driver_free(d);
}

static void serves(void)
{
	struct fake_buf in = { fake_alloc(&d->guest, 64, 1), 64, true };

	ck_assert_uint_eq(fake_driver_request(d, 1, &in, 1), 64);
}

/* The capability of this type (its structure's, for virtio's), or 0. */
static unsigned int capability(uint8_t id, uint8_t type)
{
	unsigned int at = fake_config_in(d, 0x34, 1);

	while (at && (fake_config_in(d, at, 1) != id ||
		      (id == 9 && fake_config_in(d, at + 3, 1) != type)))
		at = fake_config_in(d, at + 1, 1);
	return at;
}

/* Puts the BAR elsewhere, as a guest does: off, both halves, on. */
static void move(gpa_t to)
{
	gpa_t by = to - (d->common & ~(gpa_t)(BAR_LEN - 1));

	fake_config_out(d, COMMAND, MASTER, 2);
	fake_config_out(d, BAR0, (uint32_t)to, 4);
	fake_config_out(d, BAR1, (uint32_t)(to >> 32), 4);
	fake_config_out(d, COMMAND, MEMORY | MASTER, 2);
	d->common += by;
	d->device += by;
	d->notify += by;
	d->table += by;
	d->pending += by;
}

/* ---- What the function says of itself ---- */

START_TEST(is_a_modern_function_without_intx)
{
	ck_assert_uint_eq(fake_config_in(d, 0, 4), 0x10401af4 + (42 << 16));
	ck_assert_uint_eq(fake_config_in(d, 0x06, 2), 0x10); /* has caps */
	ck_assert_uint_eq(fake_config_in(d, 0x08, 1), 1);
	ck_assert_uint_eq(fake_config_in(d, 0x0b, 1), 0xff);
	ck_assert_uint_eq(fake_config_in(d, 0x0e, 1), 0);
	ck_assert_uint_eq(fake_config_in(d, 0x3c, 2), 0); /* no pin */
	for (unsigned int reg = 0x18; reg < 0x2c; reg += 4) {
		fake_config_out(d, reg, 0xffffffff, 4);
		ck_assert_uint_eq(fake_config_in(d, reg, 4), 0);
	}
}
END_TEST

static const struct {
	uint8_t type, len;
	uint32_t at_least;
} structures[] = {
	{ VIRTIO_PCI_CAP_COMMON_CFG, 16, 60 },
	{ VIRTIO_PCI_CAP_NOTIFY_CFG, 20, TOY_QUEUES * 4 },
	{ VIRTIO_PCI_CAP_ISR_CFG, 16, 1 },
	{ VIRTIO_PCI_CAP_DEVICE_CFG, 16, 6 },
};

START_TEST(structures_lie_apart_in_the_bar)
{
	unsigned int taken[BAR_LEN] = { 0 };
	unsigned int at = capability(0x11, 0);

	ck_assert_uint_ne(at, 0);
	ck_assert_uint_eq(fake_config_in(d, at + 2, 2) & 0x7ff, TOY_QUEUES);
	for (unsigned int i = 0; i < 2; i++) {
		uint32_t off = fake_config_in(d, at + 4 + 4 * i, 4);

		ck_assert_uint_eq(off & 7, 0); /* BAR 0 */
		for (unsigned int n = 0; n < (i ? 8u : 4 * 16u); n++)
			ck_assert_uint_eq(taken[off + n]++, 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(structures); i++) {
		uint32_t off, len;

		at = capability(9, structures[i].type);
		ck_assert_uint_ne(at, 0);
		ck_assert_uint_eq(fake_config_in(d, at + 2, 1),
				  structures[i].len);
		ck_assert_uint_eq(fake_config_in(d, at + 4, 1), 0);
		off = fake_config_in(d, at + 8, 4);
		len = fake_config_in(d, at + 12, 4);
		ck_assert_uint_eq(off % 4, 0);
		ck_assert_uint_ge(len, structures[i].at_least);
		ck_assert_uint_le(len, BAR_LEN - off);
		for (unsigned int n = 0; n < len; n++)
			ck_assert_uint_eq(taken[off + n]++, 0);
	}
}
END_TEST

START_TEST(capabilities_cannot_be_rewritten)
{
	unsigned int window = capability(9, VIRTIO_PCI_CAP_PCI_CFG);

	for (unsigned int reg = 0x2c; reg < 0x100; reg++) {
		uint32_t before = fake_config_in(d, reg, 1);

		/* MSI-X control's upper byte, the window's fields. */
		if (reg == capability(0x11, 0) + 3 || reg == window + 4 ||
		    (reg >= window + 8 && reg < window + 20))
			continue;
		fake_config_out(d, reg, ~before & 0xff, 1);
		ck_assert_uint_eq(fake_config_in(d, reg, 1), before);
	}
}
END_TEST

/* ---- The BAR ---- */

START_TEST(bar_tells_its_size)
{
	uint32_t low = fake_config_in(d, BAR0, 4);

	ck_assert_uint_eq(low & 0xf, 4); /* 64 bits, not prefetchable */
	fake_config_out(d, COMMAND, 0, 2);
	fake_config_out(d, BAR0, 0xffffffff, 4);
	fake_config_out(d, BAR1, 0xffffffff, 4);
	ck_assert_uint_eq(fake_config_in(d, BAR0, 4),
			  ~(uint32_t)(BAR_LEN - 1) | 4);
	ck_assert_uint_eq(fake_config_in(d, BAR1, 4), 0xffffffff);
	fake_config_out(d, COMMAND, MEMORY | MASTER, 2); /* it would wrap */
	ck_assert_uint_eq(fake_in(d, d->common + COMMON(num_queues), 2),
			  0xffff);
	fake_config_out(d, BAR0, low, 4);
	fake_config_out(d, BAR1, 0, 4);
	/* None before there is a driver: Linux does this for each device. */
	ck_assert_uint_eq(d->wiring.nr_bells, 0);
	fake_driver_start(d, ~0ULL, 8);
	ck_assert_uint_eq(d->wiring.nr_bells, TOY_QUEUES);
	serves();
}
END_TEST

/* Of which none reads as TOY_QUEUES where the number of queues would be. */
static const struct {
	gpa_t to;
	bool reached;
} places[] = {
	{ X86_PCI_MMIO32, true },
	{ X86_PCI_MMIO32 + X86_PCI_MMIO32_LEN - BAR_LEN, true },
	{ X86_PCI_MMIO64, true },
	{ X86_PCI_MMIO64 + X86_PCI_MMIO64_LEN - BAR_LEN, true },
	{ 0, false },
	{ FAKE_LOW, false }, /* RAM */
	{ FAKE_HIGH, false },
	{ X86_PCI_MMIO32 - BAR_LEN, false },
	{ X86_ECAM, false },
	{ 0xfee00000, false },
	{ X86_PCI_MMIO64 - BAR_LEN, false },
	{ X86_PCI_MMIO64 + X86_PCI_MMIO64_LEN, false },
	{ 0xffffffffffff8000, false },
};

START_TEST(bar_moves_where_bars_may_be)
{
	gpa_t home = d->common & ~(gpa_t)(BAR_LEN - 1);
	uint32_t *ram = fake_at(&d->guest, FAKE_LOW);

	*ram = 0x12345678;
	fake_driver_start(d, ~0ULL, 8);
	serves();
	move(places[_i].to);
	/* It is where it is now, or nowhere. */
	ck_assert(
		places[_i].reached ==
		(fake_in(d, d->common + COMMON(num_queues), 2) == TOY_QUEUES));
	ck_assert_uint_eq(d->wiring.nr_bells,
			  places[_i].reached ? TOY_QUEUES : 0);
	if (places[_i].reached)
		serves();
	if (places[_i].to != home)
		ck_assert_uint_eq(fake_in(d, home + COMMON(num_queues), 2),
				  0xffff);
	move(home);
	serves();
	ck_assert_uint_eq(*ram, 0x12345678);
}
END_TEST

START_TEST(is_not_there_with_memory_off)
{
	fake_driver_start(d, ~0ULL, 8);
	fake_config_out(d, COMMAND, MASTER, 2);
	ck_assert_uint_eq(fake_in(d, d->common, 4), 0xffffffff);
	ck_assert_uint_eq(d->wiring.nr_bells, 0);
	fake_out(d, d->common + COMMON(device_status), 0, 1);
	fake_driver_kick(d, 1);
	fake_config_out(d, COMMAND, 0xffff, 2);
	ck_assert_uint_eq(fake_config_in(d, COMMAND, 2), 0x0406);
	ck_assert_uint_eq(d->wiring.nr_bells, TOY_QUEUES);
	serves();
	/* Bells of a driver that has left do not move with the BAR. */
	fake_driver_reset(d);
	fake_config_out(d, COMMAND, MASTER, 2);
	fake_config_out(d, COMMAND, MASTER | MEMORY, 2);
	ck_assert_uint_eq(d->wiring.nr_bells, 0);
	fake_driver_start(d, ~0ULL, 8);
	ck_assert_uint_eq(d->wiring.nr_bells, TOY_QUEUES);
	serves();
}
END_TEST

START_TEST(works_without_bells)
{
	d->wiring.bell_error = -ENOSPC;
	fake_driver_start(d, ~0ULL, 8);
	ck_assert_uint_eq(d->wiring.nr_bells, 0);
	serves();
	/* A bell that nobody has. */
	fake_out(d, d->notify + TOY_QUEUES * 4, 0, 2);
	fake_out(d, d->notify + 0xffc, 0, 4);
	serves();
}
END_TEST

/* ---- Accesses no driver makes ---- */

START_TEST(need_not_be_rung_while_it_finds_work)
{
	struct fake_buf in = { fake_alloc(&d->guest, 64, 1), 64, true };
	struct toy *toy = toy_of(d->dev);

	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		fake_driver_start(d, event_idx ? ~0ULL : ~(1ULL << 29), 128);
		serves();
		usleep(20000); /* until it has asked to be rung */
		toy->feed = &d->queues[1];
		toy->rings = 0;
		toy->more = 3;
		ck_assert_uint_eq(fake_driver_request(d, 1, &in, 1), 64);
		for (int i = 0; i < 3; i++)
			fake_driver_used(d, 1, &(uint32_t){ 0 });
		ck_assert_uint_eq(toy->rings, 0);
		toy->more = 100; /* but not for ever */
		serves();
		while (!toy->rings)
			usleep(200);
		toy->more = 0;
	}
}
END_TEST

START_TEST(odd_accesses_harm_nobody)
{
	gpa_t bar = d->common & ~(gpa_t)(BAR_LEN - 1);
	uint64_t old;

	fake_driver_start(d, ~0ULL, 8);
	for (gpa_t off = 0; off < BAR_LEN; off++)
		for (unsigned int len = 1; len <= 8; len++) {
			uint64_t v = fake_in(d, bar + off, len);

			/* Not what is a message of MSI-X, status, selectors. */
			if (len <= 4 && off >= 0x3c)
				fake_out(d, bar + off, v, len);
		}
	/* A field's second half is nothing. */
	old = fake_in(d, d->common + COMMON(num_queues), 2);
	fake_out(d, d->common + COMMON(num_queues), 77, 2);
	fake_out(d, d->common + COMMON(config_generation), 77, 1);
	ck_assert_uint_eq(fake_in(d, d->common + COMMON(num_queues), 2), old);
	ck_assert_uint_eq(fake_in(d, d->common + COMMON(num_queues) + 1, 1), 0);
	fake_driver_start(d, ~0ULL, 8);
	serves();
}
END_TEST

START_TEST(queues_that_are_not_there_read_as_zero)
{
	static const uint16_t none[] = { TOY_QUEUES, 20, 21, 0x7fff, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++) {
		fake_out(d, d->common + COMMON(queue_select), none[i], 2);
		for (unsigned int off = COMMON(queue_size); off < 60;
		     off += 2) {
			fake_out(d, d->common + off, 1, 2);
			ck_assert_uint_eq(fake_in(d, d->common + off, 2), 0);
		}
	}
	fake_driver_start(d, ~0ULL, 8);
	serves();
}
END_TEST

START_TEST(vectors_that_are_not_there_are_none)
{
	static const uint16_t vectors[][2] = {
		{ 0, 0 },
		{ TOY_QUEUES, TOY_QUEUES },
		{ TOY_QUEUES + 1, VIRTIO_NO_VECTOR },
		{ 32, VIRTIO_NO_VECTOR },
		{ 0xfffe, VIRTIO_NO_VECTOR },
		{ 0xffff, VIRTIO_NO_VECTOR },
	};
	static const size_t fields[] = { COMMON(msix_config),
					 COMMON(queue_msix_vector) };

	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++)
		for (unsigned int f = 0; f < ARRAY_SIZE(fields); f++) {
			fake_out(d, d->common + fields[f], vectors[i][0], 2);
			ck_assert_uint_eq(fake_in(d, d->common + fields[f], 2),
					  vectors[i][1]);
		}
}
END_TEST

/* 4.1.4.9: the BAR through configuration space. */
START_TEST(window_reaches_all_of_the_bar)
{
	unsigned int w = capability(9, VIRTIO_PCI_CAP_PCI_CFG);
	uint32_t off = (uint32_t)(d->common & (BAR_LEN - 1));

	fake_driver_negotiate(d, ~0ULL);
	fake_config_out(d, COMMAND, 0, 2); /* which works then, too */
	fake_config_out(d, w + 8, off + COMMON(device_status), 4);
	fake_config_out(d, w + 12, 1, 4);
	ck_assert_uint_eq(fake_config_in(d, w + 16, 1), STATUS_READY);
	fake_config_out(d, w + 16, STATUS_READY | DRIVER_OK, 4);
	ck_assert_uint_eq(fake_config_in(d, w + 16, 4) & 0xff,
			  STATUS_READY | DRIVER_OK);
	fake_config_out(d, w + 8, off + COMMON(num_queues), 4);
	fake_config_out(d, w + 12, 2, 4);
	ck_assert_uint_eq(fake_config_in(d, w + 16, 2), TOY_QUEUES);
	fake_config_out(d, COMMAND, MEMORY | MASTER, 2);
}
END_TEST

static const struct {
	uint32_t bar, off, len;
} windows[] = {
	{ 1, 0, 4 },          { 6, 0, 1 },        { 255, 0, 4 },
	{ 0, 0, 0 },          { 0, 0, 3 },        { 0, 0, 8 },
	{ 0, 0, 5 },          { 0, 0, 1u << 31 }, { 0, 1, 2 },
	{ 0, 2, 4 },          { 0, BAR_LEN, 4 },  { 0, 0xfffffffc, 4 },
	{ 0, 0xffffffff, 1 },
};

START_TEST(window_to_nowhere_does_nothing)
{
	unsigned int w = capability(9, VIRTIO_PCI_CAP_PCI_CFG);

	fake_config_out(d, w + 4, windows[_i].bar, 1);
	fake_config_out(d, w + 8, windows[_i].off, 4);
	fake_config_out(d, w + 12, windows[_i].len, 4);
	fake_config_out(d, w + 16, 0x12345678, 4);
	ck_assert_uint_eq(fake_config_in(d, w + 16, 4), 0x12345678);
	fake_driver_start(d, ~0ULL, 8);
	serves();
}
END_TEST

/* ---- Bus Master ---- */

/* Publishes a buffer of queue 1 and rings; one that stays as it is. */
static const uint8_t *ask(void)
{
	struct fake_buf in = { fake_alloc(&d->guest, 64, 1), 64, true };
	struct fake_queue *q = &d->queues[1];

	fake_queue_add(q, &in, 1);
	fake_driver_kick(d, 1);
	return fake_at(&d->guest, in.gpa);
}

START_TEST(does_nothing_before_it_is_a_bus_master)
{
	uint32_t head, len;

	fake_config_out(d, COMMAND, MEMORY, 2);
	fake_driver_start(d, ~0ULL, 8);
	ask();
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	ck_assert(!fake_queue_used(&d->queues[1], &head, &len));
	fake_config_out(d, COMMAND, MEMORY | MASTER, 2);
	ck_assert_uint_eq(fake_driver_used(d, 1, &head), 64);
}
END_TEST

START_TEST(ends_when_it_is_no_bus_master_any_more)
{
	uint32_t head, len;

	fake_driver_start(d, ~0ULL, 8);
	serves();
	fake_driver_interrupts(d, 1, 0);
	fake_config_out(d, COMMAND, MEMORY, 2);
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	ask();
	fake_config_out(d, COMMAND, MEMORY | MASTER, 2);
	ask();
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	ck_assert(!fake_queue_used(&d->queues[1], &head, &len));
	fake_driver_start(d, ~0ULL, 8);
	serves();
}
END_TEST

START_TEST(sends_no_interrupt_without_being_a_bus_master)
{
	fake_driver_start(d, ~0ULL, 8);
	fake_config_out(d, COMMAND, MEMORY, 2);
	/* That it needs a reset is something to interrupt for. */
	ck_assert_uint_eq(fake_driver_interrupts(d, FAKE_CONFIG, 20), 0);
	fake_config_out(d, COMMAND, MEMORY | MASTER, 2);
	ck_assert_uint_eq(fake_driver_interrupts(d, FAKE_CONFIG, FAKE_WAIT_MS),
			  1);
}
END_TEST

/* ---- Interrupts that nobody took ---- */

START_TEST(forgets_pending_interrupts_with_a_reset)
{
	uint32_t head;

	fake_driver_start(d, ~0ULL, 8);
	fake_out(d, d->table + 1 * MSIX_ENTRY_LEN + 12, 1, 4);
	ask();
	ck_assert_uint_eq(fake_driver_used(d, 1, &head), 64);
	while (!fake_in(d, d->pending, 8))
		;
	ck_assert_uint_eq(fake_in(d, d->pending, 8), 1 << 1);
	fake_driver_reset(d);
	ck_assert_uint_eq(fake_in(d, d->pending, 8), 0);
	fake_driver_start(d, ~0ULL, 8);
	ck_assert_uint_eq(fake_driver_interrupts(d, 1, 20), 0);
	serves();
}
END_TEST

Suite *virtio_pci_suite(void)
{
	Suite *s = suite_create("virtio_pci");
	TCase *tc = tcase_create("virtio_pci");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, is_a_modern_function_without_intx);
	tcase_add_test(tc, structures_lie_apart_in_the_bar);
	tcase_add_test(tc, capabilities_cannot_be_rewritten);
	tcase_add_test(tc, bar_tells_its_size);
	tcase_add_loop_test(tc, bar_moves_where_bars_may_be, 0,
			    ARRAY_SIZE(places));
	tcase_add_test(tc, is_not_there_with_memory_off);
	tcase_add_test(tc, works_without_bells);
	tcase_add_test(tc, need_not_be_rung_while_it_finds_work);
	tcase_add_test(tc, odd_accesses_harm_nobody);
	tcase_add_test(tc, queues_that_are_not_there_read_as_zero);
	tcase_add_test(tc, vectors_that_are_not_there_are_none);
	tcase_add_test(tc, window_reaches_all_of_the_bar);
	tcase_add_loop_test(tc, window_to_nowhere_does_nothing, 0,
			    ARRAY_SIZE(windows));
	tcase_add_test(tc, does_nothing_before_it_is_a_bus_master);
	tcase_add_test(tc, ends_when_it_is_no_bus_master_any_more);
	tcase_add_test(tc, sends_no_interrupt_without_being_a_bus_master);
	tcase_add_test(tc, forgets_pending_interrupts_with_a_reset);
	suite_add_tcase(s, tc);
	return s;
}
