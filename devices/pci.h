/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI bus 0 as the guest configures it: an ECAM window (PCI Express 6.0,
 * 7.2.2) over up to 32 single-function devices, the first a host bridge.
 * Each may have one 64-bit memory BAR.  It is where the guest has put it: the
 * bus owns the whole of the address space for BARs and looks them up there,
 * so a guest may move them, onto each other too (the lowest slot answers).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/base/bus.h"

#define PCI_SLOTS 32
#define PCI_CONFIG_LEN 256      /* conventional */
#define PCI_CONFIG_EXT_LEN 4096 /* with extended capabilities */

struct pci_device { /* embedded in the device, which owns the arrays */
	const char *name;
	unsigned int len;        /* of both arrays: one of the two above */
	uint8_t *config;         /* what the guest reads, little endian */
	const uint8_t *writable; /* bits the guest may set and clear */

	/*
	 * Either may be absent.  On a vCPU thread under the bus window's
	 * mutex; len is 1, 2 or 4, off a multiple of it.
	 * reading: bring config[off, off + len) up to date.
	 * written: config[off, off + len) has been written as far as
	 * writable allows.
	 */
	void (*reading)(struct pci_device *d, unsigned int off,
			unsigned int len);
	void (*written)(struct pci_device *d, unsigned int off,
			unsigned int len);

	uint64_t bar_len; /* BAR 0 and 1: a power of two; 0: none */
	/* As in struct bus_ops; several vCPU threads at a time. */
	void (*bar_read)(struct pci_device *d, uint64_t off, void *data,
			 unsigned int len);
	void (*bar_write)(struct pci_device *d, uint64_t off, const void *data,
			  unsigned int len);
	/*
	 * The BAR is at base from now on, or PCI_NOWHERE.  May be absent.  On
	 * a vCPU thread under the bus window's mutex.
	 */
	void (*bar_moved)(struct pci_device *d, uint64_t base);
	_Atomic uint64_t bar_base; /* for pci.c */
};

#define PCI_NOWHERE UINT64_MAX

struct pci_bus { /* embedded in the machine; does not move once prepared */
	struct bus_window window;  /* for the MMIO bus, at X86_ECAM */
	struct bus_window bars[2]; /* the same, BARs below and above 4 GiB */
	struct pci_device *slots[PCI_SLOTS];
	struct pci_device bridge;
	uint8_t bridge_config[PCI_CONFIG_LEN];
};

/* Prepares a bus with the host bridge in slot 0.  Owns nothing. */
void pci_bus_init(struct pci_bus *pci);

/*
 * Puts a device (not owned; it must outlive the bus) into the lowest free
 * slot before the VM runs, and its BAR at a place of its own below 4 GiB,
 * where every guest can reach it.  Returns the slot; -ENOSPC: all are taken.
 */
int pci_add(struct pci_bus *pci, struct pci_device *d);

/* Little-endian values in config, for filling it in and looking at it. */
void pci_set16(struct pci_device *d, unsigned int off, uint16_t value);
void pci_set32(struct pci_device *d, unsigned int off, uint32_t value);
uint16_t pci_get16(const struct pci_device *d, unsigned int off);
uint32_t pci_get32(const struct pci_device *d, unsigned int off);
