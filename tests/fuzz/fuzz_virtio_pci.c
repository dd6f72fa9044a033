/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest at the registers of two virtio functions, an rng and a console:
 * configuration space, BARs and MSI-X in any order, and memory that changes
 * meanwhile.  The input is a list of steps of 12 bytes: what, which function
 * and how wide and which queue, where, value.
 * In the end an honest driver must be served, whatever has happened.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "devices/console.h"
#include "devices/rng.h"
#include "devices/virtio_pci.h"
#include "vmm/base/layout_x86.h"
#include "vmm/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STEP_LEN 12
#define FUNCTIONS 2
#define MEM_BASE 0x100000ULL
#define MEM_LEN (32 * KIB)
#define QUEUES 2 /* at most */
/* Of the honest driver. */
#define RINGS(f, q) (MEM_BASE + (f)*0x1000ULL + (q)*0x2000ULL)
#define BUFFER (MEM_BASE + 0x4000)
#define HOME(f) (X86_PCI_MMIO32 + (f)*0x10000ULL)
#define MAX_LINES 8
#define SIZE 8

/* The registers' places, which a driver would look up. */
#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)
#define NOTIFY 0x3000
#define TABLE 0x4000
#define MSIX_CONTROL 0x42

struct machine {
	struct wiring wiring;
	struct event_loop loop;
	struct iothread thread; /* never started: its loop is run by hand */
	struct bus bus;
	struct pci_bus pci;
	struct virtio *devices[FUNCTIONS];
	struct virtio_pci fns[FUNCTIONS];
	int null_fd;
	unsigned int nr_lines, nr_bells;
	bool connected[MAX_LINES];
};

static struct machine m;
static uint8_t memory[MEM_LEN];
static const struct guest_mem mem = {
	.count = 1,
	.regions = { { .base = MEM_BASE, .len = MEM_LEN, .host = memory } },
};

static void must(bool good)
{
	if (!good)
		abort();
}

/* ---- Wiring ---- */

static int new_line(struct wiring *w)
{
	(void)w;
	must(m.nr_lines < MAX_LINES);
	return (int)m.nr_lines++;
}

static int connect_line(struct wiring *w, unsigned int line, int fd,
			const struct msi *msi)
{
	(void)w;
	must(line < m.nr_lines && !m.connected[line] && fd >= 0);
	if (msi->data == 0xbad) /* what KVM might refuse */
		return -EINVAL;
	m.connected[line] = true;
	return 0;
}

static void disconnect_line(struct wiring *w, unsigned int line, int fd)
{
	(void)w;
	(void)fd;
	must(line < m.nr_lines && m.connected[line]);
	m.connected[line] = false;
}

static int bell(struct wiring *w, gpa_t gpa, int fd, bool on)
{
	bool below = gpa >= X86_PCI_MMIO32 && gpa <= X86_PCI_MMIO32_LAST;
	bool above = gpa >= X86_PCI_MMIO64 && gpa <= X86_PCI_MMIO64_LAST;

	(void)w;
	must((below || above) && fd >= 0);
	m.nr_bells += on ? 1 : -1u;
	return 0;
}

/* ---- The machine ---- */

static void setup(void)
{
	struct virtio_host host = { "fuzz", &mem, &m.thread };
	struct console_params console = { .where = "stdio" };

	memset(&m, 0, sizeof(m));
	memset(memory, 0, sizeof(memory));
	m.wiring = (struct wiring){ new_line, connect_line, disconnect_line,
				    bell };
	pci_bus_init(&m.pci);
	must(!iothread_init(&m.thread) && !bus_add(&m.bus, &m.pci.window) &&
	     !bus_add(&m.bus, &m.pci.bars[0]) &&
	     !bus_add(&m.bus, &m.pci.bars[1]));
	console.out_fd = m.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (unsigned int f = 0; f < FUNCTIONS; f++) {
		if (f)
			must(!console_create(&host, &console, &m.devices[f]));
		else
			must(!rng_create(&host, NULL, &m.devices[f]));
		must(!virtio_pci_init(&m.fns[f], m.devices[f], &m.pci,
				      &m.wiring));
	}
}

static void teardown(void)
{
	for (unsigned int f = 0; f < FUNCTIONS; f++) {
		virtio_pci_destroy(&m.fns[f]);
		m.devices[f]->ops->destroy(m.devices[f]);
	}
	iothread_destroy(&m.thread);
	close(m.null_fd);
	must(!m.nr_bells);
	for (unsigned int i = 0; i < MAX_LINES; i++)
		must(!m.connected[i]);
}

/* What the devices' thread would do, until there is nothing to do. */
static void run_devices(void)
{
	struct epoll_event e;

	for (int n = 0; n < 1000; n++) {
		struct event_source *s;

		if (epoll_wait(m.thread.loop.epoll_fd, &e, 1, 0) != 1)
			return;
		s = e.data.ptr;
		s->ready(s, e.events);
	}
	abort(); /* it never comes to rest */
}

static uint64_t get(uint64_t addr, unsigned int len)
{
	uint64_t v = 0;

	bus_read(&m.bus, addr, &v, len);
	return v;
}

static void put(uint64_t addr, uint64_t value, unsigned int len)
{
	bus_write(&m.bus, addr, &value, len);
}

