/* SPDX-License-Identifier: Apache-2.0 */
/* The proof that no page is backed twice, by the kernel's own counts. */
#pragma once

#include <stdbool.h>

#include "vmm/kvm/memory.h"

/*
 * Bytes that both stores have allocated, block by block: a block's conversions
 * wait meanwhile, so what one of them has half done does not count.  I/O that
 * was under way into a page that turned private may be seen until it ends.
 * *whole: all of RAM was looked at, else the time for it was over.  Any thread.
 */
uint64_t memory_double_backed(struct memory *mem, bool *whole);
