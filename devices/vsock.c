/* SPDX-License-Identifier: Apache-2.0 */
/* What vsock.h declares. */
#include "devices/vsock.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/vhost.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "devices/vhost.h"
#include "vmm/base/err.h"

/* 5.10.2: the kernel serves the first two, and events never happen here. */
enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES };
#define VSOCK_SERVED VSOCK_EVENT

struct vsock {
	struct virtio virtio;
	struct vhost vhost;
	bool ready[VSOCK_SERVED], running;
};

static struct vsock *of(struct virtio *d)
{
	return container_of(d, struct vsock, virtio);
}

/* Both queues or none: that is all the kernel can be told. */
static int set_running(struct vsock *v, int on)
{
	int rc = vhost_ioctl(&v->vhost, VHOST_VSOCK_SET_RUNNING, &on);

	v->running = on && !rc;
	return rc;
}

static int vsock_start_queue(struct virtio *d, unsigned int q)
{
	struct vsock *v = of(d);
	int rc;

	if (q >= VSOCK_SERVED)
		return 0;
	rc = vhost_set_queue(&v->vhost, q, q);
	v->ready[q] = !rc;
	if (rc || !v->ready[VSOCK_RX] || !v->ready[VSOCK_TX])
		return rc;
	rc = set_running(v, 1);
	/* Rung before that, the kernel has not looked. */
	for (unsigned int i = 0; !rc && i < VSOCK_SERVED; i++)
		virtio_kick(d, i);
	v->ready[q] = !rc;
	return rc;
}

/* When the kernel says that it has stopped, no packet is under way. */
static void vsock_stop_queue(struct virtio *d, unsigned int q)
{
	struct vsock *v = of(d);

	if (q < VSOCK_SERVED) {
		if (v->running)
			set_running(v, 0);
		vhost_forget_queue(&v->vhost, q);
		v->ready[q] = false;
	}
	virtio_queue_stopped(d, q);
}

static void vsock_signal_changed(struct virtio *d, unsigned int q)
{
	if (q < VSOCK_SERVED)
		vhost_set_signal(&of(d)->vhost, q, q);
}

static void vsock_destroy(struct virtio *d)
{
	struct vsock *v = of(d);

	vhost_close(&v->vhost);
	virtio_destroy(d);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.type = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.pci_class = 0x07, /* communication, other */
	.pci_subclass = 0x80,
	.start_queue = vsock_start_queue,
	.stop_queue = vsock_stop_queue,
	.signal_changed = vsock_signal_changed,
	.destroy = vsock_destroy,
};

static int set_cid(struct vsock *v, uint64_t cid)
{
	int rc = vhost_ioctl(&v->vhost, VHOST_VSOCK_SET_GUEST_CID, &cid);

	if (rc == -EADDRINUSE)
		return err_set(rc,
			       "cid %" PRIu64 " is another VM's: choose "
			       "another vsock.cid",
			       cid);
	return rc ? err_set(rc, "cid %" PRIu64 ": %s", cid, strerror(-rc)) : 0;
}

int vsock_create(const struct virtio_host *host, const void *params,
		 struct virtio **out)
{
	const struct vsock_params *vp = params;
	const struct virtio_vsock_config config = { .guest_cid = vp->cid };
	struct virtio_params p = {
		.ops = &vsock_ops,
		.nr_queues = VSOCK_QUEUES,
		.queue_size = 256,
		.config = &config,
		.config_len = sizeof(config),
	};
	struct vsock *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return err_set(-ENOMEM, "out of memory");
	rc = vhost_open(&v->vhost, vp->sys, "/dev/vhost-vsock", "vhost_vsock",
			host->mem);
	if (!rc)
		rc = set_cid(v, vp->cid);
	p.features = v->vhost.features & 1ULL << VIRTIO_VSOCK_F_SEQPACKET;
	if (!rc)
		rc = virtio_init(&v->virtio, host, &p);
	if (!rc)
		rc = vhost_attach(&v->vhost, &v->virtio, 0);
	if (rc)
		vsock_destroy(&v->virtio);
	else
		*out = &v->virtio;
	return rc;
}
