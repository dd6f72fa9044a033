/* SPDX-License-Identifier: Apache-2.0 */
/* What console.h declares. */
#include "devices/console.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/endpoint.h"
#include "devices/intake.h"
#include "devices/liner.h"
#include "devices/spool.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"

/* 5.3.2 */
enum { RECEIVEQ, TRANSMITQ, NR_QUEUES };

#define PATIENCE_NS 999999999 /* with a reader that takes nothing */
#define FLUSH_MS 2000
#define PIECE 1024

struct console {
	struct virtio dev;
	pthread_mutex_t lock; /* guards the intake and what spool.h says */
	struct intake intake;
	struct spool spool;

	/* The device thread's. */
	struct endpoint *endpoint;
	struct event_source patience; /* timerfd: the reader takes nothing */
	bool stalled;                 /* it has run out */
	bool holding;                 /* out is not yet given back */
	uint64_t done;                /* of out */
	struct virtq_chain out, in;
	struct liner liner;
	void (*room)(void *ctx);
	void *ctx;
};

static struct console *console_of(struct virtio *d)
{
	return container_of(d, struct console, dev);
}

/* --- from the guest --- */

static void be_patient(struct console *c, bool on)
{
	const struct itimerspec t = { .it_value.tv_nsec =
					      on ? PATIENCE_NS : 0 };

	timerfd_settime(c->patience.fd, 0, &t, NULL);
}

/* Takes some of what is held, as there is room.  false: there is none. */
static bool take_piece(struct console *c)
{
	uint8_t buf[PIECE];
	size_t room, n;

	pthread_mutex_lock(&c->lock);
	room = c->spool.broken ? sizeof(buf) : spool_room(&c->spool);
	n = virtq_read(&c->out, c->done, buf, min_of(room, sizeof(buf)));
	for (size_t i = 0; i < n; i++)
		spool_put(&c->spool, buf[i]);
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < n; i++)
		liner_put(&c->liner, buf[i]);
	c->done += n;
	return n;
}

/* Takes all of what is held.  false: it has to wait for the reader. */
static bool take_all(struct console *c)
{
	/* However long the guest says it is, nobody types more than this. */
	uint64_t len = min_of(c->out.out_len, 16 * SPOOL_LEN);

	while (c->done < len)
		if (!take_piece(c))
			return c->stalled;
	return true;
}

static void give_back(struct console *c)
{
	virtq_push(&c->dev.queues[TRANSMITQ].ring, c->out.head, 0);
	c->holding = false;
	c->done = 0;
}

static void transmit(struct console *c)
{
	struct virtio *d = &c->dev;

	while (c->holding || virtio_take(d, TRANSMITQ, &c->out)) {
		c->holding = true;
		if (!take_all(c)) {
			be_patient(c, true);
			break;
		}
		give_back(c);
	}
	virtio_notify(d, TRANSMITQ);
}

static void on_patience(struct event_source *source, uint32_t events)
{
	static struct guest_log unread;
	struct console *c = container_of(source, struct console, patience);
	uint64_t expired;

	(void)events;
	if (read(source->fd, &expired, sizeof(expired)) < 0 || !c->holding)
		return;
	log_guest(&unread,
		  "%s: nobody reads the output: it is dropped until somebody "
		  "does",
		  c->dev.name);
	c->stalled = true;
	transmit(c);
}

/* The reader has taken something. */
static void on_moved(void *ctx)
{
	struct console *c = ctx;

	c->stalled = false;
	be_patient(c, false);
	if (c->holding)
		transmit(c);
}

/* --- to the guest --- */

static size_t fill(struct console *c, bool *room)
{
	uint8_t buf[PIECE];
	size_t sum = 0, n;

	do {
		n = min_of(c->in.in_len - sum, sizeof(buf));
		pthread_mutex_lock(&c->lock);
		n = intake_take(&c->intake, buf, n, room);
		pthread_mutex_unlock(&c->lock);
		sum += virtq_write(&c->in, sum, buf, n);
	} while (n == sizeof(buf));
	return sum;
}

static bool anything(struct console *c)
{
	bool yes;

	pthread_mutex_lock(&c->lock);
	yes = intake_len(&c->intake);
	pthread_mutex_unlock(&c->lock);
	return yes;
}

static void receive(struct console *c)
{
	struct virtio *d = &c->dev;
	bool room = false;

	/* What a buffer without room is for is the driver's secret. */
	while (anything(c) && virtio_take(d, RECEIVEQ, &c->in)) {
		size_t n = fill(c, &room);

		virtq_push(&d->queues[RECEIVEQ].ring, c->in.head, (uint32_t)n);
	}
	virtio_notify(d, RECEIVEQ);
	if (room && c->endpoint)
		endpoint_room(c->endpoint);
	else if (room && c->room)
		c->room(c->ctx);
}

