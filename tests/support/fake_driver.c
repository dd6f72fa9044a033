/* SPDX-License-Identifier: Apache-2.0 */
/* A device and its driver of fake_driver.h. */
#include "support/fake_driver.h"

#include <check.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <time.h>

#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

#define COMMON(f) offsetof(struct virtio_pci_common_cfg, f)

uint64_t fake_in(struct fake_driver *d, gpa_t gpa, unsigned int len)
{
	uint64_t v = 0;

	bus_read(&d->bus, gpa, &v, len);
	return v;
}

void fake_out(struct fake_driver *d, gpa_t gpa, uint64_t value,
	      unsigned int len)
{
	if (!fake_wiring_ring(&d->wiring, gpa))
		bus_write(&d->bus, gpa, &value, len);
}

static gpa_t config_at(const struct fake_driver *d, unsigned int reg)
{
	return X86_ECAM + ((gpa_t)d->slot << 15) + reg;
}

uint32_t fake_config_in(struct fake_driver *d, unsigned int reg,
			unsigned int len)
{
	return (uint32_t)fake_in(d, config_at(d, reg), len);
}

void fake_config_out(struct fake_driver *d, unsigned int reg, uint32_t value,
		     unsigned int len)
{
	fake_out(d, config_at(d, reg), value, len);
}

/* --- finding the device --- */

static gpa_t bar_base(struct fake_driver *d)
{
	return (gpa_t)fake_config_in(d, 0x14, 4) << 32 |
	       (fake_config_in(d, 0x10, 4) & ~0xfu);
}

static void see_capability(struct fake_driver *d, unsigned int at)
{
	gpa_t bar = bar_base(d), where;

	if (fake_config_in(d, at, 1) == 0x11) { /* MSI-X */
		d->table = bar + (fake_config_in(d, at + 4, 4) & ~7u);
		d->pending = bar + (fake_config_in(d, at + 8, 4) & ~7u);
		fake_config_out(d, at + 2, 0x8000, 2);
	}
	if (fake_config_in(d, at, 1) != 0x09)
		return;
	where = bar + fake_config_in(d, at + 8, 4);
	switch (fake_config_in(d, at + 3, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		d->common = where;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		d->device = where;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		d->notify = where;
		d->notify_step = fake_config_in(d, at + 16, 4);
		break;
	}
}

static void find_registers(struct fake_driver *d)
{
	unsigned int at = fake_config_in(d, 0x34, 1);

	fake_config_out(d, 0x04, 0x0006, 2); /* memory, bus master */
	for (unsigned int n = 0; at; n++) {
		ck_assert_uint_lt(n, 48); /* a loop */
		see_capability(d, at);
		at = fake_config_in(d, at + 1, 1);
	}
	ck_assert(d->common && d->device && d->notify && d->table);
	d->nr_queues =
		(unsigned int)fake_in(d, d->common + COMMON(num_queues), 2);
	ck_assert_uint_le(d->nr_queues, VIRTIO_MAX_QUEUES);
}

struct fake_driver *fake_driver_new(virtio_create *create, const void *params)
{
	struct fake_driver *d = calloc(1, sizeof(*d));
	struct virtio_host host = { .name = "test" };

	ck_assert(d != NULL);
	fake_guest_init(&d->guest);
	fake_wiring_init(&d->wiring);
	pci_bus_init(&d->pci);
	ck_assert_int_eq(bus_add(&d->bus, &d->pci.window), 0);
	ck_assert_int_eq(bus_add(&d->bus, &d->pci.bars[0]), 0);
	ck_assert_int_eq(bus_add(&d->bus, &d->pci.bars[1]), 0);
	ck_assert_int_eq(iothread_init(&d->thread), 0);
	host.mem = &d->guest.mem;
	host.thread = &d->thread;
	ck_assert_msg(!create(&host, params, &d->dev), "%s", err_text());
	ck_assert_int_eq(virtio_pci_init(&d->fn, d->dev, &d->pci,
					 &d->wiring.wiring),
			 0);
	d->slot = 1; /* after the bridge */
	ck_assert_int_eq(iothread_start(&d->thread, "test"), 0);
	find_registers(d);
	return d;
}

void fake_driver_free(struct fake_driver *d)
{
	iothread_stop(&d->thread);
	virtio_pci_destroy(&d->fn);
	d->dev->ops->destroy(d->dev);
	iothread_destroy(&d->thread);
	for (unsigned int i = 0; i < d->wiring.nr_lines; i++)
		ck_assert(!d->wiring.lines[i].connected);
	ck_assert_uint_eq(d->wiring.nr_bells, 0);
	ck_assert_uint_eq(d->wiring.misuse, 0);
	fake_guest_destroy(&d->guest);
	free(d);
}

/* --- status and features --- */

static uint8_t status(struct fake_driver *d)
{
	return (uint8_t)fake_in(d, d->common + COMMON(device_status), 1);
}

static void set_status(struct fake_driver *d, uint8_t bits)
{
	fake_out(d, d->common + COMMON(device_status), bits, 1);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

uint8_t fake_driver_wait_status(struct fake_driver *d, uint8_t bits, bool set)
{
	int64_t end = util_now_ms() + FAKE_WAIT_MS;
	uint8_t now = status(d);

	while (set ? (now & bits) != bits : (now & bits) != 0) {
		ck_assert_msg(util_now_ms() < end, "status stays %#x", now);
		nap();
		now = status(d);
	}
	return now;
}

void fake_driver_reset(struct fake_driver *d)
{
	set_status(d, 0);
	fake_driver_wait_status(d, 0xff, false);
}

bool fake_driver_negotiate(struct fake_driver *d, uint64_t features)
{
	fake_driver_reset(d);
	set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	d->features = 0;
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t bits;

		fake_out(d, d->common + COMMON(device_feature_select), i, 4);
		bits = fake_in(d, d->common + COMMON(device_feature), 4);
		bits &= (uint32_t)(features >> 32 * i);
		fake_out(d, d->common + COMMON(guest_feature_select), i, 4);
		fake_out(d, d->common + COMMON(guest_feature), bits, 4);
		d->features |= bits << 32 * i;
	}
	set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FEATURES_OK);
	return status(d) & VIRTIO_CONFIG_S_FEATURES_OK;
}

