/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's block devices are asked besides reading and writing. */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "devices/disk.h"
#include "vmm/base/util.h"

void disk_block_sizes(int fd, uint32_t *logical, uint32_t *physical)
{
	unsigned int bytes = 0;
	int size = 0;

	if (!ioctl(fd, BLKSSZGET, &size) && size > 0 && is_pow2(size))
		*logical = (uint32_t)size;
	if (!ioctl(fd, BLKPBSZGET, &bytes) && is_pow2(bytes))
		*physical = bytes;
}

bool disk_block_can_discard(int fd)
{
	/* Whether it can is looked at first, then where, which is nowhere. */
	return disk_block_discard(fd, 1, DISK_SECTOR) != -EOPNOTSUPP;
}

int disk_block_discard(int fd, uint64_t off, uint64_t len)
{
	uint64_t range[2] = { off, len };

	return ioctl(fd, BLKDISCARD, range) ? -errno : 0;
}
