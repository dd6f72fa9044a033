/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/blk.c with each engine: what an honest driver sees. */
#include <check.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <unistd.h>

#include "devices/blk_request.h"
#include "suites.h"
#include "support/blk_rig.h"
#include "support/fake_engine.h"

static const struct disk_engine *const engines[] = { &disk_sync, &disk_uring };

static struct blk_rig rig;

static void prepare(int engine)
{
	blk_rig_init(&rig, engines[engine]);
}

static void start(int engine)
{
	prepare(engine);
	blk_rig_start(&rig);
}

static void teardown(void)
{
	blk_rig_destroy(&rig);
}

static uint8_t *at(gpa_t gpa)
{
	return fake_at(&rig.d->guest, gpa);
}

static gpa_t buffer(uint32_t len)
{
	return fake_alloc(&rig.d->guest, len, 512);
}

/* Does memory hold what the image had at first at off? */
static bool is_pattern(const uint8_t *p, uint64_t off, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != blk_rig_pattern(off + i))
			return false;
	return true;
}

static bool is_byte(const uint8_t *p, uint8_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != value)
			return false;
	return true;
}

static void config_in(struct virtio_blk_config *c)
{
	uint8_t *bytes = (void *)c;

	for (unsigned int i = 0;
	     i < offsetof(struct virtio_blk_config, max_secure_erase_sectors);
	     i++)
		bytes[i] = (uint8_t)fake_in(rig.d, rig.d->device + i, 1);
}

START_TEST(shows_its_size_and_limits)
{
	struct virtio_blk_config c;

	start(_i);
	ck_assert_uint_eq(fake_config_in(rig.d, 2, 2),
			  0x1040 + VIRTIO_ID_BLOCK);
	config_in(&c);
	ck_assert_uint_eq(c.capacity, BLK_RIG_LEN / 512);
	ck_assert_uint_eq(c.seg_max, 254);
	ck_assert_uint_eq(c.size_max, BLK_SIZE_MAX);
	ck_assert_uint_eq(c.blk_size, 512);
	ck_assert_uint_eq(c.num_queues, 1);
	ck_assert_uint_eq(c.max_discard_seg, 1);
	ck_assert_uint_eq(c.max_write_zeroes_seg, 1);
	ck_assert_uint_eq(c.max_write_zeroes_sectors, BLK_ZERO_MAX);
	teardown();
}
END_TEST

START_TEST(reads_and_writes_what_is_asked_for)
{
	uint8_t image[1536];
	gpa_t buf;

	start(_i);
	buf = buffer(4096);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN, 3, buf, 4096), 0);
	ck_assert(is_pattern(at(buf), 3 * 512, 4096));
	memset(at(buf), 0x5a, 512);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_OUT, 4, buf, 512), 0);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
	blk_rig_image(&rig, 3 * 512, image, 1536);
	ck_assert(is_pattern(image, 3 * 512, 512));
	ck_assert(is_byte(image + 512, 0x5a, 512));
	ck_assert(is_pattern(image + 1024, 5 * 512, 512));
	teardown();
}
END_TEST

/* The last sector, and the whole of the disk. */
START_TEST(reaches_all_of_the_disk)
{
	gpa_t buf;

	start(_i);
	buf = buffer(BLK_RIG_LEN);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN,
				      BLK_RIG_LEN / 512 - 1, buf, 512),
			  0);
	ck_assert(is_pattern(at(buf), BLK_RIG_LEN - 512, 512));
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN, 0, buf,
				      BLK_RIG_LEN),
			  0);
	ck_assert(is_pattern(at(buf), 0, BLK_RIG_LEN));
	teardown();
}
END_TEST

