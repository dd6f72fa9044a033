/* SPDX-License-Identifier: Apache-2.0 */
/* What balloon.h declares. */
#include "devices/balloon.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/balloon_pages.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"

#define BIT(n) (1ULL << (n))

/*
 * 5.5.2.  A queue whose feature is not there is missing, and drivers do not
 * agree whether those behind it move up (Linux has done both): so what is not
 * one of the others is for reporting.
 */
enum { INFLATEQ, DEFLATEQ, STATSQ, NR_QUEUES = 5 };

#define MAX_STATS 64 /* entries in one request */

struct balloon {
	struct virtio dev;
	unsigned int poll_ms;
	struct balloon_count inflated, reported;
	uint64_t deflated; /* pages */

	struct event_source tick; /* timerfd: time for new figures */
	bool holding;             /* a request of the statsq */
	uint16_t head;            /* it */
	uint64_t stats[VIRTIO_BALLOON_S_NR];
	unsigned int have; /* which of them are known, bits */
};

static struct balloon *balloon_of(struct virtio *d)
{
	return container_of(d, struct balloon, dev);
}

/* --- statistics (5.5.6.3) --- */

static void read_stats(struct balloon *b, const struct virtq_chain *c)
{
	struct virtio_balloon_stat stats[MAX_STATS];
	size_t n = virtq_read(c, 0, stats, sizeof(stats)) / sizeof(*stats);

	for (size_t i = 0; i < n; i++) {
		if (stats[i].tag >= VIRTIO_BALLOON_S_NR)
			continue; /* of a later specification */
		b->stats[stats[i].tag] = stats[i].val;
		b->have |= 1u << stats[i].tag;
	}
}

/* The driver's only request waits here until new figures are wanted. */
static void give_back(struct balloon *b)
{
	if (b->holding)
		virtq_push(&b->dev.queues[STATSQ].ring, b->head, 0);
	b->holding = false;
}

static void take_stats(struct balloon *b)
{
	struct virtq_chain c;

	while (virtio_take(&b->dev, STATSQ, &c)) {
		give_back(b);
		read_stats(b, &c);
		b->head = c.head;
		b->holding = true;
	}
	virtio_notify(&b->dev, STATSQ);
}

static void on_tick(struct event_source *source, uint32_t events)
{
	struct balloon *b = container_of(source, struct balloon, tick);
	uint64_t expired;

	(void)events;
	if (read(source->fd, &expired, sizeof(expired)) < 0)
		return;
	give_back(b);
	virtio_notify(&b->dev, STATSQ);
}

/* --- memory --- */

static void inflate(struct balloon *b)
{
	struct virtio *d = &b->dev;
	struct virtq_chain c;

	while (virtio_take(d, INFLATEQ, &c)) {
		if (balloon_inflate(d->mem, &c, &b->inflated)) {
			virtio_break(d);
			return;
		}
		virtq_push(&d->queues[INFLATEQ].ring, c.head, 0);
	}
	virtio_notify(d, INFLATEQ);
}

/* The guest may have its pages back at any time: there is nothing to do. */
static void deflate(struct balloon *b)
{
	struct virtio *d = &b->dev;
	struct virtq_chain c;

	while (virtio_take(d, DEFLATEQ, &c)) {
		b->deflated += c.out_len / sizeof(uint32_t);
		virtq_push(&d->queues[DEFLATEQ].ring, c.head, 0);
	}
	virtio_notify(d, DEFLATEQ);
}

static void report(struct balloon *b, unsigned int q)
{
	struct virtio *d = &b->dev;
	struct virtq_chain c;

	while (virtio_take(d, q, &c)) {
		if (!virtio_has(d, VIRTIO_BALLOON_F_REPORTING)) {
			virtio_break(d);
			return;
		}
		balloon_report(d->mem, &c, &b->reported);
		virtq_push(&d->queues[q].ring, c.head, 0);
	}
	virtio_notify(d, q);
}

/* --- the device --- */

static void balloon_kick(struct virtio *d, unsigned int q)
{
	static struct guest_log failed;
	struct balloon *b = balloon_of(d);
	uint64_t before = b->inflated.failed + b->reported.failed;

	if (q == INFLATEQ)
		inflate(b);
	else if (q == DEFLATEQ)
		deflate(b);
	else if (q == STATSQ && virtio_has(d, VIRTIO_BALLOON_F_STATS_VQ))
		take_stats(b);
	else
		report(b, q);
	if (b->inflated.failed + b->reported.failed != before)
		log_guest(&failed, "%s: the host cannot take memory back",
			  d->name);
}

