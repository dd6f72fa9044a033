/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-balloon (virtio 1.2, 5.5): memory that the guest gives back, because
 * it is asked for it or because it does not use it at the moment.  The host
 * has it again at once, whatever holds guest RAM.
 */
#pragma once

#include "devices/virtio.h"

struct balloon_params {
	uint64_t size; /* bytes that the guest is to do without */
	/* How often the guest is asked for its figures; 0: never. */
	unsigned int poll_ms;
};

virtio_create balloon_create; /* params: struct balloon_params */
