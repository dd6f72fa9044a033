/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/serial.c: what a driver does with it. */
#include <string.h>
#include <unistd.h>

#include "devices/intake.h"
#include "devices/liner.h"
#include "devices/serial.h"
#include "suites.h"
#include "support/uart.h"
#include "vmm/base/layout_x86.h"

/* The probes of a PC's drivers, in their order. */
START_TEST(is_found_to_be_a_16550a_with_a_fifo_of_16)
{
	uart_start(-1);
	uart_out(IER, 0);
	ck_assert_uint_eq(uart_in(IER), 0);
	uart_out(IER, 0xff);
	ck_assert_uint_eq(uart_in(IER), 0x0f);
	uart_out(IER, 0);
	uart_out(SCR, 0xa5);
	ck_assert_uint_eq(uart_in(SCR), 0xa5);
	uart_out(MCR, 0x1a); /* loop, OUT2, RTS */
	ck_assert_uint_eq(uart_in(MSR) & 0xf0, 0x90);
	uart_out(MCR, 0);
	ck_assert_uint_eq(uart_in(MSR) & 0xf0, 0xb0);
	ck_assert_uint_eq(uart_in(IIR) >> 6, 0); /* FIFO still off */
	uart_out(FCR, 0x01);
	ck_assert_uint_eq(uart_in(IIR) >> 6, 3);
	/* No 64-byte FIFO: neither with DLAB nor without. */
	uart_out(FCR, 0x21);
	ck_assert_uint_eq(uart_in(IIR) >> 5, 6);
	uart_out(LCR, 0x80);
	uart_out(FCR, 0x21);
	ck_assert_uint_eq(uart_in(IIR) >> 5, 6);
	uart_out(LCR, 0x03);
	ck_assert_uint_eq(uart_in(LCR), 0x03);
	ck_assert_uint_eq(uart_in(LSR), 0x60);
	uart_stop();
}
END_TEST

START_TEST(divisor_latch_hides_data_and_ier)
{
	uart_start(-1);
	uart_out(IER, 0x05);
	uart_out(LCR, 0x83);
	uart_out(DATA, 0x34);
	uart_out(IER, 0x12);
	ck_assert_uint_eq(uart_in(DATA), 0x34);
	ck_assert_uint_eq(uart_in(IER), 0x12);
	uart_out(LCR, 0x03);
	ck_assert_uint_eq(uart_in(IER), 0x05);
	uart_stop();
}
END_TEST

START_TEST(loopback_returns_data_and_modem_lines)
{
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	uart_start(p[1]);
	ck_assert_uint_eq(serial_input(uart_port, (const uint8_t *)"x", 1), 1);
	uart_out(MCR, 0x10);
	ck_assert_uint_eq(uart_in(LSR) & 1, 0); /* the line is cut off */
	for (unsigned int i = 0; i < 20; i++)
		uart_out(DATA, (uint8_t)('a' + i));
	for (unsigned int i = 0; i < 16; i++)
		ck_assert_uint_eq(uart_in(DATA), 'a' + i);
	ck_assert_uint_eq(uart_in(LSR) & 1, 0);
	uart_out(DATA, 'z');
	uart_out(FCR, 0x03);
	ck_assert_uint_eq(uart_in(LSR) & 1, 0);
	uart_in(MSR);
	uart_out(MCR, 0x14); /* RI rises: no delta */
	ck_assert_uint_eq(uart_in(MSR), 0x40);
	uart_out(MCR, 0x13); /* RI falls, DSR and CTS rise */
	uart_out(IER, 0x08);
	ck_assert_uint_eq(uart_in(IIR), 0xc0);
	ck_assert_uint_eq(uart_in(MSR), 0x37);
	ck_assert_uint_eq(uart_in(MSR), 0x30);
	ck_assert_uint_eq(uart_in(IIR), 0xc1);
	uart_out(MCR, 0x03);
	ck_assert_uint_eq(uart_in(DATA), 'x');
	uart_stop();
	close(p[1]);
	ck_assert_int_eq(read(p[0], p, 1), 0); /* nothing got out */
	close(p[0]);
}
END_TEST

