/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that changes between private and shared (guest.convert=ROUNDS): each
 * CPU converts ranges of its own and checks contents, all of them convert and
 * touch one range together, and impossible requests get an error.
 */
#include "firmware/guest/convert.h"

#define HC_MAP_GPA_RANGE 12 /* Linux virt/kvm/x86/hypercalls.rst */
#define CPUID_KVM_FEATURES 0x40000001
#define HC_MAP_GPA_RANGE_IS_THERE (1 << 16)
#define KVM_EINVAL ((uint64_t)-22)

static struct worker workers[MAX_WORKERS];
static uint64_t rounds;

bool can_convert(void)
{
	return cpuid(CPUID_KVM_FEATURES, 0).a & HC_MAP_GPA_RANGE_IS_THERE;
}

uint64_t map_gpa(uint64_t gpa, uint64_t pages, uint64_t attributes)
{
	uint64_t ret = HC_MAP_GPA_RANGE;

	__asm__ volatile("vmmcall"
			 : "+a"(ret)
			 : "b"(gpa), "c"(pages), "d"(attributes)
			 : "memory");
	return ret;
}

uint64_t worker_random(struct worker *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % below;
}

static volatile uint32_t *page_at(uint64_t base, uint64_t page)
{
	return (volatile uint32_t *)(base + page * PAGE + page % 1000 * 4);
}

volatile uint32_t *worker_page(const struct worker *w, uint64_t page)
{
	return page_at(w->own, page);
}

/* What changes is lost, and reads as zeros; what does not is kept. */
void worker_convert(struct worker *w, bool common, uint64_t first, uint64_t nr,
		    bool shared)
{
	uint64_t base = common ? area(0) : w->own;

	w->calls++;
	if (map_gpa(base + first * PAGE, nr, shared ? 0 : MAP_GPA_PRIVATE))
		w->refused++;
	for (uint64_t i = first; !common && i < first + nr; i++) {
		if (w->shared[i] == shared)
			continue;
		w->tags[i] = 0;
		w->shared[i] = shared;
		w->moved[i] = true;
	}
}

static void convert_own(struct worker *w)
{
	uint64_t first = worker_random(w, NR_PAGES);
	uint64_t nr = worker_random(w, NR_PAGES - first) + 1;
	uint64_t n = worker_random(w, 16);

	if (n < 8 && nr > 4)
		nr = n ? n / 2 + 1 : 1;
	if (n == 15) { /* a whole block */
		first = BLOCK / 2 / PAGE;
		nr = BLOCK / PAGE;
	}
	worker_convert(w, false, first, nr, worker_random(w, 2));
	for (unsigned int i = 0; i < 16; i++) {
		uint64_t page = worker_random(w, NR_PAGES);

		if (w->busy[page])
			continue;
		w->wrong += *worker_page(w, page) != w->tags[page];
		w->tags[page] = (uint32_t)w->random;
		*worker_page(w, page) = w->tags[page];
	}
}

static void convert_common(struct worker *w, bool touch)
{
	uint64_t first = worker_random(w, NR_PAGES);
	uint64_t n = worker_random(w, 8) + 1;

	if (n > NR_PAGES - first)
		n = NR_PAGES - first;
	worker_convert(w, true, first, n, worker_random(w, 2));
	for (unsigned int i = 0; touch && i < 16; i++)
		++*page_at(area(0), first + worker_random(w, n));
}

void worker_step(struct worker *w, bool touch)
{
	convert_own(w);
	convert_common(w, touch);
}

struct worker *worker_begin(unsigned int cpu)
{
	struct worker *w = &workers[cpu];

	if (cpu >= MAX_WORKERS)
		return NULL;
	w->own = area(cpu + 1);
	w->random = 0x9e3779b97f4a7c15ULL * (cpu + 1);
	worker_convert(w, false, 0, NR_PAGES, true);
	return w;
}

void worker_end(struct worker *w)
{
	for (unsigned int i = 0; i < NR_PAGES; i++)
		w->wrong += *worker_page(w, i) != w->tags[i];
	worker_convert(w, false, 0, NR_PAGES, false);
}

static void work(unsigned int cpu)
{
	struct worker *w = worker_begin(cpu);

	if (!w)
		return;
	for (uint64_t i = 0; i < rounds; i++)
		worker_step(w, true);
	worker_end(w);
}

uint64_t workers_check(void)
{
	unsigned int refused = 0, wrong = 0;
	uint64_t calls = 0;

	for (unsigned int i = 0; i < MAX_WORKERS; i++) {
		calls += workers[i].calls;
		refused += workers[i].refused;
		wrong += workers[i].wrong;
	}
	check_is("conversions: refused", 0, refused);
	check_is("conversions: pages with wrong contents", 0, wrong);
	return calls;
}

static const struct {
	uint64_t gpa, pages, attributes;
} bad[] = {
	{ AREA, 0, 0 },
	{ AREA + 1, 1, 0 },
	{ AREA, 1, 3 }, /* page sizes are 0 to 2 */
	{ AREA, 1, 1 << 5 },
	{ AREA, 1, 1ULL << 63 | MAP_GPA_PRIVATE },
	{ AREA, 1ULL << 52, 0 },
	{ AREA, ~0ULL, MAP_GPA_PRIVATE },
	{ X86_ECAM, 1, 0 },
	{ X86_ECAM, 1, MAP_GPA_PRIVATE },
	{ 0xfee00000, 1, MAP_GPA_PRIVATE },
	{ 1ULL << 45, 1, MAP_GPA_PRIVATE },
	{ 0ULL - PAGE, 1, 0 },
	{ 0ULL - PAGE, 2, MAP_GPA_PRIVATE },
};

static void check_refusals(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		check_is_at("impossible conversion: refused", bad[i].gpa,
			    KVM_EINVAL,
			    map_gpa(bad[i].gpa, bad[i].pages,
				    bad[i].attributes));
	check_is("conversion across the end of RAM: refused", KVM_EINVAL,
		 map_gpa(memory_low_end - PAGE, 2, 0));
	check_is("conversion of the last page of RAM", 0,
		 map_gpa(memory_low_end - PAGE, 1, MAP_GPA_PRIVATE));
	check_bits("conversion of the hole: still a hole", 0xffffffff,
		   mmio_read(uint32_t, X86_ECAM + 0x10000000ULL));
}

void convert_check(uint64_t nr_rounds)
{
	check_refusals();
	rounds = nr_rounds;
	check_that("conversions: all CPUs came back", smp_run(work));
	workers_check();
}
