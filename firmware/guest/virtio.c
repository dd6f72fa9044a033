/* SPDX-License-Identifier: Apache-2.0 */
/* What virtio.h declares: an honest driver. */
#include "firmware/guest/virtio.h"

/* PCI Local Bus 3.0, 6.1 and 6.8; virtio 1.2, 4.1.2 and 4.1.4. */
#define PCI_COMMAND 0x04
#define PCI_COMMAND_ON 0x0006 /* memory, bus master */
#define PCI_COMMAND_MASTER 0x0004
#define PCI_BAR0 0x10
#define PCI_BAR1 0x14
#define PCI_CAPABILITIES 0x34
#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX 0x11
#define MSIX_ENABLE 0x8000
#define MSIX_SIZE_MASK 0x7ff
#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_DEVICE 0x1040
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_WINDOW };

#define FEATURES_HIGH 0x103     /* VERSION_1, ACCESS_PLATFORM, RING_RESET */
#define FEATURES_LOW (1u << 28) /* INDIRECT_DESC */
#define NET_CTRL_VQ (1u << 17)
#define BALLOON_REPORTING (1u << 5)

#define PATIENCE_NS 5000000000ULL
#define BLOCK_GET_ID 8 /* virtio 1.2, 5.2.6 */

static uint32_t get(uint64_t addr, unsigned int len)
{
	return len == 1   ? mmio_read(uint8_t, addr)
	       : len == 2 ? mmio_read(uint16_t, addr)
			  : mmio_read(uint32_t, addr);
}

static void put(uint64_t addr, uint32_t value, unsigned int len)
{
	if (len == 1)
		mmio_write(uint8_t, addr, (uint8_t)value);
	else if (len == 2)
		mmio_write(uint16_t, addr, (uint16_t)value);
	else
		mmio_write(uint32_t, addr, value);
}

uint32_t config_get(const struct virtio *v, unsigned int off, unsigned int len)
{
	return get(v->config + off, len);
}

void config_put(const struct virtio *v, unsigned int off, uint32_t value,
		unsigned int len)
{
	put(v->config + off, value, len);
}

uint32_t bar_get(const struct virtio *v, uint32_t off, unsigned int len)
{
	return get(v->bar + off, len);
}

void bar_put(const struct virtio *v, uint32_t off, uint32_t value,
	     unsigned int len)
{
	put(v->bar + off, value, len);
}

static void see_capability(struct virtio *v, unsigned int at)
{
	uint32_t off = config_get(v, at + 8, 4);

	if (config_get(v, at, 1) == PCI_CAP_MSIX) {
		v->msix = at;
		v->table = config_get(v, at + 4, 4) & ~7u;
		v->nr_vectors = (config_get(v, at + 2, 2) & MSIX_SIZE_MASK) + 1;
	}
	if (config_get(v, at, 1) != PCI_CAP_VENDOR)
		return;
	switch (config_get(v, at + 3, 1)) {
	case CAP_COMMON:
		v->common = off;
		break;
	case CAP_NOTIFY:
		v->notify = off;
		v->notify_step = config_get(v, at + 16, 4);
		break;
	case CAP_DEVICE:
		v->device = off;
		break;
	case CAP_WINDOW:
		v->window = at;
		break;
	}
}

void virtio_use_ram(struct virtio *v, uint64_t addr)
{
	v->rings = (volatile struct ring_set *)addr;
	v->buffer = (uint8_t *)(addr + PAGE);
}

