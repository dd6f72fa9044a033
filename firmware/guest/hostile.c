/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that means harm: each virtio device is programmed in every way that
 * is forbidden, then has to serve an honest driver again.  What the monitor
 * may not do is end, hang, or touch memory that no ring or buffer is.
 */
#include "firmware/guest/virtio.h"

#define PCI_COMMAND 0x04
#define BAR_LEN 0x8000
#define CAP_LEN 20
#define MSIX_ENTRY 16
#define NOWHERE 0xd0000000 /* no RAM, no device */

static uint64_t seed;
/* Where nothing may be; where a buffer may not. */
static uint64_t forbidden = NOWHERE, outside = NOWHERE;
/* Who serves the devices sees no private memory, and does not know of any. */
static bool blind;

static uint32_t any(void)
{
	return random_next(&seed);
}

/*
 * An honest driver gets what it asks for; that is what counts.  But virtiofsd
 * ends at the first message that is none, and its device is lost with it.
 */
static bool serves(struct virtio *v)
{
	return (virtio_start(v) && virtio_serves(v)) || v->id == VIRTIO_ID_FS;
}

static void recovers(struct virtio *v, const char *what)
{
	check_that(what, serves(v));
}

/* ---- Rings ---- */

static const struct {
	uint32_t size;
	uint64_t desc, avail, used; /* 0: the right one; 1 to 8: beside it */
} bad_rings[] = {
	{ 0, 0, 0, 0 },
	{ 3, 0, 0, 0 },
	{ QUEUE_SIZE, 8, 0, 0 },
	{ QUEUE_SIZE, 0, 1, 0 },
	{ QUEUE_SIZE, 0, 0, 2 },
	{ QUEUE_SIZE, NOWHERE, 0, 0 },
	{ QUEUE_SIZE, 0, NOWHERE, 0 },
	{ QUEUE_SIZE, 0, 0, NOWHERE },
	{ QUEUE_SIZE, X86_ECAM, X86_LAPIC, 0 },
	{ QUEUE_SIZE, -16ULL, 0, 0 },
	{ QUEUE_SIZE, 0, -2ULL, 0 },
	{ QUEUE_SIZE, 0, 0, 0x8000000000000000 },
};

static void set_ring(struct virtio *v, uint32_t off, uint64_t bad,
		     volatile void *good)
{
	uint64_t addr = bad == NOWHERE ? forbidden
			: bad > 8      ? bad
				       : (uintptr_t)good + bad;

	bar_put(v, v->common + off, (uint32_t)addr, 4);
	bar_put(v, v->common + off + 4, (uint32_t)(addr >> 32), 4);
}

static void try_bad_rings(struct virtio *v)
{
	unsigned int noticed = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad_rings); i++) {
		if (!virtio_reset(v) || !virtio_negotiate(v))
			break;
		bar_put(v, v->common + COMMON_QUEUE_SELECT, v->queue, 2);
		bar_put(v, v->common + COMMON_QUEUE_SIZE, bad_rings[i].size, 2);
		set_ring(v, COMMON_QUEUE_DESC, bad_rings[i].desc,
			 &v->rings->desc);
		set_ring(v, COMMON_QUEUE_AVAIL, bad_rings[i].avail,
			 &v->rings->avail);
		set_ring(v, COMMON_QUEUE_USED, bad_rings[i].used,
			 &v->rings->used);
		bar_put(v, v->common + COMMON_QUEUE_ENABLE, 1, 2);
		bar_put(v, v->common + COMMON_STATUS, 15, 1);
		virtio_kick(v);
		noticed += virtio_status_comes(v, STATUS_NEEDS_RESET);
	}
	check_in("virtio: rings that cannot be, noticed",
		 blind ? 0 : ARRAY_SIZE(bad_rings), ARRAY_SIZE(bad_rings),
		 noticed);
	recovers(v, "virtio: serves after rings that cannot be");
}

/* ---- Chains ---- */

