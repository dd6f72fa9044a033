/* SPDX-License-Identifier: Apache-2.0 */
/* What vhost_user.h declares. */
#include "devices/vhost_user.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/err.h"

#define BIT(n) (1ULL << (n))
#define RING_RESET 40 /* VIRTIO_F_RING_RESET, newer than Debian 12's header */

/* Between the driver and us, as in vhost.c. */
#define NOT_THE_BACK_ENDS (BIT(VIRTIO_F_ACCESS_PLATFORM) | BIT(RING_RESET))

int vhost_user_timeout_ms = 10000;

/* --- the protocol: front-end message types and what they carry --- */

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
};

#define FLAGS_VERSION 0x1
#define FLAGS_VERSION_MASK 0x3
#define FLAGS_REPLY 0x4
#define FLAGS_NEED_REPLY 0x8

#define F_PROTOCOL_FEATURES 30 /* among the virtio features */
#define PROTOCOL_F_MQ 0
#define PROTOCOL_F_REPLY_ACK 3
#define VRING_NO_FD BIT(8)

struct header {
	uint32_t request, flags, size;
};

struct ring_state {
	uint32_t index, num;
};

struct ring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct memory_table {
	uint32_t count, padding;
	struct {
		uint64_t gpa, len, user, fd_off;
	} regions[GUEST_MAX_REGIONS];
};

/* --- messages --- */

static void begin(struct vhost_user *v)
{
	v->deadline = util_now_ms() + vhost_user_timeout_ms;
}

/* Waits until the socket is ready for events; -ETIMEDOUT. */
static int await(struct vhost_user *v, short events)
{
	int64_t left = v->deadline - util_now_ms();
	struct pollfd p = { .fd = v->fd, .events = events };
	int rc = left > 0 ? poll(&p, 1, (int)left) : 0;

	if (rc < 0 && errno != EINTR)
		return -errno;
	return rc ? 0 : -ETIMEDOUT;
}

static int send_all(struct vhost_user *v, struct msghdr *m, size_t len)
{
	while (len) {
		ssize_t n = sendmsg(v->fd, m, MSG_NOSIGNAL | MSG_DONTWAIT);
		int rc = 0;

		if (n < 0 && errno == EAGAIN)
			rc = await(v, POLLOUT);
		else if (n <= 0 && errno != EINTR)
			rc = n ? -errno : -EIO;
		if (rc)
			return rc;
		if (n <= 0)
			continue;
		/* The descriptors have gone with the first byte. */
		m->msg_control = NULL;
		m->msg_controllen = 0;
		len -= (size_t)n;
		for (; n && m->msg_iovlen; m->msg_iov++, m->msg_iovlen--) {
			size_t part = min_of((size_t)n, m->msg_iov->iov_len);

			m->msg_iov->iov_base =
				(char *)m->msg_iov->iov_base + part;
			m->msg_iov->iov_len -= part;
			n -= (ssize_t)part;
			if (m->msg_iov->iov_len)
				break;
		}
	}
	return 0;
}

/* Replies bring no descriptors; what comes all the same the kernel closes. */
static int receive_all(struct vhost_user *v, void *buf, size_t len)
{
	char *to = buf;

	while (len) {
		ssize_t n = recv(v->fd, to, len, MSG_DONTWAIT);
		int rc = 0;

		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno == EAGAIN)
			rc = await(v, POLLIN);
		else if (n < 0 && errno != EINTR)
			rc = -errno;
		if (rc)
			return rc;
		to += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int send_message(struct vhost_user *v, enum request request,
			uint32_t flags, const void *body, size_t len,
			const int *fds, unsigned int nr_fds)
{
	struct header h = { request, FLAGS_VERSION | flags, (uint32_t)len };
	struct iovec iov[] = { { &h, sizeof(h) }, { (void *)body, len } };
	_Alignas(struct cmsghdr) char
		control[CMSG_SPACE(GUEST_MAX_REGIONS * sizeof(int))] = { 0 };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *c;

	if (nr_fds) {
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nr_fds * sizeof(int));
	}
	return send_all(v, &m, sizeof(h) + len);
}

/* The one answer that this request can have. */
static int receive(struct vhost_user *v, enum request request, void *body,
		   size_t len)
{
	struct header h;
	int rc = receive_all(v, &h, sizeof(h));

	if (rc)
		return rc;
	if (h.request != request || h.size != len || !(h.flags & FLAGS_REPLY) ||
	    (h.flags & FLAGS_VERSION_MASK) != FLAGS_VERSION)
		return -EPROTO;
	return receive_all(v, body, len);
}

