/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What serial.h declares.  Registers as in the PC16550D data sheet, section
 * 8.  The window's mutex guards everything.
 */
#include "devices/serial.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "devices/intake.h"
#include "devices/liner.h"
#include "devices/spool.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

enum { /* offsets; some mean two registers, or another with LCR.DLAB */
       REG_DATA = 0,
       REG_IER = 1,
       REG_IIR = 2,
       REG_LCR = 3,
       REG_MCR = 4,
       REG_LSR = 5,
       REG_MSR = 6,
       REG_SCR = 7
};

#define IER_RDI 0x01
#define IER_THRI 0x02
#define IER_MSI 0x08
#define IER_MASK 0x0f
#define IIR_MSI 0x00
#define IIR_NONE 0x01
#define IIR_THRI 0x02
#define IIR_RDI 0x04
#define IIR_FIFO 0xc0
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define LCR_DLAB 0x80
#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f
#define LSR_DR 0x01
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define MSR_TERI 0x04
#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80

#define FIFO_LEN 16

struct serial {
	struct bus_window window;
	uint8_t ier, lcr, mcr, scr, divisor[2];
	uint8_t msr; /* with the delta bits not yet read */
	bool fifo, mcr_written;
	bool sent; /* when the transmitter is ready, that is an interrupt */
	uint8_t loopback[FIFO_LEN];
	unsigned int nr_loopback;

	struct spool spool;
	struct liner liner;
	struct intake intake;
	void (*on_room)(void *ctx);
	void *on_room_ctx;
};

/* A driver that saw THRE writes a FIFO full without looking again. */
static bool tx_ready(const struct serial *s)
{
	return spool_room(&s->spool) >= FIFO_LEN;
}

static void transmit(struct serial *s, uint8_t byte)
{
	liner_put(&s->liner, byte);
	/* A guest that writes without looking at LSR loses it, as on a PC. */
	spool_put(&s->spool, byte);
	s->sent = true;
}

/* RTS asks the other side to send; who never touches MCR is not refused. */
static bool data_ready(const struct serial *s)
{
	if (s->mcr & MCR_LOOP)
		return s->nr_loopback;
	return intake_len(&s->intake) &&
	       ((s->mcr & MCR_RTS) || !s->mcr_written);
}

static uint8_t receive(struct serial *s)
{
	bool room = false;
	uint8_t byte;

	if (!data_ready(s))
		return 0;
	if (s->mcr & MCR_LOOP) {
		byte = s->loopback[0];
		memmove(s->loopback, s->loopback + 1, --s->nr_loopback);
		return byte;
	}
	intake_take(&s->intake, &byte, 1, &room);
	if (room && s->on_room)
		s->on_room(s->on_room_ctx);
	return byte;
}

size_t serial_input(struct serial *s, const uint8_t *data, size_t len)
{
	size_t taken;

	pthread_mutex_lock(&s->window.lock);
	taken = intake_put(&s->intake, data, len);
	pthread_mutex_unlock(&s->window.lock);
	return taken;
}

static uint8_t interrupt_id(struct serial *s)
{
	uint8_t id = s->fifo ? IIR_FIFO : 0;

	if ((s->ier & IER_RDI) && data_ready(s))
		return id | IIR_RDI;
	if ((s->ier & IER_THRI) && s->sent && tx_ready(s)) {
		s->sent = false; /* reading it is the acknowledgement */
		return id | IIR_THRI;
	}
	if ((s->ier & IER_MSI) && (s->msr & 0x0f))
		return id | IIR_MSI;
	return id | IIR_NONE;
}

static uint8_t line_status(const struct serial *s)
{
	uint8_t lsr = data_ready(s) ? LSR_DR : 0;

	if (tx_ready(s))
		lsr |= LSR_THRE | LSR_TEMT;
	return lsr;
}

