/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/virtqueue.c with a driver that behaves. */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "support/fake_driver.h"

#define SIZE 8
#define LOW_END (FAKE_LOW + FAKE_LOW_LEN)
#define HIGH_END (FAKE_HIGH + FAKE_HIGH_LEN)
#define NEXT VRING_DESC_F_NEXT
#define INDIRECT VRING_DESC_F_INDIRECT
#define WRITE VRING_DESC_F_WRITE

static struct fake_guest guest;
static struct fake_queue driver;
static struct virtqueue q;
static struct virtq_chain c;

static void start(uint16_t size, bool event_idx)
{
	fake_queue_init(&driver, &guest, size);
	driver.event_idx = event_idx;
	ck_assert_int_eq(virtq_start(&q, &guest.mem, &driver.layout, event_idx),
			 0);
}

static void setup(void)
{
	fake_guest_init(&guest);
	start(SIZE, false);
}

static void teardown(void)
{
	virtq_stop(&q);
	fake_guest_destroy(&guest);
}

/* ---- Requests of a driver that behaves ---- */

static const struct fake_buf four[] = {
	{ FAKE_LOW + 0x10000, 3, false },
	{ LOW_END - 5, 5, false },
	{ FAKE_HIGH, 2, true },
	{ HIGH_END - 7, 7, true },
};

static void check_four(uint16_t head)
{
	ck_assert_uint_eq(c.head, head);
	ck_assert_uint_eq(c.nr_out, 2);
	ck_assert_uint_eq(c.nr_in, 2);
	ck_assert_uint_eq(c.out_len, 8);
	ck_assert_uint_eq(c.in_len, 9);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_uint_eq(c.iov[i].iov_len, four[i].len);
		ck_assert_ptr_eq(c.iov[i].iov_base,
				 fake_at(&guest, four[i].gpa));
	}
}

START_TEST(gives_chains_round_and_round_the_ring)
{
	unsigned int bad = 0;

	/* 70000 > 2^16: the indices wrap too. */
	for (unsigned int n = 0; n < 70000; n++) {
		uint16_t head = fake_queue_add(&driver, four, 4);
		uint32_t got = SIZE, len = 0;

		bad += virtq_pop(&q, &c) != 1 || c.head != head ||
		       virtq_pop(&q, &c) != 0;
		virtq_push(&q, head, n);
		bad += !fake_queue_used(&driver, &got, &len) || got != head ||
		       len != n || fake_queue_used(&driver, &got, &len);
	}
	ck_assert_uint_eq(bad, 0);
	fake_queue_add(&driver, four, 4);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	check_four(c.head);
}
END_TEST

START_TEST(follows_indirect_tables)
{
	uint16_t head = fake_queue_add_indirect(&driver, four, 4);

	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	check_four(head);
}
END_TEST

START_TEST(follows_a_table_behind_direct_descriptors)
{
	uint16_t head = fake_queue_add_indirect(&driver, four + 1, 3);
	struct vring_desc *d = fake_at(&guest, driver.layout.desc);

	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	/* 2.7.5.3.2: the write flag of the table's descriptor is ignored. */
	d[head].flags |= WRITE;
	fake_queue_desc(&driver, 6, four[0].gpa, four[0].len, NEXT, head);
	fake_queue_publish(&driver, 6);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	check_four(6);
}
END_TEST

START_TEST(takes_a_full_ring_in_order)
{
	for (uint16_t i = 0; i < SIZE; i++)
		fake_queue_add(&driver, &four[i % 2], 1);
	for (uint16_t i = 0; i < SIZE; i++) {
		ck_assert_int_eq(virtq_pop(&q, &c), 1);
		ck_assert_uint_eq(c.head, i);
	}
	ck_assert_int_eq(virtq_pop(&q, &c), 0);
}
END_TEST

