/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of a balloon's driver.  The input is what is reported free (8 bytes:
 * page, offset, length), a byte that says how page numbers are cut in pieces,
 * and the numbers.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/balloon_pages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define LOW_LEN (64 * PAGE_SIZE)
#define HIGH_LEN (16 * PAGE_SIZE)
#define HIGH 0x100000000ULL

static struct guest_mem mem;

static void setup(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	uint8_t *host;

	if (fd < 0 || ftruncate(fd, LOW_LEN + HIGH_LEN))
		abort();
	host = mmap(NULL, LOW_LEN + HIGH_LEN, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (host == MAP_FAILED)
		abort();
	mem.count = 2;
	mem.regions[0] =
		(struct guest_region){ .len = LOW_LEN, .host = host, .fd = fd };
	mem.regions[1] = (struct guest_region){ .base = HIGH,
						.len = HIGH_LEN,
						.host = host + LOW_LEN,
						.fd = fd,
						.fd_off = LOW_LEN };
}

static void check(const struct balloon_count *count)
{
	if (count->failed || count->pieces > count->pages)
		abort();
}

static void report(const uint8_t *p)
{
	struct balloon_count count = { 0 };
	struct virtq_chain c = { .nr_in = 1 };
	uint16_t page, off;
	uint32_t part;
	uint8_t *host;

	memcpy(&page, p, sizeof(page));
	memcpy(&off, p + 2, sizeof(off));
	memcpy(&part, p + 4, sizeof(part));
	off %= PAGE_SIZE;
	host = guest_at(&mem, page * PAGE_SIZE + off, part);
	if (!host || !part)
		return; /* no chain has such a buffer */
	memset(mem.regions[0].host, 1, LOW_LEN);
	c.iov[0] = (struct iovec){ host, part };
	c.in_len = part;
	balloon_report(&mem, &c, &count);
	check(&count);
	if (off && mem.regions[0].host[page * PAGE_SIZE] != 1)
		abort(); /* not reported free */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct balloon_count count = { 0 };
	struct virtq_chain c = { 0 };
	size_t step;

	if (!mem.count)
		setup();
	if (len < 9)
		return 0;
	report(data);
	step = data[8] + 1u;
	data += 9;
	len -= 9;
	for (size_t off = 0; off < len && c.nr_out < VIRTQ_MAX_SEGMENTS;
	     off += step) {
		c.iov[c.nr_out].iov_base = (void *)(uintptr_t)(data + off);
		c.iov[c.nr_out].iov_len = min_of(step, len - off);
		c.out_len += c.iov[c.nr_out++].iov_len;
	}
	balloon_inflate(&mem, &c, &count);
	if (count.pages > c.out_len / 4)
		abort();
	if (count.failed)
		abort();
	return 0;
}
