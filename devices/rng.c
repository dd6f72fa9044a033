/* SPDX-License-Identifier: Apache-2.0 */
/* What rng.h declares. */
#include "devices/rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "vmm/base/err.h"

/* A request gets at most this much: drivers ask again. */
#define RNG_MOST 4096

static void rng_kick(struct virtio *d, unsigned int i)
{
	struct virtq_chain c;
	uint8_t buf[RNG_MOST];

	while (virtio_take(d, i, &c)) {
		ssize_t n = getrandom(buf, min_of(c.in_len, sizeof(buf)), 0);

		if (n < 0)
			n = 0;
		n = (ssize_t)virtq_write(&c, 0, buf, (size_t)n);
		virtq_push(&d->queues[i].ring, c.head, (uint32_t)n);
	}
	virtio_notify(d, i);
}

static void rng_destroy(struct virtio *d)
{
	virtio_destroy(d);
	free(d);
}

static const struct virtio_ops rng_ops = {
	.type = "rng",
	.id = VIRTIO_ID_RNG,
	.pci_class = 0xff,
	.kick = rng_kick,
	.destroy = rng_destroy,
};

int rng_create(const struct virtio_host *host, const void *params,
	       struct virtio **out)
{
	const struct virtio_params p = {
		.ops = &rng_ops,
		.nr_queues = 1,
		.queue_size = 64,
	};
	struct virtio *d = calloc(1, sizeof(*d));
	int rc;

	(void)params;
	if (!d)
		return err_set(-ENOMEM, "out of memory");
	rc = virtio_init(d, host, &p);
	if (rc)
		free(d);
	else
		*out = d;
	return rc;
}
