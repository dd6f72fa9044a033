/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device as a PCI function: modern only, MSI-X only (virtio 1.2,
 * 4.1).  All registers are in one BAR; a notification is an eventfd.
 */
#pragma once

#include "devices/msix.h"
#include "devices/pci.h"
#include "devices/virtio.h"

struct virtio_pci {
	struct virtio *dev;
	struct pci_device pci;
	uint8_t config[PCI_CONFIG_LEN], writable[PCI_CONFIG_LEN];
	struct wiring *wiring;
	uint64_t base; /* where the bells are, or PCI_NOWHERE */
	bool bell_on[VIRTIO_MAX_QUEUES];

	/* What the guest has selected and set; one lock for all of it. */
	pthread_mutex_t lock;
	struct msix msix;
	uint32_t feature_select[2]; /* the device's, the driver's */
	uint16_t queue_select;
	bool resetting; /* the driver has not yet seen the end of it */
	uint16_t vectors[VIRTIO_MAX_QUEUES + 1];
};

/*
 * Puts dev (initialized, not owned, it must outlive this) on the bus, wired
 * with wiring.  On failure nothing is left behind but a PCI slot.
 */
int virtio_pci_init(struct virtio_pci *p, struct virtio *dev,
		    struct pci_bus *pci, struct wiring *wiring);
/* When no vCPU runs any more.  Twice is fine. */
void virtio_pci_destroy(struct virtio_pci *p);

/* Inside (virtio_pci_space.c): the header and the capabilities, at first. */
void virtio_pci_fill_space(struct virtio_pci *p);
