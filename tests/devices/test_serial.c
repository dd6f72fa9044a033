/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/serial.c, with devices/spool.c and outlet.c under it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "devices/serial.h"
#include "devices/spool.h"
#include "suites.h"
#include "vmm/base/layout_x86.h"
#include "vmm/base/log.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

static struct event_loop loop;
static struct serial *port;
static struct bus bus;
static pthread_t looper;

static void *run_loop(void *arg)
{
	event_loop_run(arg);
	return NULL;
}

static void start(int out_fd)
{
	signal(SIGPIPE, SIG_IGN);
	bus = (struct bus){ 0 };
	ck_assert_int_eq(event_loop_init(&loop), 0);
	ck_assert_int_eq(serial_create(&port, &loop, out_fd), 0);
	ck_assert_int_eq(bus_add(&bus, serial_window(port)), 0);
	ck_assert_int_eq(pthread_create(&looper, NULL, run_loop, &loop), 0);
}

static void stop_loop(void)
{
	event_loop_stop(&loop);
	pthread_join(looper, NULL);
}

static void stop(void)
{
	stop_loop();
	serial_destroy(port);
	event_loop_destroy(&loop);
}

static uint8_t in(unsigned int reg)
{
	uint8_t v;

	bus_read(&bus, X86_SERIAL + reg, &v, 1);
	return v;
}

static void out(unsigned int reg, uint8_t v)
{
	bus_write(&bus, X86_SERIAL + reg, &v, 1);
}

/* As a driver does it: a FIFO full each time the transmitter is empty. */
static void print(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		while (i % 16 == 0 && !(in(LSR)&0x20))
			usleep(100);
		out(DATA, data[i]);
	}
}

static void read_all(int fd, uint8_t *buf, size_t len)
{
	while (len) {
		ssize_t n = read(fd, buf, len);

		ck_assert_int_gt(n, 0);
		buf += n;
		len -= (size_t)n;
	}
}

