/* SPDX-License-Identifier: Apache-2.0 */
/* A disk for the guest (virtio 1.2, 5.2): a raw image or a block device. */
#pragma once

#include "devices/disk.h"
#include "devices/virtio.h"

#define BLK_MAX_QUEUES 16
#define BLK_SERIAL_LEN 20

struct blk_params {
	const char *path;
	bool ro, direct;
	unsigned int queues; /* 1 to BLK_MAX_QUEUES */
	const char *serial;  /* up to BLK_SERIAL_LEN; NULL: the device's name */
	const struct disk_engine *engine; /* NULL: the best there is */
};

/* A virtio_create; its params is a struct blk_params. */
int blk_create(const struct virtio_host *host, const void *params,
	       struct virtio **out);
