/* SPDX-License-Identifier: Apache-2.0 */
/* What fake_engine.h declares. */
#include "support/fake_engine.h"

#include <check.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/util.h"

struct fake_engine fake_engine;

static struct disk *disk;
static struct disk_request *first, **last = &first;
static struct event_source released;
static atomic_int holding;
static atomic_uint nr_held;

void fake_engine_reset(void)
{
	fake_engine = (struct fake_engine){ 0 };
	first = NULL;
	last = &first;
	holding = 0;
	nr_held = 0;
}

static int64_t one_step(struct disk_request *r)
{
	unsigned int i = fake_engine.nr_steps;
	struct disk_request part = *r;
	struct iovec iov;
	int64_t want = 0;

	if (i < FAKE_ENGINE_STEPS) {
		want = fake_engine.results[i];
		fake_engine.steps[i] = *r;
		fake_engine.nr_steps++;
	}
	if (want < 0)
		return want;
	if (want > 0) { /* of the first buffer */
		iov = *r->iov;
		iov.iov_len = min_of(iov.iov_len, (size_t)want);
		part.iov = &iov;
		part.nr = 1;
	}
	return disk_do(disk, &part);
}

static void carry_out(void)
{
	struct disk_request *r;

	while ((r = first)) {
		first = r->next;
		if (!first)
			last = &first;
		disk_step(disk, r, one_step(r));
	}
}

static void on_release(struct event_source *s, uint32_t events)
{
	eventfd_t n;

	(void)events;
	eventfd_read(s->fd, &n);
	carry_out();
	disk->p.batch_done(disk);
}

static int create(struct disk *d)
{
	disk = d;
	if (fake_engine.create_error)
		return fake_engine.create_error;
	released = (struct event_source){ eventfd(0, EFD_CLOEXEC), on_release };
	return event_add(d->p.loop, &released, EPOLLIN);
}

static void submit(struct disk *d, struct disk_request *r)
{
	(void)d;
	r->next = NULL;
	*last = r;
	last = &r->next;
	nr_held++;
}

static void push(struct disk *d)
{
	(void)d;
	if (!holding)
		carry_out();
}

static void destroy(struct disk *d)
{
	event_remove(d->p.loop, &released);
	close(released.fd);
}

const struct disk_engine disk_fake = {
	.name = "fake",
	.create = create,
	.submit = submit,
	.push = push,
	.destroy = destroy,
};

void fake_engine_hold(void)
{
	nr_held = 0;
	holding = 1;
}

void fake_engine_wait_held(unsigned int n)
{
	int64_t end = util_now_ms() + 10000;

	while (nr_held < n && util_now_ms() < end)
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	ck_assert_uint_ge(nr_held, n);
}

void fake_engine_release(void)
{
	holding = 0;
	eventfd_write(released.fd, 1);
}
