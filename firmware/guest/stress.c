/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O into memory that changes between private and shared (guest.stress=
 * SECONDS): each CPU does what convert.c does and drives a disk besides, the
 * first one a network, too.  Requests are made for pages that are shared then,
 * many of which turn private while the request is under way.  A device that
 * meets a private page needs a reset, and gets it.
 */
#include "firmware/guest/convert.h"
#include "firmware/guest/virtio.h"

#define RAM_STEP (4 * PAGE) /* rings and a page, of each queue */
#define RAM_LEN (1ULL << 20)
#define SLOTS (QUEUE_SIZE / 3) /* requests of three descriptors */
#define MOST_PAGES 16          /* of a request */
#define KEPT_PAGES 256         /* of a disk, the first ones: see keep() */
#define SECTORS (PAGE / 512)
#define QUIET 32 /* steps until a device is asked what is the matter */

struct request {
	bool under_way, common, reads;
	uint16_t first, nr;
	uint32_t at; /* page of the disk */
};

struct disk {
	struct virtio v;
	struct worker *w;
	struct request requests[SLOTS];
	unsigned int quiet;
	unsigned int done, failed, resets;
	bool lost;
};

struct nic {
	struct virtio rx, tx;
	unsigned int quiet;
	unsigned int sent, received, resets;
};

static struct virtio devices[VIRTIO_MAX];
static unsigned int nr_devices;
static struct disk disks[MAX_WORKERS];
static unsigned int nr_disks;
static struct nic nic;
static uint64_t until;

/* ---- Disks ---- */

/* What a page of the first ones of a disk consists of. */
static uint32_t kept(uint32_t at)
{
	return 0xd15c0000 + at;
}

/* What a request has left in a page that was not looked at meanwhile. */
static void settle(struct disk *d, const struct request *r, bool done)
{
	struct worker *w = d->w;

	for (uint32_t i = 0; !r->common && i < r->nr; i++) {
		uint32_t page = r->first + i;

		w->busy[page] = false;
		if (w->moved[page] && !w->shared[page])
			continue; /* zeros: no device writes here */
		if (done && !w->moved[page]) {
			if (r->reads)
				w->tags[page] = kept(r->at + i);
			continue;
		}
		/* Of all that it may have become, one. */
		w->tags[page] = (uint32_t)w->random;
		*worker_page(w, page) = w->tags[page];
	}
}

static bool needs_reset(const struct virtio *v)
{
	return bar_get(v, v->common + COMMON_STATUS, 1) & STATUS_NEEDS_RESET;
}

static void restart(struct disk *d)
{
	d->lost = !virtio_start(&d->v);
	d->resets++;
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (d->requests[i].under_way)
			settle(d, &d->requests[i], false);
		d->requests[i].under_way = false;
	}
}

static void collect(struct disk *d)
{
	struct virtio *v = &d->v;

	for (; v->rings->used.idx != v->next_used; v->next_used++) {
		unsigned int i =
			v->rings->used.ring[v->next_used % QUEUE_SIZE].id / 3;
		bool done = !v->buffer[PAGE / 2 + i];

		settle(d, &d->requests[i], done);
		d->requests[i].under_way = false;
		d->failed += !done;
		d->done++;
		d->quiet = 0;
	}
	if (++d->quiet % QUIET == 0 && needs_reset(v))
		restart(d);
}

static void put_desc(struct disk *d, unsigned int i, uint64_t addr,
		     uint32_t len, uint16_t flags)
{
	d->v.rings->desc[i].addr = addr;
	d->v.rings->desc[i].len = len;
	d->v.rings->desc[i].flags = flags;
	d->v.rings->desc[i].next = (uint16_t)(i + 1);
}

static void send(struct disk *d, unsigned int slot, const struct request *r)
{
	uint8_t *head = d->v.buffer + slot * 16;
	uint8_t *status = d->v.buffer + PAGE / 2 + slot;
	uint64_t base = r->common ? area(0) : d->w->own;

	mmio_write(uint32_t, head, !r->reads); /* 5.2.6: IN 0, OUT 1 */
	mmio_write(uint64_t, head + 8, r->at * SECTORS);
	*status = 0xff;
	put_desc(d, 3 * slot, (uintptr_t)head, 16, DESC_NEXT);
	put_desc(d, 3 * slot + 1, base + r->first * PAGE,
		 (uint32_t)(r->nr * PAGE),
		 DESC_NEXT | (r->reads ? DESC_WRITE : 0));
	put_desc(d, 3 * slot + 2, (uintptr_t)status, 1, DESC_WRITE);
	d->requests[slot] = *r;
	d->requests[slot].under_way = true;
	virtio_publish(&d->v, (uint16_t)(3 * slot));
	virtio_kick(&d->v);
}

