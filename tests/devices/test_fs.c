/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/fs.c, and with it of devices/vhost_user.c. */
#include "devices/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/vhost_user.h"
#include "suites.h"
#include "support/fake_back.h"
#include "support/fake_driver.h"

#define COMMON(f) offsetof(struct virtio_pci_common_cfg, f)
#define QUEUE_RESET 58 /* virtio 1.2, 4.1.4.3 */
#define BIT(n) (1ULL << (n))
#define RING_RESET 40

/* Messages of an honest life: to get acquainted, to start, to stop. */
enum { TO_MEET = 6, TO_START = 1 + 2 * 6, TO_STOP = 2 };

static struct fake_back back;
static struct fake_driver *d;
static int said, stderr_fd; /* where messages go meanwhile; and went */

static void setup(void)
{
	said = memfd_create("said", MFD_CLOEXEC);
	stderr_fd = dup(STDERR_FILENO);
	ck_assert_int_eq(dup2(said, STDERR_FILENO), STDERR_FILENO);
	vhost_user_timeout_ms = 10000;
	fake_back_init(&back);
	d = NULL;
}

static void teardown(void)
{
	if (d)
		fake_driver_free(d);
	fake_back_stop(&back);
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	close(said);
	ck_assert_uint_eq(back.misuse, 0);
}