static const struct {
	uint16_t head;
	struct desc d[3]; /* addr 0: the buffer; 1: the third descriptor */
} bad_chains[] = {
	{ QUEUE_SIZE, { { 0, 1, 0, 0 } } },
	{ 0xffff, { { 0, 1, 0, 0 } } },
	{ 0, { { 0, 0, DESC_WRITE, 0 } } },
	{ 0, { { 0, 1, DESC_NEXT, 0 } } },
	{ 0, { { 0, 1, DESC_NEXT, 1 }, { 0, 1, DESC_NEXT, 0 } } },
	{ 0, { { 0, 1, DESC_NEXT, QUEUE_SIZE } } },
	{ 0, { { NOWHERE, 8, DESC_WRITE, 0 } } },
	{ 0, { { X86_LAPIC, 4, DESC_WRITE, 0 } } },
	{ 0, { { 0, 0xffffffff, DESC_WRITE, 0 } } },
	{ 0, { { -4ULL, 8, DESC_WRITE, 0 } } },
	{ 0, { { -4ULL, 0xffffffff, DESC_WRITE, 0 } } },
	{ 0, { { 0, 1, DESC_WRITE | DESC_NEXT, 1 }, { 0, 1, 0, 0 } } },
	{ 0, { { 0, 0, DESC_INDIRECT, 0 } } },
	{ 0, { { 0, 15, DESC_INDIRECT, 0 } } },
	{ 0, { { 0, 0xfffffff0, DESC_INDIRECT, 0 } } },
	{ 0, { { NOWHERE, 16, DESC_INDIRECT, 0 } } },
	{ 0, { { 1, 16, DESC_INDIRECT | DESC_NEXT, 1 }, { 0, 1, 0, 0 } } },
	{ 0, { { 1, 16, DESC_INDIRECT, 0 }, {}, { 1, 16, DESC_INDIRECT, 0 } } },
	{ 0, { { 1, 16, DESC_INDIRECT, 0 }, {}, { 0, 1, DESC_NEXT, 1 } } },
	{ 0, { { 1, 32, DESC_INDIRECT, 0 }, {}, { 0, 1, DESC_NEXT, 0 } } },
};

static void put_chain(struct virtio *v, unsigned int n)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(bad_chains[n].d); i++) {
		const struct desc *d = &bad_chains[n].d[i];

		v->rings->desc[i].addr = d->addr == NOWHERE ? outside
					 : d->addr > 1      ? d->addr
					 : d->addr
						 ? (uintptr_t)&v->rings->desc[2]
						 : (uintptr_t)v->buffer;
		v->rings->desc[i].len = d->len;
		v->rings->desc[i].flags = d->flags;
		v->rings->desc[i].next = d->next;
	}
}

/* Only those whose requests we know look at a queue when it is rung. */
static void try_bad_chains(struct virtio *v)
{
	bool known = virtio_request(v);
	unsigned int noticed = 0, tried = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad_chains); i++, tried++) {
		if (!virtio_start(v))
			break;
		put_chain(v, i);
		virtio_publish(v, bad_chains[i].head);
		virtio_kick(v);
		if (known)
			noticed += virtio_status_comes(v, STATUS_NEEDS_RESET);
	}
	/* Linux's vhost lets pass what is empty, and NEXT with INDIRECT. */
	check_in("virtio: chains that cannot be, noticed",
		 !known || blind          ? 0
		 : v->id == VIRTIO_ID_NET ? tried - 2
					  : tried,
		 known ? ARRAY_SIZE(bad_chains) : 0, noticed);
	virtio_start(v);
	virtio_request(v);
	v->rings->avail.idx = v->next_avail + QUEUE_SIZE + 1;
	virtio_kick(v);
	check_that("virtio: an index that jumps, noticed",
		   !known || virtio_status_comes(v, STATUS_NEEDS_RESET));
	recovers(v, "virtio: serves after chains that cannot be");
}

/* ---- Resets, of which a device may have many under way ---- */

static void try_resets(struct virtio *v, uint64_t rounds)
{
	for (uint64_t n = 0; n < rounds; n++) {
		if (!virtio_start(v))
			break;
		if (virtio_request(v))
			for (unsigned int i = 0; i < any() % QUEUE_SIZE; i++)
				virtio_publish(v, 0);
		if (any() % 4)
			virtio_kick(v);
		if (any() % 2) {
			bar_put(v, v->common + COMMON_QUEUE_RESET, 1, 2);
			if (any() % 2)
				virtio_enable_queue(v);
			virtio_kick(v);
		}
		/* It may still be at it when all of it comes again. */
		bar_put(v, v->common + COMMON_STATUS, 0, 1);
		if (any() % 2) {
			virtio_negotiate(v);
			virtio_enable_queue(v);
			virtio_kick(v);
			bar_put(v, v->common + COMMON_STATUS, 15, 1);
		}
	}
	recovers(v, "virtio: serves after resets at any time");
}

/* ---- The BAR ---- */

static const uint64_t places[] = {
	0x100000, /* this very code */
	0,
	X86_PCI_MMIO32,
	X86_PCI_MMIO32 + X86_PCI_MMIO32_LEN - BAR_LEN,
	X86_PCI_MMIO32 - BAR_LEN,
	X86_ECAM,
	X86_LAPIC & ~(uint64_t)(BAR_LEN - 1),
	X86_PCI_MMIO64,
	X86_PCI_MMIO64 + X86_PCI_MMIO64_LEN - BAR_LEN,
	X86_PCI_MMIO64 + X86_PCI_MMIO64_LEN,
	0xffffffffffff8000,
	0x8000000000000000,
};

uint64_t hostile_place(uint32_t n)
{
	return places[n % ARRAY_SIZE(places)];
}