static bool is_busy(const struct worker *w, const struct request *r)
{
	for (uint32_t i = 0; i < r->nr; i++)
		if (w->busy[r->first + i])
			return true;
	return false;
}

/* Some pages of a request turn private, sooner or later. */
static void pull_away(struct worker *w, const struct request *r)
{
	uint64_t first = worker_random(w, r->nr);

	for (uint64_t n = worker_random(w, 4096); n; n--)
		__builtin_ia32_pause();
	worker_convert(w, r->common, r->first + first,
		       worker_random(w, r->nr - first) + 1, false);
}

static void ask(struct disk *d)
{
	struct worker *w = d->w;
	struct request r = { .common = !worker_random(w, 16),
			     .reads = worker_random(w, 4) };
	unsigned int slot = 0;

	while (slot < SLOTS && d->requests[slot].under_way)
		slot++;
	r.nr = (uint16_t)(worker_random(w, MOST_PAGES) + 1);
	r.first = (uint16_t)worker_random(w, NR_PAGES - r.nr);
	r.at = (uint32_t)worker_random(w, KEPT_PAGES - r.nr);
	if (!r.reads)
		r.at += KEPT_PAGES;
	if (d->lost || slot == SLOTS || (!r.common && is_busy(w, &r)))
		return;
	worker_convert(w, r.common, r.first, r.nr, true);
	for (uint32_t i = 0; !r.common && i < r.nr; i++) {
		w->busy[r.first + i] = true;
		w->moved[r.first + i] = false;
	}
	send(d, slot, &r);
	if (worker_random(w, 2))
		pull_away(w, &r);
}

/* Before others convert: fills the first pages, by way of the common area. */
static void keep(struct disk *d)
{
	struct request r = { .nr = MOST_PAGES, .common = true };
	volatile uint32_t *data = (volatile uint32_t *)area(0);

	map_gpa(area(0), MOST_PAGES, 0);
	for (; r.at < KEPT_PAGES && !d->lost; r.at += r.nr) {
		for (uint32_t i = 0; i < MOST_PAGES * PAGE / 4; i++)
			data[i] = kept(r.at + (uint32_t)(i * 4 / PAGE));
		send(d, 0, &r);
		while (d->requests[0].under_way && !d->lost)
			collect(d);
	}
	d->lost |= d->failed || d->resets;
}

/* ---- The network: who asks for an address gets an answer ---- */

static const struct {
	uint8_t header[12]; /* virtio 1.2, 5.1.6 */
	uint8_t to[6], from[6], type[2];
	uint8_t arp[8], sender[10], target[10]; /* RFC 826 */
} __attribute__((packed)) question = {
	.to = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	.from = { 2, 0, 0, 0, 0, 1 },
	.type = { 8, 6 },
	.arp = { 0, 1, 8, 0, 6, 4, 0, 1 },
	.sender = { 2, 0, 0, 0, 0, 1, 10, 77, 0, 2 },
	.target = { 0, 0, 0, 0, 0, 0, 10, 77, 0, 1 },
};

/* A page of the common area, shared for now, as descriptor i. */
static uint64_t lend(struct worker *w, struct virtio *v, uint16_t i,
		     uint32_t len, uint16_t flags)
{
	uint64_t page = worker_random(w, NR_PAGES);
	uint64_t addr = area(0) + page * PAGE;

	worker_convert(w, true, page, 1, true);
	v->rings->desc[i].addr = addr;
	v->rings->desc[i].len = len;
	v->rings->desc[i].flags = flags;
	return addr;
}

static void start_nic(struct worker *w)
{
	if (!virtio_start(&nic.rx))
		return;
	for (uint16_t i = 0; i < QUEUE_SIZE / 2; i++) {
		lend(w, &nic.rx, i, PAGE, DESC_WRITE);
		virtio_publish(&nic.rx, i);
	}
	virtio_enable_queue(&nic.tx);
	virtio_kick(&nic.rx);
}