static int get(struct vhost_user *v, enum request request, uint64_t *value)
{
	int rc = send_message(v, request, 0, NULL, 0, NULL, 0);

	return rc ? rc : receive(v, request, value, sizeof(*value));
}

/* A request with descriptors; that it was refused is seen with REPLY_ACK. */
static int set_fds(struct vhost_user *v, enum request request, const void *body,
		   size_t len, const int *fds, unsigned int nr_fds)
{
	uint64_t status = 0;
	int rc = send_message(v, request, v->reply_ack ? FLAGS_NEED_REPLY : 0,
			      body, len, fds, nr_fds);

	if (!rc && v->reply_ack)
		rc = receive(v, request, &status, sizeof(status));
	return !rc && status ? -EREMOTEIO : rc;
}

static int set(struct vhost_user *v, enum request request, const void *body,
	       size_t len)
{
	return set_fds(v, request, body, len, NULL, 0);
}

/* --- the connection --- */

static int set_memory(struct vhost_user *v, const struct guest_mem *mem)
{
	struct memory_table table = { .count = mem->count };
	int fds[GUEST_MAX_REGIONS];

	for (unsigned int i = 0; i < mem->count; i++) {
		const struct guest_region *r = &mem->regions[i];

		table.regions[i].gpa = r->base;
		table.regions[i].len = r->len;
		table.regions[i].user = (uintptr_t)r->host;
		table.regions[i].fd_off = r->fd_off;
		fds[i] = r->fd;
	}
	return set_fds(v, SET_MEM_TABLE, &table,
		       offsetof(struct memory_table, regions) +
			       mem->count * sizeof(table.regions[0]),
		       fds, mem->count);
}

/*
 * A guest_memfd has no size that can be asked for with lseek() (Linux 7.2:
 * ESPIPE), which vm-memory, of virtiofsd in Rust, does before it maps a file.
 */
static int share_memory(struct vhost_user *v, const struct guest_mem *mem)
{
	int rc = set_memory(v, mem);

	if (rc == -EREMOTEIO)
		return err_set(rc,
			       "the back end cannot map the guest's memory: "
			       "if that is a guest_memfd, set "
			       "memory.backing = memfd");
	return rc ? err_set(rc, "the back end, given the guest's memory: %s",
			    strerror(-rc))
		  : 0;
}

/* What both understand of the protocol itself. */
static int agree(struct vhost_user *v, unsigned int nr_queues)
{
	uint64_t have = 0, take, queues = nr_queues;
	int rc = 0;

	if (!(v->features & BIT(F_PROTOCOL_FEATURES)))
		return 0;
	rc = get(v, GET_PROTOCOL_FEATURES, &have);
	take = have & (BIT(PROTOCOL_F_MQ) | BIT(PROTOCOL_F_REPLY_ACK));
	if (!rc)
		rc = set(v, SET_PROTOCOL_FEATURES, &take, sizeof(take));
	if (!rc && (take & BIT(PROTOCOL_F_MQ)))
		rc = get(v, GET_QUEUE_NUM, &queues);
	v->reply_ack = take >> PROTOCOL_F_REPLY_ACK & 1;
	if (!rc && queues < nr_queues)
		return err_set(-EOPNOTSUPP,
			       "the back end has %" PRIu64
			       " queues, %u are needed",
			       queues, nr_queues);
	return rc ? err_set(rc, "the back end: %s", strerror(-rc)) : 0;
}

static int meet(struct vhost_user *v)
{
	int rc = get(v, GET_FEATURES, &v->features);

	if (!rc)
		rc = set(v, SET_OWNER, NULL, 0);
	if (rc)
		return err_set(rc, "the back end: %s", strerror(-rc));
	if (!(v->features & BIT(VIRTIO_F_VERSION_1)))
		return err_set(-EOPNOTSUPP, "the back end knows only virtio "
					    "before version 1");
	return 0;
}

int vhost_user_open(struct vhost_user *v, int fd, const struct guest_mem *mem,
		    unsigned int nr_queues)
{
	int rc;

	*v = (struct vhost_user){ .fd = fd };
	begin(v);
	rc = meet(v);
	if (!rc)
		rc = agree(v, nr_queues);
	if (!rc)
		rc = share_memory(v, mem);
	if (rc)
		vhost_user_close(v);
	return rc;
}

void vhost_user_close(struct vhost_user *v)
{
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
}

uint64_t vhost_user_offer(const struct vhost_user *v, uint64_t features)
{
	return v->features & features;
}

