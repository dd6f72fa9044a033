/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/rng.c. */
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <unistd.h>

#include "devices/rng.h"
#include "suites.h"
#include "support/fake_driver.h"

static struct fake_driver *d;

static void setup(void)
{
	d = fake_driver_new(rng_create, NULL);
	fake_driver_start(d, ~0ULL, 64);
}

static void teardown(void)
{
	fake_driver_free(d);
}

START_TEST(is_an_entropy_source_with_one_queue)
{
	ck_assert_uint_eq(fake_config_in(d, 2, 2), 0x1040 + VIRTIO_ID_RNG);
	ck_assert_uint_eq(d->nr_queues, 1);
}
END_TEST

START_TEST(fills_buffers_with_different_bytes)
{
	struct fake_buf in = { fake_alloc(&d->guest, 64, 8), 64, true };
	const uint64_t *got = fake_at(&d->guest, in.gpa);
	unsigned int equal = 0;

	for (unsigned int n = 0; n < 300; n++) { /* round the ring */
		uint64_t before = got[7];

		ck_assert_uint_eq(fake_driver_request(d, 0, &in, 1), 64);
		equal += got[7] == before || got[0] == got[7];
	}
	ck_assert_uint_eq(equal, 0);
}
END_TEST

START_TEST(gives_no_more_than_a_page_at_a_time)
{
	struct fake_buf in = { fake_alloc(&d->guest, 8192, 8), 8192, true };

	ck_assert_uint_eq(fake_driver_request(d, 0, &in, 1), 4096);
	ck_assert_uint_eq(*(uint8_t *)fake_at(&d->guest, in.gpa + 4096), 0);
}
END_TEST

START_TEST(gives_nothing_to_who_offers_no_room)
{
	struct fake_buf out = { fake_alloc(&d->guest, 8, 8), 8, false };

	ck_assert_uint_eq(fake_driver_request(d, 0, &out, 1), 0);
	ck_assert_uint_eq(*(uint64_t *)fake_at(&d->guest, out.gpa), 0);
}
END_TEST

/* The figures are of the device's thread: it may be a moment behind. */
static void count_comes_to(const atomic_ulong *count, unsigned long n)
{
	for (unsigned int ms = 0; *count != n && ms < FAKE_WAIT_MS; ms++)
		usleep(1000);
	ck_assert_uint_eq(*count, n);
}

START_TEST(counts_what_it_does)
{
	struct fake_buf bufs[] = { { fake_alloc(&d->guest, 24, 8), 24, false },
				   { fake_alloc(&d->guest, 64, 8), 64, true } };
	const struct virtio_count *count = &d->dev->count;

	for (unsigned int n = 1; n <= 3; n++) {
		ck_assert_uint_eq(fake_driver_request(d, 0, bufs, 2), 64);
		count_comes_to(&count->requests, n);
		count_comes_to(&count->read, 24 * n);
		count_comes_to(&count->written, 64 * n);
	}
}
END_TEST

Suite *rng_suite(void)
{
	Suite *s = suite_create("rng");
	TCase *tc = tcase_create("rng");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, is_an_entropy_source_with_one_queue);
	tcase_add_test(tc, fills_buffers_with_different_bytes);
	tcase_add_test(tc, gives_no_more_than_a_page_at_a_time);
	tcase_add_test(tc, gives_nothing_to_who_offers_no_room);
	tcase_add_test(tc, counts_what_it_does);
	suite_add_tcase(s, tc);
	return s;
}