size_t console_input(struct virtio *d, const uint8_t *data, size_t len)
{
	struct console *c = console_of(d);
	size_t taken;

	pthread_mutex_lock(&c->lock);
	taken = intake_put(&c->intake, data, len);
	pthread_mutex_unlock(&c->lock);
	virtio_kick(d, RECEIVEQ);
	return taken;
}

/* --- the device --- */

void console_resize(struct virtio *d, uint16_t cols, uint16_t rows)
{
	struct virtio_console_config size = { .cols = cols, .rows = rows };

	if (d->offered >> VIRTIO_CONSOLE_F_SIZE & 1)
		virtio_set_config(d, 0, &size,
				  offsetof(struct virtio_console_config,
					   max_nr_ports));
}

static void console_kick(struct virtio *d, unsigned int q)
{
	if (q == TRANSMITQ)
		transmit(console_of(d));
	else
		receive(console_of(d));
}

static void console_stop_queue(struct virtio *d, unsigned int q)
{
	struct console *c = console_of(d);

	if (q == TRANSMITQ) {
		c->holding = false;
		c->done = 0;
		be_patient(c, false);
	}
	virtio_queue_stopped(d, q);
}

/* Requests made before the vCPUs stopped, then what waits for the reader. */
static void flush(struct console *c)
{
	int64_t end = util_now_ms() + FLUSH_MS, left = FLUSH_MS;

	c->spool.moved = NULL;
	do {
		if (c->dev.queues[TRANSMITQ].running)
			transmit(c);
		spool_flush(&c->spool, (unsigned int)left);
		left = end - util_now_ms();
	} while (c->holding && !c->stalled && left > 0);
}

static void console_destroy(struct virtio *d)
{
	struct console *c = console_of(d);

	flush(c);
	spool_destroy(&c->spool);
	endpoint_destroy(c->endpoint);
	if (c->patience.fd >= 0)
		close(c->patience.fd);
	virtio_destroy(d);
	free(c);
}

static const struct virtio_ops console_ops = {
	.type = "console",
	.id = VIRTIO_ID_CONSOLE,
	.pci_class = 0x07, /* communication, other */
	.pci_subclass = 0x80,
	.kick = console_kick,
	.stop_queue = console_stop_queue,
	.destroy = console_destroy,
};

static size_t from_endpoint(void *ctx, const uint8_t *data, size_t len)
{
	return console_input(ctx, data, len);
}

static void on_attached(void *ctx, int fd)
{
	spool_attach(&console_of(ctx)->spool, fd);
}

static int init(struct console *c, const struct virtio_host *host,
		const struct console_params *p)
{
	const struct endpoint_user user = { .input = from_endpoint,
					    .attached = on_attached,
					    .ctx = &c->dev };
	bool stdio = !strcmp(p->where, "stdio");
	int rc = spool_init(&c->spool, &c->lock, &host->thread->loop,
			    stdio ? p->out_fd : -1);

	if (rc)
		return rc;
	c->spool.moved = on_moved;
	c->spool.ctx = c;
	c->liner.line = p->line;
	c->liner.ctx = p->ctx;
	c->room = p->room;
	c->ctx = p->ctx;
	c->patience = (struct event_source){
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		on_patience
	};
	if (c->patience.fd < 0)
		return err_set(-errno, "timer: %s", strerror(errno));
	rc = event_add(&host->thread->loop, &c->patience, EPOLLIN);
	if (rc || stdio)
		return rc;
	return endpoint_create(&c->endpoint, &host->thread->loop, host->name,
			       p->where, &user);
}

int console_create(const struct virtio_host *host, const void *params,
		   struct virtio **out)
{
	const struct console_params *cp = params;
	const struct virtio_console_config config = { .cols = cp->cols,
						      .rows = cp->rows };
	const struct virtio_params p = {
		.ops = &console_ops,
		.nr_queues = NR_QUEUES,
		.queue_size = 64,
		.features = cp->rows ? 1u << VIRTIO_CONSOLE_F_SIZE : 0,
		.config = &config,
		.config_len = sizeof(config),
	};
	struct console *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(-ENOMEM, "out of memory");
	pthread_mutex_init(&c->lock, NULL);
	c->patience.fd = -1;
	rc = virtio_init(&c->dev, host, &p);
	if (rc) {
		free(c);
		return rc;
	}
	rc = init(c, host, cp);
	if (rc)
		console_destroy(&c->dev);
	else
		*out = &c->dev;
	return rc;
}
