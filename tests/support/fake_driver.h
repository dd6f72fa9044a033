/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's side of virtio, without a guest: memory, virtqueues laid out in
 * it, and a driver that finds a device on a PCI bus by its capabilities and
 * talks to it through its registers.  The device runs on its own thread as
 * in a VM; no KVM is needed.  A test of a device looks like this:
 *
 *	struct fake_driver *d = fake_driver_new(rng_create, NULL);
 *	fake_driver_start(d, ~0ULL, 64);
 *	struct fake_buf in = { fake_alloc(&d->guest, 16, 1), 16, true };
 *	ck_assert_uint_eq(fake_driver_request(d, 0, &in, 1), 16);
 *	fake_driver_free(d);
 *
 * What goes wrong in here fails the running test.
 */
#pragma once

#include <stdatomic.h>

#include "devices/virtio_pci.h"
#include "support/fake_wiring.h"

/* ---- Guest memory: two regions, as with a hole below 4 GiB ---- */

#define FAKE_LOW 0x100000ULL
#define FAKE_LOW_LEN (4 * MIB)
#define FAKE_HIGH 0x100000000ULL
#define FAKE_HIGH_LEN (1 * MIB)

struct fake_guest {
	struct guest_mem mem;
	int memfd; /* low region, then the high one: to share with others */
	gpa_t next;
};

void fake_guest_init(struct fake_guest *g);
void fake_guest_destroy(struct fake_guest *g);
/* Zeroed memory of the low region that nobody else has. */
gpa_t fake_alloc(struct fake_guest *g, uint64_t len, uint64_t align);
/* The same, filled with data; what lies at gpa, which must be RAM. */
gpa_t fake_alloc_data(struct fake_guest *g, const void *data, uint64_t len);
void *fake_at(const struct fake_guest *g, gpa_t gpa);

/* ---- A virtqueue, the driver's side ---- */

struct fake_buf {
	gpa_t gpa;
	uint32_t len;
	bool write; /* the device writes it */
};

struct fake_queue {
	struct fake_guest *guest;
	struct virtq_layout layout; /* for the device */
	bool event_idx;
	uint16_t next_desc; /* handed out in a circle: mind the size */
	uint16_t next_avail, next_used;
	uint16_t kicked; /* next_avail when the device was last told */
};

void fake_queue_init(struct fake_queue *q, struct fake_guest *g, uint16_t size);
/* Publishes a chain of nr buffers, which returns its head; or indirectly. */
uint16_t fake_queue_add(struct fake_queue *q, const struct fake_buf *bufs,
			unsigned int nr);
uint16_t fake_queue_add_indirect(struct fake_queue *q,
				 const struct fake_buf *bufs, unsigned int nr);
/* The next used entry: false if there is none yet. */
bool fake_queue_used(struct fake_queue *q, uint32_t *head, uint32_t *len);
/* Does the device want to be told of what was published since it was last? */
bool fake_queue_must_kick(struct fake_queue *q);
/* With event_idx: interrupt when used entry `at` is there; else on and off. */
void fake_queue_want_interrupt(struct fake_queue *q, uint16_t at);
void fake_queue_interrupts(struct fake_queue *q, bool on);

/* What a broken driver does: any descriptor, any head, any index. */
void fake_queue_desc(struct fake_queue *q, uint16_t i, gpa_t addr, uint32_t len,
		     uint16_t flags, uint16_t next);
void fake_queue_publish(struct fake_queue *q, uint16_t head);
void fake_queue_set_avail_idx(struct fake_queue *q, uint16_t idx);

/* ---- A device and its driver ---- */

struct fake_driver {
	struct fake_guest guest;
	struct fake_wiring wiring;
	struct bus bus;
	struct pci_bus pci;
	struct iothread thread;
	struct virtio *dev;
	struct virtio_pci fn;
	unsigned int slot;
	/* Found by the capabilities: absolute addresses; bell of queue 0. */
	gpa_t common, device, notify, table, pending;
	uint32_t notify_step;
	uint64_t features; /* agreed upon */
	unsigned int nr_queues;
	struct fake_queue queues[VIRTIO_MAX_QUEUES];
};

/* Makes the device and starts its thread; the driver has done nothing yet. */
struct fake_driver *fake_driver_new(virtio_create *create, const void *params);
/* Ends the thread, then all of it; fails the test if anything hangs on. */
void fake_driver_free(struct fake_driver *d);

/*
 * As drivers do it: reset, acknowledge, take all that is offered and in
 * `features`, queues of `size` (or their largest, if less) with vector q for
 * queue q and the last one for the configuration, DRIVER_OK.
 */
void fake_driver_start(struct fake_driver *d, uint64_t features, uint16_t size);
/* The two halves of it: up to FEATURES_OK (false: refused), and the rest. */
bool fake_driver_negotiate(struct fake_driver *d, uint64_t features);
void fake_driver_run(struct fake_driver *d, uint16_t size);
/* Makes and enables queue q anew, in new memory. */
void fake_driver_queue(struct fake_driver *d, unsigned int q, uint16_t size);
/* Writes 0 to the status and waits until it reads as 0. */
void fake_driver_reset(struct fake_driver *d);

void fake_driver_kick(struct fake_driver *d, unsigned int q);

/*
 * Counts kicks.  A bell is not read, so the thread sanitizer does not see that
 * what a device does comes after it; a device that reads this shows it.
 */
extern atomic_uint fake_driver_kicks;
/* Interrupts of a queue since the last call; waits up to ms for the first. */
unsigned int fake_driver_interrupts(struct fake_driver *d, unsigned int q,
				    int ms);
/* The configuration's are those of queue number FAKE_CONFIG. */
#define FAKE_CONFIG VIRTIO_MAX_QUEUES
/* Waits for the next used entry, whatever interrupts come; its length. */
uint32_t fake_driver_used(struct fake_driver *d, unsigned int q,
			  uint32_t *head);
/*
 * One request as an honest driver makes it: kicks if the device wants that,
 * waits for the interrupt, returns the bytes written.
 */
uint32_t fake_driver_request(struct fake_driver *d, unsigned int q,
			     const struct fake_buf *bufs, unsigned int nr);

/* Status once it has `bits` set (or all of them are clear); within 10 s. */
uint8_t fake_driver_wait_status(struct fake_driver *d, uint8_t bits, bool set);

/* Registers: by absolute address, as a guest's access of len bytes. */
uint64_t fake_in(struct fake_driver *d, gpa_t gpa, unsigned int len);
void fake_out(struct fake_driver *d, gpa_t gpa, uint64_t value,
	      unsigned int len);
/* Of the function's configuration space. */
uint32_t fake_config_in(struct fake_driver *d, unsigned int reg,
			unsigned int len);
void fake_config_out(struct fake_driver *d, unsigned int reg, uint32_t value,
		     unsigned int len);

#define FAKE_WAIT_MS 10000 /* for what must come */