/* --- queues --- */

/* Any message to CPU 0 will do; the data tell which vector it was. */
static void unmask(struct fake_driver *d, unsigned int vector)
{
	gpa_t entry = d->table + vector * MSIX_ENTRY_LEN;

	fake_out(d, entry, X86_LAPIC, 8);
	fake_out(d, entry + 8, 0x40 + vector, 4);
	fake_out(d, entry + 12, 0, 4);
}

static void set_address(struct fake_driver *d, size_t low, gpa_t gpa)
{
	fake_out(d, d->common + low, (uint32_t)gpa, 4);
	fake_out(d, d->common + low + 4, gpa >> 32, 4);
}

void fake_driver_queue(struct fake_driver *d, unsigned int i, uint16_t size)
{
	struct fake_queue *q = &d->queues[i];
	uint16_t most;

	fake_out(d, d->common + COMMON(queue_select), i, 2);
	most = (uint16_t)fake_in(d, d->common + COMMON(queue_size), 2);
	fake_queue_init(q, &d->guest, min_of(size, most));
	q->event_idx = d->features >> VIRTIO_RING_F_EVENT_IDX & 1;
	fake_out(d, d->common + COMMON(queue_size), q->layout.size, 2);
	set_address(d, COMMON(queue_desc_lo), q->layout.desc);
	set_address(d, COMMON(queue_avail_lo), q->layout.avail);
	set_address(d, COMMON(queue_used_lo), q->layout.used);
	fake_out(d, d->common + COMMON(queue_msix_vector), i, 2);
	fake_out(d, d->common + COMMON(queue_enable), 1, 2);
}

void fake_driver_run(struct fake_driver *d, uint16_t size)
{
	for (unsigned int i = 0; i <= d->nr_queues; i++)
		unmask(d, i);
	fake_out(d, d->common + COMMON(msix_config), d->nr_queues, 2);
	for (unsigned int i = 0; i < d->nr_queues; i++)
		fake_driver_queue(d, i, size);
	set_status(d, status(d) | VIRTIO_CONFIG_S_DRIVER_OK);
}

void fake_driver_start(struct fake_driver *d, uint64_t features, uint16_t size)
{
	ck_assert(fake_driver_negotiate(d, features));
	fake_driver_run(d, size);
}

/* --- requests --- */

atomic_uint fake_driver_kicks;

void fake_driver_kick(struct fake_driver *d, unsigned int q)
{
	atomic_fetch_add(&fake_driver_kicks, 1);
	fake_out(d, d->notify + (gpa_t)q * d->notify_step, q, 2);
}

unsigned int fake_driver_interrupts(struct fake_driver *d, unsigned int q,
				    int ms)
{
	unsigned int vector = q == FAKE_CONFIG ? d->nr_queues : q;

	return fake_wiring_interrupts(&d->wiring,
				      d->fn.msix.vectors[vector].line, ms);
}

uint32_t fake_driver_used(struct fake_driver *d, unsigned int q, uint32_t *head)
{
	int64_t end = util_now_ms() + FAKE_WAIT_MS;
	uint32_t len;

	while (!fake_queue_used(&d->queues[q], head, &len)) {
		ck_assert_msg(util_now_ms() < end, "queue %u: nothing used", q);
		nap();
	}
	return len;
}

uint32_t fake_driver_request(struct fake_driver *d, unsigned int q,
			     const struct fake_buf *bufs, unsigned int nr)
{
	struct fake_queue *fq = &d->queues[q];
	uint32_t head, len, want;

	fake_queue_interrupts(fq, true);
	fake_queue_want_interrupt(fq, fq->next_used);
	want = fake_queue_add(fq, bufs, nr);
	if (fake_queue_must_kick(fq))
		fake_driver_kick(d, q);
	/* One may be left from before; drivers cope with that. */
	do
		ck_assert_msg(fake_driver_interrupts(d, q, FAKE_WAIT_MS),
			      "queue %u: no interrupt", q);
	while (!fake_queue_used(fq, &head, &len));
	ck_assert_uint_eq(head, want);
	return len;
}
