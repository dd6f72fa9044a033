/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console (virtio 1.2, 5.3) with one port: a guest's hvc0.
 *
 * A driver of a console waits, with its CPU, for each piece of output to be
 * taken: there is no slow line as with a serial port.  So a reader that is
 * slower than the guest makes it wait, but one that takes nothing for a second
 * loses what comes until it does again.
 */
#pragma once

#include "devices/virtio.h"

struct console_params {
	/* An endpoint's, or "stdio": then output goes to out_fd (not owned). */
	const char *where;
	int out_fd;
	/* Of the terminal on out_fd; 0: it has none. */
	uint16_t cols, rows;
	/*
	 * All on the device's thread.  line: the guest completed a line, as
	 * struct liner has it.  room: console_input() had taken less than it
	 * was given, and now there is room.  Each may be NULL.
	 */
	void (*line)(void *ctx, const uint8_t *text, size_t len);
	void (*room)(void *ctx);
	void *ctx;
};

/*
 * params: struct console_params, which need not last.  Its destroy() writes
 * what the guest has printed, waiting two seconds at most for the reader.
 * The process must ignore SIGPIPE.
 */
virtio_create console_create;

/* Input for the guest; returns how many of len bytes it took.  Any thread. */
size_t console_input(struct virtio *d, const uint8_t *data, size_t len);

/* The terminal's size has changed; without effect if it had none.  Any thread.
 */
void console_resize(struct virtio *d, uint16_t cols, uint16_t rows);
