/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where what is in a virtio function's BAR and configuration space: for
 * virtio_pci*.c.  Section numbers are those of virtio 1.2.
 */
#pragma once

#include <linux/virtio_pci.h>
#include <stddef.h>

/* The BAR: a page for each structure, so that a guest can map them apart. */
#define BAR_COMMON 0x0000
#define BAR_ISR 0x1000
#define BAR_DEVICE 0x2000
#define BAR_NOTIFY 0x3000
#define BAR_MSIX_TABLE 0x4000
#define BAR_MSIX_PENDING 0x5000
#define BAR_LEN 0x8000
#define BAR_PART 0x1000
#define NOTIFY_STEP 4 /* bytes from one queue's bell to the next */

/* 4.1.4.3, the common configuration. */
#define COMMON(f) offsetof(struct virtio_pci_common_cfg, f)
/* Behind what Debian 12's header has: queue_notify_data. */
#define COMMON_QUEUE_NOTIFY_DATA 56
#define COMMON_QUEUE_RESET 58

/* Configuration space: the header, then the capabilities. */
#define CAP_MSIX 0x40
#define CAP_COMMON 0x50
#define CAP_ISR 0x60
#define CAP_DEVICE 0x70
#define CAP_NOTIFY 0x80 /* 20 bytes */
#define CAP_WINDOW 0x98 /* 20 bytes: configuration access */
#define WINDOW_DATA (CAP_WINDOW + 16)
