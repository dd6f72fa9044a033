/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/virtqueue.c: a driver that behaves, and ones that do not. */
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
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

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
		virtq_unpop(&q);
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

/* ---- Rings that cannot be ---- */

#define D FAKE_LOW
#define A (FAKE_LOW + 0x1000)
#define U (FAKE_LOW + 0x2000)
static const struct {
	struct virtq_layout l;
	int want;
} rings[] = {
	{ { 8, D, A, U }, 0 },
	{ { 1, D, A, U }, 0 },
	{ { 1024, D, FAKE_HIGH, U }, 0 },
	{ { 0, D, A, U }, -EPROTO },
	{ { 3, D, A, U }, -EPROTO },
	{ { 6, D, A, U }, -EPROTO },
	{ { 2048, D, A, U }, -EPROTO },
	{ { 0x8000, D, A, U }, -EPROTO },
	{ { 0xffff, D, A, U }, -EPROTO },
	/* Alignment. */
	{ { 8, D + 8, A, U }, -EPROTO },
	{ { 8, D, A + 1, U }, -EPROTO },
	{ { 8, D, A, U + 2 }, -EPROTO },
	{ { 8, D + 16, A + 2, U + 4 }, 0 },
	/* Not RAM: nowhere, in the hole, across an end, around the top. */
	{ { 8, 0, A, U }, -EPROTO },
	{ { 8, D, 0, U }, -EPROTO },
	{ { 8, D, A, 0 }, -EPROTO },
	{ { 8, LOW_END, A, U }, -EPROTO },
	{ { 8, D, 0xfee00000, U }, -EPROTO },
	{ { 8, LOW_END - 8 * 16, A, U }, 0 },
	{ { 8, LOW_END - 7 * 16, A, U }, -EPROTO },
	{ { 8, D, LOW_END - 22, U }, 0 },
	{ { 8, D, LOW_END - 20, U }, -EPROTO },
	{ { 8, D, A, LOW_END - 72 }, 0 },
	{ { 8, D, A, LOW_END - 68 }, -EPROTO },
	{ { 8, D, A, HIGH_END - 68 }, -EPROTO },
	{ { 8, -16ULL, A, U }, -EPROTO },
	{ { 8, D, -2ULL, U }, -EPROTO },
	{ { 8, D, A, -4ULL }, -EPROTO },
	/* All in one place: no rule against it, and no harm but to itself. */
	{ { 8, D, D, D }, 0 },
};

START_TEST(starts_on_rings_that_are_in_ram_and_aligned_only)
{
	int rc = virtq_start(&q, &guest.mem, &rings[_i].l, true);

	ck_assert_int_eq(rc, rings[_i].want);
	if (rc) { /* a stopped queue is quiet */
		ck_assert_int_eq(virtq_pop(&q, &c), 0);
		virtq_push(&q, 0, 0);
		ck_assert(!virtq_must_notify(&q));
		virtq_kicks_off(&q);
		ck_assert(!virtq_kicks_on(&q));
	}
}
END_TEST

START_TEST(survives_rings_on_top_of_each_other)
{
	const struct virtq_layout all = { 8, FAKE_LOW, FAKE_LOW, FAKE_LOW };

	/* What it writes as used changes what is available. */
	ck_assert_int_eq(virtq_start(&q, &guest.mem, &all, true), 0);
	for (unsigned int n = 0; n < 1000; n++) {
		memset(fake_at(&guest, FAKE_LOW), (int)n, 128);
		if (virtq_pop(&q, &c) == 1)
			virtq_push(&q, c.head, n);
		virtq_kicks_on(&q);
		virtq_must_notify(&q);
	}
}
END_TEST

/* ---- Chains that break the rules ---- */

