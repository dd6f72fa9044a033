/* SPDX-License-Identifier: Apache-2.0 */
/* What vhost.h declares. */
#include "devices/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/err.h"

#define BIT(n) (1ULL << (n))
#define RING_RESET 40 /* VIRTIO_F_RING_RESET, newer than Debian 12's header */

/*
 * Between the driver and us: to stop and start a ring resets it; and to the
 * kernel ACCESS_PLATFORM means that addresses need its IOTLB, which we do not
 * use: they are those of the memory table.
 */
#define NOT_THE_KERNELS (BIT(VIRTIO_F_ACCESS_PLATFORM) | BIT(RING_RESET))

static int linux_open(struct vhost_sys *sys, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)sys;
	return fd < 0 ? -errno : fd;
}

static int linux_ioctl(struct vhost_sys *sys, int fd, unsigned long request,
		       void *arg)
{
	int rc = ioctl(fd, request, arg);

	(void)sys;
	return rc < 0 ? -errno : rc;
}

struct vhost_sys vhost_linux = { linux_open, linux_ioctl };

int vhost_ioctl(struct vhost *v, unsigned long request, void *arg)
{
	return v->sys->ioctl(v->sys, v->fd, request, arg);
}

static int open_error(int rc, const char *path, const char *module)
{
	if (rc == -ENOENT || rc == -ENODEV || rc == -ENXIO)
		return err_set(rc,
			       "%s is not there: load the kernel module %s "
			       "(modprobe %s)",
			       path, module, module);
	if (rc == -EACCES || rc == -EPERM)
		return err_set(rc,
			       "no permission to open %s: become a member of "
			       "its group, or root",
			       path);
	return err_set(rc, "open %s: %s", path, strerror(-rc));
}

static int set_memory(struct vhost *v, const struct guest_mem *mem)
{
	union { /* the table ends in an array of no length */
		struct vhost_memory table;
		uint8_t room[sizeof(struct vhost_memory) +
			     GUEST_MAX_REGIONS *
				     sizeof(struct vhost_memory_region)];
	} u = { .table.nregions = mem->count };

	for (unsigned int i = 0; i < mem->count; i++) {
		const struct guest_region *r = &mem->regions[i];

		u.table.regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = r->base,
			.memory_size = r->len,
			.userspace_addr = (uintptr_t)r->host,
		};
	}
	return vhost_ioctl(v, VHOST_SET_MEM_TABLE, &u.table);
}

static int prepare(struct vhost *v, const char *path,
		   const struct guest_mem *mem)
{
	int rc = vhost_ioctl(v, VHOST_SET_OWNER, NULL);

	if (!rc)
		rc = vhost_ioctl(v, VHOST_GET_FEATURES, &v->features);
	if (!rc)
		rc = set_memory(v, mem);
	if (rc)
		return err_set(rc, "%s: %s", path, strerror(-rc));
	if (!(v->features & BIT(VIRTIO_F_VERSION_1)))
		return err_set(-EOPNOTSUPP,
			       "%s: this kernel's vhost knows only virtio "
			       "before version 1",
			       path);
	v->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return v->err_fd < 0 ? err_set(-errno, "eventfd: %s", strerror(errno))
			     : 0;
}

int vhost_open(struct vhost *v, struct vhost_sys *sys, const char *path,
	       const char *module, const struct guest_mem *mem)
{
	int rc;

	*v = (struct vhost){ .sys = sys ? sys : &vhost_linux, .err_fd = -1 };
	v->fd = v->sys->open(v->sys, path);
	if (v->fd < 0) {
		rc = open_error(v->fd, path, module);
		v->sys = NULL;
		return rc;
	}
	rc = prepare(v, path, mem);
	if (rc)
		vhost_close(v);
	return rc;
}

void vhost_close(struct vhost *v)
{
	if (!v->sys)
		return;
	close(v->fd);
	if (v->err_fd >= 0)
		close(v->err_fd);
	*v = (struct vhost){ 0 };
}

static void on_failed(struct event_source *s, uint32_t events)
{
	struct vhost *v = container_of(s, struct vhost, failed);
	eventfd_t count;

	(void)events;
	eventfd_read(v->err_fd, &count);
	virtio_break(v->dev);
}

int vhost_attach(struct vhost *v, struct virtio *d, uint64_t ours)
{
	v->dev = d;
	d->offered &= v->features | NOT_THE_KERNELS | ours;
	v->failed = (struct event_source){ v->err_fd, on_failed };
	return event_add(&d->thread->loop, &v->failed, EPOLLIN);
}

static uint64_t user_addr(const struct virtio *d, gpa_t gpa)
{
	return (uintptr_t)guest_at(d->mem, gpa, 0);
}

static int set_file(struct vhost *v, unsigned long request, unsigned int index,
		    int fd)
{
	struct vhost_vring_file file = { index, fd };

	return vhost_ioctl(v, request, &file);
}

/* virtq_start() has seen that all of the rings is guest memory. */
static int set_ring(struct vhost *v, unsigned int index,
		    const struct virtq_layout *l)
{
	struct vhost_vring_state num = { index, l->size }, base = { index, 0 };
	struct vhost_vring_addr addr = {
		.index = index,
		.desc_user_addr = user_addr(v->dev, l->desc),
		.used_user_addr = user_addr(v->dev, l->used),
		.avail_user_addr = user_addr(v->dev, l->avail),
	};
	int rc = vhost_ioctl(v, VHOST_SET_VRING_NUM, &num);

	if (!rc)
		rc = vhost_ioctl(v, VHOST_SET_VRING_BASE, &base);
	if (!rc)
		rc = vhost_ioctl(v, VHOST_SET_VRING_ADDR, &addr);
	return rc;
}

int vhost_set_queue(struct vhost *v, unsigned int index, unsigned int q)
{
	struct virtio *d = v->dev;
	uint64_t features = d->features & v->features & ~NOT_THE_KERNELS;
	int rc = vhost_ioctl(v, VHOST_SET_FEATURES, &features);

	if (!rc)
		rc = set_ring(v, index, &d->queues[q].ring.layout);
	if (!rc)
		rc = set_file(v, VHOST_SET_VRING_CALL, index,
			      virtio_signal_fd(d, q));
	if (!rc)
		rc = set_file(v, VHOST_SET_VRING_ERR, index, v->err_fd);
	if (!rc)
		rc = set_file(v, VHOST_SET_VRING_KICK, index,
			      d->queues[q].kick_fd);
	return rc;
}

void vhost_forget_queue(struct vhost *v, unsigned int index)
{
	eventfd_t count;

	set_file(v, VHOST_SET_VRING_KICK, index, -1);
	set_file(v, VHOST_SET_VRING_CALL, index, -1);
	/* What it complained of until now is over with the queue. */
	eventfd_read(v->err_fd, &count);
}

void vhost_set_signal(struct vhost *v, unsigned int index, unsigned int q)
{
	set_file(v, VHOST_SET_VRING_CALL, index, virtio_signal_fd(v->dev, q));
}
