/* SPDX-License-Identifier: Apache-2.0 */
/* What pci.h declares.  Absent functions and odd accesses: all ones. */
#include "devices/pci.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

/* PCI Express 6.0, 7.2.2: bits of an ECAM offset. */
#define ECAM_SLOT_SHIFT 15
#define ECAM_FUNCTION_SHIFT 12
#define ECAM_FUNCTION_MASK 7
#define ECAM_REGISTER_MASK 0xfff

/* PCI Local Bus 3.0, 6.1. */
#define PCI_VENDOR_ID 0x00
#define PCI_DEVICE_ID 0x02
#define PCI_CLASS 0x0a
#define PCI_CLASS_HOST_BRIDGE 0x0600

/*
 * The generic PCI Express host bridge of the list that Red Hat keeps for
 * virtual machines: nothing behind it but ECAM, so no driver binds to it.
 */
#define BRIDGE_VENDOR 0x1b36
#define BRIDGE_DEVICE 0x0008

/* The device an access goes to, or NULL; *reg becomes its register. */
static struct pci_device *decode(struct pci_bus *pci, uint64_t off,
				 unsigned int len, unsigned int *reg)
{
	struct pci_device *d = pci->slots[off >> ECAM_SLOT_SHIFT];

	*reg = off & ECAM_REGISTER_MASK;
	if (!d || (off >> ECAM_FUNCTION_SHIFT & ECAM_FUNCTION_MASK) ||
	    len > 4 || *reg % len || *reg >= d->len)
		return NULL;
	return d;
}

static void pci_read(struct bus_window *w, uint64_t off, void *data,
		     unsigned int len)
{
	struct pci_bus *pci = container_of(w, struct pci_bus, window);
	unsigned int reg;
	struct pci_device *d = decode(pci, off, len, &reg);

	if (!d)
		return; /* data is all ones */
	if (d->reading)
		d->reading(d, reg, len);
	memcpy(data, d->config + reg, len);
}

static void pci_write(struct bus_window *w, uint64_t off, const void *data,
		      unsigned int len)
{
	struct pci_bus *pci = container_of(w, struct pci_bus, window);
	const uint8_t *bytes = data;
	unsigned int reg;
	struct pci_device *d = decode(pci, off, len, &reg);

	if (!d)
		return;
	for (unsigned int i = 0; i < len; i++) {
		uint8_t mask = d->writable[reg + i];
		uint8_t *old = &d->config[reg + i];

		*old = (uint8_t)((*old & ~mask) | (bytes[i] & mask));
	}
	if (d->written)
		d->written(d, reg, len);
}

static const struct bus_ops pci_ops = { .read = pci_read, .write = pci_write };

int pci_add(struct pci_bus *pci, struct pci_device *d)
{
	assert(d->len == PCI_CONFIG_LEN || d->len == PCI_CONFIG_EXT_LEN);
	for (int slot = 0; slot < PCI_SLOTS; slot++)
		if (!pci->slots[slot]) {
			pci->slots[slot] = d;
			return slot;
		}
	return err_set(-ENOSPC,
		       "%s: all %d PCI slots are taken: configure fewer "
		       "devices",
		       d->name, PCI_SLOTS);
}

void pci_set16(struct pci_device *d, unsigned int off, uint16_t value)
{
	d->config[off] = (uint8_t)value;
	d->config[off + 1] = (uint8_t)(value >> 8);
}

void pci_bus_init(struct pci_bus *pci)
{
	static const uint8_t read_only[PCI_CONFIG_LEN];

	*pci = (struct pci_bus){
		.window = { .name = "pci",
			    .base = X86_ECAM,
			    .len = X86_ECAM_LEN,
			    .ops = &pci_ops },
		.bridge = { .name = "host bridge",
			    .len = PCI_CONFIG_LEN,
			    .config = pci->bridge_config,
			    .writable = read_only },
	};
	pci_set16(&pci->bridge, PCI_VENDOR_ID, BRIDGE_VENDOR);
	pci_set16(&pci->bridge, PCI_DEVICE_ID, BRIDGE_DEVICE);
	pci_set16(&pci->bridge, PCI_CLASS, PCI_CLASS_HOST_BRIDGE);
	pci_add(pci, &pci->bridge);
}
