/* SPDX-License-Identifier: Apache-2.0 */
/* What net_vhost.h declares. */
#include "devices/net_vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>

#include "vmm/base/err.h"

#define BIT(n) (1ULL << (n))

/* What the kernel has a part in; of the rest tap and we are the device. */
#define THE_KERNELS                                              \
	(BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_F_VERSION_1) | \
	 BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX))

struct net_vhost { /* each pair is one of the kernel's, with rings 0 and 1 */
	struct virtio *dev;
	const struct net_host *host;
	struct vhost pairs[NET_MAX_PAIRS];
};

int net_vhost_open(struct net_vhost **out, struct vhost_sys *sys,
		   struct virtio *d, const struct net_host *h)
{
	struct net_vhost *n = calloc(1, sizeof(*n));
	int rc = 0;

	if (!n)
		return err_set(-ENOMEM, "out of memory");
	n->dev = d;
	n->host = h;
	for (unsigned int i = 0; !rc && i < h->nr_pairs; i++) {
		rc = vhost_open(&n->pairs[i], sys, "/dev/vhost-net",
				"vhost_net", d->mem);
		if (!rc)
			rc = vhost_attach(&n->pairs[i], d, ~THE_KERNELS);
	}
	if (rc)
		net_vhost_close(n);
	else
		*out = n;
	return rc;
}

void net_vhost_close(struct net_vhost *n)
{
	for (unsigned int i = 0; n && i < NET_MAX_PAIRS; i++)
		vhost_close(&n->pairs[i]);
	free(n);
}

/* The kernel takes packets to and from fd; -1: none, and none is under way. */
static int set_backend(struct net_vhost *n, unsigned int q, int fd)
{
	struct vhost_vring_file file = { .index = q % 2, .fd = fd };

	return vhost_ioctl(&n->pairs[q / 2], VHOST_NET_SET_BACKEND, &file);
}

int net_vhost_start(struct net_vhost *n, unsigned int q)
{
	int rc = vhost_set_queue(&n->pairs[q / 2], q % 2, q);

	if (!rc)
		rc = set_backend(n, q, n->host->fds[q / 2]);
	if (!rc)
		virtio_hand_over(n->dev, q);
	return rc;
}

void net_vhost_stop(struct net_vhost *n, unsigned int q)
{
	set_backend(n, q, -1);
	vhost_forget_queue(&n->pairs[q / 2], q % 2);
}

void net_vhost_set_signal(struct net_vhost *n, unsigned int q)
{
	vhost_set_signal(&n->pairs[q / 2], q % 2, q);
}
