/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/blk.c: drivers that ask for what must not be. */
#include <check.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "devices/blk_request.h"
#include "suites.h"
#include "support/blk_rig.h"
#include "support/fake_engine.h"
#include "vmm/base/log.h"

#define SECTORS (BLK_RIG_LEN / 512)
#define ALL (~0ULL)
#define BIT(n) (1ULL << (n))

static struct blk_rig rig;

static void setup(void)
{
	log_set_level(LOG_ERR);
	fake_engine_reset();
	blk_rig_init(&rig, &disk_fake);
}

static void teardown(void)
{
	blk_rig_destroy(&rig);
	log_set_level(LOG_WARN);
}

static uint8_t *at(gpa_t gpa)
{
	return fake_at(&rig.d->guest, gpa);
}

static gpa_t buffer(uint32_t len)
{
	return fake_alloc(&rig.d->guest, len, 512);
}

/* A request whose data may be on either side, and of any length. */
struct odd {
	uint32_t type;
	uint64_t sector;
	uint32_t out, in; /* bytes of data to read, to write */
	uint8_t status;
	bool ro;
	uint64_t features;
};

#define IOERR VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP
static const struct odd odd_requests[] = {
	/* Outside of the disk, by little and by much. */
	{ VIRTIO_BLK_T_IN, SECTORS, 0, 512, IOERR, false, ALL },
	{ VIRTIO_BLK_T_IN, SECTORS - 1, 0, 1024, IOERR, false, ALL },
	{ VIRTIO_BLK_T_IN, ~0ULL, 0, 512, IOERR, false, ALL },
	{ VIRTIO_BLK_T_IN, 1ULL << 55, 0, 512, IOERR, false, ALL },
	{ VIRTIO_BLK_T_OUT, SECTORS, 512, 0, IOERR, false, ALL },
	{ VIRTIO_BLK_T_OUT, ~0ULL >> 9, 512, 0, IOERR, false, ALL },
	/* No whole sectors. */
	{ VIRTIO_BLK_T_IN, 0, 0, 511, IOERR, false, ALL },
	{ VIRTIO_BLK_T_IN, 0, 0, 513, IOERR, false, ALL },
	{ VIRTIO_BLK_T_OUT, 0, 1, 0, IOERR, false, ALL },
	/* The wrong way, or both. */
	{ VIRTIO_BLK_T_IN, 0, 512, 0, IOERR, false, ALL },
	{ VIRTIO_BLK_T_IN, 0, 512, 512, IOERR, false, ALL },
	{ VIRTIO_BLK_T_OUT, 0, 0, 512, IOERR, false, ALL },
	{ VIRTIO_BLK_T_OUT, 0, 512, 512, IOERR, false, ALL },
	/* Nothing at all is fine, where there is a disk. */
	{ VIRTIO_BLK_T_IN, SECTORS, 0, 0, 0, false, ALL },
	{ VIRTIO_BLK_T_OUT, 0, 0, 0, 0, false, ALL },
	{ VIRTIO_BLK_T_OUT, SECTORS + 1, 0, 0, IOERR, false, ALL },
	/* More than size_max in one segment. */
	{ VIRTIO_BLK_T_IN, 0, 0, BLK_SIZE_MAX + 512, IOERR, false, ALL },
	/* Buffers of no use for what is asked. */
	{ VIRTIO_BLK_T_GET_ID, 0, 0, 19, IOERR, false, ALL },
	{ VIRTIO_BLK_T_GET_ID, 0, 0, 21, IOERR, false, ALL },
	{ VIRTIO_BLK_T_GET_ID, 0, 20, 0, IOERR, false, ALL },
	{ VIRTIO_BLK_T_DISCARD, 0, 0, 0, IOERR, false, ALL },
	{ VIRTIO_BLK_T_DISCARD, 0, 15, 0, IOERR, false, ALL },
	{ VIRTIO_BLK_T_DISCARD, 0, 32, 0, IOERR, false, ALL },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 0, 16, IOERR, false, ALL },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 512, IOERR, false, ALL },
	/* A disk that is only read. */
	{ VIRTIO_BLK_T_OUT, 0, 512, 0, IOERR, true, ALL },
	{ VIRTIO_BLK_T_DISCARD, 0, 16, 0, UNSUPP, true, ALL },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 0, UNSUPP, true, ALL },
	/* What was not agreed upon, or is known to nobody. */
	{ VIRTIO_BLK_T_DISCARD, 0, 16, 0, UNSUPP, false,
	  ALL & ~BIT(VIRTIO_BLK_F_DISCARD) },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 0, UNSUPP, false,
	  ALL & ~BIT(VIRTIO_BLK_F_WRITE_ZEROES) },
	{ VIRTIO_BLK_T_SCSI_CMD, 0, 512, 0, UNSUPP, false, ALL },
	{ VIRTIO_BLK_T_SECURE_ERASE, 0, 16, 0, UNSUPP, false, ALL },
	{ VIRTIO_BLK_T_BARRIER, 0, 0, 512, UNSUPP, false, ALL },
	{ 0xffffffff, 0, 0, 0, UNSUPP, false, ALL },
};

