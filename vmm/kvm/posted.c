/* SPDX-License-Identifier: Apache-2.0 */
/* What posted.h declares. */
#include "vmm/kvm/posted.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/err.h"

/*
 * How long writes are posted after one that exited.  No one sees a delay of
 * this length, and less often is better: the timer takes the window's mutex,
 * for which a vCPU waits if the host has other things to do than to run us.
 */
#define OPEN_NS 20000000

#define RING_LEN ((uint32_t)KVM_COALESCED_MMIO_MAX)

static void arm(struct posted *p)
{
	const struct itimerspec t = { .it_value.tv_nsec = OPEN_NS };

	timerfd_settime(p->timer.fd, 0, &t, NULL);
	p->armed = true;
}

/*
 * KVM adds at `last` unless that would make it `first`: so moving `first`
 * behind the entry that comes next makes it exit instead.
 */
static void set_open(struct posted *p, bool open)
{
	uint32_t first = open ? p->next : (p->next + 1) % RING_LEN;

	p->open = open;
	__atomic_store_n(&p->ring->first, first, __ATOMIC_RELEASE);
}

/*
 * An entry that KVM adds while the ring closes makes room for all the others,
 * so that a ring with an entry in every place looks like an empty one.  Places
 * are cleared when they are left: that tells.
 */
static bool is_empty(const struct posted *p, uint32_t last)
{
	uint32_t previous = (p->next + RING_LEN - 1) % RING_LEN;

	return last == p->next && !p->ring->coalesced_mmio[previous].len;
}

/* Hands over what is in the ring now, though the guest may go on adding. */
static bool take(struct posted *p)
{
	uint32_t last = __atomic_load_n(&p->ring->last, __ATOMIC_ACQUIRE);
	struct bus_window *w = p->window;

	if (last >= RING_LEN || is_empty(p, last))
		return false; /* the former is not KVM's doing */
	do {
		struct kvm_coalesced_mmio *e =
			&p->ring->coalesced_mmio[p->next];

		if (e->pio && e->phys_addr == p->port && e->len == 1)
			w->ops->write(w, p->port - w->base, e->data, 1);
		e->len = 0;
		p->next = (p->next + 1) % RING_LEN;
	} while (p->next != last);
	return true;
}

static void before_access(struct bus_posted *before, bool write)
{
	struct posted *p = container_of(before, struct posted, before);

	take(p);
	set_open(p, p->open || write);
	if (write && !p->armed)
		arm(p);
}

/*
 * KVM may be about to add an entry while the ring closes, so only a closed
 * ring in which nothing was found stays without timer.
 */
static void on_timer(struct event_source *source, uint32_t events)
{
	struct posted *p = container_of(source, struct posted, timer);
	uint64_t expired;
	bool again;

	(void)events;
	if (read(source->fd, &expired, sizeof(expired)) < 0)
		return;
	pthread_mutex_lock(&p->window->lock);
	p->armed = false;
	again = take(p) || p->open;
	set_open(p, false);
	if (again)
		arm(p);
	pthread_mutex_unlock(&p->window->lock);
}

/* The ring's place in the run area, or 0 if KVM posts no port writes. */
static int find_ring(struct kvm *kvm)
{
	int page = kvm_check_extension(kvm, KVM_CAP_COALESCED_PIO);

	if (page > 0)
		page = kvm_check_extension(kvm, KVM_CAP_COALESCED_MMIO);
	if (page > 0 && (size_t)page >= kvm->run_size / PAGE_SIZE)
		page = 0;
	return page;
}

static int start(struct posted *p, struct kvm *kvm)
{
	int rc;

	set_open(p, false);
	p->timer.fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (p->timer.fd < 0)
		return err_set(-errno, "timer of port %#x: %s", p->port,
			       strerror(errno));
	rc = event_add(p->loop, &p->timer, EPOLLIN);
	if (!rc)
		rc = kvm_post_port(kvm, p->port);
	if (!rc)
		p->window->posted = &p->before;
	return rc;
}

int posted_init(struct posted *p, struct kvm *kvm, struct kvm_run *run,
		struct event_loop *loop, struct bus_window *window,
		uint16_t port)
{
	int page = find_ring(kvm), rc;

	*p = (struct posted){ .port = port, .loop = loop };
	if (page <= 0)
		return page;
	p->before.hand_over = before_access;
	p->timer = (struct event_source){ -1, on_timer };
	p->ring = (void *)((uint8_t *)run + (size_t)page * PAGE_SIZE);
	p->window = window; /* from here posted_destroy() has work */
	rc = start(p, kvm);
	if (rc)
		posted_destroy(p);
	return rc;
}

void posted_finish(struct posted *p)
{
	if (!p->window)
		return;
	pthread_mutex_lock(&p->window->lock);
	take(p);
	pthread_mutex_unlock(&p->window->lock);
}

void posted_destroy(struct posted *p)
{
	if (!p->window)
		return;
	p->window->posted = NULL;
	p->window = NULL;
	if (p->timer.fd >= 0) {
		event_remove(p->loop, &p->timer);
		close(p->timer.fd);
	}
}
