/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/net_stream.c, passt.c, and of tap.c without a tap. */
#include "devices/net_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/tap.h"
#include "suites.h"
#include "support/temp.h"
#include "vmm/base/err.h"

#define HDR NET_HEADER_LEN

static struct net_host *host;
static int program; /* the other end */
static uint8_t frame[NET_FRAME_MAX + 8], got[2 * NET_PACKET_MAX];

static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    pair),
			 0);
	program = pair[1];
	ck_assert_int_eq(net_stream_create(&host, pair[0]), 0);
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i % 253);
}

static void teardown(void)
{
	host->ops->destroy(host);
	close(program);
}

static ssize_t receive(size_t room)
{
	struct iovec iov[] = { { got, min_of(room, 5) },
			       { got + 5, room - min_of(room, 5) } };

	memset(got, 0xee, sizeof(got));
	return host->ops->receive(host, 0, iov, 2);
}

static void bring(const void *data, size_t len)
{
	ck_assert_int_eq(send(program, data, len, MSG_DONTWAIT), len);
}

static void bring_frame(uint32_t len)
{
	uint32_t be = htonl(len);

	bring(&be, sizeof(be));
	bring(frame, len);
}

static void expect_frame(size_t len)
{
	const uint8_t none[HDR] = { 0 };

	ck_assert_int_eq(receive(sizeof(got)), len + HDR);
	ck_assert_mem_eq(got, none, HDR);
	ck_assert_mem_eq(got + HDR, frame, len);
}

START_TEST(puts_an_empty_header_before_a_frame)
{
	ck_assert_int_eq(receive(sizeof(got)), 0);
	bring_frame(60);
	expect_frame(60);
	ck_assert_int_eq(receive(sizeof(got)), 0);
}
END_TEST

START_TEST(takes_frames_however_they_are_cut)
{
	uint8_t bytes[3 * 104];
	int at = 3 * _i;

	for (unsigned int i = 0; i < 3; i++) {
		uint32_t be = htonl(100);

		memcpy(bytes + 104 * i, &be, 4);
		memcpy(bytes + 104 * i + 4, frame, 100);
	}
	bring(bytes, (size_t)at);
	for (int i = 0; i < at / 104; i++)
		expect_frame(100);
	ck_assert_int_eq(receive(sizeof(got)), 0);
	bring(bytes + at, sizeof(bytes) - (size_t)at);
	for (int i = at / 104; i < 3; i++)
		expect_frame(100);
	ck_assert_int_eq(receive(sizeof(got)), 0);
}
END_TEST

START_TEST(takes_the_largest_frames_one_after_the_other)
{
	for (unsigned int i = 0; i < 5; i++) {
		bring_frame(NET_FRAME_MAX);
		bring_frame(14);
		expect_frame(NET_FRAME_MAX);
		expect_frame(14);
	}
}
END_TEST

START_TEST(cuts_off_what_there_is_no_room_for)
{
	bring_frame(100);
	bring_frame(20);
	ck_assert_int_eq(receive(50), 50);
	ck_assert_uint_eq(got[50], 0xee);
	expect_frame(20);
}
END_TEST

static const uint32_t bad[] = { 0, NET_FRAME_MAX + 1, 0x80000000, 0xffffffff };

START_TEST(gives_up_a_program_that_sends_nonsense)
{
	uint32_t be = htonl(bad[_i]);

	bring(&be, sizeof(be));
	bring(frame, 100);
	ck_assert_int_lt(receive(sizeof(got)), 0);
	ck_assert_int_lt(receive(sizeof(got)), 0);
}
END_TEST

START_TEST(gives_up_a_program_that_ended)
{
	bring_frame(60);
	bring("\0\0\0", 3);
	close(program);
	program = -1;
	expect_frame(60);
	ck_assert_int_lt(receive(sizeof(got)), 0);
}
END_TEST

