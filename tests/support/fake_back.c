/* SPDX-License-Identifier: Apache-2.0 */
/* What fake_back.h declares. */
#include "support/fake_back.h"

#include <check.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/util.h"

/* The numbers of the specification once more, from it. */
enum {
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
#define REPLY 4
#define NEED_REPLY 8

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct {
			uint32_t index, num;
		} ring;
		uint32_t words[64];
		uint8_t bytes[256];
	} body;
	int fds[8];
	unsigned int nr_fds;
} __attribute__((packed));

/* --- the wire --- */

static bool take(struct fake_back *b, struct message *m)
{
	char control[CMSG_SPACE(sizeof(m->fds))];
	struct iovec iov = { m, 12 };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;

	m->nr_fds = 0;
	if (recvmsg(b->fd, &h, MSG_CMSG_CLOEXEC) != 12)
		return false;
	c = CMSG_FIRSTHDR(&h);
	if (c) {
		m->nr_fds = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) /
					   sizeof(int));
		memcpy(m->fds, CMSG_DATA(c), m->nr_fds * sizeof(int));
	}
	b->misuse += (m->flags & 3) != 1 || m->size > sizeof(m->body);
	return !m->size || (m->size <= sizeof(m->body) &&
			    recv(b->fd, &m->body, m->size, MSG_WAITALL) ==
				    (ssize_t)m->size);
}

