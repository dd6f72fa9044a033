/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X (PCI Express 6.0, 6.1.4 and 7.7.2): the table a guest programs, as
 * interrupt lines.  Every vector has an eventfd whose signal interrupts the
 * guest; while the guest has it masked the signal stays in the eventfd, which
 * therefore is the vector's pending bit too.  So a vhost back end can own the
 * eventfd and needs to know nothing of masks.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"
#include "vmm/base/wiring.h"

#define MSIX_MAX_VECTORS 32
#define MSIX_ENTRY_LEN 16

struct msix_vector {
	uint32_t entry[4]; /* address low and high, data, control */
	unsigned int line;
	int fd;
	bool connected;
};

/* All accesses under one lock of the owner's. */
struct msix {
	struct wiring *wiring;
	unsigned int nr_vectors;
	uint16_t control; /* of the capability: enable and function mask */
	struct msix_vector vectors[MSIX_MAX_VECTORS];
};

/* Makes nr vectors, all masked, with their eventfds. */
int msix_init(struct msix *m, struct wiring *wiring, unsigned int nr);
void msix_destroy(struct msix *m); /* twice is fine */

/* Table and pending bits, as the guest reads and writes them; len 4 or 8. */
void msix_table_read(const struct msix *m, uint64_t off, void *data,
		     unsigned int len);
void msix_table_write(struct msix *m, uint64_t off, const void *data,
		      unsigned int len);
void msix_pending_read(const struct msix *m, uint64_t off, void *data,
		       unsigned int len);

/*
 * Forgets what came for masked vectors: when its cause is gone, so is the
 * pending bit (PCI Express 6.0, 6.1.4.5).
 */
void msix_clear_pending(struct msix *m);

/* The guest has written the capability's message control. */
void msix_set_control(struct msix *m, uint16_t control);