static void step_nic(struct worker *w)
{
	struct virtio *rx = &nic.rx, *tx = &nic.tx;

	for (; rx->rings->used.idx != rx->next_used; rx->next_used++) {
		uint32_t i =
			rx->rings->used.ring[rx->next_used % QUEUE_SIZE].id;

		lend(w, rx, (uint16_t)i, PAGE, DESC_WRITE);
		virtio_publish(rx, (uint16_t)i);
		virtio_kick(rx);
		nic.received++;
	}
	if (tx->rings->used.idx == tx->next_avail) {
		__builtin_memcpy((void *)lend(w, tx, 0, sizeof(question), 0),
				 &question, sizeof(question));
		virtio_publish(tx, 0);
		virtio_kick(tx);
		nic.sent++;
		nic.quiet = 0;
	}
	if (++nic.quiet % QUIET == 0 && needs_reset(rx)) {
		nic.resets++;
		start_nic(w);
	}
}

/* ---- All together ---- */

static void work(unsigned int cpu)
{
	struct worker *w = worker_begin(cpu);
	struct disk *d = w && cpu < nr_disks ? &disks[cpu] : NULL;
	bool has_nic = !cpu && nic.rx.config;

	if (!w)
		return;
	if (d)
		d->w = w;
	if (has_nic)
		start_nic(w);
	while (rdtsc() < until) {
		/* Not: what KVM has half done for a CPU comes back to life. */
		worker_step(w, false);
		if (d) {
			collect(d);
			ask(d);
		}
		if (has_nic)
			step_nic(w);
	}
	if (d)
		restart(d);
	worker_end(w);
}

/* Is page one of those that are converted, or that devices know of? */
static bool changes(uint64_t page)
{
	if (page - VIRTIO_RAM < RAM_LEN)
		return true;
	return page >= area(0) && page < area(MAX_WORKERS + 1) &&
	       (page - area(0)) % AREA_STEP < NR_PAGES * PAGE;
}

#define FIRST_PAGE (((uintptr_t)image_end + PAGE - 1) & ~(PAGE - 1))

/* All of it, so that no page is there that costs nothing. */
static void fill_memory(void)
{
	map_gpa(FIRST_PAGE, (memory_low_end - FIRST_PAGE) / PAGE,
		MAP_GPA_PRIVATE);
	for (uint64_t page = FIRST_PAGE; page < memory_low_end; page += PAGE)
		mmio_write(uint64_t, page, ~page);
}

static unsigned int look_at_memory(void)
{
	unsigned int wrong = 0;

	for (uint64_t page = FIRST_PAGE; page < memory_low_end; page += PAGE)
		wrong += !changes(page) && mmio_read(uint64_t, page) != ~page;
	return wrong;
}

static void set_up(void)
{
	nr_devices = virtio_find(devices);
	map_gpa(VIRTIO_RAM, RAM_LEN / PAGE, 0);
	for (unsigned int i = 0; i < nr_devices; i++) {
		struct virtio *v = &devices[i];

		virtio_use_ram(v, VIRTIO_RAM + 2 * i * RAM_STEP);
		if (v->id == VIRTIO_ID_BLOCK && nr_disks < MAX_WORKERS) {
			struct disk *d = &disks[nr_disks++];

			d->v = *v;
			d->lost = !virtio_start(&d->v);
			keep(d);
		} else if (v->id == VIRTIO_ID_NET) {
			nic.rx = nic.tx = *v;
			nic.tx.queue = v->queue = 1;
			virtio_use_ram(&nic.tx,
				       VIRTIO_RAM + (2 * i + 1) * RAM_STEP);
		}
	}
}

static void check_disks(void)
{
	unsigned int done = 0, failed = 0, resets = 0, lost = 0;

	for (unsigned int i = 0; i < nr_disks; i++) {
		done += disks[i].done;
		failed += disks[i].failed;
		resets += disks[i].resets;
		lost += disks[i].lost;
	}
	note("stress, requests of disks", done);
	note("stress, resets of disks", resets);
	check_is("stress: requests that failed", 0, failed);
	check_is("stress: disks that were lost", 0, lost);
}

void stress_check(uint64_t seconds)
{
	unsigned int served = 0;

	fill_memory();
	set_up();
	until = rdtsc() + ns_to_tsc(seconds * 1000000000);
	check_that("stress: all CPUs came back", smp_run(work));
	note("stress, conversions", workers_check());
	check_disks();
	note("stress, packets sent", nic.sent);
	note("stress, packets received", nic.received);
	note("stress, resets of the network", nic.resets);
	check_is("stress: pages that nobody changed and have changed", 0,
		 look_at_memory());
	for (unsigned int i = 0; i < nr_devices; i++)
		served +=
			virtio_start(&devices[i]) && virtio_serves(&devices[i]);
	check_is("stress: devices that serve after it", nr_devices, served);
}
