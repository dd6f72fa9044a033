/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/virtio.c, through the registers, with a toy.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <unistd.h>

#include "suites.h"
#include "support/fake_driver.h"
#include "support/toy.h"

#define COMMON(f) offsetof(struct virtio_pci_common_cfg, f)
#define COMMON_QUEUE_RESET 58
#define RING_RESET (1ULL << 40)
#define QUEUES TOY_QUEUES
#define MAX_SIZE TOY_MAX_SIZE
#define ACK VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define READY (ACK | DRIVER | FEATURES_OK)

static struct fake_driver *d;
static struct toy *toy;

static void setup(void)
{
	d = fake_driver_new(toy_create, NULL);
	toy = toy_of(d->dev);
}

static void teardown(void)
{
	fake_driver_free(d);
}

static uint64_t get(size_t off, unsigned int len)
{
	return fake_in(d, d->common + off, len);
}

static void set(size_t off, uint64_t value, unsigned int len)
{
	fake_out(d, d->common + off, value, len);
}

static uint8_t status(void)
{
	return (uint8_t)get(COMMON(device_status), 1);
}

static void set_status(uint8_t bits)
{
	set(COMMON(device_status), bits, 1);
}

static void serves(unsigned int q)
{
	struct fake_buf in = { fake_alloc(&d->guest, 64, 1), 64, true };
	const uint8_t *bytes = fake_at(&d->guest, in.gpa);

	ck_assert_uint_eq(fake_driver_request(d, q, &in, 1), 64);
	ck_assert_uint_eq(bytes[0], q + 1);
	ck_assert_uint_eq(bytes[63], q + 1);
}

static void serves_all(void)
{
	for (unsigned int q = 0; q < QUEUES; q++)
		serves(q);
}

/* Publishes one request and rings, without waiting. */
static void ask(unsigned int q)
{
	struct fake_buf in = { fake_alloc(&d->guest, 8, 1), 8, true };

	fake_queue_add(&d->queues[q], &in, 1);
	fake_driver_kick(d, q);
}

/* Until the counter is at least n. */
static void await(const atomic_uint *counter, unsigned int n)
{
	int64_t end = util_now_ms() + FAKE_WAIT_MS;

	while (atomic_load(counter) < n) {
		ck_assert_msg(util_now_ms() < end, "waited for %u", n);
		usleep(200);
	}
}

/* ---- Features and status ---- */

#define V1 (1ULL << VIRTIO_F_VERSION_1)
#define PLATFORM (1ULL << VIRTIO_F_ACCESS_PLATFORM)
static const struct {
	uint64_t features;
	bool fine;
} choices[] = {
	{ V1 | PLATFORM, true },
	{ V1 | PLATFORM | 1 << 5, true },
	{ ~0ULL, true }, /* of what is offered */
	{ V1, false },
	{ PLATFORM, false },
	{ 0, false },
	{ ~V1, false },
	{ ~PLATFORM, false },
};

START_TEST(agrees_with_drivers_that_take_what_they_must_only)
{
	ck_assert(fake_driver_negotiate(d, choices[_i].features) ==
		  choices[_i].fine);
	set_status(ACK | DRIVER | DRIVER_OK);
	ck_assert_uint_eq(!!(status() & DRIVER_OK), choices[_i].fine);
	if (choices[_i].fine)
		return;
	/* It may think again. */
	ck_assert(fake_driver_negotiate(d, ~0ULL));
	fake_driver_run(d, 8);
	serves_all();
}
END_TEST

START_TEST(offers_what_is_its_own_and_the_transport_s)
{
	fake_driver_negotiate(d, ~0ULL);
	ck_assert_uint_eq(d->features,
			  V1 | PLATFORM | RING_RESET | 1 << 5 |
				  1 << VIRTIO_RING_F_INDIRECT_DESC |
				  1 << VIRTIO_RING_F_EVENT_IDX);
	set(COMMON(device_feature_select), 2, 4);
	ck_assert_uint_eq(get(COMMON(device_feature), 4), 0);
}
END_TEST

