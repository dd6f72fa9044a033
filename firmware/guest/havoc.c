/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All CPUs at all queues and registers of all devices, at a time and without
 * any order: what takes turns with the device's threads rather than with
 * itself.  Nothing is expected here but that it ends.
 *
 * So that a device never hits this very program, what it writes is never what
 * decides where it writes: tables of descriptors, data for it to read, page
 * numbers for a balloon, and then all that it may write lie one above the
 * other, and buffers only reach upwards.  For the same reason an entry of a
 * table always is of one kind, whenever the device looks at it.
 */
#include "firmware/guest/virtio.h"

#define MIB (1ULL << 20)
#define TABLES (VIRTIO_RAM + 1 * MIB) /* a page for each queue */
#define DATA (VIRTIO_RAM + 6 * MIB)
#define DATA_LEN 1024 /* and zeros behind it */
#define PAGES (VIRTIO_RAM + 7 * MIB)
#define RINGS (VIRTIO_RAM + 8 * MIB) /* the same */
#define SINK (VIRTIO_RAM + 16 * MIB)
#define SINK_LEN (15 * MIB)
#define MOST_QUEUES 20 /* of a device */
#define ENTRIES 256
#define USED 2048 /* in its page, behind the available ring */
#define NOWHERE 0xd0000000
#define OPERATIONS 256

struct avail {
	uint16_t flags, idx, ring[QUEUE_SIZE], used_event;
};

static const struct virtio *devices;
static unsigned int nr_devices;
static uint64_t seeds[MAX_CPUS];

static uint64_t page_of(uint64_t base, unsigned int device, unsigned int queue)
{
	return base + (device * MOST_QUEUES + queue % MOST_QUEUES) * PAGE;
}

/* ---- Rings ---- */

static const uint64_t odd_addresses[] = {
	NOWHERE, X86_LAPIC, X86_ECAM, -16ULL, 1ULL << 63, X86_HOLE_END, -1ULL,
};
static const uint32_t lengths[] = { 1,   4,    12,    16, 20,        72,
				    512, 4096, 65536, 0,  0xfffffff0 };

static uint32_t some_length(uint64_t *s)
{
	return lengths[random_next(s) % ARRAY_SIZE(lengths) %
		       (random_next(s) % 8 ? 9 : 11)];
}

/* Kinds: to read, to write, a table, or one that cannot be. */
static struct desc some_entry(uint64_t *s, unsigned int device, uint64_t table,
			      unsigned int i)
{
	uint32_t n = random_next(s), first = n % ENTRIES;
	bool balloon = devices[device].id == VIRTIO_ID_BALLOON;
	struct desc d = {
		.len = some_length(s),
		.flags = n >> 8 & DESC_NEXT,
		.next = (uint16_t)(n >> 9 & (n >> 28 ? 15 : 0xffff)),
	};

	switch (i % 4) {
	case 0:
		d.addr = (balloon ? PAGES : DATA) + n % DATA_LEN;
		break;
	case 1:
		d.addr = n >> 29 ? SINK + (n & 0x7fffff)
				 : RINGS + (n & 0x3fffff);
		d.flags |= DESC_WRITE;
		break;
	case 2:
		d.addr = table + first * sizeof(d);
		d.len = n >> 26 ? (n >> 8) % (ENTRIES + 1 - first) * sizeof(d)
				: some_length(s) | 15;
		d.flags = DESC_INDIRECT;
		break;
	default:
		d.addr = odd_addresses[n % ARRAY_SIZE(odd_addresses)];
		d.flags |= n >> 9 & (DESC_WRITE | DESC_INDIRECT);
		break;
	}
	return d;
}

/* Has a queue's requests parts to read, and which to write? */
static void shape_of(const struct virtio *v, unsigned int queue, bool *reads,
		     bool *writes)
{
	bool second = queue % 2;

	*reads = *writes = true; /* disks, control queues, and others */
	switch (v->id) {
	case VIRTIO_ID_ENTROPY:
		*reads = false;
		break;
	case VIRTIO_ID_BALLOON:
		*reads = queue < 3;
		*writes = !*reads;
		break;
	case VIRTIO_ID_NET:
		if (queue && queue + 1 == v->nr_queues)
			break;
		/* fall through */
	case VIRTIO_ID_CONSOLE:
	case VIRTIO_ID_VSOCK:
		*reads = second;
		*writes = !second;
		break;
	}
}

