/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest may ask of a disk (virtio 1.2, 5.2.6): a chain of buffers in,
 * a request that keeps to the disk's limits out.
 */
#pragma once

#include <linux/virtio_blk.h>

#include "devices/disk.h"
#include "devices/virtqueue.h"

#define BLK_SEG_MAX (VIRTQ_MAX_SEGMENTS - 2) /* header and status */
#define BLK_SIZE_MAX (1024u * 1024)          /* bytes of a segment */
/* Of one discard or write zeroes, so that none takes for ever. */
#define BLK_DISCARD_MAX (1024u * 1024 * 1024 / DISK_SECTOR)
#define BLK_ZERO_MAX (16u * 1024 * 1024 / DISK_SECTOR)

struct blk_limits {
	uint64_t len;   /* of the disk, bytes */
	uint32_t block; /* bytes all must be a multiple of */
	bool ro;
	uint64_t features; /* what the driver has agreed on */
	const char *serial;
};

struct blk_answer {      /* how to give a chain back */
	uint8_t *status; /* guest memory */
	uint32_t in_len; /* of its writable part, with the status */
};

/* Besides VIRTIO_BLK_S_*: the disk has to be asked first. */
#define BLK_ASK (-1)

/*
 * Reads the chain c, whose buffers become r's: c must outlive r.  Returns
 * BLK_ASK, or the status when there is nothing to ask (a serial number has
 * been written, or the request is wrong); -EPROTO if the driver broke the
 * rules so that it cannot be told.
 */
int blk_parse(struct virtq_chain *c, const struct blk_limits *limits,
	      struct disk_request *r, struct blk_answer *answer);

/* Writes the status; returns how many bytes the driver may believe. */
uint32_t blk_answer(const struct blk_answer *answer, uint8_t status);
