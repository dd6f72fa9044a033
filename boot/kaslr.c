/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/kaslr.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/err.h"

/* Linux, x86/x86_64/mm.rst: where the kernel text mapping starts. */
#define KERNEL_MAP 0x80000000U /* its low 32 bits */
/* Its size with KASLR, which bounds the virtual address. */
#define KERNEL_MAP_LEN (1 * GIB)

uint64_t kaslr_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

void kaslr_allowed(const char *cmdline, bool *virt, bool *phys)
{
	static const char blank[] = " \t\n";

	*virt = *phys = true;
	for (const char *word = cmdline; *word;) {
		size_t len = strcspn(word, blank);

		if (len == 7 && !memcmp(word, "nokaslr", len))
			*virt = *phys = false;
		if (!strncmp(word, "mem=", 4) || !strncmp(word, "memmap=", 7))
			*phys = false;
		word += len;
		word += strspn(word, blank);
	}
}

gpa_t kaslr_place(const struct image *image, const struct kaslr_range *range,
		  uint64_t *state)
{
	uint64_t count, wanted = 0;

	/* First count the places, then walk to the one drawn. */
	for (int draw = state != NULL; draw >= 0; draw--) {
		gpa_t at = align_up(range->low, range->align) - range->lead;

		for (count = 0;
		     at < range->high && range->len <= range->high - at;
		     at += range->align) {
			if (image_find(image, at, range->len))
				continue;
			if (!draw && count == wanted)
				return at + range->lead;
			count++;
		}
		if (draw && count)
			wanted = kaslr_next(state) % count;
	}
	return UINT64_MAX;
}

uint32_t kaslr_shift(uint64_t base, uint64_t len, uint64_t align,
		     uint64_t *state)
{
	uint64_t room;

	if (base > KERNEL_MAP_LEN || len > KERNEL_MAP_LEN - base)
		return 0;
	room = KERNEL_MAP_LEN - base - len;
	return (uint32_t)(kaslr_next(state) % (room / align + 1) * align);
}

enum reloc_list { RELOC_64, RELOC_INVERSE_32, RELOC_32 };

static uint32_t entry_at(const struct kaslr_kernel *k, uint64_t i)
{
	uint32_t v;

	memcpy(&v, k->table + i * sizeof(v), sizeof(v));
	return v;
}

/* v: the low 32 bits of a virtual address.  false: it is not the kernel's. */
static bool relocate(const struct kaslr_kernel *k, enum reloc_list list,
		     uint32_t v, uint32_t shift)
{
	uint64_t off = (uint64_t)v - KERNEL_MAP - k->base;
	uint64_t v64;
	uint32_t v32;

	if (v < KERNEL_MAP || v - KERNEL_MAP < k->base || off >= k->len ||
	    k->len - off < (list == RELOC_64 ? sizeof(v64) : sizeof(v32)))
		return false;
	if (list == RELOC_64) {
		memcpy(&v64, k->mem + off, sizeof(v64));
		v64 += shift;
		memcpy(k->mem + off, &v64, sizeof(v64));
		return true;
	}
	memcpy(&v32, k->mem + off, sizeof(v32));
	v32 = list == RELOC_32 ? v32 + shift : v32 - shift;
	memcpy(k->mem + off, &v32, sizeof(v32));
	return true;
}

int kaslr_relocate(const struct kaslr_kernel *k, uint32_t shift)
{
	static const enum reloc_list lists[2][3] = {
		{ RELOC_64, RELOC_32 },
		{ RELOC_64, RELOC_INVERSE_32, RELOC_32 },
	};
	uint64_t n = k->table_len / sizeof(uint32_t);
	unsigned int zeros = 0, list = 0;

	for (uint64_t i = 0; i < n; i++)
		zeros += !entry_at(k, i);
	if (k->table_len % sizeof(uint32_t) || !n || entry_at(k, 0) ||
	    (zeros != 2 && zeros != 3))
		return err_set(-EPROTO, "the relocation table is of an "
					"unknown format");
	for (uint64_t i = 1; i < n; i++) {
		uint32_t v = entry_at(k, i);

		if (!v && ++list == zeros) /* a store made a new zero */
			return err_set(-EPROTO, "the relocation table "
						"relocates itself");
		if (v && !relocate(k, lists[zeros - 2][list], v, shift))
			return err_set(-EPROTO,
				       "a relocation at %#x is "
				       "outside the kernel",
				       v);
	}
	return 0;
}