START_TEST(refuses_what_it_did_not_offer)
{
	set_status(ACK | DRIVER);
	for (uint32_t i = 0; i < 2; i++) {
		set(COMMON(guest_feature_select), i, 4);
		set(COMMON(guest_feature), 0xffffffff, 4);
	}
	set_status(READY);
	ck_assert_uint_eq(status(), ACK | DRIVER);
}
END_TEST

START_TEST(keeps_the_features_agreed_upon)
{
	fake_driver_negotiate(d, V1 | PLATFORM);
	set(COMMON(guest_feature_select), 0, 4);
	set(COMMON(guest_feature), 0xffffffff, 4);
	ck_assert_uint_eq(get(COMMON(guest_feature), 4), 0);
	ck_assert_uint_eq(status(), READY);
}
END_TEST

START_TEST(clears_no_status_bit_but_by_reset)
{
	fake_driver_start(d, ~0ULL, 8);
	set_status(ACK);
	ck_assert_uint_eq(status(), READY | DRIVER_OK);
	set_status(0x40 | 0x20 | 0x10); /* those that are not a driver's */
	ck_assert_uint_eq(status(), READY | DRIVER_OK);
	set_status(VIRTIO_CONFIG_S_FAILED);
	ck_assert_uint_eq(status(), READY | DRIVER_OK | 0x80);
	serves_all();
	fake_driver_reset(d);
	ck_assert_uint_eq(atomic_load(&toy->resets), 1);
}
END_TEST

/* ---- Reset ---- */

/* Also what was said before any status. */
START_TEST(forgets_everything_at_a_reset)
{
	for (unsigned int started = 0; started < 2; started++) {
		if (started)
			fake_driver_start(d, ~0ULL, 8);
		set(COMMON(guest_feature_select), 1, 4);
		set(COMMON(guest_feature), 1, 4);
		for (unsigned int q = 0; !started && q < QUEUES; q++)
			fake_driver_queue(d, q, 8);
		set(COMMON(queue_select), 1, 2);
		ck_assert_uint_eq(get(COMMON(queue_enable), 2), 1);
		fake_driver_reset(d);
		ck_assert_uint_eq(get(COMMON(guest_feature_select), 4), 0);
		ck_assert_uint_eq(get(COMMON(msix_config), 2), 0xffff);
		ck_assert_uint_eq(get(COMMON(queue_select), 2), 0);
		for (unsigned int q = 0; q < QUEUES; q++) {
			set(COMMON(queue_select), q, 2);
			ck_assert_uint_eq(get(COMMON(queue_size), 2), MAX_SIZE);
			ck_assert_uint_eq(get(COMMON(queue_msix_vector), 2),
					  0xffff);
			ck_assert_uint_eq(get(COMMON(queue_enable), 2), 0);
			ck_assert_uint_eq(get(COMMON(queue_desc_lo), 4), 0);
			ck_assert_uint_eq(get(COMMON(queue_used_lo), 4), 0);
		}
		set(COMMON(guest_feature_select), 1, 4);
		ck_assert_uint_eq(get(COMMON(guest_feature), 4), 0);
	}
}
END_TEST

START_TEST(reset_waits_for_requests_under_way)
{
	fake_driver_start(d, ~0ULL, 8);
	atomic_store(&toy->hold, true);
	ask(0);
	ask(2);
	await(&toy->holds, 2);
	set_status(0);
	await(&toy->stops, QUEUES);
	ck_assert_uint_eq(status(), READY | DRIVER_OK);
	/* Nothing counts until it is done. */
	set_status(ACK);
	set_status(0);
	fake_driver_kick(d, 0);
	ck_assert_uint_eq(status(), READY | DRIVER_OK);
	ck_assert_uint_eq(atomic_load(&toy->stops), QUEUES);
	ck_assert_uint_eq(atomic_load(&toy->resets), 0);
	toy_release(toy);
	fake_driver_wait_status(d, 0xff, false);
	ck_assert_uint_eq(atomic_load(&toy->resets), 1);
	fake_driver_start(d, ~0ULL, 8);
	serves_all();
}
END_TEST