/* The first thing wrong is the last thing heard. */
static void lose(struct vhost_user *v, const char *what, int rc)
{
	char why[128];

	if (v->fd < 0)
		return;
	event_remove(&v->dev->thread->loop, &v->socket);
	vhost_user_close(v);
	if (v->lost)
		v->lost(v);
	snprintf(why, sizeof(why), "%s%s%s", what, rc ? ": " : "",
		 rc ? strerror(-rc) : "");
	virtio_lost(v->dev, why);
}

/* Nothing comes unasked, but the end. */
static void on_socket(struct event_source *s, uint32_t events)
{
	struct vhost_user *v = container_of(s, struct vhost_user, socket);
	char byte;
	ssize_t n = recv(v->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	(void)events;
	if (n > 0)
		lose(v, "the back end speaks out of turn", 0);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		lose(v, "the back end has ended", 0);
}

int vhost_user_attach(struct vhost_user *v, struct virtio *d)
{
	v->dev = d;
	d->offered &= v->features | NOT_THE_BACK_ENDS;
	v->socket = (struct event_source){ v->fd, on_socket };
	return event_add(&d->thread->loop, &v->socket, EPOLLIN | EPOLLRDHUP);
}

/* --- queues --- */

static uint64_t user_addr(const struct virtio *d, gpa_t gpa)
{
	return (uintptr_t)guest_at(d->mem, gpa, 0);
}

static int set_queue_fd(struct vhost_user *v, enum request request,
			unsigned int q, int fd)
{
	uint64_t index = q | (fd < 0 ? VRING_NO_FD : 0);

	return set_fds(v, request, &index, sizeof(index), &fd, fd >= 0);
}

static int set_features(struct vhost_user *v)
{
	uint64_t features = (v->dev->features & ~NOT_THE_BACK_ENDS) |
			    (v->features & BIT(F_PROTOCOL_FEATURES));

	return set(v, SET_FEATURES, &features, sizeof(features));
}

/* virtq_start() has seen that all of the rings is guest memory. */
static int set_ring(struct vhost_user *v, unsigned int q)
{
	const struct virtq_layout *l = &v->dev->queues[q].ring.layout;
	const struct ring_state num = { q, l->size }, base = { q, 0 };
	const struct ring_addr addr = {
		.index = q,
		.desc = user_addr(v->dev, l->desc),
		.used = user_addr(v->dev, l->used),
		.avail = user_addr(v->dev, l->avail),
	};
	int rc = set(v, SET_VRING_NUM, &num, sizeof(num));

	if (!rc)
		rc = set(v, SET_VRING_BASE, &base, sizeof(base));
	return rc ? rc : set(v, SET_VRING_ADDR, &addr, sizeof(addr));
}

/* Enabled before it has its bell: so no ring of it is thrown away. */
static int start_ring(struct vhost_user *v, unsigned int q)
{
	const struct ring_state on = { q, 1 };
	int rc = set_ring(v, q);

	if (!rc)
		rc = set_queue_fd(v, SET_VRING_CALL, q,
				  virtio_signal_fd(v->dev, q));
	if (!rc && (v->features & BIT(F_PROTOCOL_FEATURES)))
		rc = set(v, SET_VRING_ENABLE, &on, sizeof(on));
	return rc ? rc
		  : set_queue_fd(v, SET_VRING_KICK, q,
				 v->dev->queues[q].kick_fd);
}

int vhost_user_start_queue(struct vhost_user *v, unsigned int q)
{
	int rc = 0;

	if (v->fd < 0)
		return -ENOTCONN;
	begin(v);
	if (!v->running)
		rc = set_features(v);
	if (!rc)
		rc = start_ring(v, q);
	if (rc)
		lose(v, "the back end does not start a queue", rc);
	else
		v->running++;
	return rc;
}

void vhost_user_stop_queue(struct vhost_user *v, unsigned int q)
{
	struct ring_state base = { q, 0 };
	int rc;

	v->running--;
	if (v->fd < 0)
		return;
	begin(v);
	rc = send_message(v, GET_VRING_BASE, 0, &base, sizeof(base), NULL, 0);
	if (!rc)
		rc = receive(v, GET_VRING_BASE, &base, sizeof(base));
	if (rc)
		lose(v, "the back end does not stop a queue", rc);
}

void vhost_user_set_signal(struct vhost_user *v, unsigned int q)
{
	int rc;

	if (v->fd < 0)
		return;
	begin(v);
	rc = set_queue_fd(v, SET_VRING_CALL, q, virtio_signal_fd(v->dev, q));
	if (rc)
		lose(v, "the back end does not take an interrupt", rc);
}
