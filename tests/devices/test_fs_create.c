/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/fs.c that cannot be made, and of devices/virtiofsd.c. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "devices/fs.h"
#include "devices/vhost_user.h"
#include "suites.h"
#include "support/fake_back.h"
#include "support/fake_driver.h"
#include "support/temp.h"
#include "vmm/base/err.h"

enum { TO_MEET = 6 }; /* messages until an honest one is accepted */

static struct fake_back back;

static void setup(void)
{
	vhost_user_timeout_ms = 10000;
	fake_back_init(&back);
}

static void teardown(void)
{
	fake_back_stop(&back);
	ck_assert_uint_eq(back.misuse, 0);
}

static int create_alone(const struct fs_params *p)
{
	struct fake_guest guest;
	struct iothread thread;
	struct virtio_host host = { "share", &guest.mem, &thread };
	struct virtio *made = NULL;
	int rc;

	fake_guest_init(&guest);
	ck_assert_int_eq(iothread_init(&thread), 0);
	rc = fs_create(&host, p, &made);
	if (!rc)
		made->ops->destroy(made);
	iothread_destroy(&thread);
	fake_guest_destroy(&guest);
	return rc;
}

/* Nothing of what could not be made is left. */
static int create(const struct fs_params *p)
{
	int fds = count_entries("/proc/self/fd");
	int rc = create_alone(p);

	ck_assert_int_eq(count_entries("/proc/self/fd"), fds);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	return rc;
}

static int create_with_back(void)
{
	struct fs_params p = { .tag = "work" };
	int rc, fds = count_entries("/proc/self/fd");

	fake_back_start(&back);
	p.socket = back.path;
	rc = create_alone(&p);
	fake_back_stop(&back);
	ck_assert_int_eq(count_entries("/proc/self/fd"), fds);
	return rc;
}

START_TEST(refuses_a_back_end_that_dies_at_any_message)
{
	back.fault = _i % 2 ? BACK_DIES : BACK_DIES_AFTER;
	back.fault_at = 1 + (unsigned int)_i / 2;
	if (back.fault == BACK_DIES_AFTER && back.fault_at == TO_MEET)
		return; /* that is for later */
	ck_assert_int_lt(create_with_back(), 0);
	ck_assert_msg(strstr(err_text(), "back end"), "%s", err_text());
}
END_TEST

START_TEST(refuses_a_back_end_that_answers_wrong)
{
	vhost_user_timeout_ms = 200;
	/* GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, memory */
	back.fault_at = (const unsigned int[]){ 1, 3, 5, 6 }[_i / 8];
	back.fault = BACK_SILENT + _i % 8;
	if (back.fault == BACK_REFUSES && back.fault_at != 6)
		return;
	ck_assert_int_lt(create_with_back(), 0);
	ck_assert_msg(strstr(err_text(), "back end"), "%s", err_text());
}
END_TEST

START_TEST(refuses_a_back_end_with_too_few_queues)
{
	back.queues = 1;
	ck_assert_int_eq(create_with_back(), -EOPNOTSUPP);
	ck_assert_str_eq(err_text(), "the back end has 1 queues, 2 are needed");
}
END_TEST

START_TEST(refuses_a_back_end_older_than_virtio_1)
{
	back.features &= ~(1ULL << VIRTIO_F_VERSION_1);
	ck_assert_int_eq(create_with_back(), -EOPNOTSUPP);
}
END_TEST