START_TEST(works_again_after_any_number_of_resets)
{
	for (unsigned int n = 0; n < 60; n++) {
		fake_driver_start(d, n % 2 ? ~0ULL : V1 | PLATFORM, 8);
		atomic_store(&toy->hold, n % 3 == 0);
		for (unsigned int i = 0; i < n % 8; i++)
			ask(i % QUEUES);
		if (n % 5 == 0)
			set(COMMON(queue_enable), 1, 2);
		set_status(0);
		toy_release(toy);
		fake_driver_wait_status(d, 0xff, false);
	}
	fake_driver_start(d, ~0ULL, 8);
	serves_all();
}
END_TEST

START_TEST(driver_that_never_stops_asking_can_be_reset)
{
	fake_driver_start(d, ~0ULL, 8);
	toy->feed = &d->queues[1];
	atomic_store(&toy->endless, true);
	ask(1);
	await(&toy->served, 5000);
	serves(0); /* and it does not starve another queue */
	fake_driver_reset(d);
	atomic_store(&toy->endless, false);
	fake_driver_start(d, ~0ULL, 8);
	serves_all();
}
END_TEST

/* ---- Reset of one queue ---- */

START_TEST(resets_one_queue_while_others_work)
{
	fake_driver_start(d, ~0ULL, 8);
	atomic_store(&toy->hold, true);
	ask(1);
	await(&toy->holds, 1);
	set(COMMON(queue_select), 1, 2);
	set(COMMON_QUEUE_RESET, 1, 2);
	ck_assert_uint_eq(get(COMMON_QUEUE_RESET, 2), 1);
	await(&toy->stops, 1);
	ck_assert_uint_eq(get(COMMON(queue_enable), 2), 1);
	toy_release(toy);
	while (get(COMMON_QUEUE_RESET, 2))
		usleep(200);
	ck_assert_uint_eq(get(COMMON(queue_enable), 2), 0);
	ck_assert_uint_eq(get(COMMON(queue_size), 2), MAX_SIZE);
	serves(0);
	serves(2);
	ck_assert_uint_eq(status(), READY | DRIVER_OK);
	fake_driver_queue(d, 1, 4);
	serves_all();
	ck_assert_uint_eq(atomic_load(&toy->stops), 1);
}
END_TEST

START_TEST(queue_reset_is_for_those_who_asked_for_it)
{
	fake_driver_start(d, ~RING_RESET, 8);
	set(COMMON(queue_select), 1, 2);
	set(COMMON_QUEUE_RESET, 1, 2);
	ck_assert_uint_eq(get(COMMON_QUEUE_RESET, 2), 0);
	serves_all();
}
END_TEST

/* ---- Queues ---- */

START_TEST(configuration_of_an_enabled_queue_stays)
{
	uint64_t desc;

	fake_driver_start(d, ~0ULL, 8);
	set(COMMON(queue_select), 0, 2);
	desc = get(COMMON(queue_desc_lo), 4);
	set(COMMON(queue_desc_lo), 0x1000, 4);
	set(COMMON(queue_size), 2, 2);
	set(COMMON(queue_enable), 1, 2);
	set(COMMON(queue_enable), 0, 2);
	ck_assert_uint_eq(get(COMMON(queue_desc_lo), 4), desc);
	ck_assert_uint_eq(get(COMMON(queue_size), 2), 8);
	ck_assert_uint_eq(get(COMMON(queue_enable), 2), 1);
	serves_all();
	ck_assert_uint_eq(atomic_load(&toy->starts), QUEUES);
}
END_TEST

