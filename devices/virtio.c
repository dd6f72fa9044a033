/* SPDX-License-Identifier: Apache-2.0 */
/* What virtio.h declares. */
#include "devices/virtio.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"

#define BIT(n) (1ULL << (n))
#define RING_RESET 40 /* VIRTIO_F_RING_RESET, newer than Debian 12's header */

/* 6: what a driver must take, if it is offered, or it is refused. */
#define REQUIRED (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM))
#define TRANSPORT                                      \
	(REQUIRED | BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(RING_RESET))

/* Requests taken of a queue before the thread's other work has its turn. */
#define BATCH 256
/* Edges: how often it was rung is of no interest, so nobody has to read it. */
#define KICK_EVENTS (EPOLLIN | EPOLLET)
/* How often a queue that was rung for is looked at again, at most. */
#define ROUNDS 8

#define STATUS_DRIVER_BITS                                         \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |    \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_FAILED)

void virtio_wake(struct virtio *d)
{
	eventfd_write(d->wake_fd, 1);
}

void virtio_signal(const struct virtio *d, unsigned int i)
{
	int fd = atomic_load(&d->signal_fd[i]);

	if (fd >= 0)
		eventfd_write(fd, 1);
}

/* Of one writer's, the device's thread; others only look. */
static void tally(atomic_ulong *n, unsigned long more)
{
	unsigned long was = atomic_load_explicit(n, memory_order_relaxed);

	atomic_store_explicit(n, was + more, memory_order_relaxed);
}

/*
 * False if it does already.  A vCPU may be here, and the driver may have chosen
 * an interrupt that a back end has too: see virtio_kick().
 */
static bool needs_reset(struct virtio *d)
{
	if (atomic_exchange(&d->broken, true))
		return false;
	atomic_store(&d->tell, true);
	virtio_wake(d);
	return true;
}

/* --- the device's side --- */

static void start_queue(struct virtio *d, unsigned int i,
			const struct virtq_layout *layout)
{
	static struct guest_log refused;
	struct virtio_queue *q = &d->queues[i];
	bool event_idx = virtio_has(d, VIRTIO_RING_F_EVENT_IDX);
	int rc;

	if (d->broken)
		return; /* by the queue before */
	rc = virtq_start(&q->ring, d->mem, layout, event_idx);
	q->signal_fd = virtio_signal_fd(d, i);
	if (!rc && d->ops->start_queue)
		rc = d->ops->start_queue(d, i);
	if (rc) {
		virtq_stop(&q->ring);
		if (needs_reset(d))
			log_guest(&refused,
				  "%s: queue %u cannot be used; the device "
				  "waits for a reset",
				  d->name, i);
		return;
	}
	q->running = true;
	q->taken = 0;
	if (d->ops->kick && !q->handed_over)
		d->ops->kick(d, i); /* it may have been rung too early */
}

void virtio_hand_over(struct virtio *d, unsigned int i)
{
	struct virtio_queue *q = &d->queues[i];

	event_remove(&d->thread->loop, &q->kicked);
	q->handed_over = true; /* what was rung before is still in the fd */
}

static void take_back(struct virtio_queue *q)
{
	if (q->handed_over &&
	    event_add(&q->dev->thread->loop, &q->kicked, KICK_EVENTS))
		virtio_lost(q->dev, err_text());
	q->handed_over = false;
}

void virtio_queue_stopped(struct virtio *d, unsigned int i)
{
	struct virtio_queue *q = &d->queues[i];

	take_back(q);
	virtq_stop(&q->ring);
	q->running = false;
	q->stopping = false;
	virtio_wake(d);
}

static void stop_queue(struct virtio *d, unsigned int i)
{
	struct virtio_queue *q = &d->queues[i];

	if (!q->running || q->stopping)
		return;
	q->stopping = true;
	if (d->ops->stop_queue)
		d->ops->stop_queue(d, i);
	else
		virtio_queue_stopped(d, i);
}

/* The driver's registers back to their first state.  Under the lock. */
static void clear_queue(struct virtio_queue *q)
{
	q->layout = (struct virtq_layout){ .size = q->max_size };
	q->enabled = false;
	q->resetting = false;
}

static void clear_all(struct virtio *d)
{
	for (unsigned int i = 0; i < d->nr_queues; i++)
		clear_queue(&d->queues[i]);
	d->status = 0;
	d->features = 0;
	d->config_dirty = false;
}

static void finish_reset(struct virtio *d)
{
	if (d->ops->reset)
		d->ops->reset(d);
	pthread_mutex_lock(&d->lock);
	clear_all(d);
	d->resetting = false;
	d->broken = false;
	pthread_mutex_unlock(&d->lock);
}

/* Brings one queue in step with what the driver has asked for. */
static void settle_queue(struct virtio *d, unsigned int i, bool up, bool reset)
{
	struct virtio_queue *q = &d->queues[i];
	struct virtq_layout layout;
	bool enabled, resetting;

	pthread_mutex_lock(&d->lock);
	/* A queue of no use to the device is reset here and now. */
	if (q->resetting && !q->running)
		clear_queue(q);
	layout = q->layout;
	enabled = q->enabled;
	resetting = q->resetting;
	pthread_mutex_unlock(&d->lock);
	if (reset || resetting)
		stop_queue(d, i);
	else if (up && enabled && !q->running)
		start_queue(d, i, &layout);
}