static bool put(struct fake_back *b, const void *data, size_t len, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (fd >= 0) {
		h.msg_control = control;
		h.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(b->fd, &h, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Sends m as the answer, or what it is to send instead. */
static bool answer(struct fake_back *b, struct message *m,
		   enum fake_back_fault fault)
{
	size_t len = 12 + m->size;
	int fd = -1;

	m->flags = 1 | REPLY;
	switch (fault) {
	case BACK_OTHER_REQUEST:
		m->request++;
		break;
	case BACK_NO_REPLY_FLAG:
		m->flags &= ~(uint32_t)REPLY;
		break;
	case BACK_OTHER_VERSION:
		m->flags ^= 3;
		break;
	case BACK_SHORT:
		m->size -= 4;
		len -= 4;
		break;
	case BACK_LONG:
		m->size = 0xfffffff0;
		break;
	case BACK_HALF_A_HEADER:
		len = 6;
		break;
	case BACK_SENDS_FD:
		fd = STDIN_FILENO;
		break;
	case BACK_SPEAKS_UNASKED:
		return put(b, m, len, -1) && put(b, m, len, -1);
	default:
		break;
	}
	return put(b, m, len, fd) && fault != BACK_HALF_A_HEADER;
}

/* --- what it is told --- */

static void set_memory(struct fake_back *b, struct message *m)
{
	struct {
		uint64_t gpa, len, user, off;
	} r[FAKE_BACK_REGIONS];

	b->nr_regions = m->body.words[0];
	b->misuse += b->nr_regions > FAKE_BACK_REGIONS ||
		     b->nr_regions != m->nr_fds ||
		     m->size != 8 + 32 * b->nr_regions;
	memcpy(r, m->body.bytes + 8, sizeof(r));
	for (unsigned int i = 0; i < b->nr_regions && !b->misuse; i++) {
		b->regions[i].gpa = r[i].gpa;
		b->regions[i].len = r[i].len;
		b->regions[i].user = r[i].user;
		b->regions[i].map =
			mmap(NULL, r[i].len, PROT_READ | PROT_WRITE, MAP_SHARED,
			     m->fds[i], (off_t)r[i].off);
		b->misuse += b->regions[i].map == MAP_FAILED;
	}
}

static void keep_fd(struct fake_back *b, struct message *m, int *fd)
{
	b->misuse += m->nr_fds != !(m->body.number & 0x100);
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	if (m->nr_fds) {
		*fd = m->fds[0];
		m->nr_fds = 0; /* ours from here on */
	}
}

static void set_addr(struct fake_back *b, struct fake_back_ring *r,
		     const struct message *m)
{
	uint64_t addr[4];

	memcpy(addr, m->body.bytes + 8, sizeof(addr));
	r->desc = addr[0];
	r->used = addr[1];
	r->avail = addr[2];
	b->misuse += m->size != 40 || m->body.words[1] || addr[3] ||
		     !fake_back_at(b, r->desc) || !fake_back_at(b, r->used) ||
		     !fake_back_at(b, r->avail);
}

static void about_ring(struct fake_back *b, struct message *m)
{
	struct fake_back_ring *r;

	if ((m->body.ring.index & 0xff) >= FAKE_BACK_QUEUES) {
		b->misuse++;
		return;
	}
	r = &b->rings[m->body.ring.index & 0xff];
	/* Only its interrupt may change while it runs. */
	b->misuse += r->kick >= 0 && m->request != SET_VRING_CALL &&
		     m->request != GET_VRING_BASE;
	switch (m->request) {
	case SET_VRING_NUM:
		r->num = m->body.ring.num;
		break;
	case SET_VRING_BASE:
		r->base = m->body.ring.num;
		break;
	case SET_VRING_ADDR:
		set_addr(b, r, m);
		break;
	case SET_VRING_ENABLE:
		r->enabled = m->body.ring.num;
		break;
	case SET_VRING_CALL:
		keep_fd(b, m, &r->call);
		break;
	case SET_VRING_KICK:
		b->misuse += !r->enabled || !r->num || !b->nr_regions;
		keep_fd(b, m, &r->kick);
		b->running++;
		break;
	case GET_VRING_BASE:
		b->misuse += r->kick < 0;
		close(r->kick);
		r->kick = -1;
		b->running--;
		break;
	default:
		b->misuse++;
	}
}

/* Leaves the answer in m; false: there is none of its own. */
static bool handle(struct fake_back *b, struct message *m)
{
	switch (m->request) {
	case GET_FEATURES:
		m->body.number = b->features;
		break;
	case GET_PROTOCOL_FEATURES:
		m->body.number = b->protocol;
		break;
	case GET_QUEUE_NUM:
		m->body.number = b->queues;
		break;
	case SET_FEATURES:
		b->acked = m->body.number;
		b->misuse += (b->acked & ~b->features) != 0;
		return false;
	case SET_PROTOCOL_FEATURES:
		b->acked_protocol = m->body.number;
		b->misuse += (b->acked_protocol & ~b->protocol) != 0;
		return false;
	case SET_OWNER:
		return false;
	case SET_MEM_TABLE:
		set_memory(b, m);
		return false;
	case GET_VRING_BASE:
		about_ring(b, m);
		break;
	default:
		about_ring(b, m);
		return false;
	}
	m->size = 8;
	return true;
}

static void close_fds(struct message *m)
{
	while (m->nr_fds)
		close(m->fds[--m->nr_fds]);
}

static bool serve_one(struct fake_back *b)
{
	enum fake_back_fault fault = BACK_HONEST;
	struct message m;
	bool replies, want, going = true;

	if (!take(b, &m))
		return false;
	if (b->messages + 1 == b->fault_at)
		fault = b->fault;
	if (fault == BACK_DIES) {
		close_fds(&m);
		b->messages++;
		return false;
	}
	want = m.flags & NEED_REPLY;
	replies = handle(b, &m);
	b->messages++; /* who waits for this may look at what it did */
	b->misuse += want && (replies || !(b->acked_protocol & 8));
	close_fds(&m);
	if (want && !replies) {
		m.body.number = fault == BACK_REFUSES;
		m.size = 8;
	}
	if (fault == BACK_SILENT)
		return true;
	if (replies || want)
		going = answer(b, &m, fault);
	return going && fault != BACK_DIES_AFTER;
}

static void *run(void *arg)
{
	struct fake_back *b = arg;

	b->fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
	while (b->fd >= 0 && serve_one(b))
		;
	if (b->fd >= 0)
		shutdown(b->fd, SHUT_RDWR);
	return NULL;
}

/* --- its life --- */

void fake_back_init(struct fake_back *b)
{
	*b = (struct fake_back){
		.features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << 30 |
			    1ULL << VIRTIO_F_ACCESS_PLATFORM |
			    1ULL << VIRTIO_RING_F_INDIRECT_DESC |
			    1ULL << VIRTIO_RING_F_EVENT_IDX,
		.protocol = 0xffff,
		.queues = FAKE_BACK_QUEUES,
		.listener = -1,
		.fd = -1,
	};
	for (unsigned int i = 0; i < FAKE_BACK_QUEUES; i++)
		b->rings[i].kick = b->rings[i].call = -1;
}

void fake_back_start(struct fake_back *b)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(b->dir, sizeof(b->dir), "/tmp/cvmm-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/back", b->dir);
	memcpy(a.sun_path, b->path, sizeof(b->path));
	b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(b->listener, (struct sockaddr *)&a, sizeof(a)),
			 0);
	ck_assert_int_eq(listen(b->listener, 1), 0);
	ck_assert_int_eq(pthread_create(&b->thread, NULL, run, b), 0);
}

void fake_back_die(struct fake_back *b)
{
	shutdown(b->fd, SHUT_RDWR);
}

void fake_back_stop(struct fake_back *b)
{
	if (b->listener < 0)
		return;
	shutdown(b->listener, SHUT_RDWR); /* accept() returns */
	if (b->messages)
		shutdown(b->fd, SHUT_RDWR);
	pthread_join(b->thread, NULL);
	close(b->listener);
	b->listener = -1;
	if (b->fd >= 0)
		close(b->fd);
	for (unsigned int i = 0; i < FAKE_BACK_QUEUES; i++) {
		if (b->rings[i].kick >= 0)
			close(b->rings[i].kick);
		if (b->rings[i].call >= 0)
			close(b->rings[i].call);
	}
	for (unsigned int i = 0; i < b->nr_regions; i++)
		munmap(b->regions[i].map, b->regions[i].len);
	unlink(b->path);
	rmdir(b->dir);
}

void *fake_back_at(struct fake_back *b, uint64_t user)
{
	for (unsigned int i = 0; i < b->nr_regions; i++)
		if (user - b->regions[i].user < b->regions[i].len)
			return b->regions[i].map + (user - b->regions[i].user);
	return NULL;
}
