/* SPDX-License-Identifier: Apache-2.0 */
/* What window.h declares. */
#include "vmm/kvm/window.h"

void window_note(struct window *w, gpa_t gpa, uint64_t len)
{
	struct window_run *r = &w->last;

	/* Linux shares its pool while one vCPU runs. */
	if (pthread_mutex_trylock(&w->lock))
		return;
	if (!r->len || gpa - r->base != r->len)
		*r = (struct window_run){ .base = gpa };
	r->len += len;
	r->calls++;
	if (r->len > w->longest.len)
		w->longest = *r;
	pthread_mutex_unlock(&w->lock);
}

struct window_run window_get(struct window *w)
{
	struct window_run r;

	pthread_mutex_lock(&w->lock);
	r = w->longest;
	pthread_mutex_unlock(&w->lock);
	return r;
}
