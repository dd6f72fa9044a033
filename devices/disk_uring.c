/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine that asks the kernel by io_uring, through its system calls: what
 * is needed of them is less than loading a library at each start would cost.
 * An eventfd wakes the loop, unless we are just looking at the ring.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/disk.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/util.h"

#define SQ_ENTRIES 256u /* one submission; more are several */
#define LOAD(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define STORE(p, value) __atomic_store_n(p, value, __ATOMIC_RELEASE)

/*
 * Completions are dealt with when we ask for them, without interrupting the
 * thread (Linux 6.1); the ring then is one thread's, which is not yet there
 * when it is made.
 */
#define LAZY                                                       \
	(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | \
	 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED)

struct uring {
	struct disk *disk;
	struct event_source completed;
	int fd, eventfd;
	bool enabled;
	void *rings, *sqes;
	size_t rings_len, sqes_len;
	struct io_uring_sqe *sqe; /* = sqes */
	struct io_uring_cqe *cqe;
	uint32_t *sq_head, *sq_tail, *sq_flags;
	uint32_t *cq_head, *cq_tail, *cq_flags;
	uint32_t sq_mask, cq_mask;
	uint32_t tail;   /* ours: filled in up to here */
	uint32_t pushed; /* and the kernel has been told up to here */
	uint32_t under_way;
};

static int setup(unsigned int entries, struct io_uring_params *p)
{
	return (int)syscall(SYS_io_uring_setup, entries, p);
}

static int enter(const struct uring *u, unsigned int submit, unsigned int wait)
{
	return (int)syscall(SYS_io_uring_enter, u->fd, submit, wait,
			    IORING_ENTER_GETEVENTS, NULL, 0);
}

/* --- completions --- */

/* Reports what has completed.  What of it is not finished is in the ring. */
static void reap(struct uring *u)
{
	uint32_t head = *u->cq_head;

	while (head != LOAD(u->cq_tail)) {
		struct io_uring_cqe *c = &u->cqe[head & u->cq_mask];
		struct disk_request *r = (void *)(uintptr_t)c->user_data;
		int32_t res = c->res;

		STORE(u->cq_head, ++head);
		u->under_way--;
		disk_step(u->disk, r, res);
	}
}

/*
 * The kernel took not all and says why: out of memory, most likely.  Then the
 * rest is done the other way.
 */
static void take_back(struct uring *u)
{
	static struct guest_log refused;
	uint32_t head = LOAD(u->sq_head), tail = u->tail;

	log_guest(&refused, "%s: io_uring: %s", u->disk->p.path,
		  strerror(errno));
	u->tail = u->pushed = head;
	STORE(u->sq_tail, head);
	/* What is submitted meanwhile goes over the entries read already. */
	while (head != tail) {
		const struct io_uring_sqe *s = &u->sqe[head++ & u->sq_mask];
		struct disk_request *r = (void *)(uintptr_t)s->user_data;

		disk_step(u->disk, r, disk_do(u->disk, r));
	}
}

