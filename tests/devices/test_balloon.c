/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/balloon.c: what the host has again, and what it refuses. */
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/balloon.h"
#include "devices/balloon_pages.h"
#include "suites.h"
#include "support/fake_driver.h"
#include "vmm/base/log.h"

enum { INFLATEQ, DEFLATEQ, STATSQ, OLD_REPORTINGQ, REPORTINGQ };

/* Nobody's, unlike the first pages, which hold queues. */
#define MIDDLE (FAKE_LOW + 2 * MIB)

static struct fake_driver *d;

static void begin(unsigned int poll_ms, uint64_t features)
{
	const struct balloon_params p = { 64 * MIB, poll_ms };

	d = fake_driver_new(balloon_create, &p);
	fake_driver_start(d, features, 64);
}

static void setup(void)
{
	begin(0, ~0ULL);
}

static void teardown(void)
{
	fake_driver_free(d);
}

/* Pages of guest memory that the host has allocated. */
static uint64_t allocated(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(d->guest.memfd, &st), 0);
	return (uint64_t)st.st_blocks * 512 / PAGE_SIZE;
}

/* Writes to a stretch of pages that is whole and nobody else's. */
static gpa_t touch(unsigned int nr)
{
	gpa_t gpa = fake_alloc(&d->guest, nr * PAGE_SIZE, PAGE_SIZE);

	memset(fake_at(&d->guest, gpa), 0x5a, nr * PAGE_SIZE);
	return gpa;
}

static uint8_t byte_at(gpa_t gpa)
{
	return *(uint8_t *)fake_at(&d->guest, gpa);
}

static struct fake_buf numbers(const uint32_t *pfns, unsigned int nr)
{
	return (struct fake_buf){ fake_alloc_data(&d->guest, pfns, 4 * nr),
				  4 * nr, false };
}

static void request(unsigned int q, const uint32_t *pfns, unsigned int nr)
{
	struct fake_buf b = numbers(pfns, nr);

	ck_assert_uint_eq(fake_driver_request(d, q, &b, 1), 0);
}

/* Has what a request itself touches allocated. */
static void warm_up(unsigned int q)
{
	uint32_t pfns[64] = { 0 };
	struct fake_buf b;

	for (unsigned int i = 0; i < ARRAY_SIZE(pfns); i++)
		pfns[i] = MIDDLE / PAGE_SIZE;
	b = numbers(pfns, ARRAY_SIZE(pfns));
	b.write = q >= STATSQ; /* part of a page: nothing */
	fake_driver_request(d, q, &b, 1);
}

START_TEST(is_a_balloon_that_asks_for_its_size)
{
	ck_assert_uint_eq(fake_config_in(d, 2, 2), 0x1040 + VIRTIO_ID_BALLOON);
	ck_assert_uint_eq(fake_in(d, d->device, 4), 64 * MIB / PAGE_SIZE);
	ck_assert_uint_eq(fake_in(d, d->device + 4, 4), 0);
	ck_assert_uint_eq(d->features & 0xff,
			  1 << VIRTIO_BALLOON_F_STATS_VQ |
				  1 << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
				  1 << VIRTIO_BALLOON_F_REPORTING);
	/* Its drivers decline it, so it is not offered. */
	ck_assert(!(d->features >> VIRTIO_F_ACCESS_PLATFORM & 1));
	ck_assert(d->features >> VIRTIO_F_VERSION_1 & 1);
}
END_TEST

START_TEST(the_driver_can_write_how_much_it_has_given_only)
{
	fake_out(d, d->device, 7, 4);
	fake_out(d, d->device + 4, 16384, 4);
	ck_assert_uint_eq(fake_in(d, d->device, 4), 64 * MIB / PAGE_SIZE);
	ck_assert_uint_eq(fake_in(d, d->device + 4, 4), 16384);
}
END_TEST

START_TEST(pages_that_are_given_are_the_hosts_again)
{
	gpa_t gpa = touch(8);
	uint32_t first = (uint32_t)(gpa / PAGE_SIZE);
	/* As a driver finds them: in any order, one twice, one not. */
	const uint32_t pfns[] = { first + 3, first + 7, first,     first + 1,
				  first + 2, first + 3, first + 6, first + 5 };
	uint64_t before;

	warm_up(INFLATEQ);
	before = allocated();
	request(INFLATEQ, pfns, ARRAY_SIZE(pfns));
	ck_assert_uint_eq(allocated(), before - 7);
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_uint_eq(byte_at(gpa + i * PAGE_SIZE),
				  i == 4 ? 0x5a : 0);
	/* And the guest's again when it touches them. */
	request(DEFLATEQ, pfns, ARRAY_SIZE(pfns));
	memset(fake_at(&d->guest, gpa), 1, PAGE_SIZE);
	ck_assert_uint_eq(byte_at(gpa), 1);
}
END_TEST

