/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Huge pages behind the shared window, and nowhere else: all of it is shared,
 * while a huge page in a block that is mostly private would back the private
 * pages twice.  There is one window, so there are at most three mappings of
 * the shared store, whatever a guest does.
 */
#pragma once

#include "vmm/base/util.h"

struct memory;

/*
 * The window is [base, base + len) now; for struct window, with its lock held.
 * Whole blocks of it are advised to be huge, those of the last one no more.
 */
void huge_follow(void *memory, gpa_t base, uint64_t len);

/* Bytes of the shared store that are mapped by huge pages.  Not in a hurry. */
uint64_t huge_mapped(const struct memory *mem);