START_TEST(answers_odd_requests_with_an_error_and_does_nothing)
{
	const struct odd *o = &odd_requests[_i];
	static uint8_t before[BLK_RIG_LEN], after[BLK_RIG_LEN];
	gpa_t data, status;
	struct fake_buf bufs[4];
	unsigned int n = 0;
	uint32_t len;

	rig.params.ro = o->ro;
	rig.features = o->features;
	blk_rig_image(&rig, 0, before, sizeof(before));
	blk_rig_start(&rig);
	data = buffer(max_of(o->in, o->out) + 1);
	status = buffer(1);
	*at(status) = NO_STATUS;
	bufs[n++] = (struct fake_buf){ blk_rig_header(&rig, o->type, o->sector),
				       16, false };
	if (o->out)
		bufs[n++] = (struct fake_buf){ data, o->out, false };
	if (o->in)
		bufs[n++] = (struct fake_buf){ data, o->in, true };
	bufs[n++] = (struct fake_buf){ status, 1, true };
	len = fake_driver_request(rig.d, 0, bufs, n);
	ck_assert_uint_eq(*at(status), o->status);
	/* No more than has been written. */
	ck_assert_uint_eq(len, o->in ? 0 : 1);
	ck_assert_uint_eq(fake_engine.nr_steps, 0);
	blk_rig_stop(&rig);
	blk_rig_image(&rig, 0, after, sizeof(after));
	ck_assert_mem_eq(before, after, sizeof(after));
}
END_TEST

struct range {
	uint32_t type;
	uint64_t sector;
	uint32_t sectors, flags;
	uint8_t status;
};

static const struct range odd_ranges[] = {
	{ VIRTIO_BLK_T_DISCARD, SECTORS, 1, 0, IOERR },
	{ VIRTIO_BLK_T_DISCARD, SECTORS - 1, 2, 0, IOERR },
	{ VIRTIO_BLK_T_DISCARD, ~0ULL, 1, 0, IOERR },
	{ VIRTIO_BLK_T_DISCARD, ~0ULL >> 9, ~0u, 0, IOERR },
	{ VIRTIO_BLK_T_DISCARD, 0, BLK_DISCARD_MAX + 1, 0, IOERR },
	{ VIRTIO_BLK_T_DISCARD, 0, ~0u, 0, IOERR },
	/* 5.2.6.2: no flags at all; write zeroes knows one. */
	{ VIRTIO_BLK_T_DISCARD, 0, 8, 1, UNSUPP },
	{ VIRTIO_BLK_T_DISCARD, 0, 8, 2, UNSUPP },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2, UNSUPP },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0x80000001, UNSUPP },
	{ VIRTIO_BLK_T_WRITE_ZEROES, SECTORS, 1, 0, IOERR },
	{ VIRTIO_BLK_T_WRITE_ZEROES, SECTORS - 1, 2, 1, IOERR },
	{ VIRTIO_BLK_T_WRITE_ZEROES, 0, BLK_ZERO_MAX + 1, 0, IOERR },
};

