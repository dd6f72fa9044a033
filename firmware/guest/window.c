/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A monitor that is to serve one shared window only (memory.window = strict,
 * guest.strict=1): what is shared elsewhere is no place for buffers, and there
 * is no window before this guest shares one, nor when it has taken back a
 * page.  Rings may be anywhere.
 */
#include "firmware/guest/virtio.h"

#define LAST \
	(VIRTIO_RAM_NEEDED - PAGE) /* page of the window; nobody needs it */

static struct virtio *devices;
static unsigned int nr_devices;

static uint64_t share(uint64_t gpa, uint64_t pages)
{
	return map_gpa(gpa, pages, 0);
}

/* Has an honest request with its first buffer at addr refused. */
static bool refuses(struct virtio *v, uint64_t addr)
{
	if (!virtio_start(v) || !virtio_request(v))
		return false;
	v->rings->desc[0].addr = addr;
	virtio_publish(v, 0);
	virtio_kick(v);
	return virtio_status_comes(v, STATUS_NEEDS_RESET) &&
	       v->rings->used.idx == v->next_used;
}

static void all_refuse(const char *what, uint64_t addr)
{
	unsigned int refused = 0;

	for (unsigned int i = 0; i < nr_devices; i++)
		refused += refuses(&devices[i], addr);
	check_is(what, nr_devices, refused);
}

static void all_serve(const char *what)
{
	unsigned int served = 0;

	for (unsigned int i = 0; i < nr_devices; i++)
		served +=
			virtio_start(&devices[i]) && virtio_serves(&devices[i]);
	check_is(what, nr_devices, served);
}

uint64_t window_check(struct virtio *all, unsigned int nr)
{
	uint64_t outside = memory_low_end - 2 * PAGE;
	uint64_t inside = (uintptr_t)all->buffer, refused = 0;

	devices = all;
	nr_devices = nr;
	refused |= share(VIRTIO_RAM, 2); /* rings and buffer, and no more */
	refused |= share(outside, 1);
	all_refuse("strict: refused while there is no window", inside);
	refused |= share(VIRTIO_RAM, VIRTIO_RAM / PAGE);
	all_serve("strict: served in the window");
	all_refuse("strict: refused outside of it", outside);
	all_refuse("strict: refused across its end", VIRTIO_RAM_NEEDED - 8);
	refused |= map_gpa(LAST, 1, MAP_GPA_PRIVATE);
	all_refuse("strict: refused when a page has turned private", inside);
	refused |= share(LAST, 1);
	all_refuse("strict: refused when that is shared again", inside);
	refused |= share(VIRTIO_RAM, VIRTIO_RAM / PAGE);
	all_serve("strict: served when all of it is shared at a time");
	check_is("strict: conversions refused", 0, refused);
	return outside;
}
