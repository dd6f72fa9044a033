/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/virtqueue.c against drivers that break the rules. */
#include <errno.h>
#include <linux/virtio_ring.h>
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

static void setup(void)
{
	fake_guest_init(&guest);
	fake_queue_init(&driver, &guest, SIZE);
	/* Behind its last descriptor one that looks good. */
	driver.layout.desc = FAKE_LOW + 0x8000;
	fake_queue_desc(&driver, SIZE, FAKE_LOW, 1, 0, 0);
	ck_assert_int_eq(virtq_start(&q, &guest.mem, &driver.layout, false), 0);
}

static void teardown(void)
{
	virtq_stop(&q);
	fake_guest_destroy(&guest);
}

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
	{ "next behind a table",
	  0,
	  { { TABLE, 32, INDIRECT, 0 } },
	  { { BUF, 1, NEXT, 2 }, { BUF, 1, 0, 0 }, { BUF, 1, 0, 0 } },
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

Suite *virtqueue_rules_suite(void)
{
	Suite *s = suite_create("virtqueue_rules");
	TCase *tc = tcase_create("virtqueue_rules");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc,
			    starts_on_rings_that_are_in_ram_and_aligned_only, 0,
			    ARRAY_SIZE(rings));
	tcase_add_test(tc, survives_rings_on_top_of_each_other);
	tcase_add_loop_test(tc, takes_chains_that_keep_the_rules_only, 0,
			    ARRAY_SIZE(chains));
	tcase_add_test(tc, refuses_more_requests_than_the_ring_holds);
	suite_add_tcase(s, tc);
	return s;
}
