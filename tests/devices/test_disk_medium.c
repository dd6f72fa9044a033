/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/disk*.c: what is on the medium when, and what is not. */
#include <check.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/disk.h"
#include "suites.h"
#include "support/fake_engine.h"
#include "support/temp.h"
#include "vmm/base/err.h"
#include "vmm/base/util.h"

#define LEN (4 * MIB)
#define SYS_CACHESTAT 451 /* Linux 6.5 */

static const struct disk_engine *const engines[] = { &disk_sync, &disk_uring };

static struct temp temp;
static struct event_loop loop;
static struct disk disk;
static struct disk_params params;
static char path[64];
static uint8_t data[64 * KIB] __attribute__((aligned(4096)));
static struct iovec iov;
static unsigned int nr_done;

static void on_done(struct disk *d, struct disk_request *r, int rc)
{
	(void)d;
	(void)r;
	ck_assert_int_eq(rc, 0);
	nr_done++;
}

static void on_batch_done(struct disk *d)
{
	(void)d;
	event_loop_stop(&loop);
}

static void setup(void)
{
	fake_engine_reset();
	temp_make(&temp);
	snprintf(path, sizeof(path), "%s", temp_text(&temp, "disk", ""));
	ck_assert_int_eq(truncate(path, LEN), 0);
	ck_assert_int_eq(event_loop_init(&loop), 0);
	nr_done = 0;
	params = (struct disk_params){ .path = path,
				       .depth = 4,
				       .loop = &loop,
				       .done = on_done,
				       .batch_done = on_batch_done };
}

static void teardown(void)
{
	disk_close(&disk);
	event_loop_destroy(&loop);
	temp_remove(&temp);
}

static void open_with(const struct disk_engine *engine)
{
	params.engine = engine;
	ck_assert_msg(!disk_open(&disk, &params), "%s", err_text());
}

/* Carries a request out to its end. */
static void ask(struct disk_request *r)
{
	unsigned int before = nr_done;

	disk_submit(&disk, r);
	disk_push(&disk);
	while (nr_done == before) {
		loop.stopping = 0;
		ck_assert_int_eq(event_loop_run(&loop), 0);
	}
	loop.stopping = 0;
}

static struct disk_request transfer(enum disk_op op)
{
	iov = (struct iovec){ data, sizeof(data) };
	return (struct disk_request){
		.op = op, .len = sizeof(data), .iov = &iov, .nr = 1
	};
}

/* Pages of the image that are in memory only, or on their way. */
static uint64_t unwritten(void)
{
	struct {
		uint64_t off, len;
	} range = { 0, LEN };
	struct {
		uint64_t cache, dirty, writeback, evicted, recent;
	} stat = { 0 };

	syscall(SYS_CACHESTAT, disk.fd, &range, &stat, 0);
	return stat.dirty + stat.writeback;
}

START_TEST(has_what_was_flushed_on_the_medium)
{
	struct disk_request r = transfer(DISK_WRITE);
	struct disk_request flush = { .op = DISK_FLUSH };

	open_with(engines[_i]);
	ask(&r);
	if (!unwritten())
		return; /* a file system without a medium, or an old kernel */
	ask(&flush);
	ck_assert_uint_eq(unwritten(), 0);
	r = transfer(DISK_WRITE);
	r.stable = true;
	ask(&r);
	ck_assert_uint_eq(unwritten(), 0);
}
END_TEST

/* What takes many steps by way of our buffer: nobody waits for the others. */
START_TEST(gives_up_between_steps_when_the_vm_ends)
{
	struct disk_request zero = { .op = DISK_ZERO, .len = LEN };

	open_with(&disk_fake);
	disk.writes_zeroes = true;
	event_loop_stop(&loop);
	if (_i)
		disk_step(&disk, &zero, 512); /* it had begun */
	else
		disk_submit(&disk, &zero);
	ck_assert_uint_eq(nr_done, 0);
	ck_assert_uint_eq(zero.len, _i ? LEN - 512 : LEN);
}
END_TEST

Suite *disk_medium_suite(void)
{
	Suite *s = suite_create("disk_medium");
	TCase *t = tcase_create("disk_medium");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, has_what_was_flushed_on_the_medium, 0,
			    ARRAY_SIZE(engines));
	tcase_add_loop_test(t, gives_up_between_steps_when_the_vm_ends, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