static uint8_t modem_lines(const struct serial *s)
{
	uint8_t lines = 0;

	if (!(s->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (s->mcr & MCR_RTS)
		lines |= MSR_CTS;
	if (s->mcr & MCR_DTR)
		lines |= MSR_DSR;
	if (s->mcr & MCR_OUT1)
		lines |= MSR_RI;
	if (s->mcr & MCR_OUT2)
		lines |= MSR_DCD;
	return lines;
}

static void write_mcr(struct serial *s, uint8_t value)
{
	uint8_t was = s->msr & 0xf0, now, delta;

	s->mcr = value & MCR_MASK;
	s->mcr_written = true;
	now = modem_lines(s);
	delta = (uint8_t)((was ^ now) >> 4);
	if (now & MSR_RI)
		delta &= (uint8_t)~MSR_TERI; /* the trailing edge only */
	s->msr = (uint8_t)(now | (s->msr & 0x0f) | delta);
}

static void write_fcr(struct serial *s, uint8_t value)
{
	bool fifo = value & FCR_ENABLE;

	/*
	 * What is still in the rings is with the other side of the line: it
	 * has been sent, or not been asked for.
	 */
	if (fifo != s->fifo || (value & FCR_CLEAR_RX))
		s->nr_loopback = 0;
	s->fifo = fifo;
}

static void write_ier(struct serial *s, uint8_t value)
{
	if ((value & IER_THRI) && !(s->ier & IER_THRI))
		s->sent = true;
	s->ier = value & IER_MASK;
}

static uint8_t read_register(struct serial *s, uint64_t reg)
{
	uint8_t value;

	if ((s->lcr & LCR_DLAB) && reg <= REG_IER)
		return s->divisor[reg];
	switch (reg) {
	case REG_DATA:
		return receive(s);
	case REG_IER:
		return s->ier;
	case REG_IIR:
		return interrupt_id(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return line_status(s);
	case REG_MSR:
		value = s->msr;
		s->msr &= 0xf0;
		return value;
	default:
		return s->scr;
	}
}

static void write_register(struct serial *s, uint64_t reg, uint8_t value)
{
	if ((s->lcr & LCR_DLAB) && reg <= REG_IER) {
		s->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case REG_DATA:
		if (!(s->mcr & MCR_LOOP))
			transmit(s, value);
		else if (s->nr_loopback < FIFO_LEN)
			s->loopback[s->nr_loopback++] = value;
		break;
	case REG_IER:
		write_ier(s, value);
		break;
	case REG_IIR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		s->lcr = value;
		break;
	case REG_MCR:
		write_mcr(s, value);
		break;
	case REG_SCR:
		s->scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

/* A wider access is that many byte accesses, as on the ISA bus. */
static void serial_read(struct bus_window *w, uint64_t off, void *data,
			unsigned int len)
{
	struct serial *s = container_of(w, struct serial, window);

	for (unsigned int i = 0; i < len; i++)
		((uint8_t *)data)[i] = read_register(s, off + i);
}

static void serial_write(struct bus_window *w, uint64_t off, const void *data,
			 unsigned int len)
{
	struct serial *s = container_of(w, struct serial, window);

	for (unsigned int i = 0; i < len; i++)
		write_register(s, off + i, ((const uint8_t *)data)[i]);
}

static const struct bus_ops serial_ops = { .read = serial_read,
					   .write = serial_write };

int serial_create(struct serial **out, struct event_loop *loop, int out_fd)
{
	struct serial *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return err_set(-ENOMEM, "serial port: out of memory");
	s->window = (struct bus_window){ .name = "serial",
					 .base = X86_SERIAL,
					 .len = X86_SERIAL_LEN,
					 .ops = &serial_ops };
	s->msr = modem_lines(s);
	s->divisor[0] = 1; /* 115200 baud */
	rc = spool_init(&s->spool, &s->window.lock, loop, out_fd);
	if (rc)
		serial_destroy(s);
	else
		*out = s;
	return rc;
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	spool_destroy(&s->spool);
	free(s);
}

void serial_attach(struct serial *s, int fd)
{
	spool_attach(&s->spool, fd);
}

void serial_flush(struct serial *s, unsigned int timeout_ms)
{
	spool_flush(&s->spool, timeout_ms);
}

struct bus_window *serial_window(struct serial *s)
{
	return &s->window;
}

void serial_on_line(struct serial *s,
		    void (*line)(void *ctx, const uint8_t *text, size_t len),
		    void *ctx)
{
	s->liner.line = line;
	s->liner.ctx = ctx;
}

void serial_on_room(struct serial *s, void (*room)(void *ctx), void *ctx)
{
	s->on_room = room;
	s->on_room_ctx = ctx;
}