static void try_moves(struct virtio *v, const struct virtio *all,
		      unsigned int nr)
{
	uint64_t code = load64(0x100000);
	bool same = true;

	if (!virtio_start(v))
		check_that("virtio: starts", false);
	for (unsigned int i = 0; i < ARRAY_SIZE(places); i++) {
		virtio_move(v, places[i]);
		same = same && load64(0x100000) == code;
		config_put(v, PCI_COMMAND, i | 4, 2);
	}
	for (unsigned int i = 0; i < nr; i++) {
		virtio_move(v, all[i].bar);
		bar_get(&all[i], all[i].common + COMMON_STATUS, 1);
		bar_put(&all[i], all[i].notify, 0, 2);
	}
	check_that("virtio: a BAR on RAM hides nothing", same);
	virtio_move(v, v->bar);
	check_that("virtio: serves where its BAR came back to",
		   virtio_serves(v));
}

/* ---- Interrupts ---- */

/* No delivery mode but fixed: the others stop us, not the monitor. */
static const struct {
	uint64_t addr;
	uint32_t data;
} messages[] = {
	{ 0, VECTOR_DEVICE },
	{ 0x1000, VECTOR_DEVICE },
	{ X86_LAPIC + 0xff000, VECTOR_DEVICE },
	{ X86_LAPIC + 0xfe004, VECTOR_DEVICE },
	{ X86_LAPIC, 0xffff0000 | VECTOR_DEVICE },
	{ X86_LAPIC, 0xc000 | VECTOR_DEVICE }, /* level, as if it were INTx */
	{ 1ULL << 32 | X86_LAPIC, VECTOR_DEVICE },
	{ -16ULL, VECTOR_DEVICE },
	{ X86_ECAM, VECTOR_DEVICE },
};

void hostile_message(const struct virtio *v, unsigned int vector, uint32_t n)
{
	uint32_t at = v->table + vector * MSIX_ENTRY;

	n %= ARRAY_SIZE(messages);
	bar_put(v, at, (uint32_t)messages[n].addr, 4);
	bar_put(v, at + 4, (uint32_t)(messages[n].addr >> 32), 4);
	bar_put(v, at + 8, messages[n].data, 4);
}

static void try_messages(struct virtio *v)
{
	uint32_t ram = load32(0x1000);

	for (unsigned int i = 0; i < ARRAY_SIZE(messages); i++) {
		if (!virtio_start(v))
			break;
		hostile_message(v, 0, i);
		if (virtio_request(v)) {
			virtio_publish(v, 0);
			virtio_kick(v);
			for (uint64_t t = rdtsc();
			     v->rings->used.idx == v->next_used &&
			     rdtsc() - t < ns_to_tsc(1000000000);)
				__builtin_ia32_pause();
		}
	}
	check_is("virtio: MSI to RAM is no write to RAM", ram, load32(0x1000));
	recovers(v, "virtio: serves after messages to odd addresses");
}

static void try_masks(struct virtio *v)
{
	unsigned int before;
	bool known;

	virtio_start(v);
	config_put(v, v->msix + 2, 0xc000, 2); /* the function is masked */
	known = virtio_request(v);
	before = irq_count[VECTOR_DEVICE];
	virtio_publish(v, 0);
	virtio_kick(v);
	for (unsigned int i = 0; i < 200; i++) {
		bar_put(v, v->table + any() % v->nr_vectors * MSIX_ENTRY + 12,
			any() % 2, 4);
		if (i % 16 == 0)
			config_put(v, v->msix + 2, any() % 2 ? 0xc000 : 0, 2);
	}
	config_put(v, v->msix + 2, 0xc000, 2);
	bar_put(v, v->table + 12, 0, 4);
	check_is("virtio: interrupts while masked", before,
		 irq_count[VECTOR_DEVICE]);
	config_put(v, v->msix + 2, 0x8000, 2);
	check_that("virtio: what came while masked comes then",
		   !known || wait_irq(VECTOR_DEVICE, before));
	recovers(v, "virtio: serves after masking");
}

/* ---- Registers ---- */

/* Bells of queues that are off or are not, by the window too. */
static void try_bells(struct virtio *v)
{
	virtio_reset(v);
	for (uint32_t off = 0; off < 0x1000; off += 64)
		bar_put(v, v->notify + off, any(), 1u << any() % 3);
	for (unsigned int i = 0; i < v->nr_queues; i++)
		bar_put(v, v->notify + i * v->notify_step, i, 2);
	virtio_negotiate(v);
	virtio_kick(v);
	for (unsigned int i = 0; i < 64; i++) {
		config_put(v, v->window + 8, any() % (v->table - 4), 4);
		config_put(v, v->window + 12, any() % 6, 4);
		config_put(v, v->window + 16, any(), 4);
		config_get(v, v->window + 16, 4);
	}
	recovers(v, "virtio: serves after bells that nobody waits for");
}

