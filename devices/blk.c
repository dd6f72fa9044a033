/* SPDX-License-Identifier: Apache-2.0 */
/* What blk.h declares. */
#include "devices/blk.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "devices/blk_request.h"
#include "vmm/base/err.h"

#define QUEUE_SIZE 256
#define BIT(n) (1ULL << (n))

struct slot { /* a request that is under way */
	struct disk_request request;
	struct blk_answer answer;
	unsigned int queue;
	struct slot *next; /* of the free ones */
	struct virtq_chain chain;
};

struct blk_queue {
	struct slot *slots; /* one more than a driver can use */
	struct slot *free;
	unsigned int touched; /* of them; the others need no memory yet */
	unsigned int under_way;
};

struct blk {
	struct virtio virtio;
	struct disk disk;
	struct blk_limits limits;
	char serial[BLK_SERIAL_LEN + 1];
	struct blk_queue queues[BLK_MAX_QUEUES];
};

static struct blk *blk_of(struct virtio *d)
{
	return container_of(d, struct blk, virtio);
}

/* --- requests --- */

/* The next slot to use, which stays free until under_way counts it. */
static struct slot *free_slot(struct blk_queue *q, unsigned int i)
{
	if (!q->free) {
		q->free = &q->slots[q->touched++];
		q->free->queue = i;
		q->free->next = NULL;
	}
	return q->free;
}

static void give_back(struct blk *b, struct slot *s, uint8_t status)
{
	struct virtio_queue *vq = &b->virtio.queues[s->queue];
	struct blk_queue *q = &b->queues[s->queue];

	virtq_push(&vq->ring, s->chain.head, blk_answer(&s->answer, status));
	s->next = q->free;
	q->free = s;
	q->under_way--;
}

static void on_done(struct disk *disk, struct disk_request *r, int rc)
{
	struct blk *b = container_of(disk, struct blk, disk);

	give_back(b, container_of(r, struct slot, request),
		  rc ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

/* One interrupt for all that has been done; and who waits for the end of it. */
static void on_batch_done(struct disk *disk)
{
	struct blk *b = container_of(disk, struct blk, disk);
	struct virtio *d = &b->virtio;

	for (unsigned int i = 0; i < d->nr_queues; i++) {
		if (!d->queues[i].running)
			continue;
		virtio_notify(d, i);
		if (d->queues[i].stopping && !b->queues[i].under_way)
			virtio_queue_stopped(d, i);
	}
}

/* The next request of queue i: false if there is none, or it cannot be. */
static bool take(struct blk *b, unsigned int i)
{
	struct blk_queue *q = &b->queues[i];
	struct virtio *d = &b->virtio;
	struct slot *s = free_slot(q, i);
	int status;

	if (!virtio_take(d, i, &s->chain))
		return false;
	/* Each has a descriptor of its own: more than that it cannot have. */
	status = -EPROTO;
	if (q->under_way < d->queues[i].ring.layout.size)
		status = blk_parse(&s->chain, &b->limits, &s->request,
				   &s->answer);
	if (status == -EPROTO) {
		virtio_break(d);
		return false;
	}
	q->free = s->next;
	q->under_way++;
	if (status == BLK_ASK)
		disk_submit(&b->disk, &s->request);
	else
		give_back(b, s, (uint8_t)status);
	return true;
}

static void blk_kick(struct virtio *d, unsigned int i)
{
	struct blk *b = blk_of(d);
	unsigned int n = 0;

	while (n < QUEUE_SIZE && take(b, i))
		n++;
	if (n == QUEUE_SIZE)
		virtio_kick(d, i); /* others are waiting, too */
	disk_push(&b->disk);
	on_batch_done(&b->disk);
}

/* --- queues --- */

static int blk_start_queue(struct virtio *d, unsigned int i)
{
	struct blk *b = blk_of(d);
	struct blk_queue *q = &b->queues[i];

	b->limits.features = d->features;
	if (!q->slots)
		q->slots = calloc(QUEUE_SIZE + 1, sizeof(*q->slots));
	return q->slots ? 0 : -ENOMEM;
}

static void blk_stop_queue(struct virtio *d, unsigned int i)
{
	if (!blk_of(d)->queues[i].under_way)
		virtio_queue_stopped(d, i);
}

static void blk_destroy(struct virtio *d)
{
	struct blk *b = blk_of(d);

	disk_close(&b->disk);
	for (unsigned int i = 0; i < BLK_MAX_QUEUES; i++)
		free(b->queues[i].slots);
	virtio_destroy(d);
	free(b);
}

static const struct virtio_ops blk_ops = {
	.type = "blk",
	.id = VIRTIO_ID_BLOCK,
	.pci_class = 0x01,    /* mass storage, */
	.pci_subclass = 0x80, /* other */
	.start_queue = blk_start_queue,
	.kick = blk_kick,
	.stop_queue = blk_stop_queue,
	.destroy = blk_destroy,
};

/* --- creation --- */

static uint64_t features(const struct disk *disk, unsigned int queues)
{
	uint64_t f = BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) |
		     BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_FLUSH) |
		     BIT(VIRTIO_BLK_F_TOPOLOGY);

	if (queues > 1)
		f |= BIT(VIRTIO_BLK_F_MQ);
	if (disk->ro)
		return f | BIT(VIRTIO_BLK_F_RO);
	if (disk->can_discard)
		f |= BIT(VIRTIO_BLK_F_DISCARD);
	return f | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
}