static int64_t ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* The probes of a PC's drivers, in their order. */
START_TEST(is_found_to_be_a_16550a_with_a_fifo_of_16)
{
	start(-1);
	out(IER, 0);
	ck_assert_uint_eq(in(IER), 0);
	out(IER, 0xff);
	ck_assert_uint_eq(in(IER), 0x0f);
	out(IER, 0);
	out(SCR, 0xa5);
	ck_assert_uint_eq(in(SCR), 0xa5);
	out(MCR, 0x1a); /* loop, OUT2, RTS */
	ck_assert_uint_eq(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	ck_assert_uint_eq(in(MSR)&0xf0, 0xb0);
	ck_assert_uint_eq(in(IIR) >> 6, 0); /* FIFO still off */
	out(FCR, 0x01);
	ck_assert_uint_eq(in(IIR) >> 6, 3);
	/* No 64-byte FIFO: neither with DLAB nor without. */
	out(FCR, 0x21);
	ck_assert_uint_eq(in(IIR) >> 5, 6);
	out(LCR, 0x80);
	out(FCR, 0x21);
	ck_assert_uint_eq(in(IIR) >> 5, 6);
	out(LCR, 0x03);
	ck_assert_uint_eq(in(LCR), 0x03);
	ck_assert_uint_eq(in(LSR), 0x60);
	stop();
}
END_TEST

START_TEST(divisor_latch_hides_data_and_ier)
{
	start(-1);
	out(IER, 0x05);
	out(LCR, 0x83);
	out(DATA, 0x34);
	out(IER, 0x12);
	ck_assert_uint_eq(in(DATA), 0x34);
	ck_assert_uint_eq(in(IER), 0x12);
	out(LCR, 0x03);
	ck_assert_uint_eq(in(IER), 0x05);
	stop();
}
END_TEST

START_TEST(loopback_returns_data_and_modem_lines)
{
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	start(p[1]);
	ck_assert_uint_eq(serial_input(port, (const uint8_t *)"x", 1), 1);
	out(MCR, 0x10);
	ck_assert_uint_eq(in(LSR)&1, 0); /* the line is cut off */
	for (unsigned int i = 0; i < 20; i++)
		out(DATA, (uint8_t)('a' + i));
	for (unsigned int i = 0; i < 16; i++)
		ck_assert_uint_eq(in(DATA), 'a' + i);
	ck_assert_uint_eq(in(LSR)&1, 0);
	out(DATA, 'z');
	out(FCR, 0x03);
	ck_assert_uint_eq(in(LSR)&1, 0);
	in(MSR);
	out(MCR, 0x14); /* RI rises: no delta */
	ck_assert_uint_eq(in(MSR), 0x40);
	out(MCR, 0x13); /* RI falls, DSR and CTS rise */
	out(IER, 0x08);
	ck_assert_uint_eq(in(IIR), 0xc0);
	ck_assert_uint_eq(in(MSR), 0x37);
	ck_assert_uint_eq(in(MSR), 0x30);
	ck_assert_uint_eq(in(IIR), 0xc1);
	out(MCR, 0x03);
	ck_assert_uint_eq(in(DATA), 'x');
	stop();
	close(p[1]);
	ck_assert_int_eq(read(p[0], p, 1), 0); /* nothing got out */
	close(p[0]);
}
END_TEST

START_TEST(transmitter_interrupt_is_pending_until_read_or_disabled)
{
	start(-1);
	ck_assert_uint_eq(in(IIR), 0x01);
	out(IER, 0x02); /* enabling it while empty raises it */
	ck_assert_uint_eq(in(IIR), 0x02);
	ck_assert_uint_eq(in(IIR), 0x01); /* reading acknowledged it */
	out(IER, 0x00);
	out(IER, 0x02);
	ck_assert_uint_eq(in(IIR), 0x02);
	out(DATA, 'x'); /* sent at once: empty again */
	ck_assert_uint_eq(in(IIR), 0x02);
	ck_assert_uint_eq(in(IIR), 0x01);
	out(DATA, 'x');
	ck_assert_uint_eq(serial_input(port, (const uint8_t *)"y", 1), 1);
	out(IER, 0x03); /* received data comes first */
	ck_assert_uint_eq(in(IIR), 0x04);
	ck_assert_uint_eq(in(IIR), 0x04);
	ck_assert_uint_eq(in(DATA), 'y');
	ck_assert_uint_eq(in(IIR), 0x02);
	ck_assert_uint_eq(in(IIR), 0x01);
	stop();
}
END_TEST

START_TEST(wide_accesses_are_several_bytes)
{
	uint64_t v;

	start(-1);
	out(SCR, 0x77);
	bus_read(&bus, X86_SERIAL, &v, 8);
	ck_assert_uint_eq(v, 0x77b0600000010000);
	v = 0;
	bus_write(&bus, X86_SERIAL, &v, 8);
	ck_assert_uint_eq(in(SCR), 0);
	stop();
}
END_TEST

/* More than the ring and the pipe hold, to a reader that dawdles. */
START_TEST(output_arrives_whole_and_in_order)
{
	size_t len = 300000;
	uint8_t *sent = malloc(len), *got = malloc(len);
	int p[2];
	pid_t reader;

	for (size_t i = 0; i < len; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251);
	ck_assert_int_eq(pipe(p), 0);
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
		start(p[1]);
		print(sent, len);
		stop_loop();
		serial_flush(port, 5000);
		serial_destroy(port);
		event_loop_destroy(&loop);
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
	static uint8_t drain[65536];
	unsigned int n;
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	start(p[1]);
	for (n = 0; in(LSR)&0x20; n += 16) {
		ck_assert_uint_lt(n, 1 << 20);
		for (unsigned int i = 0; i < 16; i++)
			out(DATA, 'x');
		if (n % 4096 == 0)
			usleep(1000);
	}
	ck_assert_uint_ge(n, SPOOL_LEN);
	/* A guest that does not look loses bytes and nothing more. */
	for (unsigned int i = 0; i < 2 * SPOOL_LEN; i++)
		out(DATA, 'y');
	out(IER, 0x02);
	ck_assert_uint_eq(in(IIR)&0x0f, 0x01);
	read_all(p[0], drain, sizeof(drain));
	for (n = 0; !(in(LSR)&0x20); n++) {
		ck_assert_uint_lt(n, 5000);
		usleep(1000);
	}
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(IIR)&0x0f, 0x02);
	stop();
	close(p[0]);
	close(p[1]);
}
END_TEST

