/* SPDX-License-Identifier: Apache-2.0 */
/* What balloon_pages.h declares. */
#include "devices/balloon_pages.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH 1024

/* 5.5.6: a page number is a guest address by 4096, on every machine. */
static gpa_t address(uint32_t pfn)
{
	return (gpa_t)pfn * PAGE_SIZE;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void discard(const struct guest_mem *mem, gpa_t gpa, uint64_t len,
		    struct balloon_count *count)
{
	count->pieces++;
	count->failed += guest_discard(mem, gpa, len) != 0;
}

/* Drivers go through memory in any order: sorted, neighbours meet. */
static int discard_batch(const struct guest_mem *mem, uint32_t *pfns, size_t nr,
			 struct balloon_count *count)
{
	size_t next;

	qsort(pfns, nr, sizeof(*pfns), by_number);
	for (size_t i = 0; i < nr; i = next) {
		gpa_t gpa = address(pfns[i]);
		uint64_t len = PAGE_SIZE;

		if (!guest_at(mem, gpa, len))
			return -EPROTO;
		for (next = i + 1; next < nr; next++) {
			uint64_t more = address(pfns[next]) - gpa + PAGE_SIZE;

			/* The same again, the next, or a gap. */
			if (more > len + PAGE_SIZE || !guest_at(mem, gpa, more))
				break;
			len = more;
		}
		discard(mem, gpa, len, count);
	}
	count->pages += nr;
	return 0;
}

int balloon_inflate(const struct guest_mem *mem, const struct virtq_chain *c,
		    struct balloon_count *count)
{
	uint32_t pfns[BATCH];
	uint64_t off = 0;
	size_t n;
	int rc = 0;

	if (c->out_len % sizeof(*pfns) ||
	    c->out_len > BALLOON_MAX_PFNS * sizeof(*pfns))
		return -EPROTO;
	while (!rc && (n = virtq_read(c, off, pfns, sizeof(pfns)))) {
		rc = discard_batch(mem, pfns, n / sizeof(*pfns), count);
		off += n;
	}
	return rc;
}

void balloon_report(const struct guest_mem *mem, const struct virtq_chain *c,
		    struct balloon_count *count)
{
	for (unsigned int i = c->nr_out; i < c->nr_out + c->nr_in; i++) {
		const struct iovec *v = &c->iov[i];
		gpa_t gpa, first, end;

		if (!guest_address(mem, v->iov_base, &gpa))
			continue;
		first = align_up(gpa, PAGE_SIZE);
		end = align_down(gpa + v->iov_len, PAGE_SIZE);
		if (first >= end)
			continue;
		discard(mem, first, end - first, count);
		count->pages += (end - first) / PAGE_SIZE;
	}
}
