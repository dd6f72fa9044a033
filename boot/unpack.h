/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compressed kernel, unpacked on the host straight into guest memory: what
 * the kernel's own unpacker does in the guest, faster and with
 * the same result, randomized addresses included.
 */
#pragma once

#include "boot/decompress.h"
#include "boot/elf.h"
#include "boot/image.h"

/*
 * The payload unpacks to an ELF file at the start of the region, followed by
 * relocations.  Segment addresses grow slower than file offsets, so with the
 * first (the largest: code) already where it belongs all others only ever
 * move towards lower addresses:
 *
 *	region  |hdr| code    | pad | data | pad | init  |relocs| scratch
 *	loaded      | code    |data | init |  bss  |
 *	            ^ kernel_at
 */
struct unpack {
	const struct decompress_codec *codec;
	uint64_t off, len;  /* the payload in the file */
	uint64_t out_len;   /* what comes out of it */
	uint64_t scratch;   /* room the codec needs behind that */
	struct elf elf;     /* addresses relative to what it was linked for */
	uint64_t kernel_at; /* where in the region the kernel gets to be */
	uint64_t kernel_len;
	uint64_t region_len;
	uint64_t base;  /* physical address it was linked for */
	uint32_t shift; /* of its virtual addresses */
};

/*
 * Looks at the payload of len bytes at off of fd, of a kernel linked for the
 * physical address base, and plans how to unpack it.  -errno, with text: it
 * cannot be done here, let the guest do it.
 */
int unpack_plan(struct unpack *u, int fd, uint64_t off, uint64_t len,
		uint64_t base);

/* Whether the kernel can run at another virtual address. */
bool unpack_relocatable(const struct unpack *u);

/*
 * Adds the region, so that the kernel is loaded at gpa (page aligned, at least
 * kernel_at).  u is malloc()ed and belongs to the image, as does fd, also on
 * failure.
 */
int unpack_add(struct image *image, struct unpack *u, int fd, gpa_t gpa);
