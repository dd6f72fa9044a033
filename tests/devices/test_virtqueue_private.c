/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/virtqueue.c on memory that the guest can make private. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "suites.h"
#include "support/toy.h"

#define SIZE 8
#define BUF (FAKE_LOW + 0x20000) /* pages of its own for each */
#define TABLE (FAKE_LOW + 0x30000)

static struct fake_guest guest;
static struct fake_queue driver;
static struct virtqueue q;
static struct virtq_chain c;
static struct pages pages;
static struct window window; /* where a test has it looked for */

static int failed; /* by a signal handler, too, which asserts nothing */

static void discard(void *ctx, uint64_t off, uint64_t len)
{
	(void)ctx;
	failed |= fallocate(guest.memfd,
			    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    (off_t)off, (off_t)len);
}

static uint64_t allocated(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(guest.memfd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* As vmm/kvm/convert.c does. */
static void make_private(gpa_t gpa)
{
	uint64_t off = gpa - FAKE_LOW;
	unsigned int block = (unsigned int)(off / PAGES_BLOCK);
	unsigned int page = (unsigned int)(off % PAGES_BLOCK / PAGE_SIZE);

	pages_lock(&pages, block);
	pages_touch(&pages, block);
	pages_set(&pages, block, false, page, 1);
	pages_discard_later(&pages, block, page, 1);
	discard(NULL, align_down(off, PAGE_SIZE), PAGE_SIZE);
	pages_unlock(&pages, block);
}

static void setup(void)
{
	fake_guest_init(&guest);
	ck_assert_int_eq(pages_init(&pages, FAKE_LOW_LEN + FAKE_HIGH_LEN,
				    false),
			 0);
	pages.discard = discard;
	guest.mem.pages = &pages;
	memset(&window, 0, sizeof(window));
	guest.next = FAKE_LOW + 0x10000;
	fake_queue_init(&driver, &guest, SIZE);
	ck_assert_int_eq(virtq_start(&q, &guest.mem, &driver.layout, false), 0);
}

static void teardown(void)
{
	virtq_stop(&q);
	virtq_stop(&q);
	ck_assert_int_eq(failed, 0);
	/* Nothing stays pinned, nothing waits. */
	for (unsigned int i = 0; i < PAGES_GROUPS; i++)
		ck_assert_uint_eq(pages.groups[i].count[0] +
					  pages.groups[i].count[1],
				  0);
	ck_assert_uint_eq(pages.waiting, 0);
	ck_assert_uint_eq(window.in_use, 0);
	pages_destroy(&pages);
	pages_destroy(&pages);
	fake_guest_destroy(&guest);
}

static const struct fake_buf two[] = { { BUF, 16, false },
				       { BUF + PAGE_SIZE, 16, true } };

START_TEST(serves_what_is_shared)
{
	uint32_t got = SIZE, len = 0;

	for (unsigned int n = 0; n < 100; n++) {
		uint16_t head = fake_queue_add(&driver, two, 2);

		ck_assert_int_eq(virtq_pop(&q, &c), 1);
		virtq_unpop(&q, c.head);
		ck_assert_int_eq(virtq_pop(&q, &c), 1);
		virtq_push(&q, head, 7);
		ck_assert(fake_queue_used(&driver, &got, &len));
		ck_assert_uint_eq(got, head);
		make_private(FAKE_LOW + 0x50000); /* somewhere else */
	}
}
END_TEST

static const struct {
	gpa_t private;
	struct fake_buf buf;
	bool indirect;
} bad[] = {
	{ BUF, { BUF, 16, false }, false },
	{ BUF, { BUF, 16, true }, false },
	{ BUF, { BUF + PAGE_SIZE - 1, 1, true }, false },
	{ BUF, { BUF, 16, true }, true },
	{ BUF + PAGE_SIZE, { BUF, 2 * PAGE_SIZE, false }, false },
	{ BUF + PAGE_SIZE, { BUF + PAGE_SIZE - 1, 2, true }, false },
	{ BUF + 2 * PAGE_SIZE, { BUF, 4 * PAGE_SIZE, true }, true },
};

START_TEST(rejects_buffers_in_private_pages)
{
	make_private(bad[_i].private);
	if (bad[_i].indirect)
		fake_queue_add_indirect(&driver, &bad[_i].buf, 1);
	else
		fake_queue_add(&driver, &bad[_i].buf, 1);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
}
END_TEST

START_TEST(rejects_a_table_in_a_private_page)
{
	fake_queue_desc(&driver, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
	fake_queue_publish(&driver, 0);
	make_private(TABLE);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
}
END_TEST

static gpa_t ring(int i)
{
	const struct virtq_layout *l = &driver.layout;

	return i == 0 ? l->desc : i == 1 ? l->avail : l->used;
}

START_TEST(rejects_rings_in_private_pages)
{
	make_private(ring(_i));
	virtq_stop(&q);
	ck_assert_int_eq(virtq_start(&q, &guest.mem, &driver.layout, false),
			 -EPROTO);
	ck_assert_int_eq(virtq_pop(&q, &c), 0);
}
END_TEST

/* Not a byte of what turned private comes back, whatever the device does. */
START_TEST(stops_when_a_ring_turns_private)
{
	uint64_t left;
	uint16_t head = fake_queue_add(&driver, two, 2);

	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	make_private(ring(_i));
	left = allocated();
	virtq_push(&q, head, 1);
	ck_assert(!virtq_must_notify(&q));
	virtq_kicks_off(&q);
	ck_assert(virtq_kicks_on(&q));
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
	ck_assert_uint_eq(allocated(), left);
	ck_assert_uint_eq(pages.waiting, 0);
}
END_TEST

/* ---- A ring that turns private while it is being looked at ---- */

static gpa_t watched; /* page of the ring */

static void protect(int prot)
{
	void *host = (uint8_t *)guest.mem.regions[0].host + watched - FAKE_LOW;

	failed |= mprotect(host, PAGE_SIZE, prot);
}

/* The queue is past its check: now the page changes, and is touched. */
static void on_access(int sig)
{
	(void)sig;
	protect(PROT_READ | PROT_WRITE);
	make_private(watched);
}

static void do_pop(void)
{
	virtq_pop(&q, &c);
}

static void do_fill(void)
{
	virtq_fill(&q, 0, 1);
}

static void do_flush(void)
{
	virtq_flush(&q);
}

static void do_notify(void)
{
	virtq_must_notify(&q);
}

static void do_off(void)
{
	virtq_kicks_off(&q);
}

static void do_on(void)
{
	virtq_kicks_on(&q);
}

static void (*const accesses[])(void) = { do_pop,    do_fill, do_flush,
					  do_notify, do_off,  do_on };

START_TEST(a_ring_that_is_touched_too_late_does_not_stay)
{
	struct sigaction sa = { .sa_handler = on_access }, old;
	uint64_t left;

	watched = align_down(driver.layout.used, PAGE_SIZE);
	ck_assert_uint_eq(align_down(driver.layout.avail, PAGE_SIZE), watched);
	virtq_fill(&q, 0, 1); /* something to notify of */
	make_private(FAKE_LOW + 0x50000);
	left = allocated();
	sigaction(SIGSEGV, &sa, &old);
	protect(PROT_NONE);
	accesses[_i]();
	sigaction(SIGSEGV, &old, NULL);
	ck_assert(!guest_at(&guest.mem, watched, PAGE_SIZE));
	ck_assert_uint_eq(allocated(), left - PAGE_SIZE);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
	ck_assert_uint_eq(allocated(), left - PAGE_SIZE);
}
END_TEST

START_TEST(what_turned_private_in_flight_is_freed_when_given_back)
{
	uint64_t left;
	uint16_t head = fake_queue_add(&driver, two, 2);

	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	virtq_kicks_off(&q); /* the used ring has its page */
	memset(c.iov[1].iov_base, 1, 16);
	make_private(two[1].gpa);
	left = allocated();
	memset(c.iov[1].iov_base, 1, 16); /* host I/O that was under way */
	ck_assert_uint_eq(allocated(), left + PAGE_SIZE);
	if (_i)
		virtq_stop(&q);
	else
		virtq_push(&q, head, 16);
	ck_assert_uint_eq(allocated(), left);
}
END_TEST

START_TEST(rejects_a_head_that_is_in_use)
{
	uint16_t head = fake_queue_add(&driver, two, 2);

	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	fake_queue_publish(&driver, head);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
	fake_queue_publish(&driver, SIZE);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
}
END_TEST

/* ---- The window, of which the rings are no part ---- */

#define WINDOW_LEN (4 * PAGE_SIZE) /* from BUF */
#define OUTSIDE (FAKE_LOW + 0x40000)

static void keep_window(bool strict)
{
	window.strict = strict;
	window.longest = (struct window_run){ BUF, WINDOW_LEN, 1 };
	window.span = BUF / PAGE_SIZE << 32 | WINDOW_LEN / PAGE_SIZE;
	guest.mem.window = &window;
}

static void forget_window(void)
{
	window_forget(&window, BUF, PAGE_SIZE);
}

static const struct {
	struct fake_buf bufs[2];
	bool good;
} placed[] = {
	{ { { BUF, 16, false }, { BUF + PAGE_SIZE, 16, true } }, true },
	{ { { BUF, 16, false }, { BUF, WINDOW_LEN, true } }, true },
	{ { { OUTSIDE, 16, false }, { BUF, 16, true } }, false },
	{ { { BUF, 16, false }, { OUTSIDE, 16, true } }, false },
	{ { { BUF - 1, 2, false }, { BUF, 16, true } }, false },
	{ { { BUF, 16, false }, { BUF + WINDOW_LEN - 1, 2, true } }, false },
	{ { { BUF, 16, false }, { BUF, WINDOW_LEN + 1, true } }, false },
};

/* The same in a table, which is inside. */
static void add_indirect(const struct fake_buf *bufs, gpa_t table)
{
	gpa_t next = guest.next;

	guest.next = table;
	fake_queue_add_indirect(&driver, bufs, 2);
	guest.next = next;
}

START_TEST(strict_serves_the_window_only)
{
	const struct fake_buf *bufs = placed[_i / 2].bufs;
	bool good = placed[_i / 2].good;

	keep_window(true);
	if (_i % 2)
		add_indirect(bufs, BUF + 2 * PAGE_SIZE);
	else
		fake_queue_add(&driver, bufs, 2);
	ck_assert_int_eq(virtq_pop(&q, &c), good ? 1 : -EPROTO);
	ck_assert_uint_eq(window.refused, good ? 0 : 1);
	ck_assert_uint_eq(window.high_water != 0, good);
	/* What is not strict serves them all. */
	keep_window(false);
	if (!good)
		ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_uint_eq(window.refused, good ? 0 : 1);
}
END_TEST

START_TEST(strict_wants_tables_inside_too)
{
	keep_window(true);
	add_indirect(two, OUTSIDE);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
	ck_assert_uint_eq(window.refused, 1);
}
END_TEST

START_TEST(strict_refuses_all_while_there_is_no_window)
{
	keep_window(true);
	forget_window();
	fake_queue_add(&driver, two, 2);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
	ck_assert_uint_eq(window.refused, 1);
	keep_window(true);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
}
END_TEST

/* What is private is no matter of the window. */
START_TEST(strict_does_not_count_what_is_refused_anyway)
{
	const struct fake_buf buf = { OUTSIDE, 16, true };

	keep_window(true);
	make_private(OUTSIDE);
	fake_queue_add(&driver, &buf, 1);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
	ck_assert_uint_eq(window.refused, 0);
}
END_TEST

START_TEST(counts_what_requests_use_of_the_window)
{
	const struct fake_buf one = { BUF, 100, true };
	const struct fake_buf half[] = { { OUTSIDE, 50, false },
					 { BUF, 1, true } };
	uint16_t first, second;

	keep_window(false);
	first = fake_queue_add(&driver, two, 2);
	second = fake_queue_add(&driver, &one, 1);
	fake_queue_add(&driver, half, 2);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_uint_eq(window.in_use, 32);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_uint_eq(window.in_use, 132);
	virtq_unpop(&q, second);
	ck_assert_uint_eq(window.in_use, 32);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	forget_window(); /* what has begun ends as it began */
	virtq_push(&q, first, 0);
	ck_assert_uint_eq(window.in_use, 100);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_uint_eq(window.in_use, 100);
	keep_window(false);
	virtq_push(&q, second, 0);
	ck_assert_uint_eq(window.in_use, 0);
	add_indirect(two, BUF + PAGE_SIZE);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_uint_eq(window.in_use, 64); /* two descriptors, 32 bytes */
	ck_assert_uint_eq(window.high_water, 132);
	virtq_stop(&q);
	ck_assert_uint_eq(window.in_use, 0);
}
END_TEST

START_TEST(a_device_that_ends_lets_go_of_what_it_holds)
{
	struct fake_driver *d = fake_driver_new(toy_create, NULL);
	struct pages_group none = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct fake_buf in = { BUF, 64, true };

	d->guest.mem.pages = &pages;
	toy_of(d->dev)->hold = true;
	fake_driver_start(d, ~0ULL, SIZE);
	fake_queue_add(&d->queues[1], &in, 1);
	fake_driver_kick(d, 1);
	while (!toy_of(d->dev)->holds)
		fake_driver_interrupts(d, 1, 1);
	fake_driver_free(d);
	for (unsigned int i = 0; i < PAGES_GROUPS; i++)
		ck_assert_mem_eq(pages.groups[i].count, none.count,
				 sizeof(none.count));
}
END_TEST

Suite *virtqueue_private_suite(void)
{
	Suite *s = suite_create("virtqueue_private");
	TCase *tc = tcase_create("virtqueue_private");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, serves_what_is_shared);
	tcase_add_loop_test(tc, rejects_buffers_in_private_pages, 0,
			    ARRAY_SIZE(bad));
	tcase_add_test(tc, rejects_a_table_in_a_private_page);
	tcase_add_loop_test(tc, rejects_rings_in_private_pages, 0, 3);
	tcase_add_loop_test(tc, stops_when_a_ring_turns_private, 0, 3);
	tcase_add_loop_test(tc, a_ring_that_is_touched_too_late_does_not_stay,
			    0, ARRAY_SIZE(accesses));
	tcase_add_loop_test(
		tc, what_turned_private_in_flight_is_freed_when_given_back, 0,
		2);
	tcase_add_test(tc, rejects_a_head_that_is_in_use);
	tcase_add_loop_test(tc, strict_serves_the_window_only, 0,
			    2 * ARRAY_SIZE(placed));
	tcase_add_test(tc, strict_wants_tables_inside_too);
	tcase_add_test(tc, strict_refuses_all_while_there_is_no_window);
	tcase_add_test(tc, strict_does_not_count_what_is_refused_anyway);
	tcase_add_test(tc, counts_what_requests_use_of_the_window);
	tcase_add_test(tc, a_device_that_ends_lets_go_of_what_it_holds);
	suite_add_tcase(s, tc);
	return s;
}