/* 2.7.5.3 asks for no alignment of a table. */
START_TEST(follows_a_table_at_an_odd_address)
{
	const struct vring_desc d = { four[0].gpa, 3, 0, 0 };

	memcpy(fake_at(&guest, FAKE_LOW + 0x30001), &d, sizeof(d));
	fake_queue_desc(&driver, 0, FAKE_LOW + 0x30001, 16, INDIRECT, 0);
	fake_queue_publish(&driver, 0);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_uint_eq(c.out_len, 3);
}
END_TEST

START_TEST(gives_again_what_was_put_back)
{
	uint16_t head = fake_queue_add(&driver, four, 4);

	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(virtq_pop(&q, &c), 1);
		check_four(head);
		virtq_unpop(&q, c.head);
	}
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_int_eq(virtq_pop(&q, &c), 0);
}
END_TEST

START_TEST(takes_as_many_segments_as_it_says)
{
	struct fake_buf one[VIRTQ_MAX_SEGMENTS + 1];

	for (unsigned int i = 0; i < ARRAY_SIZE(one); i++)
		one[i] = (struct fake_buf){ FAKE_LOW + i, 1, i > 1 };
	fake_queue_add_indirect(&driver, one, VIRTQ_MAX_SEGMENTS);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_uint_eq(c.nr_out + c.nr_in, VIRTQ_MAX_SEGMENTS);
	ck_assert_uint_eq(c.in_len, VIRTQ_MAX_SEGMENTS - 2);
	fake_queue_add_indirect(&driver, one, VIRTQ_MAX_SEGMENTS + 1);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
}
END_TEST

START_TEST(copies_between_chains_and_buffers)
{
	static const struct {
		unsigned int off, len, want;
	} parts[] = { { 0, 8, 8 }, { 0, 3, 3 }, { 2, 3, 3 },  { 3, 9, 5 },
		      { 7, 1, 1 }, { 8, 1, 0 }, { 99, 9, 0 }, { 4, 0, 0 } };
	char buf[16];

	memcpy(fake_at(&guest, four[0].gpa), "abc", 3);
	memcpy(fake_at(&guest, four[1].gpa), "defgh", 5);
	fake_queue_add(&driver, four, 4);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++) {
		memset(buf, 'z', sizeof(buf));
		ck_assert_uint_eq(virtq_read(&c, parts[i].off, buf,
					     parts[i].len),
				  parts[i].want);
		ck_assert_int_eq(memcmp(buf,
					&"abcdefgh"[min_of(parts[i].off, 8u)],
					parts[i].want),
				 0);
		ck_assert_int_eq(buf[parts[i].want], 'z');
	}
	ck_assert_uint_eq(virtq_write(&c, 0, "123456789...", 12), 9);
	ck_assert_uint_eq(virtq_write(&c, 1, "AB", 2), 2);
	ck_assert_uint_eq(virtq_write(&c, 9, "?", 1), 0);
	ck_assert_int_eq(memcmp(fake_at(&guest, FAKE_HIGH), "1A", 3), 0);
	ck_assert_int_eq(memcmp(fake_at(&guest, HIGH_END - 7), "B456789", 7),
			 0);
}
END_TEST

#define BUF (FAKE_LOW + 0x20000)

/* ---- Who tells whom, and when ---- */

/* Moves both sides on until the next request is number `to`. */
static void advance(uint16_t to)
{
	static const struct fake_buf b = { BUF, 1, true };
	uint32_t head, len;

	while (driver.next_avail != to) {
		fake_queue_add(&driver, &b, 1);
		if (virtq_pop(&q, &c) != 1)
			ck_abort();
		virtq_push(&q, c.head, 1);
		fake_queue_used(&driver, &head, &len);
	}
	virtq_must_notify(&q);
	fake_queue_must_kick(&driver);
}

static void push_one(void)
{
	static const struct fake_buf b = { BUF, 1, true };

	fake_queue_add(&driver, &b, 1);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	virtq_push(&q, c.head, 1);
}

