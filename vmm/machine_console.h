/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consoles of a machine: the serial port, which is always there, and a
 * virtio console on request; and which of them has standard input and output.
 *
 *	console.mode  console.to  standard input   standard output
 *	serial        stdio       serial port      serial port
 *	serial        elsewhere   nobody           nobody
 *	virtio        stdio       virtio console   both
 *	virtio        elsewhere   serial port      serial port
 */
#pragma once

#include "devices/endpoint.h"
#include "devices/serial.h"
#include "vmm/config.h"
#include "vmm/device_set.h"
#include "vmm/terminal.h"

struct machine_console {
	const struct config *config;
	struct event_loop *loop;
	struct serial *serial;
	struct virtio *hvc; /* NULL: none */
	struct terminal *terminal;
	struct endpoint *endpoint; /* of the serial port; NULL: none */
	/* line: some console has printed one.  Any thread. */
	void (*line)(void *ctx, const uint8_t *text, size_t len);
	void (*quit)(void *ctx); /* Ctrl-a x */
	void *ctx;
};

/* With config, loop, line, quit and ctx set: makes the serial port. */
int machine_console_create(struct machine_console *c);
/* Adds the virtio console, if there is to be one. */
int machine_console_add(struct machine_console *c, struct device_set *s);
/* Starts listening to who types. */
int machine_console_start(struct machine_console *c);
/*
 * When the vCPUs, the loop and the devices have ended: writes what is left
 * and gives the terminal back.
 */
void machine_console_stop(struct machine_console *c);
void machine_console_destroy(struct machine_console *c); /* twice is fine */