/*
 * Has the device's back end signal what the driver has chosen meanwhile.  The
 * driver is told once more: the last signal may have gone the old way.
 */
static void settle_signal(struct virtio *d, unsigned int i)
{
	struct virtio_queue *q = &d->queues[i];
	int fd = virtio_signal_fd(d, i);

	if (!d->ops->signal_changed || !q->running || q->stopping ||
	    q->signal_fd == fd)
		return;
	q->signal_fd = fd;
	d->ops->signal_changed(d, i);
	virtio_signal(d, i);
}

static void on_wake(struct event_source *s, uint32_t events)
{
	struct virtio *d = container_of(s, struct virtio, woken);
	bool up, reset, silent, written, busy = false;
	eventfd_t count;

	(void)events;
	eventfd_read(d->wake_fd, &count);
	pthread_mutex_lock(&d->lock);
	up = (d->status & VIRTIO_CONFIG_S_DRIVER_OK) && !d->broken;
	reset = d->resetting;
	silent = d->silent;
	written = d->config_dirty;
	d->config_dirty = false;
	pthread_mutex_unlock(&d->lock);
	if (written && d->ops->config_written)
		d->ops->config_written(d);
	if (atomic_exchange(&d->tell, false))
		virtio_signal(d, VIRTIO_CONFIG_VECTOR);
	for (unsigned int i = 0; i < d->nr_queues; i++) {
		if (atomic_exchange(&d->queues[i].rung, false))
			eventfd_write(d->queues[i].kick_fd, 1);
		settle_queue(d, i, up, reset || silent);
		settle_signal(d, i);
		busy |= d->queues[i].running;
	}
	if (reset && !busy)
		finish_reset(d);
}

static void on_kick(struct event_source *s, uint32_t events)
{
	struct virtio_queue *q = container_of(s, struct virtio_queue, kicked);
	struct virtio *d = q->dev;

	(void)events;
	if (!q->running || q->stopping || d->broken)
		return;
	q->taken = 0;
	tally(&d->count.bells, 1);
	virtq_kicks_off(&q->ring);
	/* Who rang need not ring again before we find nothing to do. */
	q->more_rounds = ROUNDS;
	do {
		q->looked = q->taken;
		d->ops->kick(d, (unsigned int)(q - d->queues));
	} while (q->taken != q->looked && q->more_rounds--);
	q->more_rounds = 0;
}

bool virtio_take(struct virtio *d, unsigned int i, struct virtq_chain *c)
{
	struct virtio_queue *q = &d->queues[i];
	int rc;

	if (d->broken)
		return false;
	if (q->taken == BATCH) {
		/* A driver that never stops must not hold up a reset. */
		eventfd_write(q->kick_fd, 1);
		return false;
	}
	rc = virtq_pop(&q->ring, c);
	if (!rc && q->more_rounds && q->taken != q->looked)
		return false; /* on_kick() looks again */
	/* Between looking and asking to be rung something may come. */
	if (!rc && virtq_kicks_on(&q->ring))
		rc = virtq_pop(&q->ring, c);
	if (rc < 0)
		virtio_break(d);
	if (rc > 0) {
		q->taken++;
		tally(&d->count.requests, 1);
		tally(&d->count.read, c->out_len);
	}
	return rc > 0;
}

void virtio_notify(struct virtio *d, unsigned int q)
{
	struct virtqueue *ring = &d->queues[q].ring;

	tally(&d->count.written, ring->written);
	ring->written = 0;
	if (virtq_must_notify(ring)) {
		tally(&d->count.interrupts, 1);
		virtio_signal(d, q);
	}
}

int virtio_signal_fd(const struct virtio *d, unsigned int q)
{
	return atomic_load(&d->signal_fd[q]);
}

void virtio_break(struct virtio *d)
{
	static struct guest_log broken;

	if (needs_reset(d))
		log_guest(&broken,
			  "%s: the guest's driver broke the rules; the "
			  "device waits for a reset",
			  d->name);
}

void virtio_lost(struct virtio *d, const char *why)
{
	log_err("%s: %s; the device waits for a reset", d->name, why);
	needs_reset(d);
}

/* --- the driver's side --- */

uint8_t virtio_read_status(struct virtio *d)
{
	uint8_t status;

	pthread_mutex_lock(&d->lock);
	status = d->status;
	/* 2.1.2: the driver must see it only while it is there. */
	if (d->broken && (status & VIRTIO_CONFIG_S_DRIVER_OK))
		status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	pthread_mutex_unlock(&d->lock);
	return status;
}

/* 2.2.2: a driver that wants what is not offered, or not what must be. */
static bool acceptable(const struct virtio *d)
{
	uint64_t required = REQUIRED & d->offered;

	return !(d->features & ~d->offered) &&
	       (d->features & required) == required;
}

