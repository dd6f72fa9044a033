/* SPDX-License-Identifier: Apache-2.0 */
/* What util.h declares: scope guards, whole reads, a clock. */
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
