/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the launch list: a Linux kernel by the x86 boot protocol, or the
 * embedded guest.  Knows files and guest physical addresses; never KVM.
 */
#pragma once

#include "boot/image.h"
#include "boot/memmap.h"

enum boot_decompress {
	BOOT_DECOMPRESS_AUTO, /* on the host where it can be done */
	BOOT_DECOMPRESS_GUEST /* enter the bzImage; it unpacks itself */
};

struct boot_request {
	const char *kernel;  /* bzImage or ELF vmlinux; NULL: embedded guest */
	const char *initrd;  /* NULL: none */
	const char *cmdline; /* not NULL */
	enum boot_decompress decompress;
	uint64_t memory;      /* bytes of RAM, multiple of the page size */
	unsigned int nr_cpus; /* APIC ids 0 .. nr_cpus - 1 */
	uint64_t private_bit; /* in page table entries; 0: none */
	/*
	 * Linux' SWIOTLB pool, a multiple of 4 MiB; 0: as it likes.  Where
	 * it is only a guess that does not fit is left out.
	 */
	uint64_t swiotlb;
	bool swiotlb_guess;
	uint64_t seed; /* for KASLR: random unless the image is measured */
};

/*
 * Builds the whole launch list for req: GDT, page tables, ACPI tables,
 * boot_params with E820, command line, initrd, kernel; and the entry state.
 * Errors name the file and the fix.  On failure the image is destroyed.
 */
int boot_build(struct image *image, const struct boot_request *req);
