/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the split ring costs for each request: the device takes batches and
 * gives them back, of a driver that does as Linux does for a disk (one indirect
 * table of header, data and status) and adds 2 ns.  What a packed ring could
 * save is a part of this.  Prints nanoseconds.
 */
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices/virtqueue.h"

#define SIZE 256
#define DEPTH 32
#define BATCHES 200000

/* Where the parts of the queue are in "RAM". */
enum { DESC = 0, AVAIL = 0x1000, USED = 0x2000, TABLES = 0x4000 };
enum { DATA = 0x10000, RAM = DATA + SIZE * 4096 };

static uint8_t ram[RAM] __attribute__((aligned(4096)));

/* Of our own time. */
static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The driver's descriptors, which stay as they are. */
static void prepare(void)
{
	struct vring_desc *desc = (void *)(ram + DESC);
	struct vring_desc *t = (void *)(ram + TABLES);

	for (uint16_t i = 0; i < SIZE; i++, t += 3) {
		uint64_t data = DATA + 4096ULL * i;

		desc[i] = (struct vring_desc){ TABLES + 48ULL * i, 48,
					       VRING_DESC_F_INDIRECT, 0 };
		t[0] = (struct vring_desc){ data, 16, VRING_DESC_F_NEXT, 1 };
		t[1] = (struct vring_desc){
			data, 4000, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2
		};
		t[2] = (struct vring_desc){ data, 1, VRING_DESC_F_WRITE, 0 };
	}
}

/* The driver adds DEPTH requests. */
static void add(uint16_t *next)
{
	struct vring_avail *avail = (void *)(ram + AVAIL);

	for (unsigned int i = 0; i < DEPTH; i++, ++*next)
		avail->ring[*next % SIZE] = *next % SIZE;
	__atomic_store_n(&avail->idx, *next, __ATOMIC_RELEASE);
}

/* The device takes them and gives them back. */
static unsigned int serve(struct virtqueue *q)
{
	static struct virtq_chain c;
	unsigned int n = 0;

	virtq_kicks_off(q);
	for (; virtq_pop(q, &c) > 0; n++)
		virtq_push(q, c.head, (uint32_t)c.in_len);
	virtq_kicks_on(q);
	virtq_must_notify(q);
	return n;
}

int main(void)
{
	const struct guest_mem mem = {
		.count = 1, .regions = { { .len = RAM, .host = ram } }
	};
	const struct virtq_layout layout = { SIZE, DESC, AVAIL, USED };
	struct virtqueue q = { 0 };
	uint64_t start = now_ns();
	uint16_t next = 0;

	prepare();
	if (virtq_start(&q, &mem, &layout, true))
		return 1;
	for (unsigned int i = 0; i < BATCHES; i++) {
		add(&next);
		if (serve(&q) != DEPTH)
			return 1;
	}
	printf("%.1f\n", (double)(now_ns() - start) / BATCHES / DEPTH);
	return 0;
}
