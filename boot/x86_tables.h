/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor and page tables under which the first instruction runs, as
 * the 64-bit boot protocol wants them (Linux, x86/boot.rst, "64-bit boot
 * protocol").
 */
#pragma once

#include "boot/image.h"

#define X86_GDT_CODE64 0x10
#define X86_GDT_DATA 0x18
#define X86_GDT_LEN 0x20 /* bytes: four descriptors */

/*
 * Adds the GDT at X86_GDT and an identity map of 4 GiB at X86_PAGE_TABLES,
 * and says so in image->gdt and image->page_table; and at X86_RESET_VECTOR a
 * few real-mode instructions that reset the machine.  private_bit is set in
 * every page table entry and in page_table (AMD APM vol. 2, 15.34.6: C-bit);
 * 0 where there is none.
 */
int x86_tables_add(struct image *image, uint64_t private_bit);