static uint64_t config(unsigned int f, unsigned int reg)
{
	return X86_ECAM + ((f + 1) << 15) + reg;
}

/* ---- An honest driver ---- */

static void start(unsigned int f)
{
	const uint64_t bar = HOME(f);

	put(config(f, 0x04), 0, 2);
	put(config(f, 0x10), (uint32_t)bar, 4);
	put(config(f, 0x14), 0, 4);
	put(config(f, 0x04), 6, 2);
	put(bar + COMMON(device_status), 0, 1);
	run_devices();
	must(get(bar + COMMON(device_status), 1) == 0);
	put(bar + TABLE, X86_LAPIC, 8);
	put(bar + TABLE + 8, 0x41, 8);
	put(config(f, MSIX_CONTROL), 0x8000, 2);
	put(bar + COMMON(device_status), 3, 1);
	put(bar + COMMON(guest_feature_select), 0, 4);
	put(bar + COMMON(guest_feature), 0, 4);
	put(bar + COMMON(guest_feature_select), 1, 4);
	put(bar + COMMON(guest_feature), 0x103, 4);
	put(bar + COMMON(device_status), 11, 1);
	for (unsigned int q = 0; q < m.devices[f]->nr_queues; q++) {
		const uint64_t rings = RINGS(f, q);

		memset(memory + (rings - MEM_BASE), 0, 0x1000);
		put(bar + COMMON(queue_select), q, 2);
		put(bar + COMMON(queue_size), SIZE, 2);
		put(bar + COMMON(queue_msix_vector), 0, 2);
		put(bar + COMMON(queue_desc_lo), rings, 8);
		put(bar + COMMON(queue_avail_lo), rings + 0x400, 8);
		put(bar + COMMON(queue_used_lo), rings + 0x800, 8);
		put(bar + COMMON(queue_enable), 1, 2);
	}
	put(bar + COMMON(device_status), 15, 1);
}

/* One request, whose answer and interrupt must come. */
static void serve(unsigned int f)
{
	uint8_t *rings = memory + (RINGS(f, 0) - MEM_BASE);
	struct vring_desc *desc = (void *)rings;
	struct vring_avail *avail = (void *)(rings + 0x400);
	struct vring_used *used = (void *)(rings + 0x800);
	static const uint8_t typed[64];

	start(f);
	must(get(HOME(f) + COMMON(device_status), 1) == 15);
	desc[0] = (struct vring_desc){ BUFFER, 64, VRING_DESC_F_WRITE, 0 };
	avail->ring[0] = 0;
	avail->idx = 1;
	if (f) /* which kicks by itself */
		must(console_input(m.devices[f], typed, 64) == 64);
	virtio_kick(m.devices[f], 0); /* as its bell does */
	run_devices();
	must(used->idx == 1 && used->ring[0].len == 64);
	must(m.connected[m.fns[f].msix.vectors[0].line]);
}

/* ---- A hostile one ---- */

/*
 * A line is connected if and only if nothing masks its vector, and the
 * function is a bus master.
 */
static void check_lines(unsigned int f)
{
	const struct msix *x = &m.fns[f].msix;

	for (unsigned int i = 0; i < x->nr_vectors; i++) {
		const struct msix_vector *v = &x->vectors[i];
		bool open = (x->control & 0xc000) == 0x8000 &&
			    !(v->entry[3] & 1) && v->entry[2] != 0xbad;

		must(m.connected[v->line] == open);
		must(!open || m.fns[f].config[0x04] & 0x04);
	}
}

static void step(const uint8_t *p)
{
	unsigned int f = p[1] & 1, len = 1u << (p[1] >> 1 & 3);
	uint16_t off = (uint16_t)(p[2] | p[3] << 8);
	uint64_t value;

	memcpy(&value, p + 4, sizeof(value));
	switch (p[0] % 8) {
	case 0:
		put(config(f, off % PCI_CONFIG_EXT_LEN), value, len);
		break;
	case 1:
		get(config(f, off % PCI_CONFIG_EXT_LEN), len);
		break;
	case 2: /* where it is at home, mostly */
		put(HOME(f) + off % 0x8000, value, len);
		break;
	case 3:
		get(HOME(f) + off % 0x8000, len);
		break;
	case 4:
		put((p[1] & 8 ? X86_PCI_MMIO64 : X86_PCI_MMIO32) + off, value,
		    len);
		break;
	case 5:
		memcpy(memory + off % (MEM_LEN - 8), &value, 8);
		break;
	case 6:
		start(f);
		break;
	case 7:
		virtio_kick(m.devices[f],
			    (p[1] >> 5) % m.devices[f]->nr_queues);
		break;
	}
	if (p[1] & 0x10)
		run_devices();
	check_lines(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t caps[2][0x58];

	log_set_level(LOG_ERR);
	setup();
	for (unsigned int f = 0; f < FUNCTIONS; f++) {
		start(f);
		memcpy(caps[f], m.fns[f].config + 0x44, sizeof(caps[f]));
	}
	for (; len >= STEP_LEN; data += STEP_LEN, len -= STEP_LEN)
		step(data);
	for (unsigned int f = 0; f < FUNCTIONS; f++) {
		/* What says where the registers are, up to the window. */
		must(!memcmp(caps[f], m.fns[f].config + 0x44,
			     sizeof(caps[f]) - 4));
		serve(f);
	}
	teardown();
	return 0;
}
