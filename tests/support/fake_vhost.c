/* SPDX-License-Identifier: Apache-2.0 */
/* What fake_vhost.h declares. */
#include "support/fake_vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#include "vmm/base/util.h"

static struct fake_vhost *of(struct vhost_sys *sys)
{
	return container_of(sys, struct fake_vhost, sys);
}

static int fake_open(struct vhost_sys *sys, const char *path)
{
	struct fake_vhost *v = of(sys);

	(void)path;
	if (v->open_error)
		return v->open_error;
	v->owned = v->running = false;
	return eventfd(0, EFD_CLOEXEC); /* something to close */
}

static int set_memory(struct fake_vhost *v, const struct vhost_memory *m)
{
	if (m->nregions > ARRAY_SIZE(v->regions) || m->padding)
		return -E2BIG;
	v->nr_regions = m->nregions;
	for (unsigned int i = 0; i < m->nregions; i++) {
		v->regions[i].gpa = m->regions[i].guest_phys_addr;
		v->regions[i].len = m->regions[i].memory_size;
		v->regions[i].user = m->regions[i].userspace_addr;
	}
	return 0;
}

/* vhost_vring_set_num_addr(): aligned; ours: and inside guest memory. */
static int set_addr(struct fake_vhost *v, const struct vhost_vring_addr *a)
{
	struct fake_ring *r = &v->rings[a->index];
	const uint64_t addr[] = { a->desc_user_addr, a->used_user_addr,
				  a->avail_user_addr };

	if (a->flags || a->used_user_addr % 4 || a->avail_user_addr % 2 ||
	    a->desc_user_addr % 16)
		return -EINVAL;
	for (unsigned int i = 0; i < ARRAY_SIZE(addr); i++) {
		bool found = false;

		for (unsigned int j = 0; j < v->nr_regions; j++)
			found |= addr[i] - v->regions[j].user <
				 v->regions[j].len;
		v->misuse += !found;
	}
	r->desc = a->desc_user_addr;
	r->used = a->used_user_addr;
	r->avail = a->avail_user_addr;
	return 0;
}

static int set_state(struct fake_vhost *v, unsigned long request,
		     const struct vhost_vring_state *s)
{
	if (v->running || v->rings[s->index].backend >= 0)
		return -EBUSY;
	if (request == VHOST_SET_VRING_BASE) {
		v->rings[s->index].base = s->num;
		return 0;
	}
	if (!is_pow2(s->num) || s->num > 0xffff)
		return -EINVAL;
	v->rings[s->index].num = s->num;
	return 0;
}

static int set_features(struct fake_vhost *v, uint64_t features)
{
	if (features & ~v->features)
		return -EOPNOTSUPP;
	/* Then it would want an IOTLB for every address. */
	v->misuse += features >> VIRTIO_F_ACCESS_PLATFORM & 1;
	v->acked = features;
	return 0;
}

static int set_running(struct fake_vhost *v, int on)
{
	for (unsigned int i = 0; on && i < FAKE_VHOST_RINGS; i++)
		if (!v->rings[i].desc || !v->rings[i].num)
			return -EFAULT;
	v->running = on;
	v->starts += on != 0;
	v->stops += on == 0;
	if (!on && v->complains)
		eventfd_write(v->rings[0].err, 1);
	return 0;
}

static int set_backend(struct fake_vhost *v,
		       const struct vhost_vring_file *file)
{
	struct fake_ring *r = &v->rings[file->index];

	if (file->fd >= 0 && (!r->desc || !r->num))
		return -EFAULT;
	r->backend = file->fd;
	return 0;
}

static int handle(struct fake_vhost *v, unsigned long request, void *arg)
{
	const struct vhost_vring_file *file = arg;

	switch (request) {
	case VHOST_GET_FEATURES:
		*(uint64_t *)arg = v->features;
		return 0;
	case VHOST_SET_FEATURES:
		return set_features(v, *(uint64_t *)arg);
	case VHOST_SET_MEM_TABLE:
		return set_memory(v, arg);
	case VHOST_VSOCK_SET_GUEST_CID:
		v->cid = *(uint64_t *)arg;
		return 0;
	case VHOST_VSOCK_SET_RUNNING:
		return set_running(v, *(int *)arg);
	}
	/* The rest is about a ring, whose index comes first. */
	if (*(uint32_t *)arg >= FAKE_VHOST_RINGS)
		return -ENOBUFS;
	switch (request) {
	case VHOST_SET_VRING_NUM:
	case VHOST_SET_VRING_BASE:
		return set_state(v, request, arg);
	case VHOST_SET_VRING_ADDR:
		return set_addr(v, arg);
	case VHOST_NET_SET_BACKEND:
		return set_backend(v, file);
	case VHOST_SET_VRING_KICK:
		v->rings[file->index].kick = file->fd;
		return 0;
	case VHOST_SET_VRING_CALL:
		v->rings[file->index].call = file->fd;
		return 0;
	case VHOST_SET_VRING_ERR:
		v->rings[file->index].err = file->fd;
		return 0;
	}
	return -ENOTTY;
}

static int fake_ioctl(struct vhost_sys *sys, int fd, unsigned long request,
		      void *arg)
{
	struct fake_vhost *v = of(sys);

	(void)fd;
	if (++v->calls == (unsigned int)v->error_at)
		return v->error;
	if (request == VHOST_SET_OWNER) {
		if (v->owned)
			return -EBUSY;
		v->owned = true;
		return 0;
	}
	if (!v->owned && request != VHOST_GET_FEATURES)
		return -EPERM;
	return handle(v, request, arg);
}

void fake_vhost_init(struct fake_vhost *v)
{
	*v = (struct fake_vhost){
		.sys = { fake_open, fake_ioctl },
		.features = 1ULL << VIRTIO_F_VERSION_1 |
			    1ULL << VIRTIO_F_ACCESS_PLATFORM |
			    1ULL << VIRTIO_RING_F_INDIRECT_DESC |
			    1ULL << VIRTIO_RING_F_EVENT_IDX,
	};
	for (unsigned int i = 0; i < FAKE_VHOST_RINGS; i++)
		v->rings[i] = (struct fake_ring){
			.kick = -1, .call = -1, .err = -1, .backend = -1
		};
}
