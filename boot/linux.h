/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Linux bzImage by the x86 boot protocol (Linux, x86/boot.rst), 64-bit
 * entry only.
 */
#pragma once

#include <asm/bootparam.h>

#include "boot/boot.h"

#define LINUX_HEAD_LEN 4096 /* how much of the file linux_parse() looks at */

struct linux_kernel {
	struct setup_header hdr;
	uint64_t protected_off; /* the protected-mode part in the file */
	uint64_t protected_len;
	gpa_t low;     /* it needs RAM from here ... */
	uint64_t need; /* ... so many bytes, if it unpacks itself */
};

/*
 * Checks the file of file_len bytes that starts with the len bytes at head
 * (LINUX_HEAD_LEN or the whole file).  -ENOEXEC with text otherwise.
 */
int linux_parse(struct linux_kernel *k, const uint8_t *head, size_t len,
		uint64_t file_len);

/*
 * Adds the kernel, and sets the entry point, k->hdr's KASLR flag and the note.
 * fd is the image's.  All else is in the image already, and [k->low, k->low +
 * k->need) is free of it and below ram_end.
 */
int linux_add(struct image *image, struct linux_kernel *k, int fd,
	      const struct boot_request *req, gpa_t ram_end);

/* A header for kernels that have none of their own: what loaders fill in. */
struct setup_header linux_default_header(void);

struct linux_initrd {
	gpa_t gpa;
	uint64_t len; /* 0: none */
};

/*
 * Adds struct boot_params at X86_BOOT_PARAMS: hdr, E820, where the command
 * line, the ACPI tables and the initrd are.
 */
int linux_add_params(struct image *image, const struct memmap *map,
		     const struct setup_header *hdr,
		     const struct linux_initrd *initrd);