unsigned int virtio_find(struct virtio *devices)
{
	unsigned int nr = 0;

	for (unsigned int slot = 0; slot < VIRTIO_MAX; slot++) {
		struct virtio *v = &devices[nr];
		unsigned int at;

		*v = (struct virtio){ .slot = slot };
		virtio_use_ram(v, VIRTIO_RAM);
		v->config = X86_ECAM + ((uint64_t)slot << 15);
		if (config_get(v, 0, 2) != VIRTIO_VENDOR)
			continue;
		v->id = config_get(v, 2, 2) - VIRTIO_DEVICE;
		v->bar = (uint64_t)config_get(v, PCI_BAR1, 4) << 32 |
			 (config_get(v, PCI_BAR0, 4) & ~0xfu);
		at = config_get(v, PCI_CAPABILITIES, 1);
		for (unsigned int n = 0; at && n < 48; n++) {
			see_capability(v, at);
			at = config_get(v, at + 1, 1);
		}
		virtio_move(v, v->bar);
		v->nr_queues = bar_get(v, v->common + COMMON_NUM_QUEUES, 2);
		nr++;
	}
	return nr;
}

void virtio_move(const struct virtio *v, uint64_t addr)
{
	config_put(v, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	config_put(v, PCI_BAR0, (uint32_t)addr, 4);
	config_put(v, PCI_BAR1, (uint32_t)(addr >> 32), 4);
	config_put(v, PCI_COMMAND, PCI_COMMAND_ON, 2);
}

static uint8_t status(const struct virtio *v)
{
	return (uint8_t)bar_get(v, v->common + COMMON_STATUS, 1);
}

static void set_status(const struct virtio *v, uint8_t bits)
{
	bar_put(v, v->common + COMMON_STATUS, bits, 1);
}

static bool patience(uint64_t since)
{
	__builtin_ia32_pause();
	return rdtsc() - since < ns_to_tsc(PATIENCE_NS);
}

bool virtio_status_comes(struct virtio *v, uint8_t bits)
{
	uint64_t since = rdtsc();

	while ((status(v) & bits) != bits)
		if (!patience(since))
			return false;
	return true;
}

bool virtio_reset(struct virtio *v)
{
	uint64_t since = rdtsc();

	set_status(v, 0);
	while (status(v))
		if (!patience(since))
			return false;
	return true;
}

bool virtio_negotiate(struct virtio *v)
{
	const uint32_t wanted[] = {
		FEATURES_LOW | (v->id == VIRTIO_ID_NET       ? NET_CTRL_VQ
				: v->id == VIRTIO_ID_BALLOON ? BALLOON_REPORTING
							     : 0),
		FEATURES_HIGH
	};

	set_status(v, STATUS_ACKNOWLEDGE);
	set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t bits;

		bar_put(v, v->common + COMMON_DEVICE_FEATURE_SELECT, i, 4);
		bits = bar_get(v, v->common + COMMON_DEVICE_FEATURE, 4);
		bar_put(v, v->common + COMMON_DRIVER_FEATURE_SELECT, i, 4);
		bar_put(v, v->common + COMMON_DRIVER_FEATURE, bits & wanted[i],
			4);
	}
	set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	return status(v) & STATUS_FEATURES_OK;
}

static void set_address(struct virtio *v, uint32_t off,
			const volatile void *ring)
{
	bar_put(v, v->common + off, (uint32_t)(uintptr_t)ring, 4);
	bar_put(v, v->common + off + 4, 0, 4);
}

void virtio_enable_queue(struct virtio *v)
{
	__builtin_memset((void *)v->rings, 0, sizeof(*v->rings));
	v->next_avail = v->next_used = 0;
	bar_put(v, v->common + COMMON_QUEUE_SELECT, v->queue, 2);
	bar_put(v, v->common + COMMON_QUEUE_SIZE, QUEUE_SIZE, 2);
	bar_put(v, v->common + COMMON_QUEUE_VECTOR, 0, 2);
	set_address(v, COMMON_QUEUE_DESC, &v->rings->desc);
	set_address(v, COMMON_QUEUE_AVAIL, &v->rings->avail);
	set_address(v, COMMON_QUEUE_USED, &v->rings->used);
	bar_put(v, v->common + COMMON_QUEUE_ENABLE, 1, 2);
}