/* A packet of len frame bytes, in three parts and the header. */
static int send_frame(size_t len)
{
	uint8_t header[HDR] = { 0 };
	struct iovec iov[] = { { header, HDR },
			       { frame, 10 },
			       { frame + 10, 1 },
			       { frame + 11, len - 11 } };

	return host->ops->send(host, 0, iov, 4);
}

static void get(void *buf, size_t len)
{
	ck_assert_int_eq(recv(program, buf, len, MSG_WAITALL), len);
}

static void expect_sent(size_t len)
{
	uint32_t be;

	get(&be, sizeof(be));
	ck_assert_uint_eq(ntohl(be), len);
	get(got, len);
	ck_assert_mem_eq(got, frame, len);
}

START_TEST(sends_a_frame_behind_its_length)
{
	ck_assert_int_eq(send_frame(60), 0);
	ck_assert_int_eq(send_frame(1514), 0);
	expect_sent(60);
	expect_sent(1514);
}
END_TEST

/* A small buffer, so that the socket takes parts of frames. */
START_TEST(finishes_a_frame_before_the_next)
{
	unsigned int sent = 0, taken = 0, rests = 0, refused = 0;
	int small = 4096;

	setsockopt(host->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (taken < 40) {
		int rc = sent < 40 ? send_frame(20000 + 1000 * sent) : -EAGAIN;

		ck_assert(rc == 0 || rc == 1 || rc == -EAGAIN);
		sent += rc != -EAGAIN;
		rests += rc == 1;
		refused += rc == -EAGAIN;
		if (rc == 0)
			continue;
		/* The program reads a little, then all there is. */
		for (int more = 1; more;) {
			static uint8_t stream[64 * 70000];
			static size_t have, at;
			ssize_t n = recv(program, stream + have, 7000,
					 MSG_DONTWAIT);
			uint32_t be;

			have += n > 0 ? (size_t)n : 0;
			more = n > 0 && sent >= 40;
			rc = host->ops->send(host, 0, NULL, 0);
			ck_assert(rc == 0 || rc == -EAGAIN);
			for (; have - at > 4; taken++) {
				size_t len = 20000 + 1000 * taken;

				memcpy(&be, stream + at, 4);
				ck_assert_uint_eq(ntohl(be), len);
				if (have - at < 4 + len)
					break;
				ck_assert_mem_eq(stream + at + 4, frame, len);
				at += 4 + len;
			}
		}
	}
	ck_assert_uint_gt(rests, 0);
	ck_assert_uint_gt(refused, 0);
}
END_TEST

START_TEST(says_when_nobody_will_ever_read)
{
	close(program);
	program = -1;
	ck_assert_int_eq(send_frame(60), -EPIPE);
}
END_TEST

/* --- how it is made --- */

START_TEST(connects_to_a_program_that_listens)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct net_host *other;
	struct temp t;
	char most[200];

	temp_make(&t);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s",
		 temp_path(&t, "socket"));
	ck_assert_int_eq(net_stream_connect(&other, addr.sun_path), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err_text(), "start passt"));
	ck_assert_int_eq(bind(listener, (void *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(net_stream_connect(&other, addr.sun_path),
			 -ECONNREFUSED);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(net_stream_connect(&other, addr.sun_path), 0);
	ck_assert_int_eq(fcntl(other->fds[0], F_GETFD), FD_CLOEXEC);
	other->ops->destroy(other);
	memset(most, 'x', sizeof(most) - 1);
	most[sizeof(most) - 1] = '\0';
	ck_assert_int_eq(net_stream_connect(&other, most), -EINVAL);
	close(listener);
	temp_remove(&t);
}
END_TEST

/* A program called passt that does what text says. */
static void install_passt(struct temp *t, const char *text)
{
	const char *path = temp_text(t, "passt", text);
	char search[300];

	ck_assert_int_eq(chmod(path, 0755), 0);
	snprintf(search, sizeof(search), "%s:/usr/bin:/bin", t->dir);
	setenv("PATH", search, 1);
}

START_TEST(starts_passt_and_ends_it)
{
	struct pollfd p = { .events = POLLIN };
	struct net_host *other;
	int before = count_entries("/proc/self/fd");
	struct temp t;
	char *args;

	temp_make(&t);
	install_passt(&t, "#!/bin/sh\n"
			  "echo \"$*\" > \"${0%/*}/args\"\n"
			  "printf '\\000\\000\\000\\003abc' >&$4\n"
			  "sleep 100 > /dev/null\n");
	ck_assert_int_eq(net_stream_passt(&other), 0);
	ck_assert_int_eq(fcntl(other->fds[0], F_GETFD), FD_CLOEXEC);
	p.fd = other->fds[0];
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	ck_assert_int_eq(other->ops->receive(other, 0,
					     &(struct iovec){ got, 100 }, 1),
			 HDR + 3);
	args = temp_read(temp_path(&t, "args"));
	ck_assert_int_eq(strncmp(args, "-f -q --fd ", 11), 0);
	free(args);
	other->ops->destroy(other);
	/* Nothing is left: no child, no fd. */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	ck_assert_int_eq(count_entries("/proc/self/fd"), before);
	temp_remove(&t);
}
END_TEST

START_TEST(says_when_passt_is_not_installed)
{
	int before = count_entries("/proc/self/fd");
	char *path = strdup(getenv("PATH"));
	struct net_host *other;

	setenv("PATH", "/nonexistent", 1);
	ck_assert_int_eq(net_stream_passt(&other), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err_text(), "not installed"));
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(count_entries("/proc/self/fd"), before);
	setenv("PATH", path, 1);
	free(path);
}
END_TEST

START_TEST(refuses_an_interface_name_that_is_too_long)
{
	const struct tap_params p = { .ifname = "sixteen-letters-",
				      .nr_pairs = 1 };
	int before = count_entries("/proc/self/fd");
	struct net_host *other;

	ck_assert_int_eq(tap_create(&other, &p), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err_text(), "at most 15"));
	ck_assert_int_eq(count_entries("/proc/self/fd"), before);
}
END_TEST

