/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A serial port without an interrupt line: the guest polls.  No vCPU
 * waits for the host's terminal: output goes to a ring that the event loop
 * empties, and a full ring looks to the guest like a slow line.
 *
 * Input waits in a second ring until the guest asks for it with RTS, as a
 * sender does that honours hardware flow control, so what is typed or piped
 * in before a driver is ready is not lost.
 */
#pragma once

#include "vmm/base/bus.h"
#include "vmm/base/event.h"

struct serial;

/*
 * Makes a port at X86_SERIAL that prints to out_fd (not owned; -1 or a broken
 * one: output is dropped) from the thread that runs loop.  The caller adds
 * serial_window() to its PIO bus before the loop runs.  The process must
 * ignore SIGPIPE.
 */
int serial_create(struct serial **out, struct event_loop *loop, int out_fd);
void serial_destroy(struct serial *s); /* NULL is fine; loop not running */

struct bus_window *serial_window(struct serial *s);

/* Prints to fd from now on: see spool_attach(). */
void serial_attach(struct serial *s, int fd);

/*
 * Before the VM runs.  Both are called under the window's mutex, on whatever
 * thread brings an access, and must neither wait nor call back into the port.
 *
 * line: the guest completed a line; without its end, cut at LINER_MAX.
 * room: serial_input() had taken less than it was given; now there is room.
 */
void serial_on_line(struct serial *s,
		    void (*line)(void *ctx, const uint8_t *text, size_t len),
		    void *ctx);
void serial_on_room(struct serial *s, void (*room)(void *ctx), void *ctx);

/* Input for the guest; returns how many of len bytes there was room for. */
size_t serial_input(struct serial *s, const uint8_t *data, size_t len);

/*
 * Writes what the guest printed and nobody has seen yet, waiting at most
 * timeout_ms for the reader.  After the vCPUs and the loop have stopped.
 */
void serial_flush(struct serial *s, unsigned int timeout_ms);