START_TEST(refuses_ranges_that_are_not_of_the_disk)
{
	const struct range *r = &odd_ranges[_i];

	blk_rig_start(&rig);
	ck_assert_uint_eq(blk_rig_range(&rig, r->type, r->sector, r->sectors,
					r->flags),
			  r->status);
	ck_assert_uint_eq(fake_engine.nr_steps, 0);
}
END_TEST

/* With blocks of 4096 bytes parts of them are refused. */
START_TEST(refuses_parts_of_a_block)
{
	const struct blk_limits limits = {
		.len = 1 << 20, .block = 4096, .features = ALL, .serial = ""
	};
	static const struct {
		uint64_t sector;
		uint32_t len;
		int result;
	} cases[] = { { 0, 4096, BLK_ASK },
		      { 8, 8192, BLK_ASK },
		      { 1, 4096, VIRTIO_BLK_S_IOERR },
		      { 0, 512, VIRTIO_BLK_S_IOERR },
		      { 8, 4096 + 512, VIRTIO_BLK_S_IOERR } };
	static uint8_t data[16384], status;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_OUT,
						 .sector = cases[i].sector };
		struct virtq_chain c = { .nr_out = 2, .nr_in = 1 };
		struct disk_request r;
		struct blk_answer answer;

		c.iov[0] = (struct iovec){ &hdr, sizeof(hdr) };
		c.iov[1] = (struct iovec){ data, cases[i].len };
		c.iov[2] = (struct iovec){ &status, 1 };
		c.out_len = sizeof(hdr) + cases[i].len;
		c.in_len = 1;
		ck_assert_int_eq(blk_parse(&c, &limits, &r, &answer),
				 cases[i].result);
	}
}
END_TEST

/* What leaves no place for a status: only a reset helps. */
static const struct {
	uint32_t out, in;
} hopeless[] = { { 16, 0 }, { 15, 1 }, { 15, 513 }, { 0, 1 },
		 { 0, 16 }, { 1, 0 },  { 1024, 0 } };

START_TEST(asks_for_a_reset_when_it_cannot_answer)
{
	uint32_t out = hopeless[_i].out, in = hopeless[_i].in;
	struct fake_buf bufs[2];
	unsigned int n = 0;
	gpa_t buf;

	blk_rig_start(&rig);
	if (out)
		bufs[n++] = (struct fake_buf){ buffer(out), out, false };
	if (in)
		bufs[n++] = (struct fake_buf){ buffer(in), in, true };
	fake_queue_add(&rig.d->queues[0], bufs, n);
	fake_driver_kick(rig.d, 0);
	fake_driver_wait_status(rig.d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	fake_driver_start(rig.d, ALL, 16);
	buf = buffer(512);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN, 0, buf, 512), 0);
}
END_TEST

/* --- requests that take their time --- */

/* Publishes a read of a sector into new memory, which it returns. */
static gpa_t add_read(uint64_t sector, uint16_t *head)
{
	gpa_t data = buffer(1024);
	struct fake_buf bufs[3] = {
		{ blk_rig_header(&rig, VIRTIO_BLK_T_IN, sector), 16, false },
		{ data, 512, true },
		{ data + 512, 1, true },
	};

	*head = fake_queue_add(&rig.d->queues[0], bufs, 3);
	return data;
}

START_TEST(waits_with_a_reset_for_what_is_under_way)
{
	enum { N = 5 };
	uint8_t status;
	uint16_t head;
	gpa_t data[N];

	blk_rig_start(&rig);
	fake_engine_hold();
	for (unsigned int i = 0; i < N; i++)
		data[i] = add_read(i, &head);
	fake_driver_kick(rig.d, 0);
	fake_engine_wait_held(N);
	fake_out(rig.d, rig.d->common + 20, 0, 1); /* device_status */
	for (unsigned int i = 0; i < 20; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		status = (uint8_t)fake_in(rig.d, rig.d->common + 20, 1);
		ck_assert_uint_ne(status, 0);
	}
	for (unsigned int i = 0; i < N; i++)
		ck_assert_uint_eq(*at(data[i]), 0);
	fake_engine_release();
	fake_driver_wait_status(rig.d, 0xff, false);
	for (unsigned int i = 0; i < N; i++)
		ck_assert_uint_eq(*at(data[i]), blk_rig_pattern(i * 512));
	fake_driver_start(rig.d, ALL, 16);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN, 0, data[0], 512),
			  0);
}
END_TEST

