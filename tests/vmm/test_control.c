/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/control.c and figures.c: clients of every kind. */
#include "vmm/control.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "suites.h"
#include "support/temp.h"
#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/figures.h"

static struct event_loop loop;
static struct control control;
static pthread_t looper;
static bool looping;
static char name[32];

static const char *command(void *ctx, const char *line, FILE *out, bool *hold)
{
	(void)ctx;
	if (!strcmp(line, "hold")) {
		*hold = true;
	} else if (!strcmp(line, "much")) {
		for (int i = 0; i < 1000; i++)
			fprintf(out, "line %d\n", i);
	} else if (strcmp(line, "hello") != 0) {
		return "unknown";
	}
	fputs("hello\n", out);
	return NULL;
}

static void *run_loop(void *ctx)
{
	(void)ctx;
	event_loop_run(&loop);
	return NULL;
}

static void set_up(void)
{
	snprintf(name, sizeof(name), "unit-%d", getpid());
	ck_assert_int_eq(event_loop_init(&loop), 0);
	control = (struct control){ .command = command };
	ck_assert_int_eq(control_open(&control, &loop, name), 0);
	looping = true;
	pthread_create(&looper, NULL, run_loop, NULL);
}

static void stop(void)
{
	if (looping) {
		event_loop_stop(&loop);
		pthread_join(looper, NULL);
	}
	looping = false;
}

static void tear_down(void)
{
	stop();
	control_close(&control);
	event_loop_destroy(&loop);
}

static int connect_raw(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s",
		 control.place.path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
			 0);
	return fd;
}

static char *ask(const char *line, int *rc)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	*rc = control_ask(name, line, out);
	fclose(out);
	return text;
}

START_TEST(answers_a_command_and_refuses_another)
{
	int rc;
	char *text = ask("hello", &rc);

	ck_assert_int_eq(rc, 0);
	ck_assert_str_eq(text, "hello\n");
	free(text);
	text = ask("goodbye", &rc);
	ck_assert_int_eq(rc, -EPROTO);
	ck_assert_ptr_nonnull(strstr(err_text(), "unknown"));
	ck_assert_str_eq(text, "");
	free(text);
	text = ask("much", &rc);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(strlen(text), 10 * 7 + 90 * 8 + 900 * 9 + 6);
	free(text);
}
END_TEST

START_TEST(is_for_its_user_only)
{
	struct stat st;

	ck_assert_int_eq(stat(control.place.path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(clients_that_stall_make_room)
{
	int stalled[3 * CONTROL_CLIENTS], rc;

	for (size_t i = 0; i < ARRAY_SIZE(stalled); i++) {
		stalled[i] = connect_raw();
		ck_assert_int_eq(send(stalled[i], "hel", 3, MSG_NOSIGNAL), 3);
	}
	for (int i = 0; i < 20; i++) {
		char *text = ask("hello", &rc);

		ck_assert_int_eq(rc, 0);
		free(text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(stalled); i++)
		close(stalled[i]);
}
END_TEST

START_TEST(hangs_up_on_a_line_without_end)
{
	char junk[4096], byte;
	int fd = connect_raw();

	memset(junk, 'x', sizeof(junk));
	send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
	ck_assert_int_le(read(fd, &byte, 1), 0);
	close(fd);
}
END_TEST

START_TEST(clients_that_go_away_harm_nothing)
{
	int rc;
	char *text;

	for (int i = 0; i < 200; i++) {
		int fd = connect_raw();

		send(fd, "much\n", i % 6, MSG_NOSIGNAL);
		close(fd);
	}
	text = ask("hello", &rc);
	ck_assert_int_eq(rc, 0);
	free(text);
}
END_TEST

START_TEST(holds_a_client_until_it_closes)
{
	char buf[64] = "";
	int fd = connect_raw();

	ck_assert_int_eq(send(fd, "hold\n", 5, MSG_NOSIGNAL), 5);
	for (size_t n = 0; !strstr(buf, "hello\n");)
		n += (size_t)read(fd, buf + n, sizeof(buf) - 1 - n);
	ck_assert_str_eq(buf, "ok\nhello\n");
	ck_assert_int_eq(recv(fd, buf, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	stop();
	control_close(&control);
	ck_assert_int_eq(read(fd, buf, 1), 0);
	close(fd);
}
END_TEST

START_TEST(leaves_no_socket_behind)
{
	char *path = strdup(control.place.path);

	stop();
	control_close(&control);
	control_close(&control);
	ck_assert_int_eq(access(path, F_OK), -1);
	free(path);
}
END_TEST

START_TEST(refuses_names_that_are_no_files)
{
	struct control other = { .command = command };

	ck_assert_int_eq(control_open(&other, &loop, "../etc/x"), -EINVAL);
	ck_assert_int_eq(control_open(&other, &loop, ".hidden"), -EINVAL);
}
END_TEST

START_TEST(asks_nobody_who_is_not_there)
{
	ck_assert_int_eq(control_ask("no-such-vm", "stat", stdout), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err_text(), "no VM called 'no-such-vm'"));
	ck_assert_int_eq(control_ask("/nowhere/x", "stat", stdout), -ENOENT);
}
END_TEST

static char *figures(bool json)
{
	struct figures f;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	figures_begin(&f, out, json);
	figures_text(&f, "name", "a\"b\\\n");
	figures_group(&f, "memory");
	figures_number(&f, "ram", UINT64_MAX);
	figures_group(&f, "empty");
	figures_group_end(&f);
	figures_group_end(&f);
	figures_number(&f, "last", 0);
	figures_end(&f);
	fclose(out);
	return text;
}

START_TEST(figures_are_for_programs_or_people)
{
	char *text = figures(true);

	ck_assert_str_eq(text, "{\n  \"name\": \"a\\\"b\\\\\\u000a\",\n"
			       "  \"memory\": {\n"
			       "    \"ram\": 18446744073709551615,\n"
			       "    \"empty\": {\n    }\n  },\n"
			       "  \"last\": 0\n}\n");
	free(text);
	text = figures(false);
	ck_assert_str_eq(text, "name a\"b\\\n\n"
			       "memory.ram 18446744073709551615\nlast 0\n");
	free(text);
}
END_TEST

Suite *control_suite(void)
{
	Suite *s = suite_create("control");
	TCase *tc = tcase_create("control");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, answers_a_command_and_refuses_another);
	tcase_add_test(tc, is_for_its_user_only);
	tcase_add_test(tc, clients_that_stall_make_room);
	tcase_add_test(tc, hangs_up_on_a_line_without_end);
	tcase_add_test(tc, clients_that_go_away_harm_nothing);
	tcase_add_test(tc, holds_a_client_until_it_closes);
	tcase_add_test(tc, leaves_no_socket_behind);
	tcase_add_test(tc, refuses_names_that_are_no_files);
	tcase_add_test(tc, asks_nobody_who_is_not_there);
	tcase_add_test(tc, figures_are_for_programs_or_people);
	suite_add_tcase(s, tc);
	return s;
}
