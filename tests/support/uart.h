/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serial port with an event loop of its own, as a guest's driver sees it.
 * One at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/bus.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

extern struct serial *uart_port;
extern struct bus uart_bus; /* which the port is on */

/* Creates it with its output to out_fd, and runs the loop in a thread. */
void uart_start(int out_fd);
void uart_stop_loop(void);
void uart_destroy(void); /* the loop has stopped */
void uart_stop(void);    /* both */

uint8_t uart_in(unsigned int reg);
void uart_out(unsigned int reg, uint8_t v);
/* As a driver does it: a FIFO full each time the transmitter is empty. */
void uart_print(const void *data, size_t len);
