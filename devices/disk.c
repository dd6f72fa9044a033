/* SPDX-License-Identifier: Apache-2.0 */
/* What disk.h declares: a request from step to step. */
#include "devices/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/util.h"

#define BOUNCE_LEN (256 * KIB)
#define MOST_TRIES 100 /* of a step that the host interrupts */

/* --- a request, step by step --- */

void disk_skip(struct iovec **iov, unsigned int *nr, uint64_t n)
{
	while (*nr && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*nr)--;
	}
	if (n) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

static bool has_data(const struct disk_request *r)
{
	return r->op == DISK_READ || r->op == DISK_WRITE;
}

/* A step that failed: is there another way, or another try? */
static bool try_again(struct disk *d, struct disk_request *r, int64_t res,
		      int *rc)
{
	if ((res == -EINTR || res == -EAGAIN) && ++r->tries < MOST_TRIES)
		return true;
	if (res == -EOPNOTSUPP && r->op == DISK_ZERO && !d->writes_zeroes) {
		/* Not by giving up space; not at all: by writing them. */
		d->writes_zeroes = !r->unmap;
		r->unmap = false;
		return true;
	}
	/* That one is a wish. */
	*rc = res == -EOPNOTSUPP && r->op == DISK_DISCARD ? 0 : (int)res;
	return false;
}

/* A step that did res bytes. */
static bool advance(const struct disk *d, struct disk_request *r, int64_t res,
		    int *rc)
{
	uint64_t n = (uint64_t)res;

	*rc = 0;
	if (r->op == DISK_FLUSH)
		return false;
	if (!has_data(r) && !n)
		n = r->len; /* fallocate() does all or nothing */
	/* O_DIRECT goes on at a whole block only. */
	n = align_down(n, d->direct ? (uint64_t)d->logical : 1);
	if (!n || n > r->len) {
		*rc = -EIO; /* the file has become shorter */
		return false;
	}
	if (has_data(r))
		disk_skip(&r->iov, &r->nr, n);
	r->off += n;
	r->len -= n;
	if (r->len)
		return true;
	if (!r->stable || has_data(r))
		return false;
	r->op = DISK_FLUSH; /* no other way to have zeroes on the medium */
	return true;
}

/* Is r not done yet after a step with this result?  Else tells. */
static bool goes_on(struct disk *d, struct disk_request *r, int64_t res)
{
	bool more;
	int rc;

	more = res < 0 ? try_again(d, r, res, &rc) : advance(d, r, res, &rc);
	if (!more)
		d->p.done(d, r, rc);
	return more;
}

/* Can the engine not do it as it is? */
static bool needs_bounce(const struct disk *d, const struct disk_request *r)
{
	uintptr_t all = 0;

	if (r->op == DISK_ZERO)
		return d->writes_zeroes;
	if (!d->direct || !has_data(r))
		return false;
	for (unsigned int i = 0; i < r->nr; i++)
		all |= (uintptr_t)r->iov[i].iov_base % d->memory_align |
		       r->iov[i].iov_len % d->logical;
	return all != 0;
}

/* Copies between the request and the bounce buffer. */
static void copy(const struct disk *d, const struct disk_request *r, size_t len)
{
	uint8_t *at = d->bounce;

	for (unsigned int i = 0; i < r->nr && len; i++) {
		size_t n = min_of(r->iov[i].iov_len, len);

		if (r->op == DISK_WRITE)
			memcpy(at, r->iov[i].iov_base, n);
		else
			memcpy(r->iov[i].iov_base, at, n);
		at += n;
		len -= n;
	}
}

/* A step by way of a buffer of ours, at once: there is only one. */
static int64_t bounce(struct disk *d, const struct disk_request *r)
{
	size_t len = min_of(r->len, BOUNCE_LEN);
	struct iovec iov = { .iov_len = len };
	struct disk_request step = { .op = r->op,
				     .stable = r->stable,
				     .off = r->off,
				     .len = len,
				     .iov = &iov,
				     .nr = 1 };
	int64_t res;

	if (!d->bounce)
		d->bounce = aligned_alloc(max_of(d->logical, PAGE_SIZE),
					  BOUNCE_LEN);
	if (!d->bounce)
		return -ENOMEM;
	iov.iov_base = d->bounce;
	if (r->op == DISK_ZERO) {
		step.op = DISK_WRITE;
		memset(d->bounce, 0, len);
	} else if (r->op == DISK_WRITE) {
		copy(d, r, len);
	}
	res = disk_do(d, &step);
	if (res > 0 && r->op == DISK_READ)
		copy(d, r, (size_t)res);
	return res;
}

void disk_step(struct disk *d, struct disk_request *r, int64_t res)
{
	while (goes_on(d, r, res)) {
		if (!needs_bounce(d, r)) {
			d->engine->submit(d, r);
			return;
		}
		if (d->p.loop->stopping)
			return;
		res = bounce(d, r);
	}
}

/* A guest can ask for hours of work: the end of the VM does not wait. */
void disk_submit(struct disk *d, struct disk_request *r)
{
	if (d->p.loop->stopping)
		return;
	r->tries = 0;
	if (needs_bounce(d, r))
		disk_step(d, r, bounce(d, r));
	else
		d->engine->submit(d, r);
}

void disk_push(struct disk *d)
{
	d->engine->push(d);
}
