/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that turn private and shared while a device uses them and its driver
 * resets it: buffers, and the rings.  For make check-tsan.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "suites.h"
#include "support/toy.h"

#define SIZE 8
#define BUF (FAKE_LOW + 2 * MIB)
#define NR_BUFS 8 /* pages */
#define ROUNDS 150

static struct fake_driver *d;
static struct pages pages;
static atomic_bool done;
static gpa_t ring; /* a page of the present rings */

static void discard(void *ctx, uint64_t off, uint64_t len)
{
	(void)ctx;
	ck_assert_int_eq(fallocate(d->guest.memfd,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)off, (off_t)len),
			 0);
}

/* As vmm/kvm/convert.c does. */
static void convert(gpa_t gpa, bool shared)
{
	uint64_t off = gpa - FAKE_LOW;
	unsigned int block = (unsigned int)(off / PAGES_BLOCK);
	unsigned int page = (unsigned int)(off % PAGES_BLOCK / PAGE_SIZE);

	pages_lock(&pages, block);
	pages_touch(&pages, block);
	pages_set(&pages, block, shared, page, 1);
	if (!shared) {
		pages_discard_later(&pages, block, page, 1);
		discard(NULL, off, PAGE_SIZE);
	}
	pages_unlock(&pages, block);
}

static void *convert_all(void *arg)
{
	unsigned int seed = 1;

	while (!done) {
		unsigned int n = (unsigned int)rand_r(&seed);
		gpa_t gpa = n % 4 ? BUF + n % NR_BUFS * PAGE_SIZE : (gpa_t)ring;

		if (gpa)
			convert(gpa, n >> 8 & 1);
	}
	return arg;
}

/* Rings of its own for each round: what is left of them is seen. */
static void start(void)
{
	d->guest.next = align_up(d->guest.next, PAGE_SIZE);
	fake_driver_start(d, ~0ULL, SIZE);
	ring = align_down(d->queues[0].layout.used, PAGE_SIZE);
}

/* Requests into pages that change, and a reset while they are under way. */
static void misuse(unsigned int round)
{
	pthread_t converter;

	start();
	for (unsigned int i = 0; i < SIZE; i++) {
		const struct fake_buf buf = { BUF + i % NR_BUFS * PAGE_SIZE, 64,
					      true };

		convert(buf.gpa, true);
		fake_queue_add(&d->queues[i % TOY_QUEUES], &buf, 1);
	}
	toy_of(d->dev)->hold = round & 1;
	done = false;
	ck_assert_int_eq(pthread_create(&converter, NULL, convert_all, NULL),
			 0);
	for (unsigned int i = 0; i < 4 * TOY_QUEUES; i++)
		fake_driver_kick(d, i % TOY_QUEUES);
	if (round & 2)
		usleep(100);
	toy_of(d->dev)->hold = false;
	toy_release(toy_of(d->dev));
	fake_driver_reset(d);
	done = true;
	pthread_join(converter, NULL);
}

static void check_left(void)
{
	for (unsigned int i = 0; i < PAGES_GROUPS; i++)
		ck_assert_uint_eq(pages.groups[i].count[0] +
					  pages.groups[i].count[1],
				  0);
	ck_assert_uint_eq(pages.waiting, 0);
	for (uint64_t off = 0; off < FAKE_LOW_LEN; off += PAGE_SIZE)
		ck_assert_msg(guest_at(&d->guest.mem, FAKE_LOW + off, 1) ||
				      lseek(d->guest.memfd, (off_t)off,
					    SEEK_DATA) != (off_t)off,
			      "private page %#lx is there", (long)off);
}

START_TEST(a_reset_while_pages_change_leaves_nothing)
{
	const struct fake_buf buf = { BUF, 64, true };

	d = fake_driver_new(toy_create, NULL);
	ck_assert_int_eq(pages_init(&pages, FAKE_LOW_LEN + FAKE_HIGH_LEN,
				    false),
			 0);
	pages.discard = discard;
	d->guest.mem.pages = &pages;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		misuse(i);
		check_left();
	}
	ck_assert_uint_ge(toy_of(d->dev)->resets, ROUNDS);
	ck_assert_uint_gt(toy_of(d->dev)->served, 0);
	/* It serves an honest driver. */
	convert(BUF, true);
	start();
	ck_assert_uint_eq(fake_driver_request(d, 1, &buf, 1), 64);
	fake_driver_free(d);
	pages_destroy(&pages);
}
END_TEST

Suite *private_race_suite(void)
{
	Suite *s = suite_create("private_race");
	TCase *tc = tcase_create("private_race");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_reset_while_pages_change_leaves_nothing);
	suite_add_tcase(s, tc);
	return s;
}
