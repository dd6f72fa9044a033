/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF reader: what it accepts must be what its header promises. */
#include <assert.h>

#include "boot/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct elf elf;

	if (elf_parse(&elf, data, len, len))
		return 0;
	assert(elf.count && elf.count <= ELF_MAX_SEGMENTS);
	assert(elf.entry >= elf.low && elf.entry < elf.high);
	assert(elf.file_end <= len);
	for (unsigned int i = 0; i < elf.count; i++) {
		const struct elf_segment *s = &elf.segments[i];

		assert(s->off <= len && s->filesz <= len - s->off);
		assert(s->filesz <= s->memsz);
		assert(s->paddr >= elf.low && s->paddr <= elf.high);
		assert(s->memsz <= elf.high - s->paddr);
		assert(!i || s->paddr - s[-1].paddr >= s[-1].memsz);
	}
	return 0;
}
