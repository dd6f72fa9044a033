/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/disk*.c: images, locks, engines, a request's steps. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/disk.h"
#include "suites.h"
#include "support/fake_engine.h"
#include "support/temp.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/util.h"

#define LEN (4 * MIB)
#define PIECES 600 /* more than a ring takes at a time */

static struct temp temp;
static struct event_loop loop;
static struct disk disk;
static struct disk_params params;
static char path[64];
static unsigned int nr_done;
static int last_rc;

static void on_done(struct disk *d, struct disk_request *r, int rc)
{
	(void)d;
	(void)r;
	nr_done++;
	if (rc || !last_rc)
		last_rc = rc;
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
	last_rc = 0;
	params = (struct disk_params){
		.path = path,
		.depth = PIECES,
		.loop = &loop,
		.engine = &disk_fake,
		.done = on_done,
		.batch_done = on_batch_done,
	};
}

static void teardown(void)
{
	disk_close(&disk);
	event_loop_destroy(&loop);
	temp_remove(&temp);
}

static void open_disk(void)
{
	ck_assert_msg(!disk_open(&disk, &params), "%s", err_text());
}

/* Runs the loop until n requests are done. */
static void wait_done(unsigned int n)
{
	disk_push(&disk);
	while (nr_done < n) {
		loop.stopping = 0;
		ck_assert_int_eq(event_loop_run(&loop), 0);
	}
	loop.stopping = 0;
}

/* --- opening --- */

static void must_not_open(const char *words)
{
	struct disk d;

	ck_assert_int_lt(disk_open(&d, &params), 0);
	ck_assert_msg(strstr(err_text(), params.path) != NULL, "%s",
		      err_text());
	ck_assert_msg(strstr(err_text(), words) != NULL, "%s", err_text());
}

START_TEST(refuses_what_is_no_disk)
{
	params.path = temp_path(&temp, "absent");
	must_not_open("truncate -s");
	params.path = temp.dir;
	params.ro = true;
	must_not_open("neither a file nor a block device");
	params.path = temp_path(&temp, "fifo");
	ck_assert_int_eq(mkfifo(params.path, 0600), 0);
	must_not_open("neither");
	params.path = "/dev/zero";
	must_not_open("neither");
	params.path = temp_text(&temp, "small", "no sector");
	must_not_open("smaller than a block");
	params.path = path;
	params.ro = false;
	ck_assert_int_eq(chmod(path, 0400), 0);
	if (geteuid())
		must_not_open("with ro it is only read");
}
END_TEST

START_TEST(is_nobody_elses_while_it_may_be_written)
{
	struct disk other;

	open_disk();
	must_not_open("in use by another process; only disks that all open "
		      "with ro");
	params.ro = true;
	must_not_open("which may write to it");
	disk_close(&disk);
	open_disk();
	ck_assert_int_eq(disk_open(&other, &params), 0);
	params.ro = false;
	must_not_open("in use by another process");
	disk_close(&other);
	must_not_open("in use by another process");
	disk_close(&disk);
	open_disk();
}
END_TEST

START_TEST(leaves_out_the_part_of_a_sector_at_the_end)
{
	log_set_level(LOG_ERR);
	ck_assert_int_eq(truncate(path, 512 * 9 + 1), 0);
	open_disk();
	ck_assert_uint_eq(disk.len, 512 * 9);
	log_set_level(LOG_WARN);
}
END_TEST

START_TEST(gives_up_what_has_not_begun_when_the_vm_ends)
{
	struct disk_request r[3];

	params.engine = &disk_sync;
	open_disk();
	for (unsigned int i = 0; i < ARRAY_SIZE(r); i++) {
		r[i] = (struct disk_request){ .op = DISK_FLUSH };
		disk_submit(&disk, &r[i]);
	}
	event_loop_stop(&loop);
	disk_push(&disk);
	ck_assert_uint_eq(nr_done, 0);
}
END_TEST

START_TEST(says_why_no_engine_works)
{
	fake_engine.create_error = -EMFILE;
	must_not_open("Too many open files");
}
END_TEST

/* --- steps --- */

static uint8_t data[64 * KIB] __attribute__((aligned(4096)));
static struct iovec iov[4];

static struct disk_request request(enum disk_op op, uint64_t len)
{
	/* Three buffers of different sizes, all of them aligned. */
	iov[0] = (struct iovec){ data, len / 4 };
	iov[1] = (struct iovec){ data + len / 4, len / 2 };
	iov[2] = (struct iovec){ data + len / 4 * 3, len / 4 };
	return (struct disk_request){
		.op = op, .off = 8192, .len = len, .iov = iov, .nr = 3
	};
}

static void fill(uint8_t seed)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(seed + i * 31 + (i >> 8));
}