static const struct {
	uint16_t size;
	gpa_t desc, avail;
	bool enabled, broken;
} queues[] = {
	{ MAX_SIZE, FAKE_LOW, FAKE_HIGH, true, false },
	{ 2 * MAX_SIZE, FAKE_LOW, FAKE_LOW, false, false },
	{ 0xffff, FAKE_LOW, FAKE_LOW, false, false },
	{ 0, FAKE_LOW, FAKE_LOW, true, true },
	{ 3, FAKE_LOW, FAKE_LOW, true, true },
	{ 8, 0, FAKE_LOW, true, true },
	{ 8, FAKE_LOW + 8, FAKE_LOW, true, true },
	{ 8, FAKE_LOW, -2ULL, true, true },
};

START_TEST(uses_sound_queues_only)
{
	fake_driver_negotiate(d, ~0ULL);
	set(COMMON(queue_size), queues[_i].size, 2);
	set(COMMON(queue_desc_lo), queues[_i].desc, 8);
	set(COMMON(queue_avail_lo), queues[_i].avail, 8);
	set(COMMON(queue_used_lo), FAKE_LOW + 0x1000, 8);
	set(COMMON(queue_enable), 1, 2);
	ck_assert_uint_eq(get(COMMON(queue_enable), 2), queues[_i].enabled);
	set_status(READY | DRIVER_OK);
	if (queues[_i].broken)
		fake_driver_wait_status(d, NEEDS_RESET, true);
	else if (queues[_i].enabled)
		await(&toy->starts, 1);
	fake_driver_start(d, ~0ULL, 8);
	serves_all();
}
END_TEST

START_TEST(rings_before_it_is_ready_are_not_lost)
{
	fake_driver_negotiate(d, ~0ULL);
	fake_driver_run(d, 8);
	fake_driver_negotiate(d, ~0ULL);
	fake_driver_kick(d, 0);
	fake_driver_queue(d, 0, 8);
	ask(0);
	set_status(READY | DRIVER_OK);
	ck_assert_uint_eq(fake_driver_used(d, 0, &(uint32_t){ 0 }), 8);
	fake_driver_queue(d, 1, 8); /* later than the others */
	serves(1);
	fake_driver_kick(d, 2); /* never enabled */
	serves(0);
}
END_TEST

START_TEST(device_may_refuse_a_queue)
{
	atomic_store(&toy->refuse, true);
	fake_driver_start(d, ~0ULL, 8);
	fake_driver_wait_status(d, NEEDS_RESET, true);
	atomic_store(&toy->refuse, false);
	fake_driver_start(d, ~0ULL, 8);
	serves_all();
}
END_TEST

/* ---- A driver that breaks the rules ---- */

START_TEST(asks_for_a_reset_when_the_driver_breaks_the_rules)
{
	fake_driver_start(d, ~0ULL, 8);
	fake_queue_desc(&d->queues[1], 0, 0, 1, 0, 0);
	fake_queue_publish(&d->queues[1], 0);
	fake_driver_kick(d, 1);
	ck_assert_uint_eq(fake_driver_interrupts(d, FAKE_CONFIG, FAKE_WAIT_MS),
			  1);
	ck_assert_uint_eq(status(), READY | DRIVER_OK | NEEDS_RESET);
	/* No queue is looked at any more, and it says so once. */
	ask(0);
	ask(1);
	ck_assert_uint_eq(fake_driver_interrupts(d, 0, 20), 0);
	ck_assert_uint_eq(fake_driver_interrupts(d, FAKE_CONFIG, 0), 0);
	ck_assert_uint_eq(atomic_load(&toy->served), 0);
	/* 2.1.2: a reset of the device, not of the queue. */
	set(COMMON(queue_select), 1, 2);
	set(COMMON_QUEUE_RESET, 1, 2);
	while (get(COMMON_QUEUE_RESET, 2))
		usleep(200);
	fake_driver_queue(d, 1, 8);
	ask(1);
	ck_assert_uint_eq(fake_driver_interrupts(d, 1, 20), 0);
	ck_assert_uint_eq(status(), READY | DRIVER_OK | NEEDS_RESET);
	fake_driver_start(d, ~0ULL, 8);
	ck_assert_uint_eq(status(), READY | DRIVER_OK);
	serves_all();
}
END_TEST

