/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/spool.c and vmm/base/outlet.c, by way of the serial port. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/serial.h"
#include "devices/spool.h"
#include "suites.h"
#include "support/uart.h"
#include "vmm/base/log.h"

static void read_all(int fd, uint8_t *buf, size_t len)
{
	while (len) {
		ssize_t n = read(fd, buf, len);

		ck_assert_int_gt(n, 0);
		buf += n;
		len -= (size_t)n;
	}
}

static int plain_pipe(int fds[2])
{
	return pipe(fds);
}

static int stream_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static int pseudo_terminal(int fds[2])
{
	fds[0] = posix_openpt(O_RDWR | O_NOCTTY);
	if (fds[0] < 0 || grantpt(fds[0]) || unlockpt(fds[0]))
		return -1;
	fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY);
	return fds[1] < 0 ? -1 : 0;
}

static int regular_file(int fds[2])
{
	char path[] = "/tmp/cvmm-serial-XXXXXX";

	fds[1] = mkstemp(path);
	fds[0] = open(path, O_RDONLY);
	unlink(path);
	return fds[0] < 0 || fds[1] < 0 ? -1 : 0;
}

/* Those that can be full come first; a terminal makes room by itself. */
static int (*const sinks[])(int fds[2]) = { plain_pipe, stream_pair,
					    pseudo_terminal, regular_file };
enum { FULL_SINKS = 2, SLOW_SINKS = 3 };

/* Fills what is between a writer and its reader; returns how many bytes. */
static ssize_t stuff(struct outlet *o)
{
	static const uint8_t block[8192];
	ssize_t n, sum = 0;

	while ((n = outlet_write(o, block, sizeof(block))) > 0)
		sum += n;
	ck_assert_int_eq(n, -EAGAIN);
	return sum;
}

/* A port whose ring is full and stays so, as the sink is full. */
static void start_full(int sink)
{
	struct outlet o;
	unsigned int n;

	outlet_open(&o, sink);
	stuff(&o);
	outlet_close(&o);
	uart_start(sink);
	for (n = 0; uart_in(LSR) & 0x20; n += 16)
		for (unsigned int i = 0; i < 16; i++)
			uart_out(DATA, 'x');
	ck_assert_uint_le(n, SPOOL_LEN);
}

/* More than the ring and the sink hold, to a reader that dawdles. */
START_TEST(output_arrives_whole_and_in_order)
{
	size_t len = 600000;
	uint8_t *sent = malloc(len), *got = malloc(len);
	int p[2];
	pid_t reader;

	for (size_t i = 0; i < len; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251);
	ck_assert_int_eq(sinks[_i](p), 0);
	reader = fork();
	if (!reader) {
		close(p[1]);
		usleep(50000);
		for (size_t i = 0; i < len; i += 1000) {
			read_all(p[0], got + i, 1000);
			usleep(200);
		}
		_exit(memcmp(sent, got, len) || read(p[0], got, 1));
	} else {
		int status;

		close(p[0]);
		uart_start(p[1]);
		uart_print(sent, len);
		uart_stop_loop();
		serial_flush(uart_port, 5000);
		uart_destroy();
		close(p[1]);
		waitpid(reader, &status, 0);
		ck_assert_int_eq(status, 0);
	}
	free(sent);
	free(got);
}
END_TEST

START_TEST(full_ring_makes_the_guest_wait_and_nobody_else)
{
	static uint8_t drain[4096];
	struct pollfd readable = { .events = POLLIN };
	unsigned int n;
	int p[2];

	ck_assert_int_eq(sinks[_i](p), 0);
	readable.fd = p[0];
	start_full(p[1]);
	/* A guest that does not look loses bytes and nothing more. */
	for (unsigned int i = 0; i < 2 * SPOOL_LEN; i++)
		uart_out(DATA, 'y');
	uart_out(IER, 0x02);
	ck_assert_uint_eq(uart_in(IIR) & 0x0f, 0x01);
	/* A socket counts as writable again when it is rather empty. */
	for (n = 0; !(uart_in(LSR) & 0x20); n++) {
		ck_assert_uint_lt(n, 5000);
		if (poll(&readable, 1, 1) > 0)
			ck_assert_int_gt(read(p[0], drain, sizeof(drain)), 0);
	}
	ck_assert_uint_eq(uart_in(LSR), 0x60);
	ck_assert_uint_eq(uart_in(IIR) & 0x0f, 0x02);
	uart_stop();
	close(p[0]);
	close(p[1]);
}
END_TEST