/* What a device may well do, from an entry to read on; its head. */
static uint16_t put_request(uint64_t *s, unsigned int device,
			    unsigned int queue)
{
	static const uint32_t out[] = { 16, 32, 528, 72 };
	static const uint32_t in[] = { 512, 4096, 20, 4096 };
	volatile struct desc *table =
		(volatile void *)page_of(TABLES, device, queue);
	bool balloon = devices[device].id == VIRTIO_ID_BALLOON, reads, writes;
	uint32_t n = random_next(s);
	uint16_t first = n % 4 * 4;
	uint16_t second = first + 1, third = (first + 5) % QUEUE_SIZE;

	shape_of(&devices[device], queue, &reads, &writes);
	table[first].addr = (balloon ? PAGES : DATA) + (n >> 8) % 64 * 16;
	table[first].len = out[n >> 4 & 3];
	table[first].flags = writes ? DESC_NEXT : 0;
	table[first].next = n >> 16 & 1 ? second : third;
	table[second].addr = SINK + (n >> 8) * 4096ULL % (8 * MIB);
	table[second].len = in[n >> 6 & 3];
	table[second].flags = DESC_WRITE | DESC_NEXT;
	table[second].next = third;
	table[third].addr = SINK + (n >> 8) % (8 * MIB);
	table[third].len = reads ? 1 : 2048;
	table[third].flags = DESC_WRITE;
	return reads ? first : second;
}

static uint16_t put_garbage(uint64_t *s, unsigned int device,
			    unsigned int queue)
{
	uint64_t table = page_of(TABLES, device, queue);

	for (unsigned int n = 0; n < 8; n++) {
		unsigned int i = random_next(s) % ENTRIES;

		if (n % 2)
			i %= QUEUE_SIZE;
		((volatile struct desc *)table)[i] =
			some_entry(s, device, table, i);
	}
	return (uint16_t)(random_next(s) >> (random_next(s) % 8 ? 28 : 16));
}

static void fill_queue(uint64_t *s, unsigned int device, unsigned int queue)
{
	volatile struct avail *avail =
		(volatile void *)page_of(RINGS, device, queue);
	uint32_t n = random_next(s);
	uint16_t head = n % 32 ? put_request(s, device, queue)
			       : put_garbage(s, device, queue);

	for (unsigned int k = 0; k <= n >> 29; k++)
		avail->ring[(avail->idx + k) % QUEUE_SIZE] = head;
	avail->flags = n >> 8 & 1;
	avail->used_event = n >> 9 & 1 ? avail->idx : (uint16_t)(n >> 10);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	avail->idx += n >> 16 & 127 ? 1 + (n >> 29) : n;
}

/* ---- Registers ---- */

static void put_address(const struct virtio *v, uint32_t off, uint64_t addr)
{
	bar_put(v, v->common + off, (uint32_t)addr, 4);
	bar_put(v, v->common + off + 4, (uint32_t)(addr >> 32), 4);
}

static void set_queue(uint64_t *s, unsigned int device, unsigned int queue)
{
	const struct virtio *v = &devices[device];
	uint64_t table = page_of(TABLES, device, queue);
	uint64_t ring = page_of(RINGS, device, queue);
	uint32_t n = random_next(s), odd = n >> 16;

	if (n % 32 == 0)
		table = odd_addresses[odd % ARRAY_SIZE(odd_addresses)];
	if (n % 32 == 1)
		ring = odd_addresses[odd % ARRAY_SIZE(odd_addresses)];
	if (n % 32 == 2)
		ring = page_of(RINGS, odd % nr_devices, odd >> 8);
	((volatile struct avail *)page_of(RINGS, device, queue))->idx = 0;
	bar_put(v, v->common + COMMON_QUEUE_SELECT, queue, 2);
	bar_put(v, v->common + COMMON_QUEUE_SIZE,
		odd % 8 ? QUEUE_SIZE : 1u << (odd >> 8) % 5, 2);
	bar_put(v, v->common + COMMON_QUEUE_VECTOR, odd % (v->nr_vectors + 1),
		2);
	put_address(v, COMMON_QUEUE_DESC, table);
	put_address(v, COMMON_QUEUE_AVAIL, ring);
	put_address(v, COMMON_QUEUE_USED, n % 16 == 3 ? ring : ring + USED);
	bar_put(v, v->common + COMMON_QUEUE_ENABLE, 1, 2);
}

static void start_device(uint64_t *s, unsigned int device)
{
	const struct virtio *v = &devices[device];

	bar_put(v, v->common + COMMON_STATUS, 0, 1);
	for (unsigned int n = 0; n < 1000; n++)
		if (!bar_get(v, v->common + COMMON_STATUS, 1))
			break;
	bar_put(v, v->common + COMMON_STATUS, 3, 1);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t bits, declined = random_next(s) & random_next(s);

		bar_put(v, v->common + COMMON_DEVICE_FEATURE_SELECT, i, 4);
		bits = bar_get(v, v->common + COMMON_DEVICE_FEATURE, 4);
		bits &= ~(i && declined % 16 ? 0 : declined);
		bar_put(v, v->common + COMMON_DRIVER_FEATURE_SELECT, i, 4);
		bar_put(v, v->common + COMMON_DRIVER_FEATURE, bits, 4);
	}
	bar_put(v, v->common + COMMON_STATUS, 11, 1);
	for (unsigned int q = 0; q < v->nr_queues; q++)
		set_queue(s, device, q);
	config_put(v, v->msix + 2, 0x8000, 2);
	for (unsigned int i = 0; i < v->nr_vectors; i++) {
		hostile_message(v, i, 1);
		bar_put(v, v->table + 16 * i + 12, random_next(s) & 1, 4);
	}
	bar_put(v, v->common + COMMON_STATUS, 15, 1);
}

