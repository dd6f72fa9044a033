/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio devices on PCI as a driver without a kernel sees them (virtio 1.2,
 * 4.1), each with one queue in use, whose rings are at VIRTIO_RAM unless there
 * is more than one driver at a time.
 */
#pragma once

#include "firmware/guest/guest.h"

#define VIRTIO_MAX 32
#define QUEUE_SIZE 16

/* Virtio 1.2, 5. */
#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLOCK 2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_ENTROPY 4
#define VIRTIO_ID_BALLOON 5
#define VIRTIO_ID_VSOCK 19
#define VIRTIO_ID_FS 26

struct ring_set;
struct virtio {
	uint64_t config; /* of the function, in ECAM */
	uint64_t bar;    /* where it was found; all registers are in it */
	uint32_t common, notify, device, table; /* offsets in the BAR */
	uint32_t notify_step;
	unsigned int msix, window; /* capabilities, in config */
	unsigned int slot, id, nr_queues, nr_vectors;
	unsigned int queue; /* that the driver uses */
	uint16_t next_avail, next_used;
	volatile struct ring_set *rings;
	uint8_t *buffer; /* a page, for requests */
};

/* 4.1.4.3: the common configuration. */
enum {
	COMMON_DEVICE_FEATURE_SELECT = 0,
	COMMON_DEVICE_FEATURE = 4,
	COMMON_DRIVER_FEATURE_SELECT = 8,
	COMMON_DRIVER_FEATURE = 12,
	COMMON_CONFIG_VECTOR = 16,
	COMMON_NUM_QUEUES = 18,
	COMMON_STATUS = 20,
	COMMON_QUEUE_SELECT = 22,
	COMMON_QUEUE_SIZE = 24,
	COMMON_QUEUE_VECTOR = 26,
	COMMON_QUEUE_ENABLE = 28,
	COMMON_QUEUE_DESC = 32,
	COMMON_QUEUE_AVAIL = 40,
	COMMON_QUEUE_USED = 48,
	COMMON_QUEUE_RESET = 58,
	COMMON_LEN = 60,
};

/* 2.1. */
enum {
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 0x40,
};

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

struct ring_set {
	struct desc desc[QUEUE_SIZE];
	struct {
		uint16_t flags, idx, ring[QUEUE_SIZE], used_event;
	} avail;
	uint16_t pad;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[QUEUE_SIZE];
		uint16_t avail_event;
	} used;
};
/*
 * Far from the image and its stacks: a garbled address still lies near, and a
 * device that writes there must not hit what checks it.
 */
#define VIRTIO_RAM 0x2000000ULL
#define VIRTIO_RAM_NEEDED (2 * VIRTIO_RAM)

/* Has it keep rings and buffer in the two pages at addr. */
void virtio_use_ram(struct virtio *v, uint64_t addr);
/* Finds the devices behind ECAM; how many there are. */
unsigned int virtio_find(struct virtio *devices);

/* 1, 2 or 4 bytes of configuration space, of the BAR where it is now. */
uint32_t config_get(const struct virtio *v, unsigned int off, unsigned int len);
void config_put(const struct virtio *v, unsigned int off, uint32_t value,
		unsigned int len);
uint32_t bar_get(const struct virtio *v, uint32_t off, unsigned int len);
void bar_put(const struct virtio *v, uint32_t off, uint32_t value,
	     unsigned int len);

/* Puts the BAR at addr and turns memory accesses on. */
void virtio_move(const struct virtio *v, uint64_t addr);

/* Resets it and waits for the end of that: false if it does not come. */
bool virtio_reset(struct virtio *v);
/* Up to and with FEATURES_OK: false if it was refused. */
bool virtio_negotiate(struct virtio *v);
/* A whole start with its queue and MSI-X, as an honest driver does it. */
bool virtio_start(struct virtio *v);
void virtio_enable_queue(struct virtio *v);

/* Makes the chain that begins at descriptor head available. */
void virtio_publish(struct virtio *v, uint16_t head);
void virtio_kick(struct virtio *v);
/* One honest request to those we know one for: it has to be done. */
bool virtio_serves(struct virtio *v);
/* Fills descriptors with such a request; false: none for this queue. */
bool virtio_request(struct virtio *v);
/* Waits until the status has these bits. */
bool virtio_status_comes(struct virtio *v, uint8_t bits);

void hostile_check(uint64_t rounds); /* hostile.c */
/*
 * window.c: devices, for whose queues a request is known, of a monitor that is
 * strict.  The window is VIRTIO_RAM then; returns a shared page outside of it.
 */
uint64_t window_check(struct virtio *devices, unsigned int nr);
/*
 * turn.c: a request's pages turn private before the device is rung for it, and
 * so many times after.  Who is blind need not notice.  False: has no request,
 * or no page can.
 */
bool turn_pages(struct virtio *v, uint64_t rounds, bool blind, uint64_t *seed);
/*
 * havoc.c: all CPUs at all registers and rings for a while; seed is not 0.
 * False if one did not come back.
 */
bool havoc(const struct virtio *devices, unsigned int nr, uint64_t seed);
/* A place for a BAR that is none, or odd; an odd message (hostile.c). */
uint64_t hostile_place(uint32_t n);
void hostile_message(const struct virtio *v, unsigned int vector, uint32_t n);
