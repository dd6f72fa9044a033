/* SPDX-License-Identifier: Apache-2.0 */
/* What a balloon's driver names, given back to the host. */
#pragma once

#include "devices/virtqueue.h"

/* Page numbers in one request; Linux has 256, Windows 1024. */
#define BALLOON_MAX_PFNS 4096

struct balloon_count {
	uint64_t pages;  /* of 4 KiB, as the guest has counted */
	uint64_t pieces; /* calls to the host for them */
	uint64_t failed; /* of these */
};

/*
 * A request of the inflateq (virtio 1.2, 5.5.6): discards the pages whose
 * numbers are in it, neighbours together.  -EPROTO: it is too long or odd, or
 * a page is not RAM.
 */
int balloon_inflate(const struct guest_mem *mem, const struct virtq_chain *c,
		    struct balloon_count *count);

/*
 * A request of the reporting_vq (5.5.6.7): its buffers are what the guest does
 * not use.  Discards the whole pages of them.
 */
void balloon_report(const struct guest_mem *mem, const struct virtq_chain *c,
		    struct balloon_count *count);