static bool is_on_disk(size_t len)
{
	static uint8_t image[sizeof(data)];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, image, len, 8192);

	close(fd);
	return n == (ssize_t)len && !memcmp(image, data, len);
}

START_TEST(goes_on_after_a_part)
{
	struct disk_request r = request(DISK_WRITE, 16384);
	static const int64_t parts[] = { 1, 4095, 100, 5000, 1, 512 };

	memcpy(fake_engine.results, parts, sizeof(parts));
	fill(1);
	open_disk();
	disk_submit(&disk, &r);
	wait_done(1);
	ck_assert_int_eq(last_rc, 0);
	ck_assert(is_on_disk(16384));
	ck_assert_uint_gt(fake_engine.nr_steps, 6);
	ck_assert_uint_eq(fake_engine.steps[1].off, 8193);
	/* And back, into memory that has been cleared. */
	fake_engine.nr_steps = 0;
	r = request(DISK_READ, 16384);
	memset(data, 0, sizeof(data));
	disk_submit(&disk, &r);
	wait_done(2);
	ck_assert_int_eq(last_rc, 0);
	ck_assert(is_on_disk(16384));
	ck_assert_uint_ne(data[5000], 0);
}
END_TEST

START_TEST(tries_again_what_was_interrupted_but_not_for_ever)
{
	struct disk_request r = request(DISK_WRITE, 4096);

	fake_engine.results[0] = -EINTR;
	fake_engine.results[1] = -EAGAIN;
	open_disk();
	disk_submit(&disk, &r);
	wait_done(1);
	ck_assert_int_eq(last_rc, 0);
	ck_assert_uint_eq(fake_engine.nr_steps, 3);
	fake_engine.nr_steps = 0;
	for (unsigned int i = 0; i < FAKE_ENGINE_STEPS; i++)
		fake_engine.results[i] = -EAGAIN;
	r = request(DISK_WRITE, 4096);
	disk_submit(&disk, &r);
	wait_done(2);
	ck_assert_int_eq(last_rc, -EAGAIN);
	ck_assert_uint_lt(fake_engine.nr_steps, FAKE_ENGINE_STEPS);
}
END_TEST

START_TEST(writes_zeroes_where_the_file_system_cannot)
{
	struct disk_request r = request(DISK_WRITE, 65536);
	struct disk_request zero = {
		.op = DISK_ZERO, .off = 8192, .len = 65536, .unmap = true
	};

	fill(3);
	open_disk();
	disk_submit(&disk, &r);
	wait_done(1);
	fake_engine.nr_steps = 0;
	fake_engine.results[0] = -EOPNOTSUPP; /* giving the space back */
	fake_engine.results[1] = -EOPNOTSUPP; /* keeping it */
	disk_submit(&disk, &zero);
	wait_done(2);
	ck_assert_int_eq(last_rc, 0);
	ck_assert_uint_eq(fake_engine.nr_steps, 2);
	ck_assert(!fake_engine.steps[1].unmap);
	memset(data, 0, sizeof(data));
	ck_assert(is_on_disk(65536));
	/* It is remembered, and more than the buffer holds is several. */
	zero = (struct disk_request){ .op = DISK_ZERO, .len = 3 * MIB };
	disk_submit(&disk, &zero);
	wait_done(3);
	ck_assert_int_eq(last_rc, 0);
	ck_assert_uint_eq(fake_engine.nr_steps, 2);
}
END_TEST

START_TEST(takes_no_discard_for_an_answer)
{
	struct disk_request r = { .op = DISK_DISCARD, .len = 4096 };

	fake_engine.results[0] = -EOPNOTSUPP;
	fake_engine.results[1] = -EIO;
	open_disk();
	disk_submit(&disk, &r);
	wait_done(1);
	ck_assert_int_eq(last_rc, 0);
	r = (struct disk_request){ .op = DISK_DISCARD, .len = 4096 };
	disk_submit(&disk, &r);
	wait_done(2);
	ck_assert_int_eq(last_rc, -EIO);
}
END_TEST

/* --- real engines --- */

static const struct disk_engine *const engines[] = { &disk_sync, &disk_uring };

