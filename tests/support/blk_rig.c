/* SPDX-License-Identifier: Apache-2.0 */
/* What blk_rig.h declares. */
#include "support/blk_rig.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

uint8_t blk_rig_pattern(uint64_t off)
{
	return (uint8_t)(off * 7 + (off >> 9) * 13 + 1);
}

void blk_rig_init(struct blk_rig *r, const struct disk_engine *engine)
{
	static uint8_t image[BLK_RIG_LEN];

	*r = (struct blk_rig){
		.params = { .queues = 1, .engine = engine, .serial = "S-1" },
		.features = ~0ULL,
	};
	temp_make(&r->temp);
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = blk_rig_pattern(i);
	snprintf(r->path, sizeof(r->path), "%s",
		 temp_write(&r->temp, "disk", image, sizeof(image)));
	r->params.path = r->path;
}

void blk_rig_start(struct blk_rig *r)
{
	r->d = fake_driver_new(blk_create, &r->params);
	fake_driver_start(r->d, r->features, 64);
}

void blk_rig_stop(struct blk_rig *r)
{
	if (r->d)
		fake_driver_free(r->d);
	r->d = NULL;
}

void blk_rig_destroy(struct blk_rig *r)
{
	blk_rig_stop(r);
	temp_remove(&r->temp);
}

gpa_t blk_rig_header(struct blk_rig *r, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr hdr = { .type = type, .sector = sector };

	return fake_alloc_data(&r->d->guest, &hdr, sizeof(hdr));
}

uint8_t blk_rig_ask(struct blk_rig *r, uint32_t type, uint64_t sector,
		    gpa_t data, uint32_t len)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	uint8_t before = NO_STATUS;
	gpa_t status = fake_alloc_data(&r->d->guest, &before, 1);
	struct fake_buf bufs[3] = { { blk_rig_header(r, type, sector), 16,
				      false } };
	unsigned int n = 1;

	if (len)
		bufs[n++] = (struct fake_buf){ data, len, in };
	bufs[n++] = (struct fake_buf){ status, 1, true };
	fake_driver_request(r->d, 0, bufs, n);
	return *(uint8_t *)fake_at(&r->d->guest, status);
}

uint8_t blk_rig_range(struct blk_rig *r, uint32_t type, uint64_t sector,
		      uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { sector, sectors,
							 flags };

	return blk_rig_ask(r, type, 0,
			   fake_alloc_data(&r->d->guest, &range, sizeof(range)),
			   sizeof(range));
}

void blk_rig_image(struct blk_rig *r, uint64_t off, void *buf, size_t len)
{
	int fd = open(r->path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, buf, len, (off_t)off), (ssize_t)len);
	close(fd);
}
