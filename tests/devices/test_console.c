/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/console.c, with a driver and with somebody at its end. */
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "devices/console.h"
#include "devices/intake.h"
#include "devices/spool.h"
#include "suites.h"
#include "support/fake_driver.h"
#include "vmm/base/log.h"

enum { RECEIVEQ, TRANSMITQ };

static struct fake_driver *d;
static int out[2]; /* a pipe that the console prints to */
static char lines[4][32];
static atomic_uint nr_lines, rooms;

static void note_line(void *ctx, const uint8_t *text, size_t len)
{
	ck_assert_ptr_eq(ctx, lines);
	snprintf(lines[nr_lines % 4], sizeof(lines[0]), "%.*s", (int)len,
		 (const char *)text);
	nr_lines++;
}

static void note_room(void *ctx)
{
	ck_assert_ptr_eq(ctx, lines);
	rooms++;
}

static void begin(const char *where, uint16_t cols, uint16_t rows)
{
	const struct console_params p = { .where = where,
					  .out_fd = out[1],
					  .cols = cols,
					  .rows = rows,
					  .line = note_line,
					  .room = note_room,
					  .ctx = lines };

	d = fake_driver_new(console_create, &p);
	fake_driver_start(d, ~0ULL, 64);
}

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	nr_lines = rooms = 0;
	ck_assert_int_eq(pipe(out), 0);
	begin("stdio", 132, 43);
}

static void teardown(void)
{
	if (d)
		fake_driver_free(d);
	d = NULL;
	close(out[0]);
	close(out[1]);
}

/* The guest prints len bytes of text. */
static void print(const void *text, uint32_t len)
{
	struct fake_buf b = { fake_alloc_data(&d->guest, text, len), len,
			      false };

	ck_assert_uint_eq(fake_driver_request(d, TRANSMITQ, &b, 1), 0);
}

static void expect(const char *text)
{
	char got[256];
	size_t len = strlen(text), n = 0;

	while (n < len) {
		struct pollfd p = { .fd = out[0], .events = POLLIN };
		ssize_t r;

		ck_assert_int_eq(poll(&p, 1, FAKE_WAIT_MS), 1);
		r = read(out[0], got + n, len - n);
		ck_assert_int_gt(r, 0);
		n += (size_t)r;
	}
	ck_assert_mem_eq(got, text, len);
}

START_TEST(is_a_console_with_one_port)
{
	struct virtio_console_config c;

	ck_assert_uint_eq(fake_config_in(d, 2, 2), 0x1040 + VIRTIO_ID_CONSOLE);
	ck_assert_uint_eq(d->nr_queues, 2);
	ck_assert_uint_eq(d->features & 7, 1 << VIRTIO_CONSOLE_F_SIZE);
	for (unsigned int i = 0; i < 2; i++)
		((uint16_t *)&c)[i] =
			(uint16_t)fake_in(d, d->device + 2 * i, 2);
	ck_assert_uint_eq(c.cols, 132);
	ck_assert_uint_eq(c.rows, 43);
}
END_TEST

START_TEST(tells_the_driver_of_a_new_size)
{
	uint64_t generation = fake_in(d, d->common + 21, 1);

	console_resize(d->dev, 80, 24);
	ck_assert_uint_ge(fake_driver_interrupts(d, FAKE_CONFIG, FAKE_WAIT_MS),
			  1);
	ck_assert_uint_ne(fake_in(d, d->common + 21, 1), generation);
	ck_assert_uint_eq(fake_in(d, d->device, 2), 80);
	ck_assert_uint_eq(fake_in(d, d->device + 2, 2), 24);
	ck_assert_uint_eq(fake_in(d, d->device + 4, 4), 0);
}
END_TEST

START_TEST(has_no_size_where_there_is_no_terminal)
{
	fake_driver_free(d);
	begin("stdio", 0, 0);
	ck_assert_uint_eq(d->features & 7, 0);
	console_resize(d->dev, 80, 24);
	ck_assert_uint_eq(fake_in(d, d->device, 2), 0);
}
END_TEST

START_TEST(prints_what_the_guest_writes)
{
	print("hello, ", 7);
	print("world\r\nsecond", 13);
	print("\n", 1);
	expect("hello, world\r\nsecond\n");
	ck_assert_uint_eq(nr_lines, 2);
	ck_assert_str_eq(lines[0], "hello, world");
	ck_assert_str_eq(lines[1], "second");
}
END_TEST