/* 2.7.4: a device must not care where one buffer ends and the next begins. */
START_TEST(takes_buffers_that_are_cut_anyhow)
{
	struct fake_buf bufs[8];
	gpa_t hdr, data;

	start(_i);
	/* Header in pieces, the data with odd ends and the status at them. */
	hdr = blk_rig_header(&rig, VIRTIO_BLK_T_IN, 2);
	data = buffer(2048);
	bufs[0] = (struct fake_buf){ hdr, 3, false };
	bufs[1] = (struct fake_buf){ hdr + 3, 13, false };
	bufs[2] = (struct fake_buf){ data, 1, true };
	bufs[3] = (struct fake_buf){ data + 1, 700, true };
	bufs[4] = (struct fake_buf){ data + 701, 324, true };
	ck_assert_uint_eq(fake_driver_request(rig.d, 0, bufs, 5), 1025);
	ck_assert(is_pattern(at(data), 1024, 1024));
	ck_assert_uint_eq(at(data)[1024], 0);
	/* Header and data together. */
	hdr = buffer(1024);
	*(struct virtio_blk_outhdr *)(void *)at(hdr) =
		(struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_OUT };
	memset(at(hdr + 16), 0x33, 512);
	bufs[0] = (struct fake_buf){ hdr, 100, false };
	bufs[1] = (struct fake_buf){ hdr + 100, 428, false };
	bufs[2] = (struct fake_buf){ data + 1024, 1, true };
	ck_assert_uint_eq(fake_driver_request(rig.d, 0, bufs, 3), 1);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN, 0, data, 1024), 0);
	ck_assert(is_byte(at(data), 0x33, 512));
	ck_assert(is_pattern(at(data + 512), 512, 512));
	teardown();
}
END_TEST

START_TEST(tells_its_serial_number)
{
	static const char *const serials[] = { "S-1", "exactly-20-chars-it-",
					       NULL };
	gpa_t buf;

	for (unsigned int i = 0; i < ARRAY_SIZE(serials); i++) {
		const char *want = serials[i] ? serials[i] : "test";

		prepare(_i);
		rig.params.serial = serials[i];
		blk_rig_start(&rig);
		buf = buffer(32);
		memset(at(buf), 0xee, 32);
		ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_GET_ID, 0, buf,
					      20),
				  0);
		ck_assert(!strncmp((char *)at(buf), want, 20));
		ck_assert_uint_eq(at(buf)[20], 0xee);
		teardown();
	}
}
END_TEST

START_TEST(discards_and_writes_zeroes)
{
	uint8_t image[8192];

	start(_i);
	ck_assert_uint_eq(blk_rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 9, 3,
					0),
			  0);
	blk_rig_image(&rig, 8 * 512, image, 5 * 512);
	ck_assert(is_pattern(image, 8 * 512, 512));
	ck_assert(is_byte(image + 512, 0, 3 * 512));
	ck_assert(is_pattern(image + 4 * 512, 12 * 512, 512));
	ck_assert_uint_eq(blk_rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 32, 16,
					1),
			  0);
	blk_rig_image(&rig, 32 * 512, image, 8192);
	ck_assert(is_byte(image, 0, 8192));
	ck_assert_uint_eq(blk_rig_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 0,
					0),
			  0);
	ck_assert_uint_eq(blk_rig_range(&rig, VIRTIO_BLK_T_DISCARD, 64, 16, 0),
			  0);
	blk_rig_image(&rig, 64 * 512, image, 8192);
	ck_assert(is_byte(image, 0, 8192)); /* so files do it */
	blk_rig_image(&rig, 80 * 512, image, 512);
	ck_assert(is_pattern(image, 80 * 512, 512));
	teardown();
}
END_TEST

START_TEST(serves_a_batch_with_one_interrupt)
{
	enum { N = 16 };
	struct fake_queue *q;
	gpa_t data[N], status[N];
	uint32_t head;

	start(_i);
	q = &rig.d->queues[0];
	fake_driver_interrupts(rig.d, 0, 0);
	for (unsigned int i = 0; i < N; i++) {
		struct fake_buf bufs[3] = {
			{ blk_rig_header(&rig, VIRTIO_BLK_T_IN, i * 3), 16,
			  false },
			{ data[i] = buffer(1024), 1024, true },
			{ status[i] = buffer(1), 1, true },
		};

		*at(status[i]) = NO_STATUS;
		fake_queue_add_indirect(q, bufs, 3);
	}
	fake_queue_want_interrupt(q, q->next_used);
	fake_driver_kick(rig.d, 0);
	for (unsigned int i = 0; i < N; i++)
		ck_assert_uint_eq(fake_driver_used(rig.d, 0, &head), 1025);
	for (unsigned int i = 0; i < N; i++) {
		ck_assert_uint_eq(*at(status[i]), 0);
		ck_assert(is_pattern(at(data[i]), i * 3 * 512, 1024));
	}
	ck_assert_uint_eq(fake_driver_interrupts(rig.d, 0, 1000), 1);
	teardown();
}
END_TEST