/* ---- Configuration space ---- */

START_TEST(new_configuration_has_a_new_generation)
{
	uint64_t before;

	fake_driver_start(d, ~0ULL, 8);
	before = get(COMMON(config_generation), 1);
	ck_assert_uint_eq(get(COMMON(config_generation), 1), before);
	virtio_set_config(d->dev, 4, "XY", 2);
	ck_assert_uint_eq(fake_driver_interrupts(d, FAKE_CONFIG, FAKE_WAIT_MS),
			  1);
	ck_assert_uint_ne(get(COMMON(config_generation), 1), before);
	ck_assert_uint_eq(fake_in(d, d->device, 1), 'c');
	ck_assert_uint_eq(fake_in(d, d->device + 4, 2), 'X' | 'Y' << 8);
}
END_TEST

START_TEST(configuration_ends_where_it_ends)
{
	ck_assert_uint_eq(fake_in(d, d->device, 4), 0x666e6f63);
	ck_assert_uint_eq(fake_in(d, d->device + 4, 4), 0xffffffff);
	ck_assert_uint_eq(fake_in(d, d->device + 6, 1), 0xff);
	ck_assert_uint_eq(fake_in(d, d->device + 0xfff, 1), 0xff);
	fake_driver_start(d, ~0ULL, 8);
	fake_out(d, d->device + 4, 0, 4);
	fake_out(d, d->device + 0xfff, 0, 1);
	ck_assert_uint_eq(fake_in(d, d->device + 4, 2), 'i' | 'g' << 8);
}
END_TEST

START_TEST(driver_changes_writable_bits_when_it_has_features)
{
	fake_out(d, d->device, 0, 4);
	ck_assert_uint_eq(fake_in(d, d->device, 4), 0x666e6f63);
	fake_driver_start(d, ~0ULL, 8);
	fake_out(d, d->device, 0, 4);
	ck_assert_uint_eq(fake_in(d, d->device, 4), 0x666e6063);
	await(&toy->config_writes, 1);
	fake_out(d, d->device + 2, 0, 2); /* none of these */
	serves_all();
	ck_assert_uint_eq(atomic_load(&toy->config_writes), 1);
}
END_TEST

static void add_queue_tests(TCase *tc)
{
	tcase_add_test(tc, resets_one_queue_while_others_work);
	tcase_add_test(tc, queue_reset_is_for_those_who_asked_for_it);
	tcase_add_test(tc, configuration_of_an_enabled_queue_stays);
	tcase_add_loop_test(tc, uses_sound_queues_only, 0, ARRAY_SIZE(queues));
	tcase_add_test(tc, rings_before_it_is_ready_are_not_lost);
	tcase_add_test(tc, device_may_refuse_a_queue);
	tcase_add_test(tc, asks_for_a_reset_when_the_driver_breaks_the_rules);
}

Suite *virtio_suite(void)
{
	Suite *s = suite_create("virtio");
	TCase *tc = tcase_create("virtio");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc,
			    agrees_with_drivers_that_take_what_they_must_only,
			    0, ARRAY_SIZE(choices));
	tcase_add_test(tc, offers_what_is_its_own_and_the_transport_s);
	tcase_add_test(tc, refuses_what_it_did_not_offer);
	tcase_add_test(tc, keeps_the_features_agreed_upon);
	tcase_add_test(tc, clears_no_status_bit_but_by_reset);
	tcase_add_test(tc, forgets_everything_at_a_reset);
	tcase_add_test(tc, reset_waits_for_requests_under_way);
	tcase_add_test(tc, works_again_after_any_number_of_resets);
	tcase_add_test(tc, driver_that_never_stops_asking_can_be_reset);
	add_queue_tests(tc);
	tcase_add_test(tc, new_configuration_has_a_new_generation);
	tcase_add_test(tc, configuration_ends_where_it_ends);
	tcase_add_test(tc, driver_changes_writable_bits_when_it_has_features);
	suite_add_tcase(s, tc);
	return s;
}
