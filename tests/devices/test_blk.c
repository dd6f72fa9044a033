/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/blk.c and blk_request.c, with each engine. */
#include <check.h>
#include <string.h>

#include "devices/blk_request.h"
#include "suites.h"
#include "support/blk_rig.h"

static const struct disk_engine *const engines[] = { &disk_sync, &disk_uring };

static struct blk_rig rig;

static void setup(int engine)
{
	blk_rig_init(&rig, engines[engine]);
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

START_TEST(reads_and_writes_what_is_asked_for)
{
	uint8_t image[1536];
	gpa_t buf;

	setup(_i);
	blk_rig_start(&rig);
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

Suite *blk_suite(void)
{
	Suite *s = suite_create("blk");
	TCase *t = tcase_create("blk");
	int n = ARRAY_SIZE(engines);

	tcase_add_loop_test(t, reads_and_writes_what_is_asked_for, 0, n);
	suite_add_tcase(s, t);
	return s;
}