START_TEST(transmitter_interrupt_is_pending_until_read_or_disabled)
{
	uart_start(-1);
	ck_assert_uint_eq(uart_in(IIR), 0x01);
	uart_out(IER, 0x02); /* enabling it while empty raises it */
	ck_assert_uint_eq(uart_in(IIR), 0x02);
	ck_assert_uint_eq(uart_in(IIR), 0x01); /* reading acknowledged it */
	uart_out(IER, 0x00);
	uart_out(IER, 0x02);
	ck_assert_uint_eq(uart_in(IIR), 0x02);
	uart_out(DATA, 'x'); /* sent at once: empty again */
	ck_assert_uint_eq(uart_in(IIR), 0x02);
	ck_assert_uint_eq(uart_in(IIR), 0x01);
	uart_out(DATA, 'x');
	ck_assert_uint_eq(serial_input(uart_port, (const uint8_t *)"y", 1), 1);
	uart_out(IER, 0x03); /* received data comes first */
	ck_assert_uint_eq(uart_in(IIR), 0x04);
	ck_assert_uint_eq(uart_in(IIR), 0x04);
	ck_assert_uint_eq(uart_in(DATA), 'y');
	ck_assert_uint_eq(uart_in(IIR), 0x02);
	ck_assert_uint_eq(uart_in(IIR), 0x01);
	uart_stop();
}
END_TEST

START_TEST(wide_accesses_are_several_bytes)
{
	uint64_t v;

	uart_start(-1);
	uart_out(SCR, 0x77);
	bus_read(&uart_bus, X86_SERIAL, &v, 8);
	ck_assert_uint_eq(v, 0x77b0600000010000);
	v = 0;
	bus_write(&uart_bus, X86_SERIAL, &v, 8);
	ck_assert_uint_eq(uart_in(SCR), 0);
	uart_stop();
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
	static uint8_t sent[3 * INTAKE_LEN];
	size_t given, got = 0;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 5 + i / 255);
	uart_start(-1);
	nr_room = 0;
	serial_on_room(uart_port, note_room, NULL);
	given = serial_input(uart_port, sent, sizeof(sent));
	ck_assert_uint_eq(given, INTAKE_LEN);
	while (got < sizeof(sent)) {
		ck_assert_uint_eq(uart_in(LSR) & 1, 1);
		ck_assert_uint_eq(uart_in(DATA), sent[got]);
		got++;
		if (nr_room) {
			ck_assert_uint_le(given - got, INTAKE_LEN / 2);
			nr_room = 0;
			given += serial_input(uart_port, sent + given,
					      sizeof(sent) - given);
		}
	}
	ck_assert_uint_eq(uart_in(LSR) & 1, 0);
	ck_assert_uint_eq(uart_in(DATA), 0);
	ck_assert_uint_eq(nr_room, 0);
	uart_stop();
}
END_TEST

START_TEST(input_before_the_driver_is_ready_is_kept)
{
	uart_start(-1);
	ck_assert_uint_eq(serial_input(uart_port, (const uint8_t *)"hi", 2), 2);
	uart_out(MCR, 0x1a); /* a driver probes, ... */
	uart_out(MCR, 0x00);
	uart_out(FCR, 0x07); /* ... clears the FIFOs ... */
	ck_assert_uint_eq(uart_in(LSR) & 1, 0);
	uart_in(DATA); /* ... and whatever is in the data register, */
	uart_out(MCR, 0x0b);
	ck_assert_uint_eq(uart_in(LSR) & 1, 1); /* then raises RTS */
	ck_assert_uint_eq(uart_in(DATA), 'h');
	uart_out(MCR, 0x00);
	ck_assert_uint_eq(uart_in(DATA), 0);
	uart_out(MCR, 0x02);
	ck_assert_uint_eq(uart_in(DATA), 'i');
	uart_stop();
}
END_TEST

static char lines[4][LINER_MAX + 1];
static unsigned int nr_lines;

static void note_line(void *ctx, const uint8_t *text, size_t len)
{
	(void)ctx;
	ck_assert_uint_le(len, LINER_MAX);
	ck_assert_uint_lt(nr_lines, 4);
	memcpy(lines[nr_lines], text, len);
	lines[nr_lines++][len] = '\0';
}

START_TEST(lines_are_reported_whole_and_cut)
{
	static uint8_t big[3 * LINER_MAX];

	nr_lines = 0;
	uart_start(-1);
	serial_on_line(uart_port, note_line, NULL);
	uart_print("one\r\n\ntw", 8);
	ck_assert_uint_eq(nr_lines, 2);
	uart_print("o\n", 2);
	memset(big, 'x', sizeof(big));
	uart_print(big, sizeof(big));
	uart_print("\n", 1);
	ck_assert_uint_eq(nr_lines, 4);
	ck_assert_str_eq(lines[0], "one");
	ck_assert_str_eq(lines[1], "");
	ck_assert_str_eq(lines[2], "two");
	ck_assert_uint_eq(strlen(lines[3]), LINER_MAX);
	uart_stop();
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
	tcase_add_test(tc, input_waits_for_room_and_nothing_is_lost);
	tcase_add_test(tc, input_before_the_driver_is_ready_is_kept);
	tcase_add_test(tc, lines_are_reported_whole_and_cut);
	suite_add_tcase(s, tc);
	return s;
}