/* 5.2.4 */
static struct virtio_blk_config config_of(const struct disk *disk,
					  unsigned int queues)
{
	uint32_t ratio = disk->physical / disk->logical;

	return (struct virtio_blk_config){
		.capacity = disk->len / DISK_SECTOR,
		.size_max = BLK_SIZE_MAX,
		.seg_max = BLK_SEG_MAX,
		.blk_size = disk->logical,
		.physical_block_exp = (uint8_t)__builtin_ctz(ratio),
		.min_io_size = (uint16_t)min_of(ratio, UINT16_MAX),
		.num_queues = (uint16_t)queues,
		.max_discard_sectors = BLK_DISCARD_MAX,
		.max_discard_seg = 1,
		.discard_sector_alignment = disk->physical / DISK_SECTOR,
		.max_write_zeroes_sectors = BLK_ZERO_MAX,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = disk->can_discard,
	};
}

static int create(struct blk *b, const struct virtio_host *host,
		  const struct blk_params *p)
{
	const struct disk_params disk = {
		.path = p->path,
		.ro = p->ro,
		.direct = p->direct,
		.depth = p->queues * (QUEUE_SIZE + 1),
		.loop = &host->thread->loop,
		.engine = p->engine,
		.done = on_done,
		.batch_done = on_batch_done,
	};
	struct virtio_blk_config config;
	struct virtio_params v = {
		.ops = &blk_ops,
		.nr_queues = p->queues,
		.queue_size = QUEUE_SIZE,
		.config = &config,
		/* Without what nobody is told of. */
		.config_len = offsetof(struct virtio_blk_config,
				       max_secure_erase_sectors),
	};
	int rc = disk_open(&b->disk, &disk);

	if (rc)
		return rc;
	config = config_of(&b->disk, p->queues);
	v.features = features(&b->disk, p->queues);
	rc = virtio_init(&b->virtio, host, &v);
	if (rc) {
		disk_close(&b->disk);
		return rc;
	}
	strncpy(b->serial, p->serial ? p->serial : host->name, BLK_SERIAL_LEN);
	b->limits = (struct blk_limits){ .len = b->disk.len,
					 .block = b->disk.logical,
					 .ro = b->disk.ro,
					 .serial = b->serial };
	return 0;
}

int blk_create(const struct virtio_host *host, const void *params,
	       struct virtio **out)
{
	const struct blk_params *p = params;
	struct blk *b = calloc(1, sizeof(*b));
	int rc;

	assert(p->queues >= 1 && p->queues <= BLK_MAX_QUEUES);
	if (!b)
		return err_set(-ENOMEM, "out of memory");
	rc = create(b, host, p);
	if (rc)
		free(b);
	else
		*out = &b->virtio;
	return rc;
}