/* What cvmm has said to the user until now. */
static const char *messages(void)
{
	static char text[4096];
	ssize_t n = pread(said, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void nap(void)
{
	fake_driver_interrupts(d, FAKE_CONFIG, 1);
}

static void wait_for(const atomic_uint *counter, unsigned int value)
{
	for (unsigned int ms = 0; ms < FAKE_WAIT_MS && *counter != value; ms++)
		nap();
	ck_assert_uint_eq(*counter, value);
}

static void make(void)
{
	struct fs_params p = { .tag = "work" };

	fake_back_start(&back);
	p.socket = back.path;
	d = fake_driver_new(fs_create, &p);
}

static void start(void)
{
	make();
	fake_driver_start(d, ~0ULL, 64);
	wait_for(&back.running, 2);
}

START_TEST(tells_the_guest_its_tag)
{
	char tag[37] = "";

	start();
	ck_assert_uint_eq(fake_config_in(d, 2, 2), 0x1040 + VIRTIO_ID_FS);
	ck_assert_uint_eq(d->nr_queues, 2);
	for (unsigned int i = 0; i < 36; i++)
		tag[i] = (char)fake_in(d, d->device + i, 1);
	ck_assert_str_eq(tag, "work");
	ck_assert_uint_eq(fake_in(d, d->device + 36, 4), 1);
}
END_TEST

START_TEST(offers_what_the_back_end_can_do)
{
	back.features &= ~BIT(VIRTIO_RING_F_EVENT_IDX);
	start();
	ck_assert(!(d->features & BIT(VIRTIO_RING_F_EVENT_IDX)));
	ck_assert(d->features & BIT(VIRTIO_RING_F_INDIRECT_DESC));
}
END_TEST

START_TEST(hides_from_the_back_end_what_is_not_its_business)
{
	start();
	ck_assert(d->features & BIT(VIRTIO_F_ACCESS_PLATFORM));
	ck_assert(d->features & BIT(RING_RESET));
	ck_assert_uint_eq(back.acked, BIT(VIRTIO_F_VERSION_1) | BIT(30) |
					      BIT(VIRTIO_RING_F_EVENT_IDX) |
					      BIT(VIRTIO_RING_F_INDIRECT_DESC));
}
END_TEST

START_TEST(shares_guest_memory_and_shows_the_rings_in_it)
{
	start();
	ck_assert_uint_eq(back.nr_regions, d->guest.mem.count);
	for (unsigned int i = 0; i < back.nr_regions; i++) {
		const struct guest_region *r = &d->guest.mem.regions[i];

		ck_assert_uint_eq(back.regions[i].gpa, r->base);
		ck_assert_uint_eq(back.regions[i].len, r->len);
		r->host[r->len - 1] = (uint8_t)(0x50 + i);
		ck_assert_uint_eq(back.regions[i].map[r->len - 1], 0x50 + i);
	}
	for (unsigned int i = 0; i < 2; i++) {
		const struct virtq_layout *l = &d->queues[i].layout;
		const gpa_t gpa[] = { l->desc, l->avail, l->used };
		const uint64_t user[] = { back.rings[i].desc,
					  back.rings[i].avail,
					  back.rings[i].used };

		ck_assert_uint_eq(back.rings[i].num, 64);
		ck_assert_uint_eq(back.rings[i].base, 0);
		for (unsigned int j = 0; j < 3; j++)
			ck_assert_uint_eq(user[j], (uintptr_t)fake_at(&d->guest,
								      gpa[j]));
	}
}
END_TEST

START_TEST(connects_the_driver_and_the_back_end_with_each_other)
{
	eventfd_t count;

	start();
	for (unsigned int i = 0; i < 2; i++) {
		fake_driver_kick(d, i);
		ck_assert_int_eq(eventfd_read(back.rings[i].kick, &count), 0);
		ck_assert_uint_eq(count, 1);
		eventfd_write(back.rings[i].call, 1);
		ck_assert_uint_eq(fake_driver_interrupts(d, i, 1000), 1);
	}
}
END_TEST

START_TEST(has_the_back_end_signal_the_vector_that_the_driver_moves_to)
{
	unsigned int before;

	start();
	before = back.messages;
	fake_out(d, d->common + COMMON(queue_select), 1, 2);
	fake_out(d, d->common + COMMON(queue_msix_vector), 0, 2);
	ck_assert_uint_eq(fake_driver_interrupts(d, 0, 1000), 1);
	wait_for(&back.messages, before + 1);
	eventfd_write(back.rings[1].call, 1);
	ck_assert_uint_eq(fake_driver_interrupts(d, 0, 1000), 1);
	fake_out(d, d->common + COMMON(queue_msix_vector), VIRTIO_NO_VECTOR, 2);
	wait_for(&back.messages, before + 2);
	ck_assert_int_eq(back.rings[1].call, -1);
}
END_TEST

START_TEST(has_stopped_the_back_end_when_a_reset_is_done)
{
	make();
	for (unsigned int i = 1; i <= 3; i++) {
		fake_driver_start(d, ~0ULL, 64);
		wait_for(&back.running, 2);
		fake_driver_reset(d);
		ck_assert_uint_eq(back.running, 0);
	}
	/* And a word on interrupts that go while a queue is just starting. */
	ck_assert_uint_ge(back.messages, TO_MEET + 3 * (TO_START + TO_STOP));
}
END_TEST

START_TEST(stops_and_starts_any_one_queue)
{
	start();
	fake_out(d, d->common + COMMON(queue_select), (uint64_t)_i, 2);
	fake_out(d, d->common + QUEUE_RESET, 1, 2);
	while (fake_in(d, d->common + QUEUE_RESET, 2))
		nap();
	ck_assert_uint_eq(back.running, 1);
	fake_driver_queue(d, (unsigned int)_i, 16);
	wait_for(&back.running, 2);
	ck_assert_uint_eq(back.rings[_i].num, 16);
}
END_TEST

/* Neither needs to be there. */
START_TEST(does_without_protocol_features)
{
	if (_i)
		back.protocol = 0;
	else
		back.features &= ~BIT(30);
	back.rings[0].enabled = back.rings[1].enabled = true; /* from start */
	start();
	fake_driver_reset(d);
	ck_assert_uint_eq(back.running, 0);
}
END_TEST

/* --- what goes wrong --- */

static void expect_broken(void)
{
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	/* It can be reset, and is still broken afterwards. */
	fake_driver_start(d, ~0ULL, 64);
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	fake_driver_reset(d);
}

START_TEST(breaks_when_the_back_end_ends)
{
	start();
	fake_back_die(&back);
	ck_assert_uint_eq(fake_driver_interrupts(d, FAKE_CONFIG, 1000), 1);
	ck_assert_str_eq(messages(), "cvmm: test: the back end has ended; the "
				     "device waits for a reset\n");
	expect_broken();
}
END_TEST

START_TEST(breaks_when_the_back_end_ends_before_there_is_a_driver)
{
	make();
	wait_for(&back.messages, TO_MEET);
	fake_back_die(&back);
	fake_driver_start(d, ~0ULL, 64);
	expect_broken();
}
END_TEST

START_TEST(breaks_when_the_back_end_dies_at_any_message)
{
	back.fault = _i % 2 ? BACK_DIES : BACK_DIES_AFTER;
	back.fault_at = TO_MEET + 1 + (unsigned int)_i / 2;
	make();
	fake_driver_start(d, ~0ULL, 64);
	if (back.fault_at <= TO_MEET + TO_START) {
		expect_broken();
		return;
	}
	wait_for(&back.running, 2);
	fake_driver_reset(d);
	fake_driver_start(d, ~0ULL, 64);
	expect_broken();
}
END_TEST

START_TEST(breaks_at_any_wrong_answer)
{
	vhost_user_timeout_ms = 300;
	back.fault = BACK_SILENT + _i % (BACK_SPEAKS_UNASKED - BACK_SILENT + 1);
	back.fault_at = TO_MEET + 1 +
			(unsigned int)_i /
				(BACK_SPEAKS_UNASKED - BACK_SILENT + 1) *
				(TO_START);
	make();
	fake_driver_start(d, ~0ULL, 64);
	if (back.fault == BACK_SENDS_FD) {
		wait_for(&back.running, 2); /* nobody takes it, that is all */
		fake_driver_reset(d);
		return;
	}
	if (back.fault_at > TO_MEET + TO_START) {
		wait_for(&back.running, 2);
		fake_driver_reset(d);
		/* GET_VRING_BASE has no status to refuse with. */
		if (back.fault == BACK_REFUSES)
			return;
		fake_driver_start(d, ~0ULL, 64);
	}
	expect_broken();
}
END_TEST

/* Who writes to it waits until somebody reads it. */
static void fill_up(int fd)
{
	fcntl(fd, F_SETFL, 0);
	ck_assert_int_eq(eventfd_write(fd, 0xfffffffffffffffeULL), 0);
}

/* The eventfds of its queues are the back end's as well. */
START_TEST(keeps_no_vcpu_waiting_whatever_it_does_to_its_eventfds)
{
	uint32_t bar;

	make();
	fake_driver_start(d, ~0ULL, 16);
	wait_for(&back.running, 2);
	/* The configuration's interrupt is that of a queue; all are masked. */
	fake_out(d, d->common + COMMON(msix_config), 1, 2);
	fake_config_out(d, 0x42, 0xc000, 2);
	fill_up(back.rings[0].kick);
	fill_up(back.rings[1].call);
	/* A bell that is no longer KVM's, then what interrupts. */
	bar = fake_config_in(d, 0x10, 4);
	d->wiring.bell_error = -EEXIST;
	fake_config_out(d, 0x10, bar + 0x100000, 4);
	fake_config_out(d, 0x10, bar, 4);
	fake_driver_kick(d, 0);
	fake_config_out(d, 0x04, 0x0002, 2);
	ck_assert_uint_ne(fake_in(d, d->common + COMMON(device_status), 1), 0);
	/* Nor does the end of the VM wait: teardown(). */
}
END_TEST

START_TEST(can_be_reset_though_reading_its_eventfds_waits)
{
	make();
	fake_driver_start(d, ~0ULL, 16);
	wait_for(&back.running, 2);
	fake_config_out(d, 0x42, 0xc000, 2);
	for (unsigned int q = 0; q < 2; q++)
		fcntl(back.rings[q].call, F_SETFL, 0);
	fake_driver_reset(d);
	ck_assert_uint_eq(back.running, 0);
}
END_TEST

Suite *fs_suite(void)
{
	Suite *s = suite_create("fs");
	TCase *tc = tcase_create("fs");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, tells_the_guest_its_tag);
	tcase_add_test(tc, offers_what_the_back_end_can_do);
	tcase_add_test(tc, hides_from_the_back_end_what_is_not_its_business);
	tcase_add_test(tc, shares_guest_memory_and_shows_the_rings_in_it);
	tcase_add_test(tc,
		       connects_the_driver_and_the_back_end_with_each_other);
	tcase_add_test(
		tc,
		has_the_back_end_signal_the_vector_that_the_driver_moves_to);
	tcase_add_test(tc, has_stopped_the_back_end_when_a_reset_is_done);
	tcase_add_loop_test(tc, stops_and_starts_any_one_queue, 0, 2);
	tcase_add_loop_test(tc, does_without_protocol_features, 0, 2);
	tcase_add_test(tc, breaks_when_the_back_end_ends);
	tcase_add_test(tc,
		       breaks_when_the_back_end_ends_before_there_is_a_driver);
	tcase_add_loop_test(tc, breaks_when_the_back_end_dies_at_any_message, 0,
			    2 * (TO_START + TO_STOP));
	tcase_add_loop_test(tc, breaks_at_any_wrong_answer, 0, 20);
	tcase_add_test(tc,
		       keeps_no_vcpu_waiting_whatever_it_does_to_its_eventfds);
	tcase_add_test(tc, can_be_reset_though_reading_its_eventfds_waits);
	suite_add_tcase(s, tc);
	return s;
}
