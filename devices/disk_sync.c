/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step of a request, carried out while the caller waits; and the engine
 * that has no better way.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/disk.h"
#include "vmm/base/util.h"

int disk_fallocate_mode(const struct disk_request *r)
{
	bool punch = r->op == DISK_DISCARD || r->unmap;

	return FALLOC_FL_KEEP_SIZE |
	       (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

int64_t disk_do(const struct disk *d, const struct disk_request *r)
{
	int flags = r->stable ? RWF_DSYNC : 0;
	off_t off = (off_t)r->off;
	int64_t rc = -1;

	switch (r->op) {
	case DISK_READ:
		rc = preadv(d->fd, r->iov, (int)r->nr, off);
		break;
	case DISK_WRITE:
		rc = pwritev2(d->fd, r->iov, (int)r->nr, off, flags);
		break;
	case DISK_FLUSH:
		rc = fdatasync(d->fd);
		break;
	case DISK_DISCARD:
		if (d->block)
			return disk_block_discard(d->fd, r->off, r->len);
		/* fall through */
	case DISK_ZERO:
		rc = fallocate(d->fd, disk_fallocate_mode(r), off,
			       (off_t)r->len);
		break;
	}
	return rc < 0 ? -errno : rc;
}

struct sync { /* the requests submitted, first to last */
	struct disk_request *first, **last;
};

static int sync_create(struct disk *d)
{
	struct sync *s = calloc(1, sizeof(*s));

	d->engine_data = s;
	if (!s)
		return -ENOMEM;
	s->last = &s->first;
	return 0;
}

static void sync_submit(struct disk *d, struct disk_request *r)
{
	struct sync *s = d->engine_data;

	r->next = NULL;
	*s->last = r;
	s->last = &r->next;
}

static void sync_push(struct disk *d)
{
	struct sync *s = d->engine_data;
	struct disk_request *r;

	/* As in disk_submit(). */
	while ((r = s->first) && !d->p.loop->stopping) {
		s->first = r->next;
		if (!s->first)
			s->last = &s->first;
		disk_step(d, r, disk_do(d, r));
	}
}

static void sync_destroy(struct disk *d)
{
	free(d->engine_data);
}

const struct disk_engine disk_sync = {
	.name = "synchronous I/O",
	.create = sync_create,
	.submit = sync_submit,
	.push = sync_push,
	.destroy = sync_destroy,
};
