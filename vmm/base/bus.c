/* SPDX-License-Identifier: Apache-2.0 */
/* What bus.h declares.  A handful of windows: a linear search is enough. */
#include "vmm/base/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/base/err.h"

int bus_add(struct bus *bus, struct bus_window *w)
{
	if (!w->len || w->base + (w->len - 1) < w->base)
		return err_set(-EINVAL, "%s: bad window", w->name);
	for (unsigned int i = 0; i < bus->count; i++) {
		const struct bus_window *o = bus->windows[i];

		if (w->base <= o->base + (o->len - 1) &&
		    o->base <= w->base + (w->len - 1))
			return err_set(-EEXIST,
				       "%s at %#" PRIx64 " overlaps %s",
				       w->name, w->base, o->name);
	}
	if (bus->count == ARRAY_SIZE(bus->windows))
		return err_set(-ENOSPC, "%s: too many devices", w->name);
	pthread_mutex_init(&w->lock, NULL);
	bus->windows[bus->count++] = w;
	return 0;
}

static struct bus_window *find(struct bus *bus, uint64_t addr, unsigned int len)
{
	/* Odd sizes are the pieces of an access that crosses a page. */
	for (unsigned int i = 0; is_pow2(len) && i < bus->count; i++) {
		struct bus_window *w = bus->windows[i];

		if (addr >= w->base && addr - w->base < w->len &&
		    len <= w->len - (addr - w->base))
			return w;
	}
	atomic_fetch_add_explicit(&bus->unclaimed, 1, memory_order_relaxed);
	return NULL;
}

void bus_read(struct bus *bus, uint64_t addr, void *data, unsigned int len)
{
	struct bus_window *w = find(bus, addr, len);

	memset(data, 0xff, len);
	if (!w || !w->ops->read)
		return;
	pthread_mutex_lock(&w->lock);
	if (w->posted)
		w->posted->hand_over(w->posted, false);
	w->ops->read(w, addr - w->base, data, len);
	pthread_mutex_unlock(&w->lock);
}

void bus_write(struct bus *bus, uint64_t addr, const void *data,
	       unsigned int len)
{
	struct bus_window *w = find(bus, addr, len);

	if (!w || !w->ops->write)
		return;
	pthread_mutex_lock(&w->lock);
	if (w->posted)
		w->posted->hand_over(w->posted, true);
	w->ops->write(w, addr - w->base, data, len);
	pthread_mutex_unlock(&w->lock);
}
