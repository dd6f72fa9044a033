/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/endpoint.c: who comes, goes and says what. */
#include "devices/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "suites.h"
#include "support/temp.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"

static struct temp temp;
static struct event_loop loop;
static struct endpoint *endpoint;
static pthread_t looper;
static bool looping;

static atomic_int out_fd; /* where output goes */
static atomic_uint attachments;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char typed[8192];
static size_t nr_typed, room;

static size_t input(void *ctx, const uint8_t *data, size_t len)
{
	ck_assert_ptr_eq(ctx, &temp);
	pthread_mutex_lock(&lock);
	len = min_of(len, room);
	memcpy(typed + nr_typed, data, len);
	nr_typed += len;
	room -= len;
	pthread_mutex_unlock(&lock);
	return len;
}

static void attached(void *ctx, int fd)
{
	ck_assert_ptr_eq(ctx, &temp);
	out_fd = fd;
	attachments++;
}

static int make(const char *where)
{
	const struct endpoint_user user = { input, attached, &temp };

	out_fd = -1;
	attachments = 0;
	nr_typed = 0;
	room = sizeof(typed);
	return endpoint_create(&endpoint, &loop, "console", where, &user);
}

static void *run_loop(void *arg)
{
	event_loop_run(arg);
	return NULL;
}

static void begin(const char *where)
{
	ck_assert_msg(!make(where), "%s", err_text());
	looping = true;
	ck_assert_int_eq(pthread_create(&looper, NULL, run_loop, &loop), 0);
}

static void end(void)
{
	if (looping) {
		event_loop_stop(&loop);
		pthread_join(looper, NULL);
	}
	looping = false;
	endpoint_destroy(endpoint);
	endpoint = NULL;
}

static void setup(void)
{
	temp_make(&temp);
	ck_assert_int_eq(event_loop_init(&loop), 0);
}

static void teardown(void)
{
	end();
	event_loop_destroy(&loop);
	temp_remove(&temp);
}

static void await_typed(const char *text)
{
	size_t len = strlen(text), n = 0;

	for (int i = 0; i < 3000 && n < len; i++) {
		usleep(1000);
		pthread_mutex_lock(&lock);
		n = nr_typed;
		pthread_mutex_unlock(&lock);
	}
	ck_assert_uint_eq(n, len);
	ck_assert_mem_eq(typed, text, len);
}

static void await_attachments(unsigned int n)
{
	for (int i = 0; i < 3000 && attachments < n; i++)
		usleep(1000);
	ck_assert_uint_eq(attachments, n);
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
}

static void hear(int fd, const char *text)
{
	size_t len = strlen(text), n = 0;
	char got[128];

	while (n < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		ck_assert_int_eq(poll(&p, 1, 3000), 1);
		r = read(fd, got + n, len - n);
		ck_assert_int_gt(r, 0);
		n += (size_t)r;
	}
	ck_assert_mem_eq(got, text, len);
}

/* --- names --- */

static const struct {
	const char *where, *path;
	int want;
} names[] = {
	{ "stdio", NULL, ENDPOINT_STDIO },
	{ "pty", NULL, ENDPOINT_PTY },
	{ "file:a b", "a b", ENDPOINT_FILE },
	{ "unix:/x", "/x", ENDPOINT_UNIX },
	{ "unix:", NULL, -EINVAL },
	{ "file:", NULL, -EINVAL },
	{ "file", NULL, -EINVAL },
	{ "", NULL, -EINVAL },
	{ "ptyx", NULL, -EINVAL },
	{ "Unix:/x", NULL, -EINVAL },
};

START_TEST(tells_the_kinds_apart)
{
	const char *path;

	ck_assert_int_eq(endpoint_parse(names[_i].where, &path),
			 names[_i].want);
	if (names[_i].path)
		ck_assert_str_eq(path, names[_i].path);
	else
		ck_assert_ptr_null(path);
	if (names[_i].want < 0)
		ck_assert_ptr_nonnull(strstr(err_text(), "stdio, pty"));
}
END_TEST