/* Not the messages' data: with those a guest stops itself. */
static void try_registers(struct virtio *v, uint64_t rounds)
{
	for (uint64_t n = 0; n < rounds; n++) {
		unsigned int len = 1u << any() % 3;
		uint32_t off = any() % BAR_LEN & ~(len - 1);
		uint32_t reg = any() % 256 & ~(len - 1);

		if (any() % 4)
			off = v->common + any() % COMMON_LEN;
		if (off < v->table || off >= v->table + 0x1000)
			bar_put(v, off, any() % 8 ? any() % 32 : any(), len);
		else
			bar_get(v, off, len);
		if (n % 8 == 0 &&
		    (reg + len <= v->window || reg >= v->window + CAP_LEN))
			config_put(v, reg, any(), len);
		if (n % 64 == 0)
			virtio_move(v, v->bar);
	}
	config_put(v, v->msix + 2, 0, 2);
	recovers(v, "virtio: serves after any register had any value");
}

/* ---- Bus Master ---- */

static void try_silence(struct virtio *v)
{
	bool known;

	virtio_start(v);
	config_put(v, PCI_COMMAND, 2, 2);
	check_that("virtio: needs a reset when it is no bus master any more",
		   virtio_status_comes(v, STATUS_NEEDS_RESET));
	sleep_ms(20); /* a kernel or program that serves it has to be told */
	known = virtio_request(v);
	virtio_publish(v, 0);
	virtio_kick(v);
	config_put(v, PCI_COMMAND, 6, 2);
	virtio_kick(v);
	sleep_ms(1);
	check_that("virtio: does nothing until then",
		   !known || v->rings->used.idx == v->next_used);
	recovers(v, "virtio: serves as a bus master again");
}

static void try_queue(struct virtio *v, uint64_t rounds)
{
	recovers(v, "virtio: serves at all");
	try_bad_rings(v);
	try_bad_chains(v);
	if (turn_pages(v, rounds, blind, &seed))
		recovers(v, "virtio: serves after pages that turned private");
	try_resets(v, rounds / 8);
	try_messages(v);
	try_masks(v);
	try_bells(v);
	try_silence(v);
	try_registers(v, rounds);
	config_put(v, v->msix + 2, 0, 2);
	check_that("virtio: stops", virtio_reset(v));
}

/* The queues that can be asked for something, or the first. */
static void try_device(struct virtio *v, uint64_t rounds)
{
	unsigned int last = 0;

	for (v->queue = 0; v->queue < v->nr_queues; v->queue++) {
		if (virtio_request(v))
			last = v->queue;
		else if (v->queue)
			continue;
		note("hostile, queue", v->queue);
		try_queue(v, rounds);
	}
	v->queue = last;
}

/* All together, on all CPUs. */
static void try_all(struct virtio *devices, unsigned int nr, uint64_t rounds)
{
	unsigned int served = 0;
	uint64_t n, up = 0;

	for (n = 0; n < rounds; n++) {
		up += havoc(devices, nr, seed + n);
		for (unsigned int i = 0; i < nr; i++) {
			served += serves(&devices[i]);
			virtio_reset(&devices[i]);
		}
	}
	check_is("havoc: times that all CPUs came back", rounds, up);
	check_is("havoc: times that a device served after it", rounds * nr,
		 served);
}

void hostile_check(uint64_t rounds)
{
	static struct virtio devices[VIRTIO_MAX];
	unsigned int nr = virtio_find(devices);

	seed = option_number("guest.seed=", 0x9e3779b97f4a7c15);
	blind = option_number("guest.vhost=", 0);
	note("hostile, virtio devices", nr);
	check_in("hostile: has the RAM that this needs", VIRTIO_RAM_NEEDED,
		 ~0ULL, memory_low_end);
	if (memory_low_end < VIRTIO_RAM_NEEDED)
		return;
	/* What no device may touch, where it can be: private memory. */
	if (can_convert()) {
		forbidden = outside = memory_low_end - PAGE;
		check_is("hostile: has a private page", 0,
			 map_gpa(forbidden, 1, MAP_GPA_PRIVATE));
		if (option_number("guest.strict=", 0))
			outside = window_check(devices, nr);
		check_is("hostile: shares its rings", 0,
			 map_gpa(VIRTIO_RAM, VIRTIO_RAM / PAGE, 0));
		memory_see_shared(VIRTIO_RAM, VIRTIO_RAM);
	}
	for (unsigned int i = 0; i < nr; i++) {
		note("hostile, slot", devices[i].slot);
		note("hostile, device type", devices[i].id);
		try_moves(&devices[i], devices, nr);
		try_device(&devices[i], rounds);
	}
	try_all(devices, nr, 1 + rounds / 16);
}
