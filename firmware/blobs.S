/* SPDX-License-Identifier: Apache-2.0 */
/* What is linked into the binary as bytes; declared in firmware/blobs.h. */
	.section .rodata
	.macro blob name, file
	.globl \name, \name\()_end
	.balign 16
\name:	.incbin "\file"
\name\()_end:
	.endm
	blob blob_dsdt, "boot/dsdt.aml"
	blob blob_guest, "firmware/guest.bin"
	.section .note.GNU-stack, "", @progbits
