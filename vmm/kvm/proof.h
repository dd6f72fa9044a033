/* SPDX-License-Identifier: Apache-2.0 */
/* The proof that no page is backed twice, by the kernel's own counts. */
#pragma once

#include <stdbool.h>

#include "vmm/kvm/memory.h"

struct memory_use { /* bytes that the kernel has allocated */
	uint64_t private, shared;
	uint64_t twice;     /* of pages that both stores have */
	uint64_t in_flight; /* not in twice: until I/O under way has ended */
	bool whole;         /* all of RAM was looked at for these two */
};

/*
 * Block by block: a block's conversions wait meanwhile, so what one of them
 * has half done does not count, and no page is both private and shared:
 * private + shared <= RAM + twice + in_flight.  In flight is what has turned
 * private under I/O, which may still write to it; pages.h has it discarded
 * then.  When the time for it is over, *use has the sums of the stores, and
 * twice and in_flight of a part.  Any thread.
 */
void memory_measure(struct memory *mem, struct memory_use *use);