START_TEST(guest_goes_on_when_the_reader_has_gone)
{
	int p[2];

	log_set_level(LOG_ERR);
	ck_assert_int_eq(pipe(p), 0);
	start(p[1]);
	close(p[0]);
	print((const uint8_t *)"hello\n", 6);
	usleep(20000);
	for (unsigned int i = 0; i < 2 * SPOOL_LEN; i++)
		out(DATA, 'x');
	usleep(20000);
	ck_assert_uint_eq(in(LSR), 0x60);
	stop_loop();
	serial_flush(port, 1000);
	serial_destroy(port);
	event_loop_destroy(&loop);
	close(p[1]);
	log_set_level(LOG_WARN);
}
END_TEST

START_TEST(flush_gives_up_in_time)
{
	int64_t t;
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	start(p[1]);
	for (unsigned int i = 0; i < SPOOL_LEN; i++) {
		out(DATA, 'x');
		if (i % 8192 == 0)
			usleep(3000);
	}
	for (unsigned int i = 0; i < SPOOL_LEN; i++)
		out(DATA, 'x');
	stop_loop();
	t = ms();
	serial_flush(port, 100);
	t = ms() - t;
	ck_assert_int_ge(t, 90);
	ck_assert_int_lt(t, 5000);
	serial_destroy(port);
	event_loop_destroy(&loop);
	close(p[0]);
	close(p[1]);
}
END_TEST

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

static int (*const sinks[])(int fds[2]) = { plain_pipe, stream_pair,
					    pseudo_terminal, regular_file };

START_TEST(prints_to_every_kind_of_fd_and_leaves_its_flags_alone)
{
	uint8_t got[6];
	int fds[2], flags;

	ck_assert_int_eq(sinks[_i](fds), 0);
	flags = fcntl(fds[1], F_GETFL);
	start(fds[1]);
	print((const uint8_t *)"hello", 5);
	stop_loop();
	serial_flush(port, 1000);
	ck_assert_int_eq(fcntl(fds[1], F_GETFL), flags);
	serial_destroy(port);
	read_all(fds[0], got, 5);
	ck_assert_mem_eq(got, "hello", 5);
	event_loop_destroy(&loop);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* Where /proc is hidden, poll() has to do. */
START_TEST(asks_poll_where_the_fd_cannot_be_reopened)
{
	struct outlet o;
	uint8_t buf[8192] = { 0 };
	ssize_t n, sum = 0;
	int fds[2];

	ck_assert_int_eq(sinks[_i](fds), 0);
	o = (struct outlet){ .fd = fds[1], .how = OUTLET_POLLED };
	while ((n = outlet_write(&o, buf, sizeof(buf))) > 0)
		sum += n;
	ck_assert_int_eq(n, -EAGAIN);
	ck_assert_int_gt(sum, 1000);
	outlet_close(&o);
	outlet_close(&o);
	close(fds[0]);
	ck_assert_int_eq(close(fds[1]), 0); /* was not the outlet's to close */
}
END_TEST

static unsigned int nr_room;

static void note_room(void *ctx)
{
	(void)ctx;
	nr_room++;
}

START_TEST(input_waits_for_room_and_nothing_is_lost)
{
	static uint8_t sent[3 * SERIAL_RX_RING];
	size_t given, got = 0;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 5 + i / 255);
	start(-1);
	nr_room = 0;
	serial_on_room(port, note_room, NULL);
	given = serial_input(port, sent, sizeof(sent));
	ck_assert_uint_eq(given, SERIAL_RX_RING);
	while (got < sizeof(sent)) {
		ck_assert_uint_eq(in(LSR)&1, 1);
		ck_assert_uint_eq(in(DATA), sent[got]);
		got++;
		if (nr_room) {
			ck_assert_uint_le(given - got, SERIAL_RX_RING / 2);
			nr_room = 0;
			given += serial_input(port, sent + given,
					      sizeof(sent) - given);
		}
	}
	ck_assert_uint_eq(in(LSR)&1, 0);
	ck_assert_uint_eq(in(DATA), 0);
	ck_assert_uint_eq(nr_room, 0);
	stop();
}
END_TEST

