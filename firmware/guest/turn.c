/* SPDX-License-Identifier: Apache-2.0 */
/* Part of hostile.c: pages that turn private when a request is queued. */
#include "firmware/guest/virtio.h"

/* What a request needs: its ring, its buffer, and a table of descriptors. */
#define NR_NEEDED 3

/* The request that is in the rings, by way of a table in a page of its own. */
static uint64_t use_table(struct virtio *v)
{
	uint64_t table = (uintptr_t)v->buffer + PAGE;

	__builtin_memcpy((void *)table, (void *)v->rings->desc,
			 sizeof(v->rings->desc));
	v->rings->desc[0].addr = table;
	v->rings->desc[0].len = sizeof(v->rings->desc);
	v->rings->desc[0].flags = DESC_INDIRECT;
	return table;
}

static struct {
	bool blind;
	uint64_t noticed, written, stuck;
} turned;

/*
 * It has noticed, or had looked and was done before the page turned: a device
 * may look without being rung for.  Not so for rings, which it needs again.
 */
static bool is_settled(struct virtio *v)
{
	for (uint64_t since = rdtsc();
	     rdtsc() - since < ns_to_tsc(5000000000);) {
		if (v->rings->used.idx != v->next_used ||
		    bar_get(v, v->common + COMMON_STATUS, 1) &
			    STATUS_NEEDS_RESET)
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static void turn(struct virtio *v, unsigned int what, bool rung, uint32_t pause)
{
	uint64_t page = what ? (uintptr_t)v->buffer : (uintptr_t)v->rings;

	virtio_start(v);
	virtio_request(v);
	if (what == 2)
		page = use_table(v);
	virtio_publish(v, 0);
	if (rung)
		virtio_kick(v);
	for (; rung && pause; pause--)
		__builtin_ia32_pause();
	map_gpa(page, 1, MAP_GPA_PRIVATE);
	if (!rung)
		virtio_kick(v);
	turned.noticed += rung || turned.blind || is_settled(v);
	turned.stuck += !virtio_reset(v);
	turned.written += !!load64(page);
	/* With all around it: a window is shared as a whole (window.c). */
	map_gpa(VIRTIO_RAM, VIRTIO_RAM / PAGE, 0);
}

bool turn_pages(struct virtio *v, uint64_t rounds, bool blind, uint64_t *seed)
{
	uint64_t n;

	if (!can_convert() || !virtio_request(v))
		return false;
	__builtin_memset(&turned, 0, sizeof(turned));
	turned.blind = blind;
	for (n = 0; n < NR_NEEDED + rounds; n++)
		turn(v, n % NR_NEEDED, n >= NR_NEEDED,
		     random_next(seed) % 4096);
	check_is("virtio: pages that turn private, noticed", n, turned.noticed);
	check_is("virtio: ... and written to after it", 0, turned.written);
	check_is("virtio: ... and not reset", 0, turned.stuck);
	return true;
}
