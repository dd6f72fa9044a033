/* SPDX-License-Identifier: Apache-2.0 */
/* What sweep.h declares. */
#include "vmm/kvm/sweep.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/err.h"

#define PERIOD_S 1
#define PATIENCE_MS 10 /* the loop has other things to do */

/* Pages of [first, end) in the block, whose lock is held. */
static void sweep_pages(struct memory *mem, unsigned int block,
			unsigned int first, unsigned int end)
{
	while (first < end) {
		uint64_t off = block * PAGES_BLOCK + first * PAGE_SIZE;
		unsigned int nr, shared;

		shared = pages_find(&mem->pages, block, true, first, end, &nr);
		if (shared > first)
			convert_discard(mem, false, off,
					(shared - first) * PAGE_SIZE);
		off = block * PAGES_BLOCK + shared * PAGE_SIZE;
		if (nr && store_cached(mem->gmem_fd, off, nr * PAGE_SIZE))
			convert_discard(mem, true, off, nr * PAGE_SIZE);
		first = shared + nr;
	}
}

static unsigned int page_in(uint64_t off, unsigned int block)
{
	return (unsigned int)((off - block * PAGES_BLOCK) / PAGE_SIZE);
}

static void sweep_block(struct memory *mem, unsigned int block)
{
	uint64_t end = min_of((block + 1) * PAGES_BLOCK, mem->len);
	off_t data = (off_t)(block * PAGES_BLOCK), hole;

	pages_lock(&mem->pages, block);
	/* As in convert.c: of the guest, where KVM knows nothing of it yet. */
	if (pages_touched(&mem->pages, block) || !mem->store->set)
		while ((data = lseek(mem->memfd, data, SEEK_DATA)) >= 0 &&
		       (uint64_t)data < end) {
			hole = lseek(mem->memfd, data, SEEK_HOLE);
			if (hole <= data)
				break;
			hole = (off_t)min_of((uint64_t)hole, end);
			sweep_pages(mem, block, page_in((uint64_t)data, block),
				    page_in((uint64_t)hole, block));
			data = hole;
		}
	pages_unlock(&mem->pages, block);
}

uint64_t memory_sweep(struct memory *mem, uint64_t from)
{
	int64_t until = util_now_ms() + PATIENCE_MS;
	off_t data = (off_t)from;

	while ((data = lseek(mem->memfd, data, SEEK_DATA)) >= 0) {
		unsigned int block =
			(unsigned int)((uint64_t)data / PAGES_BLOCK);

		sweep_block(mem, block);
		data = (off_t)((block + 1) * PAGES_BLOCK);
		if (util_now_ms() >= until)
			return (uint64_t)data;
	}
	return 0;
}

/* Nothing has been converted since the sweep before the last one began. */
static bool is_settled(struct sweep *s)
{
	uint64_t converted = convert_bytes(&s->mem->counts);
	bool same = converted == s->converted, settled = same && s->settled;

	s->converted = converted;
	s->settled = same;
	return settled;
}

static void on_tick(struct event_source *source, uint32_t events)
{
	struct sweep *s = container_of(source, struct sweep, tick);
	uint64_t count;

	(void)events;
	if (read(source->fd, &count, sizeof(count)) != sizeof(count))
		return;
	if (s->at || s->always || !is_settled(s))
		s->at = memory_sweep(s->mem, s->at);
}

int sweep_init(struct sweep *s, struct memory *mem, struct event_loop *loop,
	       bool back_ends)
{
	const struct itimerspec period = { { PERIOD_S, 0 }, { PERIOD_S, 0 } };
	int fd;

	if (!mem->guest.pages || mem->memfd < 0 || mem->gmem_fd < 0)
		return 0;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0)
		return err_set(-errno, "timerfd: %s", strerror(errno));
	*s = (struct sweep){ .mem = mem,
			     .tick = { fd, on_tick },
			     .always = back_ends };
	timerfd_settime(fd, 0, &period, NULL);
	return event_add(loop, &s->tick, EPOLLIN);
}

void sweep_destroy(struct sweep *s)
{
	if (s->mem)
		close(s->tick.fd);
	s->mem = NULL;
}
