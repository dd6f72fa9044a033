/* SPDX-License-Identifier: Apache-2.0 */
/* What device_set.h declares. */
#include "vmm/device_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "vmm/base/err.h"

/* A device has dozens of eventfds: a soft limit of 1024 is soon reached. */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit); /* what lacks will be told */
}

void device_set_init(struct device_set *s, struct pci_bus *pci, struct kvm *kvm,
		     const struct guest_mem *mem)
{
	*s = (struct device_set){ .pci = pci, .mem = mem };
	kvm_wiring_init(&s->wiring, kvm);
	raise_fd_limit();
}

int device_set_add(struct device_set *s, const char *name,
		   virtio_create *create, const void *params)
{
	struct virtio_host host = { .mem = s->mem };
	struct device *d;
	int rc;

	if (s->count == DEVICE_SET_MAX)
		return err_set(-ENOSPC, "%s: a VM has at most %d devices", name,
			       DEVICE_SET_MAX);
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(-ENOMEM, "%s: out of memory", name);
	snprintf(d->name, sizeof(d->name), "%s", name);
	rc = iothread_init(&d->thread);
	if (rc) {
		free(d);
		return err_in(rc, "%s", name);
	}
	s->devices[s->count++] = d; /* from here device_set_destroy() owns it */
	host.name = d->name;
	host.thread = &d->thread;
	rc = create(&host, params, &d->virtio);
	if (rc)
		return err_in(rc, "%s", name);
	return virtio_pci_init(&d->pci, d->virtio, s->pci, &s->wiring.wiring);
}

int device_set_start(struct device_set *s)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < s->count; i++)
		rc = iothread_start(&s->devices[i]->thread,
				    s->devices[i]->name);
	return rc;
}

void device_set_destroy(struct device_set *s)
{
	for (unsigned int i = 0; i < s->count; i++) {
		struct device *d = s->devices[i];

		iothread_stop(&d->thread);
		virtio_pci_destroy(&d->pci);
		if (d->virtio)
			d->virtio->ops->destroy(d->virtio);
		iothread_destroy(&d->thread);
		free(d);
	}
	s->count = 0;
	kvm_wiring_destroy(&s->wiring);
}