void virtio_write_status(struct virtio *d, uint8_t status)
{
	pthread_mutex_lock(&d->lock);
	if (d->resetting) {
		; /* nothing counts before that is done */
	} else if (!status && !d->status) {
		clear_all(d); /* nothing started: nothing to wait for */
	} else if (!status) {
		d->resetting = true;
	} else {
		status &= STATUS_DRIVER_BITS;
		status |= d->status; /* 2.1.1: bits are only set */
		if ((status & VIRTIO_CONFIG_S_FEATURES_OK) && !acceptable(d))
			status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
		/* 3.1.1: without agreed features there is no driver. */
		if (!(status & VIRTIO_CONFIG_S_FEATURES_OK))
			status &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
		d->status = status;
	}
	pthread_mutex_unlock(&d->lock);
	virtio_wake(d);
}

void virtio_set_layout(struct virtio *d, unsigned int i,
		       const struct virtq_layout *layout)
{
	pthread_mutex_lock(&d->lock);
	if (!d->queues[i].enabled)
		d->queues[i].layout = *layout;
	pthread_mutex_unlock(&d->lock);
}

void virtio_enable_queue(struct virtio *d, unsigned int i)
{
	struct virtio_queue *q = &d->queues[i];

	pthread_mutex_lock(&d->lock);
	if (!d->resetting && !q->resetting && q->layout.size <= q->max_size)
		q->enabled = true;
	pthread_mutex_unlock(&d->lock);
	virtio_wake(d);
}

void virtio_reset_queue(struct virtio *d, unsigned int i)
{
	pthread_mutex_lock(&d->lock);
	if (d->features & BIT(RING_RESET))
		d->queues[i].resetting = true;
	pthread_mutex_unlock(&d->lock);
	virtio_wake(d);
}

/*
 * Without kick() somebody else has the eventfd, who may have made it one that
 * its writer waits for: then that is the device's thread, never a vCPU.
 */
void virtio_kick(struct virtio *d, unsigned int i)
{
	if (d->ops->kick) {
		eventfd_write(d->queues[i].kick_fd, 1);
	} else {
		atomic_store(&d->queues[i].rung, true);
		virtio_wake(d);
	}
}

void virtio_set_signal(struct virtio *d, unsigned int i, int fd)
{
	atomic_store(&d->signal_fd[i], fd);
	if (d->ops->signal_changed)
		virtio_wake(d);
}

/* --- the life of a device --- */

static int make_fd(int *fd, const char *name)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? err_set(-errno, "%s: eventfd: %s", name,
				 strerror(errno))
		       : 0;
}

static int init_queue(struct virtio *d, unsigned int i, uint16_t max_size)
{
	struct virtio_queue *q = &d->queues[i];
	int rc = make_fd(&q->kick_fd, d->name);

	q->dev = d;
	q->max_size = max_size;
	clear_queue(q);
	if (rc || !d->ops->kick)
		return rc;
	q->kicked = (struct event_source){ q->kick_fd, on_kick };
	return event_add(&d->thread->loop, &q->kicked, KICK_EVENTS);
}

int virtio_init(struct virtio *d, const struct virtio_host *host,
		const struct virtio_params *p)
{
	int rc;

	assert(p->nr_queues <= VIRTIO_MAX_QUEUES);
	assert(p->config_len <= VIRTIO_MAX_CONFIG);
	assert(is_pow2(p->queue_size) && p->queue_size <= VIRTQ_MAX_SIZE);
	*d = (struct virtio){
		.name = host->name,
		.ops = p->ops,
		.mem = host->mem,
		.thread = host->thread,
		.nr_queues = p->nr_queues,
		.offered = p->features | (TRANSPORT & ~p->withheld),
		.config_len = p->config_len,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.wake_fd = -1,
	};
	if (p->config_len)
		memcpy(d->config, p->config, p->config_len);
	for (unsigned int i = 0; i <= VIRTIO_MAX_QUEUES; i++)
		d->signal_fd[i] = -1;
	for (unsigned int i = 0; i < d->nr_queues; i++)
		d->queues[i].kick_fd = -1;
	rc = make_fd(&d->wake_fd, d->name);
	d->woken = (struct event_source){ d->wake_fd, on_wake };
	if (!rc)
		rc = event_add(&d->thread->loop, &d->woken, EPOLLIN);
	for (unsigned int i = 0; !rc && i < d->nr_queues; i++)
		rc = init_queue(d, i, p->queue_size);
	if (rc)
		virtio_destroy(d);
	return rc;
}

void virtio_destroy(struct virtio *d)
{
	if (!d->ops)
		return;
	for (unsigned int i = 0; i < d->nr_queues; i++) {
		virtq_stop(&d->queues[i].ring);
		if (d->queues[i].kick_fd >= 0)
			close(d->queues[i].kick_fd);
	}
	if (d->wake_fd >= 0)
		close(d->wake_fd);
	*d = (struct virtio){ 0 };
}
