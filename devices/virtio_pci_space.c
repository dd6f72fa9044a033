/* SPDX-License-Identifier: Apache-2.0 */
/* What a virtio function says of itself: its configuration space. */
#include <linux/pci_regs.h>
#include <string.h>

#include "devices/virtio_pci.h"
#include "devices/virtio_pci_layout.h"

#define COMMAND_WRITABLE \
	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_DEVICE 0x1040 /* 4.1.2: plus the virtio device id */

static void add_cap(struct virtio_pci *p, unsigned int at, unsigned int next,
		    uint8_t type, uint32_t off, uint32_t len)
{
	const struct virtio_pci_cap cap = {
		.cap_vndr = PCI_CAP_ID_VNDR,
		.cap_next = (uint8_t)next,
		.cap_len = type == VIRTIO_PCI_CAP_NOTIFY_CFG ||
					   type == VIRTIO_PCI_CAP_PCI_CFG
				   ? 20
				   : sizeof(cap),
		.cfg_type = type,
		.offset = off,
		.length = len,
	};

	memcpy(p->config + at, &cap, sizeof(cap));
}

static void fill_capabilities(struct virtio_pci *p)
{
	uint32_t bells = p->dev->nr_queues * NOTIFY_STEP;
	uint32_t config_len = align_up(max_of(p->dev->config_len, 4u), 4u);

	pci_set16(&p->pci, CAP_MSIX, PCI_CAP_ID_MSIX | CAP_COMMON << 8);
	pci_set16(&p->pci, CAP_MSIX + 2, (uint16_t)(p->msix.nr_vectors - 1));
	pci_set32(&p->pci, CAP_MSIX + 4, BAR_MSIX_TABLE);
	pci_set32(&p->pci, CAP_MSIX + 8, BAR_MSIX_PENDING);
	memset(p->writable + CAP_MSIX + 3, 0xc0, 1);

	add_cap(p, CAP_COMMON, CAP_ISR, VIRTIO_PCI_CAP_COMMON_CFG, BAR_COMMON,
		COMMON_QUEUE_RESET + 2);
	add_cap(p, CAP_ISR, CAP_DEVICE, VIRTIO_PCI_CAP_ISR_CFG, BAR_ISR, 1);
	add_cap(p, CAP_DEVICE, CAP_NOTIFY, VIRTIO_PCI_CAP_DEVICE_CFG,
		BAR_DEVICE, config_len);
	add_cap(p, CAP_NOTIFY, CAP_WINDOW, VIRTIO_PCI_CAP_NOTIFY_CFG,
		BAR_NOTIFY, bells);
	pci_set32(&p->pci, CAP_NOTIFY + 16, NOTIFY_STEP);
	add_cap(p, CAP_WINDOW, 0, VIRTIO_PCI_CAP_PCI_CFG, 0, 0);
	memset(p->writable + CAP_WINDOW + 4, 0xff, 1);  /* BAR */
	memset(p->writable + CAP_WINDOW + 8, 0xff, 12); /* place and data */
}

static void fill_header(struct virtio_pci *p)
{
	const struct virtio_ops *ops = p->dev->ops;

	pci_set16(&p->pci, PCI_VENDOR_ID, VIRTIO_VENDOR);
	pci_set16(&p->pci, PCI_DEVICE_ID, VIRTIO_DEVICE + ops->id);
	pci_set16(&p->pci, PCI_STATUS, PCI_STATUS_CAP_LIST);
	p->config[PCI_REVISION_ID] = 1; /* 4.1.2.1: not transitional */
	p->config[PCI_CLASS_DEVICE] = ops->pci_subclass;
	p->config[PCI_CLASS_DEVICE + 1] = ops->pci_class;
	pci_set16(&p->pci, PCI_SUBSYSTEM_VENDOR_ID, VIRTIO_VENDOR);
	pci_set16(&p->pci, PCI_SUBSYSTEM_ID, VIRTIO_DEVICE + ops->id);
	p->config[PCI_CAPABILITY_LIST] = CAP_MSIX;
	p->writable[PCI_COMMAND] = COMMAND_WRITABLE & 0xff;
	p->writable[PCI_COMMAND + 1] = COMMAND_WRITABLE >> 8;
	/* The low bits of a BAR are its length. */
	memset(p->writable + PCI_BASE_ADDRESS_0, 0xff, 8);
	p->writable[PCI_BASE_ADDRESS_0] = 0;
	p->writable[PCI_BASE_ADDRESS_0 + 1] = (uint8_t)(~(BAR_LEN - 1) >> 8);
}

void virtio_pci_fill_space(struct virtio_pci *p)
{
	fill_header(p);
	fill_capabilities(p);
}