bool virtio_start(struct virtio *v)
{
	virtio_move(v, v->bar);
	if (!virtio_reset(v) || !virtio_negotiate(v))
		return false;
	bar_put(v, v->table, X86_LAPIC | apic_id() << 12, 4);
	bar_put(v, v->table + 4, 0, 4);
	bar_put(v, v->table + 8, VECTOR_DEVICE, 4);
	bar_put(v, v->table + 12, 0, 4);
	config_put(v, v->msix + 2, MSIX_ENABLE, 2);
	virtio_enable_queue(v);
	set_status(v, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK |
			      STATUS_DRIVER_OK);
	return status(v) & STATUS_DRIVER_OK;
}

void virtio_publish(struct virtio *v, uint16_t head)
{
	v->rings->avail.ring[v->next_avail % QUEUE_SIZE] = head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	v->rings->avail.idx = ++v->next_avail;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void virtio_kick(struct virtio *v)
{
	bar_put(v, v->notify + v->queue * v->notify_step, v->queue, 2);
}

/* An honest request: parts of the buffer.  Byte 100 is for a status. */
#define ANY_QUEUE 0xff
static const struct request {
	uint8_t id, queue;
	struct {
		uint16_t at, len, flags;
	} parts[3];
} requests[] = {
	{ VIRTIO_ID_ENTROPY, 0, { { 0, 64, DESC_WRITE } } },
	{ VIRTIO_ID_BLOCK,
	  ANY_QUEUE,
	  { { 0, 16, DESC_NEXT },
	    { 64, 20, DESC_WRITE | DESC_NEXT },
	    { 100, 1, DESC_WRITE } } },
	{ VIRTIO_ID_CONSOLE, 1, { { 0, 1, 0 } } },
	{ VIRTIO_ID_NET, 1, { { 200, 72, 0 } } },
	{ VIRTIO_ID_NET, 2, { { 0, 4, DESC_NEXT }, { 100, 1, DESC_WRITE } } },
	{ VIRTIO_ID_BALLOON, 0, { { 300, 4, 0 } } },
	{ VIRTIO_ID_BALLOON, 1, { { 300, 4, 0 } } },
	{ VIRTIO_ID_BALLOON, 3, { { 0, PAGE, DESC_WRITE } } },
};

static const struct request *known(const struct virtio *v)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].id == v->id && (requests[i].queue == v->queue ||
						requests[i].queue == ANY_QUEUE))
			return &requests[i];
	return NULL;
}

bool virtio_request(struct virtio *v)
{
	const struct request *r = known(v);

	for (unsigned int i = 0; r && i < ARRAY_SIZE(r->parts); i++) {
		v->rings->desc[i].addr = (uintptr_t)v->buffer + r->parts[i].at;
		v->rings->desc[i].len = r->parts[i].len;
		v->rings->desc[i].flags = r->parts[i].flags;
		v->rings->desc[i].next = (uint16_t)(i + 1);
	}
	__builtin_memset(v->buffer, 0, PAGE);
	v->buffer[0] = BLOCK_GET_ID;
	v->buffer[100] = 0xff;
	/* A page that nobody needs. */
	*(volatile uint32_t *)(v->buffer + 300) = (VIRTIO_RAM_NEEDED >> 12) - 1;
	return r;
}

/* What a device has to have done: random bytes, or a status. */
static bool answered(const struct virtio *v)
{
	unsigned int bits = 0;

	if (v->id == VIRTIO_ID_BLOCK)
		return !v->buffer[100];
	if (v->id == VIRTIO_ID_NET && v->queue == 2)
		return v->buffer[100] != 0xff;
	for (unsigned int i = 0; i < 64; i++)
		bits |= v->buffer[i];
	return bits || v->id != VIRTIO_ID_ENTROPY;
}

bool virtio_serves(struct virtio *v)
{
	uint64_t since = rdtsc();

	if (!virtio_request(v)) /* it must say nothing of an error */
		return !(status(v) & STATUS_NEEDS_RESET);
	virtio_publish(v, 0);
	virtio_kick(v);
	while (v->rings->used.idx == v->next_used) {
		wait_irq(VECTOR_DEVICE, irq_count[VECTOR_DEVICE]);
		if (!patience(since))
			return false;
	}
	v->next_used++;
	return answered(v);
}
