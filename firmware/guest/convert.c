/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that changes between private and shared (guest.convert=ROUNDS): each
 * CPU converts ranges of its own and checks contents, all of them convert and
 * touch one range together, and impossible requests get an error.
 */
#include "firmware/guest/guest.h"

#define HC_MAP_GPA_RANGE 12 /* Linux virt/kvm/x86/hypercalls.rst */
#define CPUID_KVM_FEATURES 0x40000001
#define HC_MAP_GPA_RANGE_IS_THERE (1 << 16)
#define KVM_EINVAL ((uint64_t)-22)

#define MAX_WORKERS 8
#define BLOCK (2ULL << 20)
#define AREA (64ULL << 20) /* what the CPUs share, then one for each */
#define AREA_STEP (2 * BLOCK)
#define NR_PAGES 768 /* a block and two halves */

struct worker {
	uint32_t tags[NR_PAGES]; /* what each page begins with */
	bool shared[NR_PAGES];
	uint64_t random;
	unsigned int refused, wrong;
};
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

static uint64_t area(unsigned int i)
{
	return AREA + i * AREA_STEP + BLOCK / 2;
}

static uint64_t next(struct worker *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % below;
}

static void convert(struct worker *w, uint64_t base, uint64_t first,
		    uint64_t nr, bool shared)
{
	if (map_gpa(base + first * PAGE, nr, shared ? 0 : MAP_GPA_PRIVATE))
		w->refused++;
}

static volatile uint32_t *page_at(uint64_t base, uint64_t page)
{
	return (volatile uint32_t *)(base + page * PAGE + page % 1000 * 4);
}

/* What changes is lost, and reads as zeros; what does not is kept. */
static void convert_own(struct worker *w, uint64_t base)
{
	uint64_t first = next(w, NR_PAGES);
	uint64_t nr = next(w, NR_PAGES - first) + 1;
	bool shared = next(w, 2);

	if (next(w, 2) && nr > 4)
		nr = 4;
	convert(w, base, first, nr, shared);
	for (uint64_t i = first; i < first + nr; i++) {
		if (w->shared[i] != shared)
			w->tags[i] = 0;
		w->shared[i] = shared;
	}
	for (unsigned int i = 0; i < 16; i++) {
		uint64_t page = next(w, NR_PAGES);

		w->wrong += *page_at(base, page) != w->tags[page];
		w->tags[page] = (uint32_t)w->random;
		*page_at(base, page) = w->tags[page];
	}
}

static void convert_common(struct worker *w)
{
	uint64_t first = next(w, NR_PAGES), n = next(w, 8) + 1;

	if (n > NR_PAGES - first)
		n = NR_PAGES - first;
	convert(w, area(0), first, n, next(w, 2));
	for (unsigned int i = 0; i < 16; i++)
		++*page_at(area(0), first + next(w, n));
}

static void work(unsigned int index)
{
	struct worker *w = &workers[index];
	uint64_t base = area(index + 1);

	if (index >= MAX_WORKERS)
		return;
	w->random = 0x9e3779b97f4a7c15ULL * (index + 1);
	convert(w, base, 0, NR_PAGES, true);
	for (unsigned int i = 0; i < NR_PAGES; i++) {
		w->shared[i] = true;
		w->tags[i] = 0;
	}
	for (uint64_t i = 0; i < rounds; i++) {
		convert_own(w, base);
		convert_common(w);
	}
	for (unsigned int i = 0; i < NR_PAGES; i++)
		w->wrong += *page_at(base, i) != w->tags[i];
	convert(w, base, 0, NR_PAGES, false);
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
	unsigned int refused = 0, wrong = 0;

	check_refusals();
	rounds = nr_rounds;
	check_that("conversions: all CPUs came back", smp_run(work));
	for (unsigned int i = 0; i < MAX_WORKERS; i++) {
		refused += workers[i].refused;
		wrong += workers[i].wrong;
	}
	check_is("conversions: refused", 0, refused);
	check_is("conversions: pages with wrong contents", 0, wrong);
}
