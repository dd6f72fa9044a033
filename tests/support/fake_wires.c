/* SPDX-License-Identifier: Apache-2.0 */
/* Irqfds, ioeventfds and interrupt routes of the fake kernel. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/fake_kvm.h"

/* eventfd_ctx_fdget(): EBADF for no file, EINVAL for one of another kind. */
static int check_eventfd(int fd)
{
	char link[32], name[32] = "";

	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, name, sizeof(name) - 1) < 0 ||
	    strcmp(name, "anon_inode:[eventfd]") != 0)
		return -EINVAL;
	return 0;
}

/* kvm_irqfd(), kvm_irqfd_assign(), kvm_irqfd_deassign(); api.rst, 4.75 */
static int irqfd(struct fake_vm *vm, const struct kvm_irqfd *arg)
{
	const __u32 known = KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE;
	struct fake_wires *w = &vm->wires;
	int fd = (int)arg->fd, rc;

	if (arg->flags & ~known)
		return -EINVAL;
	rc = check_eventfd(fd);
	if (arg->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		for (unsigned int i = 0; !rc && i < w->nr_irqfds; i++)
			if (w->irqfds[i].fd == fd &&
			    w->irqfds[i].gsi == arg->gsi)
				w->irqfds[i--] = w->irqfds[--w->nr_irqfds];
		return rc; /* one that is not there is fine */
	}
	/* kvm_arch_irqfd_allowed(): resampling wants the whole irqchip. */
	if (!vm->split_irqchip || arg->flags & KVM_IRQFD_FLAG_RESAMPLE)
		return -EINVAL;
	if (rc)
		return rc;
	for (unsigned int i = 0; i < w->nr_irqfds; i++)
		if (w->irqfds[i].fd == fd)
			return -EBUSY; /* whatever its GSI */
	if (w->nr_irqfds == FAKE_MAX_IRQFDS)
		return -ENOMEM; /* the fake's own limit */
	w->irqfds[w->nr_irqfds++] = (struct fake_irqfd){ fd, arg->gsi };
	return 0;
}

static bool same_bell(const struct fake_ioeventfd *a,
		      const struct fake_ioeventfd *b)
{
	return a->pio == b->pio && a->addr == b->addr && a->len == b->len &&
	       a->fd == b->fd && a->matches == b->matches &&
	       (!a->matches || a->match == b->match);
}

/* ioeventfd_check_collision() */
static bool collides(const struct fake_ioeventfd *a,
		     const struct fake_ioeventfd *b)
{
	if (a->pio != b->pio || a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len &&
	       (!a->matches || !b->matches || a->match == b->match);
}

/* kvm_assign_ioeventfd() */
static int check_bell(const struct kvm_ioeventfd *arg)
{
	if (arg->len > 8 || (arg->len && !is_pow2(arg->len)))
		return -EINVAL;
	if (arg->addr + arg->len < arg->addr)
		return -EINVAL;
	if (arg->flags & ~(__u32)KVM_IOEVENTFD_VALID_FLAG_MASK)
		return -EINVAL;
	if (!arg->len && arg->flags & KVM_IOEVENTFD_FLAG_DATAMATCH)
		return -EINVAL;
	return 0;
}

/* kvm_ioeventfd(); api.rst, 4.59 */
static int ioeventfd(struct fake_vm *vm, const struct kvm_ioeventfd *arg)
{
	struct fake_wires *w = &vm->wires;
	const struct fake_ioeventfd bell = {
		.fd = arg->fd,
		.addr = arg->addr,
		.len = arg->len,
		.match = arg->datamatch,
		.pio = arg->flags & KVM_IOEVENTFD_FLAG_PIO,
		.matches = arg->flags & KVM_IOEVENTFD_FLAG_DATAMATCH,
	};
	bool off = arg->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	int rc = off ? 0 : check_bell(arg);

	if (!rc)
		rc = check_eventfd(arg->fd);
	for (unsigned int i = 0; !rc && i < w->nr_bells; i++) {
		if (off && same_bell(&w->bells[i], &bell)) {
			w->bells[i] = w->bells[--w->nr_bells];
			return 0;
		}
		if (!off && collides(&w->bells[i], &bell))
			rc = -EEXIST;
	}
	if (rc || off)
		return rc ? rc : -ENOENT;
	if (w->nr_bells == FAKE_MAX_BELLS)
		return -ENOSPC; /* the fake's own limit */
	w->bells[w->nr_bells++] = bell;
	return 0;
}

/* kvm_set_irq_routing(), setup_routing_entry(), kvm_set_routing_entry() */
static int check_route(const struct kvm_irq_routing *table, unsigned int i)
{
	const struct kvm_irq_routing_entry *e = &table->entries[i];

	if (e->gsi >= FAKE_MAX_ROUTES)
		return -EINVAL;
	/* With a split irqchip there is nothing else we could ask for. */
	if (e->type != KVM_IRQ_ROUTING_MSI ||
	    e->flags & ~(__u32)KVM_MSI_VALID_DEVID)
		return -EINVAL;
	for (unsigned int k = 0; k < i; k++)
		if (table->entries[k].gsi == e->gsi)
			return -EINVAL; /* one to one */
	return 0;
}

/* kvm_vm_ioctl(); api.rst, 4.52: the new table instead of the old one */
static int set_routes(struct fake_vm *vm, const struct kvm_irq_routing *table)
{
	struct fake_wires *w = &vm->wires;

	if (!vm->split_irqchip || table->nr > FAKE_MAX_ROUTES || table->flags)
		return -EINVAL;
	for (unsigned int i = 0; i < table->nr; i++)
		if (check_route(table, i))
			return -EINVAL;
	memcpy(w->routes, table->entries, table->nr * sizeof(w->routes[0]));
	w->nr_routes = table->nr;
	return 0;
}

int fake_wires_ioctl(struct fake_vm *vm, unsigned long req, const void *arg)
{
	if (req == KVM_IRQFD)
		return irqfd(vm, arg);
	if (req == KVM_IOEVENTFD)
		return ioeventfd(vm, arg);
	return set_routes(vm, arg);
}

bool fake_kvm_message(const struct fake_kvm *fake, int fd, uint64_t *addr,
		      uint32_t *data)
{
	const struct fake_wires *w = &fake->vm.wires;
	unsigned int i = 0, k = 0;

	while (i < w->nr_irqfds && w->irqfds[i].fd != fd)
		i++;
	if (i == w->nr_irqfds)
		return false;
	while (k < w->nr_routes && w->routes[k].gsi != w->irqfds[i].gsi)
		k++;
	if (k == w->nr_routes)
		return false;
	*addr = (uint64_t)w->routes[k].u.msi.address_hi << 32 |
		w->routes[k].u.msi.address_lo;
	*data = w->routes[k].u.msi.data;
	return true;
}