START_TEST(neighbours_go_in_one_piece_and_both_regions_count)
{
	const uint32_t low = MIDDLE / PAGE_SIZE, high = FAKE_HIGH / PAGE_SIZE;
	const uint32_t last = (FAKE_LOW + FAKE_LOW_LEN) / PAGE_SIZE - 1;
	uint32_t pfns[] = { high, last,     low, high + 1, low + 1,
			    high, last - 1, low, low + 3 };
	struct virtq_chain c = { .nr_out = 1, .out_len = sizeof(pfns) };
	struct balloon_count count = { 0 };

	c.iov[0] = (struct iovec){ pfns, sizeof(pfns) };
	memset(fake_at(&d->guest, FAKE_HIGH), 1, 3 * PAGE_SIZE);
	ck_assert_int_eq(balloon_inflate(&d->guest.mem, &c, &count), 0);
	ck_assert_uint_eq(count.pages, 9);
	ck_assert_uint_eq(count.pieces, 4);
	ck_assert_uint_eq(count.failed, 0);
	ck_assert_uint_eq(byte_at(FAKE_HIGH + PAGE_SIZE), 0);
	ck_assert_uint_eq(byte_at(FAKE_HIGH + 2 * PAGE_SIZE), 1);
}
END_TEST

/* Two requests' worth of batches, and numbers that straddle the buffers. */
START_TEST(long_requests_in_pieces_are_read_right)
{
	enum { NR = 1500 };
	static uint32_t pfns[NR];
	struct virtq_chain c = { .nr_out = 3, .out_len = sizeof(pfns) };
	struct balloon_count count = { 0 };
	uint8_t *p = (uint8_t *)pfns;

	for (unsigned int i = 0; i < NR; i++)
		pfns[i] = (uint32_t)((MIDDLE >> 12) + i % 100);
	c.iov[0] = (struct iovec){ p, 7 };
	c.iov[1] = (struct iovec){ p + 7, 4091 };
	c.iov[2] = (struct iovec){ p + 4098, sizeof(pfns) - 4098 };
	ck_assert_int_eq(balloon_inflate(&d->guest.mem, &c, &count), 0);
	ck_assert_uint_eq(count.pages, NR);
	ck_assert_uint_eq(count.pieces, 2); /* one for each batch */
}
END_TEST

static const uint32_t no_ram[] = {
	0,
	FAKE_LOW / PAGE_SIZE - 1,
	(FAKE_LOW + FAKE_LOW_LEN) / PAGE_SIZE,
	FAKE_HIGH / PAGE_SIZE - 1,
	(FAKE_HIGH + FAKE_HIGH_LEN) / PAGE_SIZE,
	UINT32_MAX,
};

static void expect_broken(const struct fake_buf *b)
{
	log_set_level(LOG_ERR);
	fake_queue_add(&d->queues[INFLATEQ], b, 1);
	fake_driver_kick(d, INFLATEQ);
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	log_set_level(LOG_WARN);
}

START_TEST(rejects_pages_that_are_not_ram)
{
	const uint32_t pfns[] = { MIDDLE / PAGE_SIZE, no_ram[_i] };
	struct fake_buf b = numbers(pfns, 2);
	uint32_t good = (uint32_t)(touch(1) / PAGE_SIZE);

	expect_broken(&b);
	fake_driver_start(d, ~0ULL, 64);
	request(INFLATEQ, &good, 1);
}
END_TEST

static const uint32_t odd_lengths[] = { 1, 3, 5, 4 * BALLOON_MAX_PFNS + 4 };

START_TEST(rejects_requests_of_odd_lengths)
{
	struct fake_buf b = { fake_alloc(&d->guest, 5 * BALLOON_MAX_PFNS, 4),
			      odd_lengths[_i], false };

	expect_broken(&b);
}
END_TEST

START_TEST(takes_nothing_from_what_it_was_to_write)
{
	gpa_t gpa = touch(1);
	uint32_t pfn = (uint32_t)(gpa / PAGE_SIZE);
	struct fake_buf b = numbers(&pfn, 1);

	b.write = true;
	ck_assert_uint_eq(fake_driver_request(d, INFLATEQ, &b, 1), 0);
	ck_assert_uint_eq(byte_at(gpa), 0x5a);
}
END_TEST

/* Linux has found the queue at either place. */
START_TEST(what_is_reported_free_is_the_hosts_again)
{
	const unsigned int queues[] = { OLD_REPORTINGQ, REPORTINGQ };
	gpa_t a = touch(16), b = touch(4);
	struct fake_buf free[] = { { a, 16 * PAGE_SIZE, true },
				   { b + 100, 3 * PAGE_SIZE, true },
				   { b + 3 * PAGE_SIZE + 1, 10, true } };
	uint64_t before;

	warm_up(queues[_i]);
	before = allocated();
	ck_assert_uint_eq(fake_driver_request(d, queues[_i], free, 3), 0);
	ck_assert_uint_eq(allocated(), before - 16 - 2);
	/* Only whole pages: the rest may hold something. */
	ck_assert_uint_eq(byte_at(b + PAGE_SIZE - 1), 0x5a);
	ck_assert_uint_eq(byte_at(b + PAGE_SIZE), 0);
	ck_assert_uint_eq(byte_at(b + 3 * PAGE_SIZE), 0x5a);
}
END_TEST