/* Hands over what is in the ring. */
static void hand_over(struct uring *u)
{
	if (!u->enabled)
		syscall(SYS_io_uring_register, u->fd,
			IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	u->enabled = true;
	STORE(u->sq_tail, u->tail);
	while (u->pushed != u->tail) {
		int n = enter(u, u->tail - u->pushed, 0);

		if (n <= 0 && errno != EINTR)
			return take_back(u);
		if (n > 0) {
			u->pushed += (uint32_t)n;
			u->under_way += (uint32_t)n;
		}
	}
}

/* Has something completed that nobody has looked at? */
static bool has_completed(const struct uring *u)
{
	return __atomic_load_n(u->cq_tail, __ATOMIC_SEQ_CST) != *u->cq_head ||
	       __atomic_load_n(u->sq_flags, __ATOMIC_SEQ_CST) &
		       IORING_SQ_TASKRUN;
}

static void uring_push(struct disk *d)
{
	struct uring *u = d->engine_data;

	do {
		STORE(u->cq_flags, IORING_CQ_EVENTFD_DISABLED);
		/* What completes at once may need another step. */
		do {
			hand_over(u);
			reap(u);
		} while (u->tail != u->pushed);
		/* What came before that was seen has given no signal. */
		__atomic_store_n(u->cq_flags, 0, __ATOMIC_SEQ_CST);
	} while (has_completed(u) && enter(u, 0, 0) >= 0);
}

static void on_completed(struct event_source *s, uint32_t events)
{
	struct uring *u = container_of(s, struct uring, completed);

	(void)events;
	if (!has_completed(u))
		return;
	enter(u, 0, 0);
	uring_push(u->disk);
	u->disk->p.batch_done(u->disk);
}

/* --- submission --- */

static void fill(struct io_uring_sqe *s, struct disk_request *r)
{
	bool write = r->op == DISK_WRITE;

	*s = (struct io_uring_sqe){
		.fd = 0, /* the only one that is registered */
		.flags = IOSQE_FIXED_FILE,
		.off = r->off,
		.user_data = (uintptr_t)r,
	};
	switch (r->op) {
	case DISK_READ:
	case DISK_WRITE:
		if (r->nr == 1) {
			s->opcode = write ? IORING_OP_WRITE : IORING_OP_READ;
			s->addr = (uintptr_t)r->iov->iov_base;
			s->len = (uint32_t)r->iov->iov_len;
		} else {
			s->opcode = write ? IORING_OP_WRITEV : IORING_OP_READV;
			s->addr = (uintptr_t)r->iov;
			s->len = r->nr;
		}
		if (write && r->stable)
			s->rw_flags = RWF_DSYNC;
		break;
	case DISK_FLUSH:
		s->opcode = IORING_OP_FSYNC;
		s->off = 0;
		s->fsync_flags = IORING_FSYNC_DATASYNC;
		break;
	case DISK_DISCARD:
	case DISK_ZERO:
		s->opcode = IORING_OP_FALLOCATE;
		s->addr = r->len;
		s->len = (uint32_t)disk_fallocate_mode(r);
		break;
	}
}

static void uring_submit(struct disk *d, struct disk_request *r)
{
	struct uring *u = d->engine_data;

	/* Only its ioctl discards what a device cannot read as zeroes. */
	if (d->block && r->op == DISK_DISCARD)
		return disk_step(d, r, disk_do(d, r));
	while (u->tail - LOAD(u->sq_head) == SQ_ENTRIES)
		hand_over(u);
	fill(&u->sqe[u->tail & u->sq_mask], r);
	u->tail++;
}

/* --- the ring --- */

static int map_ring(struct uring *u, const struct io_uring_params *p)
{
	uint32_t *array;

	u->rings_len = max_of(p->sq_off.array + p->sq_entries * sizeof(*array),
			      p->cq_off.cqes + p->cq_entries * sizeof(*u->cqe));
	u->sqes_len = p->sq_entries * sizeof(*u->sqe);
	u->rings = mmap(NULL, u->rings_len, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, u->fd, IORING_OFF_SQ_RING);
	u->sqes = mmap(NULL, u->sqes_len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, u->fd, IORING_OFF_SQES);
	if (u->rings == MAP_FAILED || u->sqes == MAP_FAILED)
		return -errno;
	u->sqe = u->sqes;
	u->cqe = (void *)((char *)u->rings + p->cq_off.cqes);
	u->sq_head = (void *)((char *)u->rings + p->sq_off.head);
	u->sq_tail = (void *)((char *)u->rings + p->sq_off.tail);
	u->sq_flags = (void *)((char *)u->rings + p->sq_off.flags);
	u->cq_head = (void *)((char *)u->rings + p->cq_off.head);
	u->cq_tail = (void *)((char *)u->rings + p->cq_off.tail);
	u->cq_flags = (void *)((char *)u->rings + p->cq_off.flags);
	u->sq_mask = p->sq_entries - 1;
	u->cq_mask = p->cq_entries - 1;
	/* Entry i of the queue is always sqe i. */
	array = (void *)((char *)u->rings + p->sq_off.array);
	for (uint32_t i = 0; i < p->sq_entries; i++)
		array[i] = i;
	return 0;
}

static int make_ring(struct uring *u, unsigned int depth)
{
	uint32_t completions = 2 * SQ_ENTRIES;
	struct io_uring_params p;

	/* Room for all that can be under way: none is ever dropped. */
	while (completions < depth)
		completions *= 2;
	for (uint32_t flags = LAZY;; flags = 0) {
		p = (struct io_uring_params){
			.flags = flags | IORING_SETUP_CQSIZE,
			.cq_entries = completions,
		};
		u->enabled = !flags;
		u->fd = setup(SQ_ENTRIES, &p);
		if (u->fd >= 0 || errno != EINVAL || !flags)
			break;
	}
	if (u->fd < 0)
		return -errno;
	/* 5.8 has both; before it, it is another interface. */
	if (!(p.features & IORING_FEAT_SINGLE_MMAP) || !p.cq_off.flags)
		return -ENOSYS;
	return map_ring(u, &p);
}

/* Does this kernel know all that we ask for?  (5.6) */
static bool knows_operations(const struct uring *u)
{
	static const uint8_t needed[] = {
		IORING_OP_READ,   IORING_OP_READV, IORING_OP_WRITE,
		IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE
	};
	uint64_t room[64] = { 0 };
	struct io_uring_probe *probe = (void *)room;
	unsigned int nr = (sizeof(room) - sizeof(*probe)) /
			  sizeof(struct io_uring_probe_op);

	if (syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_PROBE, probe,
		    nr))
		return false;
	for (size_t i = 0; i < sizeof(needed); i++)
		if (needed[i] > probe->last_op || needed[i] >= nr ||
		    !(probe->ops[needed[i]].flags & IO_URING_OP_SUPPORTED))
			return false;
	return true;
}