START_TEST(prints_what_lies_in_many_pieces)
{
	static const char *const words[] = { "a", "bcd", "", "ef" };
	struct fake_buf bufs[4];
	unsigned int n = 0;

	for (unsigned int i = 0; i < 4; i++)
		if (*words[i])
			bufs[n++] = (struct fake_buf){
				fake_alloc_data(&d->guest, words[i],
						strlen(words[i])),
				(uint32_t)strlen(words[i]), false
			};
	fake_driver_request(d, TRANSMITQ, bufs, n);
	expect("abcdef");
}
END_TEST

/* What a console's driver never does, but a guest may. */
START_TEST(prints_nothing_of_what_it_was_to_write)
{
	struct fake_buf in = { fake_alloc_data(&d->guest, "secret", 6), 6,
			       true };

	ck_assert_uint_eq(fake_driver_request(d, TRANSMITQ, &in, 1), 0);
	print("x", 1);
	expect("x");
	in.write = false;
	ck_assert_uint_eq(console_input(d->dev, (const uint8_t *)"y", 1), 1);
	ck_assert_uint_eq(fake_driver_request(d, RECEIVEQ, &in, 1), 0);
	in.write = true;
	ck_assert_uint_eq(fake_driver_request(d, RECEIVEQ, &in, 1), 1);
	ck_assert_mem_eq(fake_at(&d->guest, in.gpa), "yecret", 6);
}
END_TEST

START_TEST(brings_what_is_typed_before_and_after_there_is_a_buffer)
{
	struct fake_buf in = { fake_alloc(&d->guest, 4, 1), 4, true };
	uint32_t head;

	ck_assert_uint_eq(console_input(d->dev, (const uint8_t *)"typed", 5),
			  5);
	ck_assert_uint_eq(fake_driver_request(d, RECEIVEQ, &in, 1), 4);
	ck_assert_mem_eq(fake_at(&d->guest, in.gpa), "type", 4);
	ck_assert_uint_eq(fake_driver_request(d, RECEIVEQ, &in, 1), 1);
	ck_assert_mem_eq(fake_at(&d->guest, in.gpa), "d", 1);
	fake_queue_add(&d->queues[RECEIVEQ], &in, 1);
	fake_driver_kick(d, RECEIVEQ);
	usleep(5000);
	ck_assert_uint_eq(console_input(d->dev, (const uint8_t *)"ab", 2), 2);
	ck_assert_uint_eq(fake_driver_used(d, RECEIVEQ, &head), 2);
	ck_assert_mem_eq(fake_at(&d->guest, in.gpa), "ab", 2);
}
END_TEST

START_TEST(takes_no_more_input_than_fits_and_says_when_more_does)
{
	static uint8_t typed[INTAKE_LEN + 100];
	struct fake_buf in = { fake_alloc(&d->guest, INTAKE_LEN, 1),
			       INTAKE_LEN / 4, true };

	for (size_t i = 0; i < sizeof(typed); i++)
		typed[i] = (uint8_t)(i * 31);
	ck_assert_uint_eq(console_input(d->dev, typed, sizeof(typed)),
			  INTAKE_LEN);
	ck_assert_uint_eq(console_input(d->dev, typed, 1), 0);
	fake_driver_request(d, RECEIVEQ, &in, 1);
	ck_assert_uint_eq(rooms, 0);
	fake_driver_request(d, RECEIVEQ, &in, 1);
	ck_assert_mem_eq(fake_at(&d->guest, in.gpa), typed + INTAKE_LEN / 4,
			 INTAKE_LEN / 4);
	for (int i = 0; i < 1000 && !rooms; i++)
		usleep(1000);
	ck_assert_uint_eq(rooms, 1);
	in.len = INTAKE_LEN;
	ck_assert_uint_eq(fake_driver_request(d, RECEIVEQ, &in, 1),
			  INTAKE_LEN / 2);
}
END_TEST

static uint16_t waiting(unsigned int q)
{
	return (uint16_t)(d->queues[q].next_avail - d->queues[q].next_used);
}

/* Fills pipe and ring: more than the two hold together. */
static unsigned int flood(void)
{
	static uint8_t block[32 * KIB];
	struct fake_queue *q = &d->queues[TRANSMITQ];
	struct fake_buf b = { fake_alloc_data(&d->guest, block, sizeof(block)),
			      sizeof(block), false };
	unsigned int sent = 0;
	uint32_t head, len;

	for (int idle = 0; idle < 200; idle++) {
		if (waiting(TRANSMITQ) < 4) {
			fake_queue_add(q, &b, 1);
			fake_driver_kick(d, TRANSMITQ);
			sent++;
		}
		usleep(1000);
		while (fake_queue_used(q, &head, &len))
			idle = 0;
		if (sent == 40)
			break;
	}
	return sent;
}