/* The message control, the command register, the place of the BAR. */
static void disturb(uint64_t *s, const struct virtio *v)
{
	uint32_t n = random_next(s);
	const struct virtio *other = &devices[n % nr_devices];

	switch (n % 6) {
	case 0:
		config_put(v, v->msix + 2 + (n >> 8) % 2, n, 1);
		break;
	case 1:
		config_put(v, 4, n >> 8 & 6, n >> 16 & 1 ? 2 : 4);
		break;
	case 2:
		config_put(v, 0x10, (uint32_t)hostile_place(n >> 8), 4);
		break;
	case 3: /* onto another, unless it would take that one's tables */
		if (v->id != VIRTIO_ID_BALLOON &&
		    other->id != VIRTIO_ID_BALLOON)
			config_put(v, 0x10, (uint32_t)other->bar, 4);
		break;
	case 4:
		config_put(v, 0x14, n >> 8 & 2 ? 0 : 1u << (n >> 8 & 31), 4);
		break;
	default:
		hostile_message(v, (n >> 8) % v->nr_vectors, n >> 16);
		bar_put(v, v->table + 16 * ((n >> 8) % v->nr_vectors) + 12,
			n >> 24 & 1, 4);
	}
	if (n >> 30)
		virtio_move(v, v->bar);
}

/* Not the addresses of a queue's rings: those are for set_queue(). */
static void touch(uint64_t *s, const struct virtio *v)
{
	uint32_t n = random_next(s), len = 1u << n % 3;
	uint32_t off = (n >> 8) % 64 & ~(len - 1);

	if (off + len <= COMMON_QUEUE_DESC || off >= COMMON_QUEUE_RESET)
		bar_put(v, v->common + off, n >> 28, len);
	bar_get(v, v->common + (n >> 16) % 64, len);
	bar_put(v, v->device + off, random_next(s), len);
	bar_get(v, v->device + off, len);
	config_put(v, v->window + 8, v->device + off, 4);
	config_put(v, v->window + 12, len, 4);
	config_put(v, v->window + 16, n, len);
	config_get(v, v->window + 16, len);
}

/* A CPU's part of it: rings are those of its own devices only. */
static void work(unsigned int cpu)
{
	uint64_t *s = &seeds[cpu];

	for (unsigned int op = 0; op < OPERATIONS; op++) {
		uint32_t n = random_next(s), mine;
		unsigned int device = n % nr_devices;
		const struct virtio *v = &devices[device];
		unsigned int queue = (n >> 8) % v->nr_queues;

		mine = device - device % acpi.nr_cpus + cpu;
		switch (n >> 16 & 31) {
		case 0:
			start_device(s, device);
			break;
		case 1:
			bar_put(v, v->common + COMMON_QUEUE_SELECT, queue, 2);
			bar_put(v, v->common + COMMON_QUEUE_RESET, 1, 2);
			set_queue(s, device, queue);
			break;
		case 2:
			disturb(s, v);
			break;
		case 3:
			touch(s, v);
			break;
		default:
			if (mine < nr_devices)
				fill_queue(s, mine,
					   (n >> 8) % devices[mine].nr_queues);
			bar_put(v, v->notify + queue * v->notify_step, queue,
				2);
		}
	}
}

/* What is to be read: requests as a disk gets them, pages that nobody needs. */
static void prepare(uint64_t *s)
{
	volatile uint32_t *data = (volatile uint32_t *)DATA;
	volatile uint32_t *pages = (volatile uint32_t *)PAGES;

	for (unsigned int i = 0; i < DATA_LEN / 4; i += 4) {
		data[i] = random_next(s) % 14;
		data[i + 2] = random_next(s) % 9000;
		for (unsigned int k = 0; k < 4; k++)
			pages[i + k] = (uint32_t)(SINK / PAGE) +
				       random_next(s) % (SINK_LEN / PAGE);
	}
}

bool havoc(const struct virtio *all, unsigned int nr, uint64_t seed)
{
	bool up;

	devices = all;
	nr_devices = nr;
	if (!nr)
		return true;
	for (unsigned int i = 0; i < acpi.nr_cpus; i++)
		seeds[i] = (seed + i) * 0x9e3779b97f4a7c15 | 1;
	prepare(seeds);
	for (unsigned int i = 0; i < nr; i++)
		start_device(seeds, i);
	up = smp_run(work);
	for (unsigned int i = 0; i < nr; i++)
		virtio_move(&all[i], all[i].bar);
	return up;
}
