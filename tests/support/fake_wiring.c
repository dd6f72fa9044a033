/* SPDX-License-Identifier: Apache-2.0 */
/* What fake_wiring.h declares. */
#include "support/fake_wiring.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "vmm/base/err.h"

static struct fake_wiring *of(struct wiring *w)
{
	return container_of(w, struct fake_wiring, wiring);
}

static int new_line(struct wiring *base)
{
	struct fake_wiring *w = of(base);

	if (w->nr_lines == w->max_lines)
		return err_set(-ENOSPC, "fake wiring: no more lines");
	return (int)w->nr_lines++;
}

static int connect_line(struct wiring *base, unsigned int line, int fd,
			const struct msi *msi)
{
	struct fake_wiring *w = of(base);
	int rc = w->connect_error;

	pthread_mutex_lock(&w->lock);
	if (line >= w->nr_lines || w->lines[line].connected || fd < 0) {
		w->misuse++;
		rc = -EBUSY;
	} else if (!rc) {
		struct fake_line *l = &w->lines[line];

		l->connected = true;
		l->fd = fd;
		l->msi = *msi;
		l->connects++;
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

static void disconnect_line(struct wiring *base, unsigned int line, int fd)
{
	struct fake_wiring *w = of(base);

	pthread_mutex_lock(&w->lock);
	if (line >= w->nr_lines || !w->lines[line].connected ||
	    w->lines[line].fd != fd) {
		w->misuse++;
	} else {
		w->lines[line].connected = false;
		w->lines[line].disconnects++;
	}
	pthread_mutex_unlock(&w->lock);
}

/* The first bell at gpa; NULL: none. */
static struct fake_bell *find_bell(struct fake_wiring *w, gpa_t gpa)
{
	for (unsigned int i = 0; i < FAKE_WIRING_BELLS; i++)
		if (w->bells[i].fd >= 0 && w->bells[i].gpa == gpa)
			return &w->bells[i];
	return NULL;
}

static struct fake_bell *find_free(struct fake_wiring *w)
{
	for (unsigned int i = 0; i < FAKE_WIRING_BELLS; i++)
		if (w->bells[i].fd < 0)
			return &w->bells[i];
	return NULL;
}

static int bell(struct wiring *base, gpa_t gpa, int fd, bool on)
{
	struct fake_wiring *w = of(base);
	struct fake_bell *b;
	int rc = on ? w->bell_error : 0;

	pthread_mutex_lock(&w->lock);
	b = find_bell(w, gpa);
	if (on && b) {
		rc = -EEXIST; /* one a place, as with KVM */
	} else if (on && !rc) {
		b = find_free(w);
		*b = (struct fake_bell){ gpa, fd };
		w->nr_bells++;
	} else if (!on && b && b->fd == fd) {
		b->fd = -1;
		w->nr_bells--;
	} else if (!on) {
		w->misuse++;
		rc = -ENOENT;
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

void fake_wiring_init(struct fake_wiring *w)
{
	*w = (struct fake_wiring){
		.wiring = { new_line, connect_line, disconnect_line, bell },
		.max_lines = FAKE_WIRING_LINES,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	for (unsigned int i = 0; i < FAKE_WIRING_BELLS; i++)
		w->bells[i].fd = -1;
}

bool fake_wiring_ring(struct fake_wiring *w, gpa_t gpa)
{
	struct fake_bell *b;

	pthread_mutex_lock(&w->lock);
	b = find_bell(w, gpa);
	if (b)
		eventfd_write(b->fd, 1);
	pthread_mutex_unlock(&w->lock);
	return b;
}

unsigned int fake_wiring_interrupts(struct fake_wiring *w, unsigned int line,
				    int ms)
{
	struct pollfd p = { .events = POLLIN };
	eventfd_t count = 0;

	pthread_mutex_lock(&w->lock);
	p.fd = line < w->nr_lines && w->lines[line].connected
		       ? w->lines[line].fd
		       : -1;
	pthread_mutex_unlock(&w->lock);
	if (p.fd < 0 || poll(&p, 1, ms) != 1 || eventfd_read(p.fd, &count))
		return 0;
	return (unsigned int)count;
}
