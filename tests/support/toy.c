/* SPDX-License-Identifier: Apache-2.0 */
/* What toy.h declares. */
#include "support/toy.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct toy *toy_of(struct virtio *v)
{
	return container_of(v, struct toy, virtio);
}

static int toy_start(struct virtio *v, unsigned int q)
{
	struct toy *t = toy_of(v);

	(void)q;
	if (atomic_load(&t->refuse))
		return -EIO;
	atomic_fetch_add(&t->starts, 1);
	return 0;
}

static void toy_kick(struct virtio *v, unsigned int q)
{
	struct toy *t = toy_of(v);
	struct virtq_chain c;
	bool any = false;

	(void)atomic_load(&fake_driver_kicks);
	while (atomic_load(&t->stuck)) {
		atomic_store(&t->waits, true);
		usleep(100);
	}
	while (virtio_take(v, q, &c)) {
		uint8_t fill[64];

		any = true;
		if (atomic_load(&t->hold)) {
			t->into[q][t->nr_held[q]] =
				c.nr_in ? c.iov[c.nr_out].iov_base : NULL;
			t->held[q][t->nr_held[q]++] = c.head;
			atomic_fetch_add(&t->holds, 1);
			continue;
		}
		memset(fill, (int)q + 1, sizeof(fill));
		virtq_push(&v->queues[q].ring, c.head,
			   (uint32_t)virtq_write(&c, 0, fill, sizeof(fill)));
		atomic_fetch_add(&t->served, 1);
		if (atomic_load(&t->endless))
			fake_queue_publish(t->feed, c.head);
	}
	virtio_notify(v, q);
	if (any && t->more) {
		t->more--;
		fake_queue_publish(t->feed, c.head);
		t->rings += fake_queue_must_kick(t->feed);
	}
}

static void let_go(struct virtio *v, unsigned int q)
{
	struct toy *t = toy_of(v);

	for (unsigned int i = 0; i < t->nr_held[q]; i++) {
		/* As I/O does that ends now. */
		if (t->into[q][i])
			*t->into[q][i] = 0xff;
		virtq_push(&v->queues[q].ring, t->held[q][i], 0);
	}
	if (t->nr_held[q])
		virtio_notify(v, q);
	t->nr_held[q] = 0;
	if (t->stopping[q])
		virtio_queue_stopped(v, q);
	t->stopping[q] = false;
}

static void toy_stop(struct virtio *v, unsigned int q)
{
	struct toy *t = toy_of(v);

	atomic_fetch_add(&t->stops, 1);
	t->stopping[q] = true;
	if (!atomic_load(&t->hold))
		let_go(v, q);
}

static void on_release(struct event_source *s, uint32_t events)
{
	struct toy *t = container_of(s, struct toy, released);
	eventfd_t n;

	(void)events;
	eventfd_read(t->release_fd, &n);
	for (unsigned int q = 0; q < TOY_QUEUES; q++)
		let_go(&t->virtio, q);
}

static void toy_reset(struct virtio *v)
{
	atomic_fetch_add(&toy_of(v)->resets, 1);
}

static void toy_config_written(struct virtio *v)
{
	atomic_fetch_add(&toy_of(v)->config_writes, 1);
}

static void toy_destroy(struct virtio *v)
{
	struct toy *t = toy_of(v);

	close(t->release_fd);
	virtio_destroy(v);
	free(t);
}

static const struct virtio_ops toy_ops = {
	.type = "toy",
	.id = 42,
	.pci_class = 0xff,
	.start_queue = toy_start,
	.kick = toy_kick,
	.stop_queue = toy_stop,
	.reset = toy_reset,
	.config_written = toy_config_written,
	.destroy = toy_destroy,
};

int toy_create(const struct virtio_host *host, const void *params,
	       struct virtio **out)
{
	static const uint8_t config[6] = TOY_CONFIG;
	const struct virtio_params p = {
		.ops = &toy_ops,
		.nr_queues = TOY_QUEUES,
		.queue_size = TOY_MAX_SIZE,
		.features = 1 << 5,
		.config = config,
		.config_len = sizeof(config),
	};

	struct toy *toy = calloc(1, sizeof(*toy));

	(void)params;
	ck_assert(toy != NULL);
	ck_assert_int_eq(virtio_init(&toy->virtio, host, &p), 0);
	toy->virtio.config_writable[1] = 0x0f;
	toy->release_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	toy->released = (struct event_source){ toy->release_fd, on_release };
	ck_assert_int_eq(event_add(&host->thread->loop, &toy->released,
				   EPOLLIN),
			 0);
	*out = &toy->virtio;
	return 0;
}

void toy_release(struct toy *t)
{
	atomic_store(&t->hold, false);
	eventfd_write(t->release_fd, 1);
}
