/* SPDX-License-Identifier: Apache-2.0 */
/* What huge.h declares. */
#include "vmm/kvm/huge.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/kvm/memory.h"

/* Where the whole blocks of a window, which is all in one region, are. */
static struct memory_stretch blocks_of(const struct memory *mem, gpa_t base,
				       uint64_t len)
{
	gpa_t from = align_up(base, PAGES_BLOCK);
	gpa_t end = align_down(base + len, PAGES_BLOCK);

	for (unsigned int i = 0; from < end && i < mem->guest.count; i++) {
		const struct guest_region *r = &mem->guest.regions[i];

		if (from >= r->base && from - r->base < r->len)
			return (struct memory_stretch){
				r->off + (from - r->base), end - from
			};
	}
	return (struct memory_stretch){ 0 };
}

static void advise(const struct memory *mem, const struct memory_stretch *s,
		   bool huge)
{
	if (s->len)
		store_set_huge((uint8_t *)mem->map + s->off, s->len, huge);
}

void huge_follow(void *memory, gpa_t base, uint64_t len)
{
	struct memory *mem = memory;
	struct memory_stretch next = blocks_of(mem, base, len);
	const struct memory_stretch *was = &mem->huge;

	if (next.off == was->off && next.len == was->len)
		return;
	/* One that grows keeps what it has. */
	if (next.off != was->off || next.len < was->len)
		advise(mem, was, false);
	advise(mem, &next, true);
	mem->huge = next;
}

uint64_t huge_mapped(const struct memory *mem)
{
	uintptr_t map = (uintptr_t)mem->map, from, to;
	uint64_t sum = 0, kib;
	bool ours = false;
	char line[256];
	FILE *smaps;

	if (!mem->guest.window)
		return 0;
	smaps = fopen("/proc/self/smaps", "re");
	while (smaps && fgets(line, sizeof(line), smaps)) {
		/* A mapping's first line, then what is known of it. */
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2)
			ours = from >= map && from - map < mem->len;
		else if (ours &&
			 sscanf(line, "ShmemPmdMapped: %" SCNu64, &kib) == 1)
			sum += kib * KIB;
	}
	if (smaps)
		fclose(smaps);
	return sum;
}
