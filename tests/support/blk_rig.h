/* SPDX-License-Identifier: Apache-2.0 */
/* A disk of a test: an image, the device on it, a driver that asks. */
#pragma once

#include <linux/virtio_blk.h>

#include "devices/blk.h"
#include "support/fake_driver.h"
#include "support/temp.h"

#define BLK_RIG_LEN (256 * KIB) /* of the image, filled with a pattern */

struct blk_rig {
	struct temp temp;
	char path[64];
	struct blk_params params;
	struct fake_driver *d;
	uint64_t features; /* those a driver takes; all unless said */
};

/* Makes the image; what then is changed in params holds for the device. */
void blk_rig_init(struct blk_rig *r, const struct disk_engine *engine);
void blk_rig_start(struct blk_rig *r);
void blk_rig_stop(struct blk_rig *r); /* twice is fine */
void blk_rig_destroy(struct blk_rig *r);

#define NO_STATUS 0xaa /* what the status byte is before */

/*
 * A request: the header, then data at gpa, which the device writes for reads
 * and get-id; returns the status.  Only for the device at rest.
 */
uint8_t blk_rig_ask(struct blk_rig *r, uint32_t type, uint64_t sector,
		    gpa_t data, uint32_t len);
/* The header of a request, in memory. */
gpa_t blk_rig_header(struct blk_rig *r, uint32_t type, uint64_t sector);
/* A range for discard and write zeroes. */
uint8_t blk_rig_range(struct blk_rig *r, uint32_t type, uint64_t sector,
		      uint32_t sectors, uint32_t flags);

/* What the image has at off; what the pattern has there. */
void blk_rig_image(struct blk_rig *r, uint64_t off, void *buf, size_t len);
uint8_t blk_rig_pattern(uint64_t off);
