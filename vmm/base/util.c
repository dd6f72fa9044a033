/* SPDX-License-Identifier: Apache-2.0 */
/* What util.h declares: scope guards, whole reads, mappings, a clock. */
#include "vmm/base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void util_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

void util_free(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

void util_unmap(struct map_guard *map)
{
	if (map->addr)
		munmap(map->addr, map->len);
}

int util_pread(int fd, void *buf, size_t len, uint64_t off)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int64_t util_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

#define HUGE_PAGE (2 * MIB)

static void *map_at(void *at, int fd, size_t len, int fixed)
{
	void *p = mmap(at, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE | fixed, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

void *util_map(int fd, size_t len)
{
	size_t room = align_up(len, PAGE_SIZE) + HUGE_PAGE, before;
	uint8_t *base, *p;
	int error;

	if (len < HUGE_PAGE)
		return map_at(NULL, fd, len, 0);
	/* Room that begins anywhere, and of it what lies right. */
	base = mmap(NULL, room, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)base % HUGE_PAGE;
	p = map_at(base + before, fd, len, MAP_FIXED);
	error = errno;
	if (!p)
		munmap(base, room);
	else if (before)
		munmap(base, before);
	if (p)
		munmap(p + align_up(len, PAGE_SIZE), HUGE_PAGE - before);
	errno = error;
	return p;
}
