/* SPDX-License-Identifier: Apache-2.0 */
/* What msix.h declares. */
#include "devices/msix.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"

/* PCI Express 6.0, 7.7.2.2: message control. */
#define CONTROL_ENABLE 0x8000
#define CONTROL_MASK_ALL 0x4000

/* 7.7.2.6 to 7.7.2.9: an entry. */
enum { ENTRY_ADDR_LOW, ENTRY_ADDR_HIGH, ENTRY_DATA, ENTRY_CONTROL };
#define ENTRY_MASKED 1u

static bool wanted(const struct msix *m, const struct msix_vector *v)
{
	return (m->control & CONTROL_ENABLE) &&
	       !(m->control & CONTROL_MASK_ALL) &&
	       !(v->entry[ENTRY_CONTROL] & ENTRY_MASKED);
}

/* Brings the line in step with what the guest has programmed. */
static void update(struct msix *m, struct msix_vector *v, bool changed)
{
	static struct guest_log refused;
	const struct msi msi = {
		.addr = (uint64_t)v->entry[ENTRY_ADDR_HIGH] << 32 |
			v->entry[ENTRY_ADDR_LOW],
		.data = v->entry[ENTRY_DATA],
	};

	if (v->connected && (changed || !wanted(m, v))) {
		m->wiring->disconnect(m->wiring, v->line, v->fd);
		v->connected = false;
	}
	if (v->connected || !wanted(m, v))
		return;
	v->connected = !m->wiring->connect(m->wiring, v->line, v->fd, &msi);
	if (!v->connected)
		log_guest(&refused, "MSI-X message %#llx to %#llx refused",
			  (unsigned long long)msi.data,
			  (unsigned long long)msi.addr);
}

int msix_init(struct msix *m, struct wiring *wiring, unsigned int nr)
{
	int rc = 0;

	assert(nr <= MSIX_MAX_VECTORS);
	*m = (struct msix){ .wiring = wiring };
	while (!rc && m->nr_vectors < nr) {
		struct msix_vector *v = &m->vectors[m->nr_vectors];

		v->entry[ENTRY_CONTROL] = ENTRY_MASKED;
		v->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->fd < 0) {
			rc = err_set(-errno, "eventfd: %s", strerror(errno));
			break;
		}
		m->nr_vectors++; /* from here msix_destroy() owns the fd */
		rc = wiring->new_line(wiring);
		v->line = rc < 0 ? 0 : (unsigned int)rc;
		rc = rc < 0 ? rc : 0;
	}
	if (rc)
		msix_destroy(m);
	return rc;
}

void msix_destroy(struct msix *m)
{
	for (unsigned int i = 0; i < m->nr_vectors; i++) {
		struct msix_vector *v = &m->vectors[i];

		if (v->connected)
			m->wiring->disconnect(m->wiring, v->line, v->fd);
		close(v->fd);
	}
	*m = (struct msix){ 0 };
}

static bool aligned(uint64_t off, unsigned int len)
{
	return (len == 4 || len == 8) && off % len == 0;
}

void msix_table_read(const struct msix *m, uint64_t off, void *data,
		     unsigned int len)
{
	uint64_t vector = off / MSIX_ENTRY_LEN;

	if (aligned(off, len) && vector < m->nr_vectors)
		memcpy(data,
		       (const uint8_t *)m->vectors[vector].entry +
			       off % MSIX_ENTRY_LEN,
		       len);
}

void msix_table_write(struct msix *m, uint64_t off, const void *data,
		      unsigned int len)
{
	uint64_t vector = off / MSIX_ENTRY_LEN;
	uint32_t old[4];
	struct msix_vector *v;

	if (!aligned(off, len) || vector >= m->nr_vectors)
		return;
	v = &m->vectors[vector];
	memcpy(old, v->entry, sizeof(old));
	memcpy((uint8_t *)v->entry + off % MSIX_ENTRY_LEN, data, len);
	v->entry[ENTRY_CONTROL] &= ENTRY_MASKED;
	v->entry[ENTRY_ADDR_LOW] &= ~3u;
	update(m, v, memcmp(old, v->entry, 3 * sizeof(old[0])) != 0);
}

static bool pending(const struct msix *m, unsigned int vector)
{
	const struct msix_vector *v = &m->vectors[vector];
	struct pollfd p = { .fd = v->fd, .events = POLLIN };

	return !v->connected && poll(&p, 1, 0) == 1;
}

void msix_pending_read(const struct msix *m, uint64_t off, void *data,
		       unsigned int len)
{
	uint64_t bits = 0;

	_Static_assert(MSIX_MAX_VECTORS <= 64, "one word of pending bits");
	if (!aligned(off, len) || off >= sizeof(bits))
		return;
	for (unsigned int i = 0; i < m->nr_vectors; i++)
		bits |= (uint64_t)pending(m, i) << i;
	memcpy(data, (const uint8_t *)&bits + off, len);
}

void msix_clear_pending(struct msix *m)
{
	eventfd_t count;
	struct iovec iov = { &count, sizeof(count) };

	for (unsigned int i = 0; i < m->nr_vectors; i++) {
		const struct msix_vector *v = &m->vectors[i];

		/* A back end that has it may have taken O_NONBLOCK away. */
		if (!v->connected &&
		    preadv2(v->fd, &iov, 1, -1, RWF_NOWAIT) < 0)
			continue; /* nothing had come */
	}
}

void msix_set_control(struct msix *m, uint16_t control)
{
	m->control = control;
	for (unsigned int i = 0; i < m->nr_vectors; i++)
		update(m, &m->vectors[i], false);
}