START_TEST(gives_up_what_is_under_way_at_the_end)
{
	uint16_t head;

	blk_rig_start(&rig);
	fake_engine_hold();
	for (unsigned int i = 0; i < 5; i++)
		add_read(i, &head);
	fake_driver_kick(rig.d, 0);
	fake_engine_wait_held(5);
	blk_rig_stop(&rig);
}
END_TEST

/* One chain again and again: no driver has so many descriptors. */
START_TEST(notices_descriptors_used_twice)
{
	enum { SIZE = 16 };
	uint16_t head;

	blk_rig_start(&rig);
	fake_driver_reset(rig.d);
	fake_driver_start(rig.d, ALL, SIZE);
	fake_engine_hold();
	add_read(0, &head);
	for (unsigned int i = 0; i < SIZE; i++) {
		fake_driver_kick(rig.d, 0);
		fake_engine_wait_held(i + 1);
		fake_queue_publish(&rig.d->queues[0], head);
	}
	fake_driver_kick(rig.d, 0);
	fake_driver_wait_status(rig.d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	fake_engine_release();
	fake_driver_reset(rig.d);
	ck_assert_uint_eq(fake_engine.nr_steps, SIZE);
}
END_TEST

START_TEST(tells_of_errors_of_the_host)
{
	static const int errors[] = { EIO, ENOSPC, EPERM, EFBIG, EINVAL };
	gpa_t buf;

	blk_rig_start(&rig);
	buf = buffer(512);
	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++)
		fake_engine.results[i] = -errors[i];
	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++)
		ck_assert_uint_eq(blk_rig_ask(&rig,
					      i % 2 ? VIRTIO_BLK_T_OUT
						    : VIRTIO_BLK_T_FLUSH,
					      0, buf, i % 2 ? 512 : 0),
				  IOERR);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
}
END_TEST

/* 5.2.5: without a way to flush a write is on the medium when it is done. */
START_TEST(makes_writes_last_for_who_cannot_flush)
{
	gpa_t buf;

	rig.features = ALL & ~BIT(VIRTIO_BLK_F_FLUSH);
	blk_rig_start(&rig);
	buf = buffer(512);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_OUT, 0, buf, 512), 0);
	ck_assert(fake_engine.steps[0].stable);
	ck_assert_uint_eq(blk_rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8,
					1),
			  0);
	ck_assert_int_eq(fake_engine.steps[2].op, DISK_FLUSH);
	ck_assert_uint_eq(fake_engine.nr_steps, 3);
}
END_TEST

Suite *blk_rules_suite(void)
{
	Suite *s = suite_create("blk_rules");
	TCase *t = tcase_create("blk_rules");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t,
			    answers_odd_requests_with_an_error_and_does_nothing,
			    0, ARRAY_SIZE(odd_requests));
	tcase_add_loop_test(t, refuses_ranges_that_are_not_of_the_disk, 0,
			    ARRAY_SIZE(odd_ranges));
	tcase_add_test(t, refuses_parts_of_a_block);
	tcase_add_loop_test(t, asks_for_a_reset_when_it_cannot_answer, 0,
			    ARRAY_SIZE(hopeless));
	tcase_add_test(t, waits_with_a_reset_for_what_is_under_way);
	tcase_add_test(t, gives_up_what_is_under_way_at_the_end);
	tcase_add_test(t, notices_descriptors_used_twice);
	tcase_add_test(t, tells_of_errors_of_the_host);
	tcase_add_test(t, makes_writes_last_for_who_cannot_flush);
	suite_add_tcase(s, t);
	return s;
}