/* Buffers and pieces of buffers that O_DIRECT does not take as they are. */
START_TEST(copies_what_direct_does_not_take)
{
	static uint8_t odd[64 * KIB + 7];
	struct iovec v[3] = { { odd + 7, 1000 },
			      { odd + 1007, 24 * KIB },
			      { odd + 1007 + 24 * KIB, 40 * KIB - 1000 } };
	struct disk_request r = { .op = DISK_WRITE,
				  .off = 8192,
				  .len = 64 * KIB,
				  .iov = v,
				  .nr = 3 };

	params.engine = engines[_i];
	params.direct = true;
	if (disk_open(&disk, &params))
		return; /* not on this file system */
	fill(9);
	memcpy(odd + 7, data, sizeof(data));
	disk_submit(&disk, &r);
	wait_done(1);
	ck_assert_int_eq(last_rc, 0);
	ck_assert(is_on_disk(64 * KIB));
	v[0] = (struct iovec){ odd + 1, 64 * KIB };
	r = (struct disk_request){
		.op = DISK_READ, .off = 8192, .len = 64 * KIB, .iov = v, .nr = 1
	};
	disk_submit(&disk, &r);
	wait_done(2);
	ck_assert_int_eq(last_rc, 0);
	ck_assert_mem_eq(odd + 1, data, 64 * KIB);
	/* As it is where it can be. */
	r = request(DISK_READ, 64 * KIB);
	memset(data, 0, sizeof(data));
	disk_submit(&disk, &r);
	wait_done(3);
	ck_assert_mem_eq(odd + 1, data, 64 * KIB);
}
END_TEST

/* Writes PIECES pieces at once, then reads them all at once. */
static void write_and_read_pieces(void)
{
	static struct disk_request r[PIECES];
	static struct iovec v[PIECES];
	static uint8_t buf[PIECES][512];

	for (unsigned int pass = 0; pass < 2; pass++) {
		for (unsigned int i = 0; i < PIECES; i++) {
			memset(buf[i], pass ? 0 : (int)(i % 250 + 1), 512);
			v[i] = (struct iovec){ buf[i], 512 };
			r[i] = (struct disk_request){
				.op = pass ? DISK_READ : DISK_WRITE,
				.off = i * 1024ULL,
				.len = 512,
				.iov = &v[i],
				.nr = 1,
			};
			disk_submit(&disk, &r[i]);
		}
		wait_done(PIECES * (pass + 1));
		ck_assert_int_eq(last_rc, 0);
	}
	for (unsigned int i = 0; i < PIECES; i++)
		ck_assert(buf[i][0] == i % 250 + 1 && buf[i][511] == buf[i][0]);
}

START_TEST(takes_more_than_fits_into_a_ring)
{
	params.engine = engines[_i];
	open_disk();
	write_and_read_pieces();
	ck_assert_uint_eq(nr_done, 2 * PIECES);
}
END_TEST

/* --- hosts that forbid io_uring --- */

/* From now on this thread gets error from system call nr. */
static void forbid(unsigned int nr, unsigned int error)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(rules), rules };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

static const struct {
	unsigned int call, error;
	const struct disk_engine *engine;
} hosts[] = {
	{ SYS_io_uring_setup, EPERM, &disk_sync },
	{ SYS_io_uring_setup, ENOSYS, &disk_sync },
	{ SYS_io_uring_setup, ENOMEM, &disk_sync },
	{ SYS_io_uring_register, EPERM, &disk_sync },
	/* Then it is too late for another engine, but not for its way. */
	{ SYS_io_uring_enter, EPERM, &disk_uring },
};

static void *run_forbidden(void *arg)
{
	int i = *(int *)arg;

	forbid(hosts[i].call, hosts[i].error);
	params.engine = NULL;
	open_disk();
	ck_assert_ptr_eq(disk.engine, hosts[i].engine);
	write_and_read_pieces();
	return NULL;
}

START_TEST(works_where_io_uring_is_forbidden)
{
	pthread_t thread;
	int i = _i;

	log_set_level(LOG_ERR);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_forbidden, &i), 0);
	pthread_join(thread, NULL);
	log_set_level(LOG_WARN);
}
END_TEST

Suite *disk_suite(void)
{
	Suite *s = suite_create("disk");
	TCase *t = tcase_create("disk");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, refuses_what_is_no_disk);
	tcase_add_test(t, is_nobody_elses_while_it_may_be_written);
	tcase_add_test(t, leaves_out_the_part_of_a_sector_at_the_end);
	tcase_add_test(t, gives_up_what_has_not_begun_when_the_vm_ends);
	tcase_add_test(t, says_why_no_engine_works);
	tcase_add_test(t, goes_on_after_a_part);
	tcase_add_test(t, tries_again_what_was_interrupted_but_not_for_ever);
	tcase_add_test(t, writes_zeroes_where_the_file_system_cannot);
	tcase_add_test(t, takes_no_discard_for_an_answer);
	tcase_add_loop_test(t, copies_what_direct_does_not_take, 0,
			    ARRAY_SIZE(engines));
	tcase_add_loop_test(t, takes_more_than_fits_into_a_ring, 0,
			    ARRAY_SIZE(engines));
	tcase_add_loop_test(t, works_where_io_uring_is_forbidden, 0,
			    ARRAY_SIZE(hosts));
	suite_add_tcase(s, t);
	return s;
}
