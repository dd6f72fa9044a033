/* SPDX-License-Identifier: Apache-2.0 */
/* What blk_request.h declares. */
#include "devices/blk_request.h"

#include <errno.h>
#include <string.h>

#define FEATURE(limits, bit) ((limits)->features >> (bit)&1)

/* Is [off, off + len) of the disk, in whole blocks? */
static bool fits(const struct blk_limits *l, uint64_t sector, uint64_t len)
{
	uint64_t sectors = l->len / DISK_SECTOR;

	return sector <= sectors && len <= l->len - sector * DISK_SECTOR &&
	       sector * DISK_SECTOR % l->block == 0 && len % l->block == 0;
}

/* Data of a read or a write, which are r's buffers without their extras. */
static int transfer(const struct blk_limits *l, struct disk_request *r,
		    uint64_t sector, uint64_t len)
{
	if (!fits(l, sector, len) || (l->ro && r->op == DISK_WRITE))
		return VIRTIO_BLK_S_IOERR;
	for (unsigned int i = 0; i < r->nr; i++)
		if (r->iov[i].iov_len > BLK_SIZE_MAX)
			return VIRTIO_BLK_S_IOERR;
	r->off = sector * DISK_SECTOR;
	r->len = len;
	return len ? BLK_ASK : VIRTIO_BLK_S_OK;
}

static int parse_read(struct virtq_chain *c, const struct blk_limits *l,
		      struct disk_request *r, uint64_t sector)
{
	r->op = DISK_READ;
	r->iov = c->iov + c->nr_out;
	r->nr = c->nr_in;
	/* The status is not part of it. */
	if (--r->iov[r->nr - 1].iov_len == 0)
		r->nr--;
	if (c->out_len != sizeof(struct virtio_blk_outhdr))
		return VIRTIO_BLK_S_IOERR;
	return transfer(l, r, sector, c->in_len - 1);
}

static int parse_write(struct virtq_chain *c, const struct blk_limits *l,
		       struct disk_request *r, uint64_t sector)
{
	r->op = DISK_WRITE;
	r->iov = c->iov;
	r->nr = c->nr_out;
	disk_skip(&r->iov, &r->nr, sizeof(struct virtio_blk_outhdr));
	if (c->in_len != 1)
		return VIRTIO_BLK_S_IOERR;
	return transfer(l, r, sector,
			c->out_len - sizeof(struct virtio_blk_outhdr));
}

/* 5.2.6.2: one range, as max_discard_seg and max_write_zeroes_seg have it. */
static int parse_range(const struct virtq_chain *c, const struct blk_limits *l,
		       struct disk_request *r, bool zero)
{
	struct virtio_blk_discard_write_zeroes range;
	uint64_t hdr = sizeof(struct virtio_blk_outhdr);
	uint32_t flags = zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (!FEATURE(l,
		     zero ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD))
		return VIRTIO_BLK_S_UNSUPP;
	if (c->out_len != hdr + sizeof(range) || c->in_len != 1)
		return VIRTIO_BLK_S_IOERR;
	virtq_read(c, hdr, &range, sizeof(range));
	if (range.flags & ~flags)
		return VIRTIO_BLK_S_UNSUPP;
	r->op = zero ? DISK_ZERO : DISK_DISCARD;
	r->unmap = range.flags;
	r->off = range.sector * DISK_SECTOR;
	r->len = (uint64_t)range.num_sectors * DISK_SECTOR;
	if (l->ro ||
	    range.num_sectors > (zero ? BLK_ZERO_MAX : BLK_DISCARD_MAX) ||
	    !fits(l, range.sector, r->len))
		return VIRTIO_BLK_S_IOERR;
	return r->len ? BLK_ASK : VIRTIO_BLK_S_OK;
}

static int get_id(const struct virtq_chain *c, const struct blk_limits *l)
{
	char id[VIRTIO_BLK_ID_BYTES] = "";

	if (c->in_len != sizeof(id) + 1)
		return VIRTIO_BLK_S_IOERR;
	/* 5.2.6: without a zero at its end when it has all 20 characters. */
	memcpy(id, l->serial, strnlen(l->serial, sizeof(id)));
	virtq_write(c, 0, id, sizeof(id));
	return VIRTIO_BLK_S_OK;
}

int blk_parse(struct virtq_chain *c, const struct blk_limits *l,
	      struct disk_request *r, struct blk_answer *answer)
{
	struct virtio_blk_outhdr hdr;
	const struct iovec *last;

	if (virtq_read(c, 0, &hdr, sizeof(hdr)) != sizeof(hdr) || !c->nr_in)
		return -EPROTO;
	last = &c->iov[c->nr_out + c->nr_in - 1];
	answer->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	answer->in_len = (uint32_t)min_of(c->in_len, UINT32_MAX);
	*r = (struct disk_request){
		/* 5.2.5: who cannot flush must not have to. */
		.stable = !FEATURE(l, VIRTIO_BLK_F_FLUSH),
	};
	switch (hdr.type) {
	case VIRTIO_BLK_T_IN:
		return parse_read(c, l, r, hdr.sector);
	case VIRTIO_BLK_T_OUT:
		return parse_write(c, l, r, hdr.sector);
	case VIRTIO_BLK_T_FLUSH:
		r->op = DISK_FLUSH;
		return BLK_ASK;
	case VIRTIO_BLK_T_GET_ID:
		return get_id(c, l);
	case VIRTIO_BLK_T_DISCARD:
		return parse_range(c, l, r, false);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return parse_range(c, l, r, true);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

uint32_t blk_answer(const struct blk_answer *answer, uint8_t status)
{
	*(volatile uint8_t *)answer->status = status;
	if (status == VIRTIO_BLK_S_OK)
		return answer->in_len;
	/* 2.7.8.2: as much as has been written from the beginning on. */
	return answer->in_len == 1;
}
