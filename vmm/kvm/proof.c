/* SPDX-License-Identifier: Apache-2.0 */
/* What proof.h declares. */
#include "vmm/kvm/proof.h"

#include <unistd.h>

#define PATIENCE_MS 200 /* the caller has other things to do */

/* What the private store has of data that the shared one has, in a block. */
static uint64_t look(struct memory *mem, unsigned int block)
{
	off_t end = (off_t)min_of((block + 1) * PAGES_BLOCK, mem->len);
	off_t data = (off_t)(block * PAGES_BLOCK), hole;
	uint64_t twice = 0;

	pages_lock(&mem->pages, block);
	while ((data = lseek(mem->memfd, data, SEEK_DATA)) >= 0 && data < end) {
		hole = lseek(mem->memfd, data, SEEK_HOLE);
		if (hole <= data)
			break;
		hole = min_of(hole, end);
		twice += store_cached(mem->gmem_fd, (uint64_t)data,
				      (uint64_t)(hole - data));
		data = hole;
	}
	pages_unlock(&mem->pages, block);
	return twice;
}

uint64_t memory_double_backed(struct memory *mem, bool *whole)
{
	int64_t until = util_now_ms() + PATIENCE_MS;
	uint64_t twice = 0;
	off_t data = 0;

	*whole = true;
	if (mem->gmem_fd < 0 || mem->memfd < 0)
		return 0;
	while (*whole && (data = lseek(mem->memfd, data, SEEK_DATA)) >= 0) {
		unsigned int block =
			(unsigned int)((uint64_t)data / PAGES_BLOCK);

		twice += look(mem, block);
		data = (off_t)((block + 1) * PAGES_BLOCK);
		*whole = util_now_ms() < until;
	}
	return twice;
}