START_TEST(guest_goes_on_when_the_reader_has_gone)
{
	int p[2];

	log_set_level(LOG_ERR);
	ck_assert_int_eq(pipe(p), 0);
	uart_start(p[1]);
	close(p[0]);
	uart_print("hello\n", 6);
	/* It may fill the ring before the loop finds out. */
	for (unsigned int i = 0; i < 2 * SPOOL_LEN; i++)
		uart_out(DATA, 'x');
	for (int i = 0; i < 5000 && uart_in(LSR) != 0x60; i++)
		usleep(1000);
	ck_assert_uint_eq(uart_in(LSR), 0x60);
	uart_stop_loop();
	serial_flush(uart_port, 1000);
	uart_destroy();
	close(p[1]);
	log_set_level(LOG_WARN);
}
END_TEST

START_TEST(flush_gives_up_in_time)
{
	int64_t t;
	int p[2];

	ck_assert_int_eq(sinks[_i](p), 0);
	start_full(p[1]);
	uart_stop_loop();
	t = util_now_ms();
	serial_flush(uart_port, 100);
	t = util_now_ms() - t;
	ck_assert_int_ge(t, 90);
	ck_assert_int_lt(t, 5000);
	uart_destroy();
	close(p[0]);
	close(p[1]);
}
END_TEST

START_TEST(prints_to_every_kind_of_fd_and_leaves_its_flags_alone)
{
	uint8_t got[6];
	int fds[2], flags;

	ck_assert_int_eq(sinks[_i](fds), 0);
	flags = fcntl(fds[1], F_GETFL);
	uart_start(fds[1]);
	uart_print("hello", 5);
	uart_stop_loop();
	serial_flush(uart_port, 1000);
	ck_assert_int_eq(fcntl(fds[1], F_GETFL), flags);
	uart_destroy();
	read_all(fds[0], got, 5);
	ck_assert_mem_eq(got, "hello", 5);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* Where /proc is hidden, poll() has to do. */
START_TEST(asks_poll_where_the_fd_cannot_be_reopened)
{
	struct outlet o;
	int fds[2];

	ck_assert_int_eq(sinks[_i](fds), 0);
	o = (struct outlet){ .fd = fds[1], .how = OUTLET_POLLED };
	ck_assert_int_gt(stuff(&o), 1000);
	outlet_close(&o);
	outlet_close(&o);
	close(fds[0]);
	ck_assert_int_eq(close(fds[1]), 0); /* was not the outlet's to close */
}
END_TEST

Suite *spool_suite(void)
{
	Suite *s = suite_create("spool");
	TCase *tc = tcase_create("spool");

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, output_arrives_whole_and_in_order, 0,
			    FULL_SINKS);
	tcase_add_loop_test(tc, full_ring_makes_the_guest_wait_and_nobody_else,
			    0, FULL_SINKS);
	tcase_add_test(tc, guest_goes_on_when_the_reader_has_gone);
	tcase_add_loop_test(tc, flush_gives_up_in_time, 0, FULL_SINKS);
	tcase_add_loop_test(
		tc, prints_to_every_kind_of_fd_and_leaves_its_flags_alone, 0,
		ARRAY_SIZE(sinks));
	tcase_add_loop_test(tc, asks_poll_where_the_fd_cannot_be_reopened, 0,
			    SLOW_SINKS);
	suite_add_tcase(s, tc);
	return s;
}