/* Whether or not this machine has taps: loopback is none. */
START_TEST(refuses_an_interface_that_is_no_tap)
{
	const struct tap_params p = { .ifname = "lo", .nr_pairs = 2 };
	int before = count_entries("/proc/self/fd");
	struct net_host *other;

	ck_assert_int_lt(tap_create(&other, &p), 0);
	ck_assert(strstr(err_text(), "lo: ") || strstr(err_text(), "/dev/net"));
	ck_assert_int_eq(count_entries("/proc/self/fd"), before);
}
END_TEST

Suite *net_stream_suite(void)
{
	Suite *s = suite_create("net_stream");
	TCase *tc = tcase_create("frames");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, puts_an_empty_header_before_a_frame);
	tcase_add_loop_test(tc, takes_frames_however_they_are_cut, 0, 104);
	tcase_add_test(tc, takes_the_largest_frames_one_after_the_other);
	tcase_add_test(tc, cuts_off_what_there_is_no_room_for);
	tcase_add_loop_test(tc, gives_up_a_program_that_sends_nonsense, 0,
			    ARRAY_SIZE(bad));
	tcase_add_test(tc, gives_up_a_program_that_ended);
	tcase_add_test(tc, sends_a_frame_behind_its_length);
	tcase_add_test(tc, finishes_a_frame_before_the_next);
	tcase_add_test(tc, says_when_nobody_will_ever_read);
	suite_add_tcase(s, tc);
	tc = tcase_create("making");
	tcase_add_test(tc, connects_to_a_program_that_listens);
	tcase_add_test(tc, starts_passt_and_ends_it);
	tcase_add_test(tc, says_when_passt_is_not_installed);
	tcase_add_test(tc, refuses_an_interface_name_that_is_too_long);
	tcase_add_test(tc, refuses_an_interface_that_is_no_tap);
	suite_add_tcase(s, tc);
	return s;
}
