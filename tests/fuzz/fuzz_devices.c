/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest at the devices' registers, and somebody typing.  The input is a
 * list of steps: what, where, size and value, 12 bytes each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/liner.h"
#include "devices/pci.h"
#include "devices/power.h"
#include "devices/serial.h"
#include "vmm/base/layout_x86.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STEP_LEN = 12 };

struct machine {
	struct event_loop loop;
	struct bus pio, mmio;
	struct serial *serial;
	struct power power;
	struct pci_bus pci;
	struct pci_device device;
	uint8_t config[PCI_CONFIG_LEN], writable[PCI_CONFIG_LEN];
	unsigned int lines;
};

static void on_request(void *ctx, enum power_request what)
{
	(void)ctx;
	if (what != POWER_OFF && what != POWER_RESET)
		abort();
}

static void on_line(void *ctx, const uint8_t *text, size_t len)
{
	struct machine *m = ctx;
	uint8_t copy[LINER_MAX];

	if (len > sizeof(copy))
		abort();
	memcpy(copy, text, len);
	m->lines++;
}

static void on_room(void *ctx)
{
	((struct machine *)ctx)->lines++;
}

static void setup(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	if (event_loop_init(&m->loop) ||
	    serial_create(&m->serial, &m->loop, -1))
		abort();
	serial_on_line(m->serial, on_line, m);
	serial_on_room(m->serial, on_room, m);
	power_init(&m->power, on_request, m);
	pci_bus_init(&m->pci);
	memset(m->writable, 0x5a, sizeof(m->writable));
	m->device = (struct pci_device){ .name = "fuzz",
					 .len = sizeof(m->config),
					 .config = m->config,
					 .writable = m->writable };
	if (pci_add(&m->pci, &m->device) != 1 ||
	    bus_add(&m->pio, serial_window(m->serial)) ||
	    bus_add(&m->pio, &m->power.window) ||
	    bus_add(&m->mmio, &m->pci.window))
		abort();
}

static void step(struct machine *m, const uint8_t *p)
{
	unsigned int len = 1u << (p[1] & 3);
	uint16_t port;
	uint32_t off;
	uint8_t buf[8];

	memcpy(buf, p + 4, sizeof(buf));
	memcpy(&port, p + 2, sizeof(port));
	off = port | (uint32_t)(p[1] >> 4) << 16;
	switch (p[0] % 6) {
	case 0:
		bus_read(&m->pio, X86_SERIAL + port % 8, buf, len);
		break;
	case 1:
		bus_write(&m->pio, X86_SERIAL + port % 8, buf, len);
		break;
	case 2:
		bus_write(&m->pio, X86_POWER + port % 4, buf, len);
		bus_read(&m->pio, X86_POWER + port % 4, buf, len);
		break;
	case 3:
		bus_read(&m->mmio, X86_ECAM + off, buf, len);
		break;
	case 4:
		bus_write(&m->mmio, X86_ECAM + off, buf, len);
		break;
	default:
		for (unsigned int i = 0; i < p[1]; i++)
			if (serial_input(m->serial, buf, 8) > 8)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct machine m;

	setup(&m);
	for (; len >= STEP_LEN; data += STEP_LEN, len -= STEP_LEN)
		step(&m, data);
	/* Bits that are not writable have not changed. */
	for (size_t i = 0; i < sizeof(m.config); i++)
		if (m.config[i] & 0xa5)
			abort();
	serial_destroy(m.serial);
	event_loop_destroy(&m.loop);
	return 0;
}