#define BUF (FAKE_LOW + 0x20000)
#define TABLE (FAKE_LOW + 0x30000)
struct desc {
	gpa_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static const struct {
	const char *what;
	uint16_t head;
	struct desc ring[3], table[3]; /* the table lies at TABLE */
	int want;
} chains[] = {
	{ "one", 0, { { BUF, 1, 0, 0 } }, {}, 1 },
	{ "next unused is any", 0, { { BUF, 1, 0, 0xffff } }, {}, 1 },
	{ "unknown flags", 0, { { BUF, 1, 0xfff8, 0 } }, {}, 1 },
	{ "same twice",
	  0,
	  { { BUF, 8, NEXT, 1 }, { BUF, 8, WRITE, 0 } },
	  {},
	  1 },
	{ "zero length", 0, { { BUF, 0, 0, 0 } }, {}, -EPROTO },
	{ "zero length, written", 0, { { BUF, 0, WRITE, 0 } }, {}, -EPROTO },
	{ "zero length last",
	  0,
	  { { BUF, 8, NEXT, 1 }, { BUF, 0, 0, 0 } },
	  {},
	  -EPROTO },
	{ "head is no descriptor", SIZE, { { 0, 0, 0, 0 } }, {}, -EPROTO },
	{ "head far off", 0xffff, { { 0, 0, 0, 0 } }, {}, -EPROTO },
	{ "next is no descriptor", 0, { { BUF, 1, NEXT, SIZE } }, {}, -EPROTO },
	{ "next is itself", 0, { { BUF, 1, NEXT, 0 } }, {}, -EPROTO },
	{ "loop of two",
	  1,
	  { { BUF, 1, NEXT, 1 }, { BUF, 1, NEXT, 0 } },
	  {},
	  -EPROTO },
	{ "loop behind the head",
	  0,
	  { { BUF, 1, NEXT, 1 }, { BUF, 1, NEXT, 2 }, { BUF, 1, NEXT, 1 } },
	  {},
	  -EPROTO },
	{ "nowhere", 0, { { 0, 1, 0, 0 } }, {}, -EPROTO },
	{ "in the hole", 0, { { 0xc0000000, 4, WRITE, 0 } }, {}, -EPROTO },
	{ "across the end", 0, { { LOW_END - 1, 2, 0, 0 } }, {}, -EPROTO },
	{ "to the end", 0, { { LOW_END - 1, 1, 0, 0 } }, {}, 1 },
	{ "huge", 0, { { FAKE_HIGH, 0xffffffff, 0, 0 } }, {}, -EPROTO },
	{ "from region to region",
	  0,
	  { { FAKE_LOW, 0xfff00000, 0, 0 } },
	  {},
	  -EPROTO },
	{ "around the top", 0, { { -1ULL, 2, 0, 0 } }, {}, -EPROTO },
	{ "around the top to RAM",
	  0,
	  { { -1ULL, FAKE_LOW + 16, WRITE, 0 } },
	  {},
	  -EPROTO },
	{ "readable behind writable",
	  0,
	  { { BUF, 1, WRITE | NEXT, 1 }, { BUF, 1, 0, 0 } },
	  {},
	  -EPROTO },
	{ "readable behind writable, indirectly",
	  0,
	  { { BUF, 1, WRITE | NEXT, 1 }, { TABLE, 16, INDIRECT, 0 } },
	  { { BUF, 1, 0, 0 } },
	  -EPROTO },
	{ "indirect",
	  0,
	  { { TABLE, 32, INDIRECT, 0 } },
	  { { BUF, 1, NEXT, 1 }, { BUF, 1, WRITE, 0 } },
	  1 },
	{ "indirect, backwards",
	  0,
	  { { TABLE, 48, INDIRECT, 0 } },
	  { { BUF, 1, NEXT, 2 }, { BUF, 1, WRITE, 0 }, { BUF, 1, NEXT, 1 } },
	  1 },
	{ "indirect with next",
	  0,
	  { { TABLE, 16, INDIRECT | NEXT, 1 }, { BUF, 1, 0, 0 } },
	  { { BUF, 1, 0, 0 } },
	  -EPROTO },
	{ "table in a table",
	  0,
	  { { TABLE, 32, INDIRECT, 0 } },
	  { { TABLE + 16, 16, INDIRECT, 0 }, { BUF, 1, 0, 0 } },
	  -EPROTO },
	{ "table in itself",
	  0,
	  { { TABLE, 16, INDIRECT, 0 } },
	  { { TABLE, 16, INDIRECT, 0 } },
	  -EPROTO },
	{ "table of no length",
	  0,
	  { { TABLE, 0, INDIRECT, 0 } },
	  { { BUF, 1, 0, 0 } },
	  -EPROTO },
	{ "table of 15 bytes",
	  0,
	  { { TABLE, 15, INDIRECT, 0 } },
	  { { BUF, 1, 0, 0 } },
	  -EPROTO },
	{ "table of 17 bytes",
	  0,
	  { { TABLE, 17, INDIRECT, 0 } },
	  { { BUF, 1, 0, 0 } },
	  -EPROTO },
	{ "table that ends too early",
	  0,
	  { { TABLE, 16, INDIRECT, 0 } },
	  { { BUF, 1, NEXT, 1 }, { BUF, 1, 0, 0 } },
	  -EPROTO },
	{ "table that loops",
	  0,
	  { { TABLE, 0x20000, INDIRECT, 0 } },
	  { { BUF, 1, NEXT, 1 }, { BUF, 1, NEXT, 0 } },
	  -EPROTO },
	{ "table nowhere", 0, { { 64, 16, INDIRECT, 0 } }, {}, -EPROTO },
	{ "table across the end",
	  0,
	  { { LOW_END - 16, 32, INDIRECT, 0 } },
	  {},
	  -EPROTO },
	{ "huge table",
	  0,
	  { { TABLE, 0xfffffff0, INDIRECT, 0 } },
	  { { BUF, 1, 0, 0 } },
	  -EPROTO },
	{ "zero length in a table",
	  0,
	  { { TABLE, 16, INDIRECT, 0 } },
	  { { BUF, 0, 0, 0 } },
	  -EPROTO },
};

START_TEST(takes_chains_that_keep_the_rules_only)
{
	struct vring_desc *table = fake_at(&guest, TABLE);
	int rc;

	for (uint16_t i = 0; i < 3; i++) {
		const struct desc *d = &chains[_i].ring[i];
		const struct desc *t = &chains[_i].table[i];

		fake_queue_desc(&driver, i, d->addr, d->len, d->flags, d->next);
		table[i] = (struct vring_desc){ t->addr, t->len, t->flags,
						t->next };
	}
	fake_queue_publish(&driver, chains[_i].head);
	rc = virtq_pop(&q, &c);
	ck_assert_msg(rc == chains[_i].want, "%s: got %d", chains[_i].what, rc);
	ck_assert_uint_le(c.nr_out + c.nr_in, VIRTQ_MAX_SEGMENTS);
}
END_TEST

START_TEST(refuses_more_requests_than_the_ring_holds)
{
	fake_queue_desc(&driver, 0, BUF, 1, 0, 0);
	fake_queue_set_avail_idx(&driver, SIZE);
	ck_assert_int_eq(virtq_pop(&q, &c), 1);
	fake_queue_set_avail_idx(&driver, SIZE + 2);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
	fake_queue_set_avail_idx(&driver, 0); /* back is as far as can be */
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
	fake_queue_set_avail_idx(&driver, 0x8000);
	ck_assert_int_eq(virtq_pop(&q, &c), -EPROTO);
}
END_TEST

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
	tcase_add_loop_test(tc,
			    starts_on_rings_that_are_in_ram_and_aligned_only, 0,
			    ARRAY_SIZE(rings));
	tcase_add_test(tc, survives_rings_on_top_of_each_other);
	tcase_add_loop_test(tc, takes_chains_that_keep_the_rules_only, 0,
			    ARRAY_SIZE(chains));
	tcase_add_test(tc, refuses_more_requests_than_the_ring_holds);
	tcase_add_test(tc, notifies_unless_the_driver_polls);
	tcase_add_test(tc, is_rung_unless_it_polls);
	tcase_add_loop_test(tc, notifies_at_the_used_entry_the_driver_named, 0,
			    ARRAY_SIZE(starts));
	tcase_add_loop_test(tc, is_rung_from_where_it_has_looked, 0,
			    ARRAY_SIZE(starts));
	suite_add_tcase(s, tc);
	return s;
}
