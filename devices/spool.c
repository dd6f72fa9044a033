/* SPDX-License-Identifier: Apache-2.0 */
/* What spool.h declares.  The outlet is written without holding the lock. */
#include "devices/spool.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"

/* Bytes are gathered this long, so a line costs one wake-up, not eighty. */
#define GATHER_NS 2000000

static void gather(struct spool *sp)
{
	const struct itimerspec t = { .it_value.tv_nsec = GATHER_NS };

	timerfd_settime(sp->timer.fd, 0, &t, NULL);
	sp->draining = true;
}

unsigned int spool_room(const struct spool *sp)
{
	return SPOOL_LEN - (sp->head - sp->tail);
}

void spool_put(struct spool *sp, uint8_t byte)
{
	if (sp->broken || !spool_room(sp))
		return;
	sp->data[sp->head++ % SPOOL_LEN] = byte;
	if (!sp->draining)
		gather(sp);
}

/*
 * The oldest bytes that lie in one piece.  They stay where they are until
 * consume(): others only add behind them.
 */
static size_t pending(struct spool *sp, const uint8_t **data)
{
	unsigned int at, len;

	pthread_mutex_lock(sp->lock);
	at = sp->tail % SPOOL_LEN;
	len = min_of(sp->head - sp->tail, SPOOL_LEN - at);
	*data = sp->data + at;
	sp->draining = len;
	pthread_mutex_unlock(sp->lock);
	return len;
}

static void consume(struct spool *sp, size_t len)
{
	pthread_mutex_lock(sp->lock);
	sp->tail += (unsigned int)len;
	pthread_mutex_unlock(sp->lock);
}

static void give_up(struct spool *sp, int rc)
{
	if (!sp->returns || (rc != -EPIPE && rc != -ECONNRESET))
		log_warn("console output is lost from here on: %s",
			 strerror(-rc));
	pthread_mutex_lock(sp->lock);
	sp->broken = true;
	sp->tail = sp->head;
	sp->draining = false;
	pthread_mutex_unlock(sp->lock);
}

/* Writes up to a ring full.  0, or -EAGAIN: the reader is slow. */
static int drain(struct spool *sp)
{
	size_t budget = SPOOL_LEN, len;
	const uint8_t *data;

	while (budget && (len = pending(sp, &data))) {
		ssize_t n =
			outlet_write(&sp->outlet, data, min_of(len, budget));

		if (n == -EAGAIN)
			return -EAGAIN;
		if (n < 0) {
			give_up(sp, (int)n);
			return 0;
		}
		consume(sp, (size_t)n);
		budget -= (size_t)n;
	}
	return 0;
}

static void drain_some(struct spool *sp)
{
	unsigned int tail = sp->tail; /* moved by this thread only */
	const uint8_t *data;
	int rc = drain(sp);

	if (sp->moved && sp->tail != tail)
		sp->moved(sp->ctx);
	if (rc == -EAGAIN && event_add(sp->loop, &sp->writable, EPOLLOUT) == 0)
		return;
	/* Other events have their turn before the rest. */
	if (pending(sp, &data)) {
		pthread_mutex_lock(sp->lock);
		gather(sp);
		pthread_mutex_unlock(sp->lock);
	}
}

static void on_timer(struct event_source *source, uint32_t events)
{
	uint64_t expired;

	(void)events;
	if (read(source->fd, &expired, sizeof(expired)) > 0)
		drain_some(container_of(source, struct spool, timer));
}

static void on_writable(struct event_source *source, uint32_t events)
{
	struct spool *sp = container_of(source, struct spool, writable);

	(void)events;
	event_remove(sp->loop, source);
	drain_some(sp);
}

void spool_attach(struct spool *sp, int fd)
{
	event_remove(sp->loop, &sp->writable);
	outlet_close(&sp->outlet);
	outlet_adopt(&sp->outlet, fd);
	sp->writable.fd = fd;
	sp->returns = true;
	pthread_mutex_lock(sp->lock);
	sp->broken = fd < 0;
	if (sp->broken)
		sp->tail = sp->head;
	else if (sp->head != sp->tail)
		gather(sp);
	pthread_mutex_unlock(sp->lock);
	if (sp->moved)
		sp->moved(sp->ctx);
}

void spool_flush(struct spool *sp, unsigned int timeout_ms)
{
	int64_t left = timeout_ms, end = util_now_ms() + left;
	struct pollfd p = { .fd = sp->outlet.fd, .events = POLLOUT };
	const uint8_t *data;

	while (left > 0 && pending(sp, &data)) {
		if (drain(sp) == -EAGAIN)
			poll(&p, 1, (int)left);
		left = end - util_now_ms();
	}
}

int spool_init(struct spool *sp, pthread_mutex_t *lock, struct event_loop *loop,
	       int fd)
{
	int rc = 0;

	*sp = (struct spool){ .lock = lock, .loop = loop, .broken = fd < 0 };
	outlet_open(&sp->outlet, fd);
	sp->writable = (struct event_source){ sp->outlet.fd, on_writable };
	sp->timer = (struct event_source){
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		on_timer
	};
	sp->data = malloc(SPOOL_LEN);
	if (sp->timer.fd < 0)
		rc = err_set(-errno, "console timer: %s", strerror(errno));
	else if (!sp->data)
		rc = err_set(-ENOMEM, "console: out of memory");
	else
		rc = event_add(loop, &sp->timer, EPOLLIN);
	if (rc)
		spool_destroy(sp);
	return rc;
}

void spool_destroy(struct spool *sp)
{
	if (!sp->loop)
		return;
	event_remove(sp->loop, &sp->writable);
	if (sp->timer.fd >= 0) {
		event_remove(sp->loop, &sp->timer);
		close(sp->timer.fd);
	}
	outlet_close(&sp->outlet);
	free(sp->data);
	sp->data = NULL;
	sp->loop = NULL;
}
