/* SPDX-License-Identifier: Apache-2.0 */
/* What fs.h declares. */
#include "devices/fs.h"

#include <errno.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/vhost_user.h"
#include "devices/virtiofsd.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"

/* One of high priority, one of requests: virtiofsd knows no more. */
#define FS_QUEUES 2
#define FS_GRACE_MS 2000 /* for virtiofsd to end when we hang up */

struct fs {
	struct virtio virtio;
	struct vhost_user back;
	struct child child;
	struct event_source output; /* the child's */
};

static struct fs *of(struct virtio *d)
{
	return container_of(d, struct fs, virtio);
}

static int fs_start_queue(struct virtio *d, unsigned int q)
{
	return vhost_user_start_queue(&of(d)->back, q);
}

static void fs_stop_queue(struct virtio *d, unsigned int q)
{
	vhost_user_stop_queue(&of(d)->back, q);
	virtio_queue_stopped(d, q);
}

static void fs_signal_changed(struct virtio *d, unsigned int q)
{
	vhost_user_set_signal(&of(d)->back, q);
}

/* A pipe that nobody reads would stop it one day. */
static void on_output(struct event_source *s, uint32_t events)
{
	struct fs *fs = container_of(s, struct fs, output);
	char line[256];

	child_last_line(&fs->child, line, sizeof(line));
	if (*line)
		log_info("%s: virtiofsd: %s", fs->virtio.name, line);
	if (events & EPOLLHUP)
		event_remove(&fs->virtio.thread->loop, s);
}

/* Whatever it is doing, it does not go on in the guest's memory. */
static void on_lost(struct vhost_user *back)
{
	struct fs *fs = container_of(back, struct fs, back);

	if (!fs->child.pid)
		return;
	event_remove(&fs->virtio.thread->loop, &fs->output);
	child_stop(&fs->child, 0);
}

static void fs_destroy(struct virtio *d)
{
	struct fs *fs = of(d);

	vhost_user_close(&fs->back);
	child_stop(&fs->child, FS_GRACE_MS);
	virtio_destroy(d);
	free(fs);
}

static const struct virtio_ops fs_ops = {
	.type = "fs",
	.id = VIRTIO_ID_FS,
	.pci_class = 0x01, /* mass storage, other */
	.pci_subclass = 0x80,
	.start_queue = fs_start_queue,
	.stop_queue = fs_stop_queue,
	.signal_changed = fs_signal_changed,
	.destroy = fs_destroy,
};

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(-ENAMETOOLONG, "%s: longer than a socket's %zu",
			       path, sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	rc = err_set(-errno, "%s: %s: start virtiofsd with --socket-path=%s",
		     path, strerror(errno), path);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* What went wrong with our own child it has told itself, unless it told us. */
static int explain(struct fs *fs, int rc)
{
	char line[256];

	if (!fs->child.pid || rc == -EREMOTEIO)
		return rc;
	child_last_line(&fs->child, line, sizeof(line));
	return *line ? err_in(rc, "virtiofsd says '%s'", line)
		     : err_in(rc, "virtiofsd");
}

static int open_back_end(struct fs *fs, const struct virtio_host *host,
			 const struct fs_params *p)
{
	int rc = p->socket ? connect_to(p->socket)
			   : virtiofsd_start(&fs->child, p->daemon, p->path);

	if (rc < 0)
		return rc;
	rc = vhost_user_open(&fs->back, rc, host->mem, FS_QUEUES);
	return rc ? explain(fs, rc) : 0;
}

static int attach(struct fs *fs)
{
	int rc = vhost_user_attach(&fs->back, &fs->virtio);

	fs->back.lost = on_lost;
	if (rc || !fs->child.pid)
		return rc;
	fs->output = (struct event_source){ fs->child.out_fd, on_output };
	return event_add(&fs->virtio.thread->loop, &fs->output, EPOLLIN);
}

int fs_create(const struct virtio_host *host, const void *params,
	      struct virtio **out)
{
	const struct fs_params *fp = params;
	struct virtio_fs_config config = { .num_request_queues = 1 };
	struct virtio_params p = {
		.ops = &fs_ops,
		.nr_queues = FS_QUEUES,
		.queue_size = VIRTQ_MAX_SIZE, /* a MiB in one request */
		.config = &config,
		.config_len = sizeof(config),
	};
	size_t len = strlen(fp->tag);
	struct fs *fs;
	int rc;

	if (!len || len > sizeof(config.tag))
		return err_set(-EINVAL, "the tag '%.40s' is not 1 to %zu bytes",
			       fp->tag, sizeof(config.tag));
	memcpy(config.tag, fp->tag, len);
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return err_set(-ENOMEM, "out of memory");
	fs->back.fd = -1;
	rc = open_back_end(fs, host, fp);
	if (!rc)
		rc = virtio_init(&fs->virtio, host, &p);
	if (!rc)
		rc = attach(fs);
	if (rc)
		fs_destroy(&fs->virtio);
	else
		*out = &fs->virtio;
	return rc;
}