static void balloon_stop_queue(struct virtio *d, unsigned int q)
{
	if (q == STATSQ)
		balloon_of(d)->holding = false;
	virtio_queue_stopped(d, q);
}

static uint64_t mib(uint64_t pages)
{
	return pages * PAGE_SIZE / MIB;
}

static uint64_t stat_mib(const struct balloon *b, unsigned int tag)
{
	return b->have >> tag & 1 ? b->stats[tag] / MIB : 0;
}

static void say_how_it_was(const struct balloon *b)
{
	const struct virtio *d = &b->dev;
	struct virtio_balloon_config config;

	memcpy(&config, d->config,
	       offsetof(struct virtio_balloon_config, free_page_hint_cmd_id));
	log_debug("%s: asked for %" PRIu64 " MiB, the guest has given %" PRIu64
		  "; in all %" PRIu64 " taken in %" PRIu64 " pieces, %" PRIu64
		  " given back",
		  d->name, mib(config.num_pages), mib(config.actual),
		  mib(b->inflated.pages), b->inflated.pieces, mib(b->deflated));
	log_debug("%s: %" PRIu64 " MiB reported free in %" PRIu64 " pieces",
		  d->name, mib(b->reported.pages), b->reported.pieces);
	if (b->have)
		log_debug("%s: the guest has %" PRIu64 " MiB, %" PRIu64
			  " free, %" PRIu64 " available, %" PRIu64 " of caches",
			  d->name, stat_mib(b, VIRTIO_BALLOON_S_MEMTOT),
			  stat_mib(b, VIRTIO_BALLOON_S_MEMFREE),
			  stat_mib(b, VIRTIO_BALLOON_S_AVAIL),
			  stat_mib(b, VIRTIO_BALLOON_S_CACHES));
}

static void balloon_destroy(struct virtio *d)
{
	struct balloon *b = balloon_of(d);

	say_how_it_was(b);
	if (b->tick.fd >= 0)
		close(b->tick.fd);
	virtio_destroy(d);
	free(b);
}

static const struct virtio_ops balloon_ops = {
	.type = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.pci_class = 0xff,
	.kick = balloon_kick,
	.stop_queue = balloon_stop_queue,
	.destroy = balloon_destroy,
};

static int start_ticking(struct balloon *b, struct event_loop *loop)
{
	const struct timespec every = { b->poll_ms / 1000,
					b->poll_ms % 1000 * 1000000 };
	const struct itimerspec t = { every, every };

	if (!b->poll_ms)
		return 0;
	b->tick = (struct event_source){
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		on_tick
	};
	if (b->tick.fd < 0 || timerfd_settime(b->tick.fd, 0, &t, NULL))
		return err_set(-errno, "timer: %s", strerror(errno));
	return event_add(loop, &b->tick, EPOLLIN);
}

int balloon_create(const struct virtio_host *host, const void *params,
		   struct virtio **out)
{
	const struct balloon_params *bp = params;
	const struct virtio_balloon_config config = {
		.num_pages = (uint32_t)(bp->size / PAGE_SIZE),
	};
	const struct virtio_params p = {
		.ops = &balloon_ops,
		.nr_queues = NR_QUEUES,
		.queue_size = 128,
		.features = BIT(VIRTIO_BALLOON_F_STATS_VQ) |
			    BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |
			    BIT(VIRTIO_BALLOON_F_REPORTING),
		/* Page numbers are no addresses that a platform translates. */
		.withheld = BIT(VIRTIO_F_ACCESS_PLATFORM),
		.config = &config,
		/* What comes behind is of features that are not offered. */
		.config_len = offsetof(struct virtio_balloon_config,
				       free_page_hint_cmd_id),
	};
	struct balloon *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return err_set(-ENOMEM, "out of memory");
	b->tick.fd = -1;
	b->poll_ms = bp->poll_ms;
	rc = virtio_init(&b->dev, host, &p);
	if (rc) {
		free(b);
		return rc;
	}
	memset(b->dev.config_writable +
		       offsetof(struct virtio_balloon_config, actual),
	       0xff, sizeof(config.actual));
	rc = start_ticking(b, &host->thread->loop);
	if (rc)
		balloon_destroy(&b->dev);
	else
		*out = &b->dev;
	return rc;
}