START_TEST(input_before_the_driver_is_ready_is_kept)
{
	start(-1);
	ck_assert_uint_eq(serial_input(port, (const uint8_t *)"hi", 2), 2);
	out(MCR, 0x1a); /* a driver probes, ... */
	out(MCR, 0x00);
	out(FCR, 0x07); /* ... clears the FIFOs ... */
	ck_assert_uint_eq(in(LSR)&1, 0);
	in(DATA); /* ... and whatever is in the data register, */
	out(MCR, 0x0b);
	ck_assert_uint_eq(in(LSR)&1, 1); /* then raises RTS */
	ck_assert_uint_eq(in(DATA), 'h');
	out(MCR, 0x00);
	ck_assert_uint_eq(in(DATA), 0);
	out(MCR, 0x02);
	ck_assert_uint_eq(in(DATA), 'i');
	stop();
}
END_TEST

static char lines[4][SERIAL_LINE_MAX + 1];
static unsigned int nr_lines;

static void note_line(void *ctx, const uint8_t *text, size_t len)
{
	(void)ctx;
	ck_assert_uint_le(len, SERIAL_LINE_MAX);
	ck_assert_uint_lt(nr_lines, 4);
	memcpy(lines[nr_lines], text, len);
	lines[nr_lines++][len] = '\0';
}

START_TEST(lines_are_reported_whole_and_cut)
{
	static uint8_t big[3 * SERIAL_LINE_MAX];

	nr_lines = 0;
	start(-1);
	serial_on_line(port, note_line, NULL);
	print((const uint8_t *)"one\r\n\ntw", 8);
	ck_assert_uint_eq(nr_lines, 2);
	print((const uint8_t *)"o\n", 2);
	memset(big, 'x', sizeof(big));
	print(big, sizeof(big));
	print((const uint8_t *)"\n", 1);
	ck_assert_uint_eq(nr_lines, 4);
	ck_assert_str_eq(lines[0], "one");
	ck_assert_str_eq(lines[1], "");
	ck_assert_str_eq(lines[2], "two");
	ck_assert_uint_eq(strlen(lines[3]), SERIAL_LINE_MAX);
	stop();
}
END_TEST

Suite *serial_suite(void)
{
	Suite *s = suite_create("serial");
	TCase *tc = tcase_create("serial");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, is_found_to_be_a_16550a_with_a_fifo_of_16);
	tcase_add_test(tc, divisor_latch_hides_data_and_ier);
	tcase_add_test(tc, loopback_returns_data_and_modem_lines);
	tcase_add_test(tc,
		       transmitter_interrupt_is_pending_until_read_or_disabled);
	tcase_add_test(tc, wide_accesses_are_several_bytes);
	tcase_add_test(tc, output_arrives_whole_and_in_order);
	tcase_add_test(tc, full_ring_makes_the_guest_wait_and_nobody_else);
	tcase_add_test(tc, guest_goes_on_when_the_reader_has_gone);
	tcase_add_test(tc, flush_gives_up_in_time);
	tcase_add_loop_test(
		tc, prints_to_every_kind_of_fd_and_leaves_its_flags_alone, 0,
		ARRAY_SIZE(sinks));
	tcase_add_loop_test(tc, asks_poll_where_the_fd_cannot_be_reopened, 0,
			    3);
	tcase_add_test(tc, input_waits_for_room_and_nothing_is_lost);
	tcase_add_test(tc, input_before_the_driver_is_ready_is_kept);
	tcase_add_test(tc, lines_are_reported_whole_and_cut);
	suite_add_tcase(s, tc);
	return s;
}
