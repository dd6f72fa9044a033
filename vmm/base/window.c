/* SPDX-License-Identifier: Apache-2.0 */
/* What window.h declares. */
#include "vmm/base/window.h"

/* Its first page, and how many there are: RAM ends far below 2^44. */
static uint64_t pack(const struct window_run *r)
{
	return r->len ? r->base / PAGE_SIZE << 32 | r->len / PAGE_SIZE : 0;
}

static gpa_t base_of(uint64_t span)
{
	return (span >> 32) * PAGE_SIZE;
}

static uint64_t len_of(uint64_t span)
{
	return (span & 0xffffffff) * PAGE_SIZE;
}

static bool holds(uint64_t span, gpa_t gpa, uint64_t len)
{
	return gpa >= base_of(span) && gpa - base_of(span) < len_of(span) &&
	       len <= len_of(span) - (gpa - base_of(span));
}

static bool meets(uint64_t span, gpa_t gpa, uint64_t len)
{
	return gpa >= base_of(span) ? gpa - base_of(span) < len_of(span)
				    : base_of(span) - gpa < len;
}

/* Under the lock. */
static void publish(struct window *w)
{
	uint64_t span = pack(&w->longest);

	atomic_store(&w->last_span, pack(&w->last));
	if (atomic_exchange(&w->span, span) != span && w->moved)
		w->moved(w->ctx, w->longest.base, w->longest.len);
}

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
	if (r->len >= WINDOW_MIN && r->len > w->longest.len)
		w->longest = *r;
	publish(w);
	pthread_mutex_unlock(&w->lock);
}

void window_forget(struct window *w, gpa_t gpa, uint64_t len)
{
	if (!meets(atomic_load(&w->last_span), gpa, len) &&
	    !meets(atomic_load(&w->span), gpa, len))
		return;
	pthread_mutex_lock(&w->lock);
	if (meets(pack(&w->last), gpa, len))
		w->last = (struct window_run){ 0 };
	if (meets(pack(&w->longest), gpa, len))
		w->longest = (struct window_run){ 0 };
	publish(w);
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

bool window_admits(struct window *w, gpa_t gpa, uint64_t len, uint64_t *inside)
{
	if (holds(atomic_load(&w->span), gpa, len)) {
		*inside += len;
		return true;
	}
	if (w->strict)
		atomic_fetch_add(&w->refused, 1);
	return !w->strict;
}

void window_begin(struct window *w, uint64_t inside)
{
	uint64_t now = atomic_fetch_add(&w->in_use, inside) + inside;
	uint64_t most = atomic_load(&w->high_water);

	while (now > most &&
	       !atomic_compare_exchange_weak(&w->high_water, &most, now))
		;
}

void window_end(struct window *w, uint64_t inside)
{
	atomic_fetch_sub(&w->in_use, inside);
}
