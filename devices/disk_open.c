/* SPDX-License-Identifier: Apache-2.0 */
/* What disk.h declares: opening an image, its locks, what it is like. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/disk.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/util.h"

/* --- opening --- */

static int cannot_open(const struct disk_params *p, int error)
{
	const char *what = strerror(error), *hint = "";

	if (error == ENOENT)
		hint = "; truncate -s 10G PATH makes an empty disk";
	else if ((error == EACCES || error == EROFS || error == EPERM) &&
		 !p->ro)
		hint = "; with ro it is only read";
	else if (error == EINVAL && p->direct)
		what = "its file system cannot do direct I/O: leave out direct";
	else if (error == EBUSY)
		what = "in use: mounted, or a disk of another VM";
	return err_set(-error, "%s: %s%s", p->path, what, hint);
}

/*
 * An io_uring lets go of its files some time after its process has ended, and
 * the next cvmm may be quicker than that: so it tries for a moment.
 */
#define LOCK_TRIES 25
#define LOCK_WAIT_NS 20000000

static int set_lock(const struct disk *d, short type)
{
	struct flock all = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(d->fd, F_OFD_SETLK, &all);
}

/* A lock that ends with the file descriptor, whoever closes what else. */
static int lock(const struct disk *d)
{
	const struct timespec wait = { .tv_nsec = LOCK_WAIT_NS };
	const struct disk_params *p = &d->p;
	int rc = -1;

	for (int i = 0; rc && i < LOCK_TRIES; i++) {
		rc = set_lock(d, p->ro ? F_RDLCK : F_WRLCK);
		if (!rc)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			break;
		nanosleep(&wait, NULL);
	}
	if (errno != EAGAIN && errno != EACCES)
		return err_set(-errno, "%s: cannot be locked: %s", p->path,
			       strerror(errno));
	return err_set(-EBUSY,
		       p->ro ? "%s: in use by another process, which may write "
			       "to it"
			     : "%s: in use by another process; only disks that "
			       "all open with ro can be shared",
		       p->path);
}

/* Opens what is there without waiting for it, which a FIFO would want. */
static int open_image(struct disk *d)
{
	const struct disk_params *p = &d->p;
	int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	struct stat st;

	flags |= p->ro ? O_RDONLY : O_RDWR;
	flags |= p->direct ? O_DIRECT : 0;
	/* Of a block device it means: nobody else's, no file system's. */
	if (!p->ro && !stat(p->path, &st) && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	d->fd = open(p->path, flags);
	if (d->fd < 0)
		return cannot_open(p, errno);
	d->is_open = true;
	if (fstat(d->fd, &st))
		return cannot_open(p, errno);
	d->block = S_ISBLK(st.st_mode);
	if (!d->block && !S_ISREG(st.st_mode))
		return err_set(-EINVAL, "%s: neither a file nor a block device",
			       p->path);
	/* io_uring would not wait for a file that says so. */
	if (fcntl(d->fd, F_SETFL, flags & O_DIRECT))
		return cannot_open(p, errno);
	return lock(d);
}

/* --- what it is like --- */

/* O_DIRECT wants whole blocks, of a size that is found by trying. */
static int find_direct_block(struct disk *d)
{
	auto_free void *buf = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	struct statx sx;

	if (!buf)
		return err_set(-ENOMEM, "out of memory");
	while (pread(d->fd, buf, d->logical, 0) < 0 && errno == EINVAL) {
		if (d->logical == PAGE_SIZE)
			return cannot_open(&d->p, EINVAL);
		d->logical *= 2;
	}
	d->memory_align = d->logical;
	if (!statx(d->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) &&
	    (sx.stx_mask & STATX_DIOALIGN) && is_pow2(sx.stx_dio_mem_align))
		d->memory_align = sx.stx_dio_mem_align;
	return 0;
}

static bool file_can_discard(int fd, uint64_t len)
{
	/* Behind the end there is nothing to lose. */
	return !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)align_up(len, MIB), PAGE_SIZE);
}

static int examine(struct disk *d)
{
	struct stat st;
	off_t end = lseek(d->fd, 0, SEEK_END);
	int rc = 0;

	if (end < 0 || fstat(d->fd, &st))
		return cannot_open(&d->p, errno);
	d->logical = DISK_SECTOR;
	d->physical = is_pow2(st.st_blksize) ? (uint32_t)st.st_blksize : 0;
	if (d->block)
		disk_block_sizes(d->fd, &d->logical, &d->physical);
	if (d->direct)
		rc = find_direct_block(d);
	if (rc)
		return rc;
	d->physical = max_of(d->physical, d->logical);
	d->len = align_down((uint64_t)end, d->logical);
	if (!d->len)
		return err_set(-EINVAL, "%s: smaller than a block of %u bytes",
			       d->p.path, d->logical);
	if (d->len != (uint64_t)end)
		log_warn("%s: its last %u bytes are no whole block, the guest "
			 "does not see them",
			 d->p.path, (unsigned int)((uint64_t)end - d->len));
	d->can_discard = !d->ro && (d->block ? disk_block_can_discard(d->fd)
					     : file_can_discard(d->fd, d->len));
	return 0;
}

/* --- engines --- */

static int start_engine(struct disk *d)
{
	const struct disk_engine *const engines[] = { &disk_uring, &disk_sync };
	int rc = -ENOSYS;

	if (d->p.engine) {
		d->engine = d->p.engine;
		rc = d->engine->create(d);
	}
	for (size_t i = 0; rc && !d->p.engine && i < ARRAY_SIZE(engines); i++) {
		d->engine = engines[i];
		rc = d->engine->create(d);
		if (rc)
			log_info("%s: no %s: %s", d->p.path, d->engine->name,
				 strerror(-rc));
	}
	if (rc)
		d->engine = NULL;
	else
		log_info("%s: %" PRIu64 " bytes by %s%s%s", d->p.path, d->len,
			 d->engine->name, d->direct ? ", direct" : "",
			 d->ro ? ", read only" : "");
	return rc ? err_set(rc, "%s: %s", d->p.path, strerror(-rc)) : 0;
}

int disk_open(struct disk *d, const struct disk_params *p)
{
	int rc;

	*d = (struct disk){ .p = *p, .ro = p->ro, .direct = p->direct };
	rc = open_image(d);
	if (!rc)
		rc = examine(d);
	if (!rc)
		rc = start_engine(d);
	if (rc)
		disk_close(d);
	return rc;
}

void disk_close(struct disk *d)
{
	if (d->engine)
		d->engine->destroy(d);
	if (d->is_open) {
		set_lock(d, F_UNLCK); /* see LOCK_TRIES */
		close(d->fd);
	}
	free(d->bounce);
	*d = (struct disk){ 0 };
}