/* --- files --- */

START_TEST(file_is_private_and_added_to)
{
	char where[80];
	struct stat st;
	char *text;

	snprintf(where, sizeof(where), "file:%s", temp_path(&temp, "log"));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(make(where), 0);
		say(out_fd, "boot\n");
		endpoint_room(endpoint); /* nothing happens */
		end();
	}
	text = temp_read(temp_path(&temp, "log"));
	ck_assert_str_eq(text, "boot\nboot\n");
	free(text);
	ck_assert_int_eq(stat(temp_path(&temp, "log"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

static const struct {
	const char *where, *says;
} refused[] = {
	{ "file:/", "cannot write to /" },
	{ "file:/nowhere/x", "/nowhere/x" },
	{ "unix:/nowhere/x", "cannot listen on /nowhere/x" },
	{ "unix:/dev/null", "/dev/null is there and no socket" },
	{ "unix:/0123456789012345678901234567890123456789012345678901234567890"
	  "1234567890123456789012345678901234567890123456789",
	  "at most 107" },
};

START_TEST(rejects_what_cannot_be_made)
{
	ck_assert_int_lt(make(refused[_i].where), 0);
	ck_assert_ptr_null(endpoint);
	ck_assert_msg(strstr(err_text(), refused[_i].says), "%s", err_text());
	ck_assert_ptr_eq(strstr(err_text(), "console: "), err_text());
}
END_TEST

START_TEST(rejects_a_fifo_that_nobody_reads)
{
	char where[80];

	ck_assert_int_eq(mkfifo(temp_path(&temp, "fifo"), 0600), 0);
	snprintf(where, sizeof(where), "file:%s", temp_path(&temp, "fifo"));
	ck_assert_int_eq(make(where), -ENXIO);
	ck_assert_ptr_nonnull(strstr(err_text(), "nobody reads"));
}
END_TEST

/* --- pseudo-terminals --- */

START_TEST(pty_carries_bytes_as_they_are_for_one_after_the_other)
{
	char name[64];
	struct termios t;
	int fd;

	begin("pty");
	ck_assert_int_eq(ptsname_r(out_fd, name, sizeof(name)), 0);
	for (int i = 0; i < 2; i++) {
		fd = open(name, O_RDWR | O_NOCTTY);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(tcgetattr(fd, &t), 0);
		ck_assert(!(t.c_lflag & (ECHO | ICANON | ISIG)));
		pthread_mutex_lock(&lock);
		nr_typed = 0;
		pthread_mutex_unlock(&lock);
		say(fd, "\003in\r");
		await_typed("\003in\r");
		say(out_fd, "out\n");
		hear(fd, "out\n");
		close(fd);
	}
	ck_assert_uint_eq(attachments, 1);
}
END_TEST

/* --- Unix sockets --- */

static const char *socket_path(void)
{
	return temp_path(&temp, "socket");
}

static void listen_there(void)
{
	char where[80];

	snprintf(where, sizeof(where), "unix:%s", socket_path());
	begin(where);
}

static int connect_there(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, socket_path());
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

START_TEST(socket_is_private_and_gone_in_the_end)
{
	mode_t old = umask(0);
	struct stat st;

	listen_there();
	umask(old);
	ck_assert_int_eq(lstat(socket_path(), &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	end();
	ck_assert_int_eq(lstat(socket_path(), &st), -1);
}
END_TEST

START_TEST(a_socket_that_is_no_longer_ours_stays)
{
	struct stat st;

	listen_there();
	ck_assert_int_eq(unlink(socket_path()), 0);
	temp_text(&temp, "socket", "another's");
	end();
	ck_assert_int_eq(lstat(socket_path(), &st), 0);
}
END_TEST

START_TEST(peers_come_and_go)
{
	int fd;

	listen_there();
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(out_fd, -1);
		fd = connect_there();
		await_attachments(2 * i + 1);
		pthread_mutex_lock(&lock);
		nr_typed = 0;
		pthread_mutex_unlock(&lock);
		say(fd, "ls\n");
		await_typed("ls\n");
		say(out_fd, "files\n");
		hear(fd, "files\n");
		close(fd);
		await_attachments(2 * i + 2);
	}
}
END_TEST

START_TEST(a_second_peer_is_told_that_there_is_one)
{
	int first, second;
	char byte;

	listen_there();
	first = connect_there();
	await_attachments(1);
	second = connect_there();
	hear(second, "cvmm: somebody else uses this console\r\n");
	ck_assert_int_eq(read(second, &byte, 1), 0);
	close(second);
	say(first, "still here");
	await_typed("still here");
	close(first);
}
END_TEST

START_TEST(a_peer_that_has_said_all_still_listens)
{
	int fd;

	listen_there();
	fd = connect_there();
	say(fd, "date\n");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	await_typed("date\n");
	usleep(20000);
	ck_assert_uint_eq(attachments, 1);
	say(out_fd, "Friday\n");
	hear(fd, "Friday\n");
	close(fd);
	await_attachments(2);
}
END_TEST

START_TEST(input_waits_for_room_and_none_is_lost)
{
	char text[3000];
	int fd;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	listen_there();
	room = 700;
	fd = connect_there();
	say(fd, text);
	close(fd); /* what was said still counts */
	usleep(20000);
	pthread_mutex_lock(&lock);
	ck_assert_uint_eq(nr_typed, 700);
	room = 5000;
	pthread_mutex_unlock(&lock);
	endpoint_room(endpoint);
	await_typed(text);
	await_attachments(2);
}
END_TEST

START_TEST(a_peer_that_left_with_input_waiting_makes_way)
{
	int fd;

	listen_there();
	room = 0;
	fd = connect_there();
	say(fd, "never read");
	await_attachments(1);
	usleep(20000);
	close(fd);
	fd = connect_there();
	await_attachments(3); /* came, went, came */
	say(out_fd, "hello");
	hear(fd, "hello");
	close(fd);
}
END_TEST

START_TEST(a_dead_socket_is_replaced_and_a_live_one_is_not)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char where[80];
	struct stat st;

	strcpy(a.sun_path, socket_path());
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	snprintf(where, sizeof(where), "unix:%s", socket_path());
	ck_assert_int_eq(make(where), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err_text(), "somebody listens there"));
	ck_assert_int_eq(lstat(socket_path(), &st), 0);
	close(fd);
	listen_there();
	close(connect_there());
	await_attachments(2);
}
END_TEST

static void add_socket_tests(TCase *tc)
{
	tcase_add_test(tc, socket_is_private_and_gone_in_the_end);
	tcase_add_test(tc, a_socket_that_is_no_longer_ours_stays);
	tcase_add_test(tc, peers_come_and_go);
	tcase_add_test(tc, a_second_peer_is_told_that_there_is_one);
	tcase_add_test(tc, a_peer_that_has_said_all_still_listens);
	tcase_add_test(tc, input_waits_for_room_and_none_is_lost);
	tcase_add_test(tc, a_peer_that_left_with_input_waiting_makes_way);
	tcase_add_test(tc, a_dead_socket_is_replaced_and_a_live_one_is_not);
}

Suite *endpoint_suite(void)
{
	Suite *s = suite_create("endpoint");
	TCase *tc = tcase_create("endpoint");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, tells_the_kinds_apart, 0, ARRAY_SIZE(names));
	tcase_add_test(tc, file_is_private_and_added_to);
	tcase_add_loop_test(tc, rejects_what_cannot_be_made, 0,
			    ARRAY_SIZE(refused));
	tcase_add_test(tc, rejects_a_fifo_that_nobody_reads);
	tcase_add_test(tc,
		       pty_carries_bytes_as_they_are_for_one_after_the_other);
	add_socket_tests(tc);
	suite_add_tcase(s, tc);
	return s;
}
