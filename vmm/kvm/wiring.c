/* SPDX-License-Identifier: Apache-2.0 */
/* What wiring.h declares.  A line's number is its GSI. */
#include "vmm/kvm/wiring.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

static struct kvm_wiring *of(struct wiring *w)
{
	return container_of(w, struct kvm_wiring, wiring);
}

/*
 * Intel SDM vol. 3, 11.11.1: where a write is an interrupt.  One to anywhere
 * else would be one to memory; KVM would not look and interrupt.
 */
static bool is_interrupt(const struct msi *msi)
{
	return msi->addr >> 20 == X86_LAPIC >> 20;
}

/* Tells KVM all routes.  Under the lock. */
static int set_routes(const struct kvm_wiring *w)
{
	unsigned int nr = 0;
	struct kvm_irq_routing *table =
		calloc(1, sizeof(*table) +
				  w->nr_lines * sizeof(table->entries[0]));
	int rc;

	if (!table)
		return -ENOMEM;
	for (unsigned int i = 0; i < w->nr_lines; i++)
		if (is_interrupt(&w->lines[i]))
			table->entries[nr++] = (struct kvm_irq_routing_entry){
				.gsi = i,
				.type = KVM_IRQ_ROUTING_MSI,
				.u.msi.address_lo = (__u32)w->lines[i].addr,
				.u.msi.address_hi =
					(__u32)(w->lines[i].addr >> 32),
				.u.msi.data = w->lines[i].data,
			};
	table->nr = nr;
	rc = kvm_set_gsi_routing(w->kvm, table);
	free(table);
	return rc;
}

static int new_line(struct wiring *base)
{
	struct kvm_wiring *w = of(base);

	if (!w->lines)
		w->lines = calloc(KVM_WIRING_LINES, sizeof(*w->lines));
	if (!w->lines || w->nr_lines == KVM_WIRING_LINES)
		return err_set(-ENOSPC, "no more than %d interrupt lines",
			       KVM_WIRING_LINES);
	return (int)w->nr_lines++;
}

static int connect_line(struct wiring *base, unsigned int line, int fd,
			const struct msi *msi)
{
	struct kvm_wiring *w = of(base);
	struct msi old;
	int rc = 0;

	pthread_mutex_lock(&w->lock);
	old = w->lines[line];
	if (old.addr != msi->addr || old.data != msi->data) {
		w->lines[line] = *msi;
		if (is_interrupt(&old) || is_interrupt(msi))
			rc = set_routes(w);
		if (rc)
			w->lines[line] = old;
	}
	if (!rc)
		rc = kvm_irqfd(w->kvm, fd, line, true);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

static void disconnect_line(struct wiring *base, unsigned int line, int fd)
{
	kvm_irqfd(of(base)->kvm, fd, line, false);
}

static int bell(struct wiring *base, gpa_t gpa, int fd, bool on)
{
	return kvm_ioeventfd(of(base)->kvm, gpa, fd, on);
}

void kvm_wiring_init(struct kvm_wiring *w, struct kvm *kvm)
{
	*w = (struct kvm_wiring){
		.wiring = { new_line, connect_line, disconnect_line, bell },
		.kvm = kvm,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
}

void kvm_wiring_destroy(struct kvm_wiring *w)
{
	free(w->lines);
	w->lines = NULL;
	w->nr_lines = 0;
}