START_TEST(the_reporting_queue_moves_up_without_statistics)
{
	struct fake_buf page = { 0, PAGE_SIZE, true };

	fake_driver_start(d, ~(1ULL << VIRTIO_BALLOON_F_STATS_VQ), 64);
	page.gpa = touch(1);
	fake_driver_request(d, STATSQ, &page, 1);
	ck_assert_uint_eq(byte_at(page.gpa), 0);
}
END_TEST

START_TEST(nobody_reports_who_has_not_said_so)
{
	struct fake_buf page = { touch(1), PAGE_SIZE, true };

	fake_driver_start(d, ~(1ULL << VIRTIO_BALLOON_F_REPORTING), 64);
	log_set_level(LOG_ERR);
	fake_queue_add(&d->queues[REPORTINGQ], &page, 1);
	fake_driver_kick(d, REPORTINGQ);
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	log_set_level(LOG_WARN);
	ck_assert_uint_eq(byte_at(page.gpa), 0x5a);
}
END_TEST

static struct fake_buf figures(uint16_t tag, uint64_t value)
{
	const struct virtio_balloon_stat stats[] = {
		{ tag, value }, { 999, 1 }, { VIRTIO_BALLOON_S_MEMTOT, 2 }
	};

	return (struct fake_buf){ fake_alloc_data(&d->guest, stats,
						  sizeof(stats)),
				  sizeof(stats), false };
}

START_TEST(figures_are_kept_until_it_is_time_for_new_ones)
{
	struct fake_buf b;
	uint32_t head;

	fake_driver_free(d);
	begin(20, ~0ULL);
	b = figures(VIRTIO_BALLOON_S_MEMFREE, 1);
	for (unsigned int i = 0; i < 3; i++) {
		fake_queue_add(&d->queues[STATSQ], &b, 1);
		fake_driver_kick(d, STATSQ);
		ck_assert_uint_eq(fake_driver_used(d, STATSQ, &head), 0);
	}
}
END_TEST

START_TEST(two_sets_of_figures_are_one_too_many)
{
	struct fake_buf b = figures(65535, UINT64_MAX);
	uint32_t head, len;

	fake_queue_add(&d->queues[STATSQ], &b, 1);
	fake_driver_kick(d, STATSQ);
	usleep(20000);
	ck_assert(!fake_queue_used(&d->queues[STATSQ], &head, &len));
	b.len = 7; /* not even one */
	fake_queue_add(&d->queues[STATSQ], &b, 1);
	fake_driver_kick(d, STATSQ);
	ck_assert_uint_eq(fake_driver_used(d, STATSQ, &head), 0);
	/* What is held does not outlive a reset. */
	fake_driver_start(d, ~0ULL, 64);
	fake_queue_add(&d->queues[STATSQ], &b, 1);
	fake_driver_kick(d, STATSQ);
	usleep(20000);
	ck_assert(!fake_queue_used(&d->queues[STATSQ], &head, &len));
}
END_TEST

Suite *balloon_suite(void)
{
	Suite *s = suite_create("balloon");
	TCase *tc = tcase_create("balloon");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, is_a_balloon_that_asks_for_its_size);
	tcase_add_test(tc, the_driver_can_write_how_much_it_has_given_only);
	tcase_add_test(tc, pages_that_are_given_are_the_hosts_again);
	tcase_add_test(tc, neighbours_go_in_one_piece_and_both_regions_count);
	tcase_add_test(tc, long_requests_in_pieces_are_read_right);
	tcase_add_loop_test(tc, rejects_pages_that_are_not_ram, 0,
			    ARRAY_SIZE(no_ram));
	tcase_add_loop_test(tc, rejects_requests_of_odd_lengths, 0,
			    ARRAY_SIZE(odd_lengths));
	tcase_add_test(tc, takes_nothing_from_what_it_was_to_write);
	tcase_add_loop_test(tc, what_is_reported_free_is_the_hosts_again, 0, 2);
	tcase_add_test(tc, the_reporting_queue_moves_up_without_statistics);
	tcase_add_test(tc, nobody_reports_who_has_not_said_so);
	tcase_add_test(tc, figures_are_kept_until_it_is_time_for_new_ones);
	tcase_add_test(tc, two_sets_of_figures_are_one_too_many);
	suite_add_tcase(s, tc);
	return s;
}