START_TEST(notifies_unless_the_driver_polls)
{
	ck_assert(!virtq_must_notify(&q)); /* nothing happened */
	push_one();
	ck_assert(virtq_must_notify(&q));
	ck_assert(!virtq_must_notify(&q)); /* once */
	fake_queue_interrupts(&driver, false);
	push_one();
	ck_assert(!virtq_must_notify(&q));
	fake_queue_interrupts(&driver, true);
	push_one();
	ck_assert(virtq_must_notify(&q));
}
END_TEST

START_TEST(is_rung_unless_it_polls)
{
	static const struct fake_buf b = { BUF, 1, true };

	ck_assert(!virtq_kicks_on(&q));
	fake_queue_add(&driver, &b, 1);
	ck_assert(fake_queue_must_kick(&driver));
	virtq_kicks_off(&q);
	fake_queue_add(&driver, &b, 1);
	ck_assert(!fake_queue_must_kick(&driver));
	ck_assert(virtq_kicks_on(&q)); /* what came meanwhile */
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert(!virtq_kicks_on(&q));
	fake_queue_add(&driver, &b, 1);
	ck_assert(fake_queue_must_kick(&driver));
}
END_TEST

/* Where the indices start: also where they wrap. */
static const uint16_t starts[] = { 0, 1, 7, 0x7ffe, 0xfff8, 0xfffe, 0xffff };

START_TEST(notifies_at_the_used_entry_the_driver_named)
{
	uint16_t at = starts[_i];

	start(SIZE, true);
	advance(at);
	/* Wanted for the third from now on. */
	fake_queue_want_interrupt(&driver, (uint16_t)(at + 2));
	push_one();
	ck_assert(!virtq_must_notify(&q));
	push_one();
	ck_assert(!virtq_must_notify(&q));
	push_one();
	ck_assert(virtq_must_notify(&q));
	push_one();
	ck_assert(!virtq_must_notify(&q));
	/* One that lies within a batch. */
	fake_queue_want_interrupt(&driver, (uint16_t)(at + 5));
	push_one();
	push_one();
	push_one();
	ck_assert(virtq_must_notify(&q));
	ck_assert(!virtq_must_notify(&q));
}
END_TEST

START_TEST(is_rung_from_where_it_has_looked)
{
	static const struct fake_buf b = { BUF, 1, true };

	start(SIZE, true);
	advance(starts[_i]);
	ck_assert(!virtq_kicks_on(&q));
	fake_queue_add(&driver, &b, 1);
	ck_assert(fake_queue_must_kick(&driver));
	/* It has been told and has not looked: silence. */
	virtq_kicks_off(&q);
	fake_queue_add(&driver, &b, 1);
	ck_assert(!fake_queue_must_kick(&driver));
	ck_assert(virtq_kicks_on(&q));
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	ck_assert(!virtq_kicks_on(&q));
	fake_queue_add(&driver, &b, 1);
	ck_assert(fake_queue_must_kick(&driver));
}
END_TEST

Suite *virtqueue_suite(void)
{
	Suite *s = suite_create("virtqueue");
	TCase *tc = tcase_create("virtqueue");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, gives_chains_round_and_round_the_ring);
	tcase_add_test(tc, follows_indirect_tables);
	tcase_add_test(tc, follows_a_table_behind_direct_descriptors);
	tcase_add_test(tc, takes_a_full_ring_in_order);
	tcase_add_test(tc, follows_a_table_at_an_odd_address);
	tcase_add_test(tc, gives_again_what_was_put_back);
	tcase_add_test(tc, takes_as_many_segments_as_it_says);
	tcase_add_test(tc, copies_between_chains_and_buffers);
	tcase_add_test(tc, notifies_unless_the_driver_polls);
	tcase_add_test(tc, is_rung_unless_it_polls);
	tcase_add_loop_test(tc, notifies_at_the_used_entry_the_driver_named, 0,
			    ARRAY_SIZE(starts));
	tcase_add_loop_test(tc, is_rung_from_where_it_has_looked, 0,
			    ARRAY_SIZE(starts));
	suite_add_tcase(s, tc);
	return s;
}