static const struct {
	struct fs_params p;
	const char *text;
} refusals[] = {
	{ { .tag = "", .path = "/" }, "the tag '' is not 1 to 36 bytes" },
	{ { .tag = "0123456789012345678901234567890123456", .path = "/" },
	  "is not 1 to 36 bytes" },
	{ { .tag = "t", .socket = "/nonexistent/s" },
	  "/nonexistent/s: No such file or directory: start virtiofsd" },
	{ { .tag = "t",
	    .socket = "/2345678901234567890123456789012345678901234567890"
		      "1234567890123456789012345678901234567890123456789012"
		      "345678" },
	  "longer than a socket's 107" },
	{ { .tag = "t", .path = "/nonexistent", .daemon = "/bin/true" },
	  "/nonexistent: No such file or directory" },
	{ { .tag = "t", .path = "/etc/passwd", .daemon = "/bin/true" },
	  "/etc/passwd is not a directory" },
	{ { .tag = "t", .path = "/", .daemon = "/nonexistent/virtiofsd" },
	  "virtiofsd /nonexistent/virtiofsd: No such file or directory" },
	{ { .tag = "t", .path = "/", .daemon = "/etc/passwd" },
	  "virtiofsd /etc/passwd: Permission denied" },
	/* A program that is none, and one that says what is the matter. */
	{ { .tag = "t", .path = "/", .daemon = "/bin/true" },
	  "virtiofsd: the back end: Connection reset by peer" },
	{ { .tag = "t", .path = "/", .daemon = "/bin/ls" },
	  "virtiofsd says 'Try '/bin/ls --help' for more information.'" },
};

/* A virtiofsd that only sits there. */
START_TEST(gives_up_a_virtiofsd_that_does_not_answer)
{
	struct fs_params p = { .tag = "t", .path = "/" };
	struct temp temp;

	temp_make(&temp);
	p.daemon = temp_text(&temp, "virtiofsd",
			     "#!/bin/sh\necho I wait; exec sleep 100\n");
	ck_assert_int_eq(chmod(p.daemon, 0755), 0);
	vhost_user_timeout_ms = 300;
	ck_assert_int_eq(create(&p), -ETIMEDOUT);
	ck_assert_str_eq(err_text(), "virtiofsd says 'I wait': the back end: "
				     "Connection timed out");
	temp_remove(&temp);
}
END_TEST

/* What it is called with, and that it is ended. */
START_TEST(starts_virtiofsd_for_the_directory)
{
	struct fs_params p = { .tag = "t", .path = "/usr/../etc/." };
	struct temp temp;

	temp_make(&temp);
	p.daemon = temp_text(&temp, "virtiofsd",
			     "#!/bin/sh\necho \"${1%=*}= $2 $3\"\n");
	ck_assert_int_eq(chmod(p.daemon, 0755), 0);
	ck_assert_int_lt(create(&p), 0);
	ck_assert_msg(strstr(err_text(), "'--fd= -o source=/etc'"), "%s",
		      err_text());
	temp_remove(&temp);
}
END_TEST

START_TEST(refuses_a_path_that_virtiofsd_would_misread)
{
	static const char *const names[] = { "a,b", "a=b", "a\\b" };
	struct fs_params p = { .tag = "t", .daemon = "/bin/true" };
	struct temp temp;

	temp_make(&temp);
	p.path = temp_path(&temp, names[_i]);
	ck_assert_int_eq(mkdir(p.path, 0755), 0);
	ck_assert_int_eq(create(&p), -EINVAL);
	ck_assert_int_eq(rmdir(p.path), 0);
	temp_remove(&temp);
}
END_TEST

START_TEST(says_why_there_can_be_none)
{
	ck_assert_int_lt(create(&refusals[_i].p), 0);
	ck_assert_msg(strstr(err_text(), refusals[_i].text), "%s", err_text());
}
END_TEST

Suite *fs_create_suite(void)
{
	Suite *s = suite_create("fs_create");
	TCase *tc = tcase_create("fs_create");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, refuses_a_back_end_that_dies_at_any_message, 0,
			    2 * TO_MEET);
	tcase_add_loop_test(tc, refuses_a_back_end_that_answers_wrong, 0, 32);
	tcase_add_test(tc, refuses_a_back_end_with_too_few_queues);
	tcase_add_test(tc, refuses_a_back_end_older_than_virtio_1);
	tcase_add_loop_test(tc, says_why_there_can_be_none, 0,
			    ARRAY_SIZE(refusals));
	tcase_add_test(tc, gives_up_a_virtiofsd_that_does_not_answer);
	tcase_add_test(tc, starts_virtiofsd_for_the_directory);
	tcase_add_loop_test(tc, refuses_a_path_that_virtiofsd_would_misread, 0,
			    3);
	suite_add_tcase(s, tc);
	return s;
}