/*
 * A thread that submitted does not end before the kernel has finished or
 * cancelled all of it; then a lazy ring can be waited for by nobody, nor has
 * it to be.
 */
static void drain(struct uring *u)
{
	while (u->under_way && enter(u, 0, 1) >= 0) {
		uint32_t tail = LOAD(u->cq_tail);

		u->under_way -= tail - *u->cq_head;
		STORE(u->cq_head, tail);
	}
}

static void uring_destroy(struct disk *d)
{
	struct uring *u = d->engine_data;

	if (!u)
		return;
	drain(u);
	if (u->completed.ready)
		event_remove(d->p.loop, &u->completed);
	if (u->rings && u->rings != MAP_FAILED)
		munmap(u->rings, u->rings_len);
	if (u->sqes && u->sqes != MAP_FAILED)
		munmap(u->sqes, u->sqes_len);
	if (u->fd >= 0)
		close(u->fd);
	if (u->eventfd >= 0)
		close(u->eventfd);
	free(u);
	d->engine_data = NULL;
}

/* What the ring works with: the file, and who is told. */
static int register_fds(struct uring *u)
{
	u->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->eventfd < 0 ||
	    syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_FILES,
		    &u->disk->fd, 1) ||
	    syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_EVENTFD,
		    &u->eventfd, 1))
		return -errno;
	u->completed = (struct event_source){ u->eventfd, on_completed };
	/* Edges: its count is of no interest, so nobody has to read it. */
	return event_add(u->disk->p.loop, &u->completed, EPOLLIN | EPOLLET);
}

static int uring_create(struct disk *d)
{
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	d->engine_data = u;
	u->disk = d;
	u->eventfd = -1;
	rc = make_ring(u, d->p.depth);
	if (!rc && !knows_operations(u))
		rc = -ENOSYS;
	if (!rc)
		rc = register_fds(u);
	if (rc)
		uring_destroy(d);
	return rc;
}

const struct disk_engine disk_uring = {
	.name = "io_uring",
	.create = uring_create,
	.submit = uring_submit,
	.push = uring_push,
	.destroy = uring_destroy,
};
