/* SPDX-License-Identifier: Apache-2.0 */
/* What uart.h declares. */
#include "support/uart.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "devices/serial.h"
#include "vmm/base/event.h"
#include "vmm/base/layout_x86.h"

#define LSR_EMPTY 0x20 /* the transmitter */
#define FIFO 16

struct serial *uart_port;
struct bus uart_bus;

static struct event_loop loop;
static pthread_t looper;

static void *run_loop(void *arg)
{
	event_loop_run(arg);
	return NULL;
}

void uart_start(int out_fd)
{
	signal(SIGPIPE, SIG_IGN);
	uart_bus = (struct bus){ 0 };
	ck_assert_int_eq(event_loop_init(&loop), 0);
	ck_assert_int_eq(serial_create(&uart_port, &loop, out_fd), 0);
	ck_assert_int_eq(bus_add(&uart_bus, serial_window(uart_port)), 0);
	ck_assert_int_eq(pthread_create(&looper, NULL, run_loop, &loop), 0);
}

void uart_stop_loop(void)
{
	event_loop_stop(&loop);
	pthread_join(looper, NULL);
}

void uart_destroy(void)
{
	serial_destroy(uart_port);
	event_loop_destroy(&loop);
}

void uart_stop(void)
{
	uart_stop_loop();
	uart_destroy();
}

uint8_t uart_in(unsigned int reg)
{
	uint8_t v;

	bus_read(&uart_bus, X86_SERIAL + reg, &v, 1);
	return v;
}

void uart_out(unsigned int reg, uint8_t v)
{
	bus_write(&uart_bus, X86_SERIAL + reg, &v, 1);
}

void uart_print(const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++) {
		while (i % FIFO == 0 && !(uart_in(LSR) & LSR_EMPTY))
			usleep(100);
		uart_out(DATA, bytes[i]);
	}
}
