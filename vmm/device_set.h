/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices a VM was given, each with its thread and its place on the PCI
 * bus: made before the VM starts, gone before its memory is.
 */
#pragma once

#include "devices/virtio_pci.h"
#include "vmm/kvm/wiring.h"

#define DEVICE_SET_MAX (PCI_SLOTS - 1)

struct device {
	char name[32];
	struct iothread thread;
	struct virtio *virtio;
	struct virtio_pci pci;
};

struct device_set {
	struct pci_bus *pci;
	const struct guest_mem *mem;
	struct kvm_wiring wiring;
	unsigned int count;
	struct device *devices[DEVICE_SET_MAX];
};

/*
 * Prepares an empty set for a VM whose kvm, pci bus and memory outlive it, and
 * lets the process open as many files as it may.
 */
void device_set_init(struct device_set *s, struct pci_bus *pci, struct kvm *kvm,
		     const struct guest_mem *mem);

/* Makes a device with create(params) and puts it on the bus. */
int device_set_add(struct device_set *s, const char *name,
		   virtio_create *create, const void *params);

/* Starts the devices' threads. */
int device_set_start(struct device_set *s);

/*
 * Ends the threads and frees the devices, when no vCPU runs any more; what
 * they have been asked for is finished first.  Twice is fine.
 */
void device_set_destroy(struct device_set *s);