/* Keeps several queues full for a while, each with its part of the disk. */
START_TEST(serves_several_queues_at_once)
{
	enum { QUEUES = 4, DEPTH = 8, ROUNDS = 30, LEN = 4096 };
	gpa_t data[QUEUES][DEPTH];
	uint32_t head;

	prepare(_i);
	rig.params.queues = QUEUES;
	blk_rig_start(&rig);
	ck_assert_uint_eq(rig.d->nr_queues, QUEUES);
	for (unsigned int n = 0; n < ROUNDS; n++) {
		for (unsigned int i = 0; i < QUEUES * DEPTH; i++) {
			unsigned int q = i % QUEUES, k = i / QUEUES;
			struct fake_buf bufs[3] = {
				{ blk_rig_header(&rig, VIRTIO_BLK_T_IN, i * 8),
				  16, false },
				{ 0, LEN, true },
				{ buffer(1), 1, true },
			};

			if (!n)
				data[q][k] = buffer(LEN);
			memset(at(data[q][k]), 0, LEN);
			bufs[1].gpa = data[q][k];
			fake_queue_add_indirect(&rig.d->queues[q], bufs, 3);
			if (fake_queue_must_kick(&rig.d->queues[q]))
				fake_driver_kick(rig.d, q);
		}
		for (unsigned int i = 0; i < QUEUES * DEPTH; i++)
			fake_driver_used(rig.d, i % QUEUES, &head);
		for (unsigned int i = 0; i < QUEUES * DEPTH; i++)
			ck_assert(is_pattern(at(data[i % QUEUES][i / QUEUES]),
					     i * 8 * 512, LEN));
	}
	teardown();
}
END_TEST

START_TEST(fails_reads_of_a_file_that_has_become_shorter)
{
	gpa_t buf;

	start(_i);
	buf = buffer(4096);
	ck_assert_int_eq(truncate(rig.path, 64 * 1024 + 512), 0);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN, 128, buf, 4096),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN, 200, buf, 4096),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN, 120, buf, 4096),
			  0);
	teardown();
}
END_TEST

START_TEST(works_again_after_a_reset)
{
	gpa_t buf;

	start(_i);
	for (unsigned int i = 0; i < 20; i++) {
		buf = buffer(512);
		ck_assert_uint_eq(blk_rig_ask(&rig, VIRTIO_BLK_T_IN, i, buf,
					      512),
				  0);
		ck_assert(is_pattern(at(buf), i * 512, 512));
		fake_driver_reset(rig.d);
		fake_driver_start(rig.d, ~0ULL, i % 2 ? 16 : 64);
	}
	teardown();
}
END_TEST

Suite *blk_suite(void)
{
	Suite *s = suite_create("blk");
	TCase *t = tcase_create("blk");
	int n = ARRAY_SIZE(engines);

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, shows_its_size_and_limits, 0, n);
	tcase_add_loop_test(t, reads_and_writes_what_is_asked_for, 0, n);
	tcase_add_loop_test(t, reaches_all_of_the_disk, 0, n);
	tcase_add_loop_test(t, takes_buffers_that_are_cut_anyhow, 0, n);
	tcase_add_loop_test(t, tells_its_serial_number, 0, n);
	tcase_add_loop_test(t, discards_and_writes_zeroes, 0, n);
	tcase_add_loop_test(t, serves_a_batch_with_one_interrupt, 0, n);
	tcase_add_loop_test(t, serves_several_queues_at_once, 0, n);
	tcase_add_loop_test(t, fails_reads_of_a_file_that_has_become_shorter, 0,
			    n);
	tcase_add_loop_test(t, works_again_after_a_reset, 0, n);
	suite_add_tcase(s, t);
	return s;
}
