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
#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_CLASS 0x0a
#define PCI_CLASS_HOST_BRIDGE 0x0600
#define PCI_BAR0 0x10
#define PCI_BAR1 0x14
#define PCI_BARS_END 0x18
/* 7.5.1.2.1: bits 0 to 3 of a memory BAR say what it is, 4 means 64 bits. */
#define PCI_BAR_TYPE_MASK 0xfu
#define PCI_BAR_MEMORY_64 0x4u

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

static uint64_t bar_base(const struct pci_device *d)
{
	if (!(pci_get16(d, PCI_COMMAND) & PCI_COMMAND_MEMORY))
		return PCI_NOWHERE;
	return (uint64_t)pci_get32(d, PCI_BAR1) << 32 |
	       (pci_get32(d, PCI_BAR0) & ~PCI_BAR_TYPE_MASK);
}

/* Is all of the BAR where the bus looks for BARs? */
static bool reachable(const struct pci_bus *pci, const struct pci_device *d,
		      uint64_t base)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(pci->bars); i++) {
		const struct bus_window *w = &pci->bars[i];

		if (base >= w->base && base - w->base < w->len &&
		    d->bar_len <= w->len - (base - w->base))
			return true;
	}
	return false;
}

/* The guest has written to the command register or a BAR. */
static void settle_bar(struct pci_bus *pci, struct pci_device *d)
{
	uint64_t base = bar_base(d);

	if (!reachable(pci, d, base))
		base = PCI_NOWHERE;
	if (base == d->bar_base)
		return;
	d->bar_base = base;
	if (d->bar_moved)
		d->bar_moved(d, base);
}

/* The device whose BAR holds [addr, addr + len), or NULL. */
static struct pci_device *bar_at(struct pci_bus *pci, uint64_t addr,
				 unsigned int len, uint64_t *off)
{
	for (unsigned int i = 0; i < PCI_SLOTS; i++) {
		struct pci_device *d = pci->slots[i];
		uint64_t base;

		if (!d)
			continue;
		base = atomic_load(&d->bar_base);
		if (addr < base || addr - base >= d->bar_len)
			continue;
		*off = addr - base;
		return len <= d->bar_len - *off ? d : NULL;
	}
	return NULL;
}

static void bars_read(struct pci_bus *pci, uint64_t addr, void *data,
		      unsigned int len)
{
	uint64_t off;
	struct pci_device *d = bar_at(pci, addr, len, &off);

	if (d && d->bar_read)
		d->bar_read(d, off, data, len);
}

static void bars_write(struct pci_bus *pci, uint64_t addr, const void *data,
		       unsigned int len)
{
	uint64_t off;
	struct pci_device *d = bar_at(pci, addr, len, &off);

	if (d && d->bar_write)
		d->bar_write(d, off, data, len);
}

#define BAR_WINDOW(n)                                                   \
	static void bars##n##_read(struct bus_window *w, uint64_t off,  \
				   void *data, unsigned int len)        \
	{                                                               \
		bars_read(container_of(w, struct pci_bus, bars[n]),     \
			  w->base + off, data, len);                    \
	}                                                               \
	static void bars##n##_write(struct bus_window *w, uint64_t off, \
				    const void *data, unsigned int len) \
	{                                                               \
		bars_write(container_of(w, struct pci_bus, bars[n]),    \
			   w->base + off, data, len);                   \
	}                                                               \
	static const struct bus_ops bars##n##_ops = { bars##n##_read,   \
						      bars##n##_write };
BAR_WINDOW(0)
BAR_WINDOW(1)

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
	if (d->bar_len && reg < PCI_BARS_END)
		settle_bar(pci, d);
	if (d->written)
		d->written(d, reg, len);
}

static const struct bus_ops pci_ops = { .read = pci_read, .write = pci_write };

/* Each slot has room for a BAR of this length: no search, no overlap. */
#define BAR_ROOM (X86_PCI_MMIO32_LEN / PCI_SLOTS)

static void place_bar(struct pci_bus *pci, struct pci_device *d, int slot)
{
	uint64_t base = X86_PCI_MMIO32 + (unsigned int)slot * BAR_ROOM;

	d->bar_base = PCI_NOWHERE;
	if (!d->bar_len)
		return;
	assert(is_pow2(d->bar_len) && d->bar_len <= BAR_ROOM);
	pci_set32(d, PCI_BAR0, (uint32_t)base | PCI_BAR_MEMORY_64);
	pci_set32(d, PCI_BAR1, 0);
	settle_bar(pci, d);
}

int pci_add(struct pci_bus *pci, struct pci_device *d)
{
	assert(d->len == PCI_CONFIG_LEN || d->len == PCI_CONFIG_EXT_LEN);
	for (int slot = 0; slot < PCI_SLOTS; slot++)
		if (!pci->slots[slot]) {
			place_bar(pci, d, slot);
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

void pci_set32(struct pci_device *d, unsigned int off, uint32_t value)
{
	pci_set16(d, off, (uint16_t)value);
	pci_set16(d, off + 2, (uint16_t)(value >> 16));
}

uint16_t pci_get16(const struct pci_device *d, unsigned int off)
{
	return (uint16_t)(d->config[off] | d->config[off + 1] << 8);
}

uint32_t pci_get32(const struct pci_device *d, unsigned int off)
{
	return pci_get16(d, off) | (uint32_t)pci_get16(d, off + 2) << 16;
}

void pci_bus_init(struct pci_bus *pci)
{
	static const uint8_t read_only[PCI_CONFIG_LEN];

	*pci = (struct pci_bus){
		.window = { .name = "pci",
			    .base = X86_ECAM,
			    .len = X86_ECAM_LEN,
			    .ops = &pci_ops },
		.bars = { { .name = "pci bars",
			    .base = X86_PCI_MMIO32,
			    .len = X86_PCI_MMIO32_LEN,
			    .ops = &bars0_ops },
			  { .name = "pci bars above 4 GiB",
			    .base = X86_PCI_MMIO64,
			    .len = X86_PCI_MMIO64_LEN,
			    .ops = &bars1_ops } },
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