START_TEST(waits_for_a_slow_reader_and_loses_nothing)
{
	unsigned int sent = flood();
	size_t sum = 0, want;
	static uint8_t buf[4096];
	uint32_t head;

	/* 64 KiB of a pipe and of the ring, and one held back. */
	ck_assert_uint_ge(sent, 4);
	ck_assert_uint_lt(sent, 12);
	want = sent * 32 * KIB;
	while (sum < want) {
		struct pollfd p = { .fd = out[0], .events = POLLIN };

		ck_assert_int_eq(poll(&p, 1, FAKE_WAIT_MS), 1);
		sum += (size_t)read(out[0], buf, sizeof(buf));
	}
	ck_assert_uint_eq(sum, want);
	while (waiting(TRANSMITQ))
		fake_driver_used(d, TRANSMITQ, &head);
}
END_TEST

START_TEST(drops_output_when_nobody_reads_and_goes_on_when_somebody_does)
{
	static char buf[4096];
	uint32_t head;
	ssize_t n;

	log_set_level(LOG_ERR);
	flood();
	/* It gives up after a second; then all comes back at once. */
	while (waiting(TRANSMITQ))
		fake_driver_used(d, TRANSMITQ, &head);
	ck_assert_uint_eq(flood(), 40);
	ck_assert_int_eq(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
	for (int idle = 0; idle < 20; idle++, usleep(1000))
		while (read(out[0], buf, sizeof(buf)) > 0)
			idle = 0;
	print("again", 5);
	for (n = -1; n < 0; usleep(1000))
		n = read(out[0], buf, sizeof(buf));
	ck_assert_int_eq(n, 5);
	ck_assert_mem_eq(buf, "again", 5);
	log_set_level(LOG_WARN);
}
END_TEST

START_TEST(can_be_reset_while_output_is_held_back)
{
	flood();
	fake_driver_reset(d);
	fake_driver_start(d, ~0ULL, 64);
	close(out[0]); /* and nobody will ever read it */
	out[0] = -1;
	log_set_level(LOG_ERR);
	print("x", 1);
	log_set_level(LOG_WARN);
}
END_TEST

START_TEST(a_guest_that_breaks_the_rules_breaks_only_the_console)
{
	struct fake_queue *q = &d->queues[TRANSMITQ];

	log_set_level(LOG_ERR);
	fake_queue_desc(q, 0, 1ULL << 40, 16, 0, 0); /* no RAM */
	fake_queue_publish(q, 0);
	fake_driver_kick(d, TRANSMITQ);
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	console_input(d->dev, (const uint8_t *)"x", 1);
	fake_driver_start(d, ~0ULL, 64);
	print("alive", 5);
	expect("alive");
	log_set_level(LOG_WARN);
}
END_TEST

START_TEST(writes_all_that_was_printed_at_the_end)
{
	char got[8];

	print("last", 4);
	fake_driver_free(d);
	d = NULL;
	ck_assert_int_eq(read(out[0], got, sizeof(got)), 4);
	ck_assert_mem_eq(got, "last", 4);
}
END_TEST

Suite *console_suite(void)
{
	Suite *s = suite_create("console");
	TCase *tc = tcase_create("console");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, is_a_console_with_one_port);
	tcase_add_test(tc, tells_the_driver_of_a_new_size);
	tcase_add_test(tc, has_no_size_where_there_is_no_terminal);
	tcase_add_test(tc, prints_what_the_guest_writes);
	tcase_add_test(tc, prints_what_lies_in_many_pieces);
	tcase_add_test(tc, prints_nothing_of_what_it_was_to_write);
	tcase_add_test(tc,
		       brings_what_is_typed_before_and_after_there_is_a_buffer);
	tcase_add_test(tc,
		       takes_no_more_input_than_fits_and_says_when_more_does);
	tcase_add_test(tc, waits_for_a_slow_reader_and_loses_nothing);
	tcase_add_test(
		tc,
		drops_output_when_nobody_reads_and_goes_on_when_somebody_does);
	tcase_add_test(tc, can_be_reset_while_output_is_held_back);
	tcase_add_test(tc,
		       a_guest_that_breaks_the_rules_breaks_only_the_console);
	tcase_add_test(tc, writes_all_that_was_printed_at_the_end);
	suite_add_tcase(s, tc);
	return s;
}
