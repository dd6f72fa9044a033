/* SPDX-License-Identifier: Apache-2.0 */
/* What is linked into the binary as bytes; declared in firmware/blobs.h. */
#include "vmm/base/layout_x86.h"

	.section .rodata
	.macro blob name, file
	.globl \name, \name\()_end
	.balign 16
\name:	.incbin "\file"
\name\()_end:
	.endm
	blob blob_dsdt, "boot/dsdt.aml"
	blob blob_guest, "firmware/guest.bin"

	/*
	 * What a PC has at its reset vector.  Linux on hardware-reduced ACPI
	 * without EFI does not use the FADT's reset register: it goes back
	 * to real mode and jumps to f000:fff0 (arch/x86/kernel/reboot.c).
	 */
	.code16
	.globl blob_reset, blob_reset_end
blob_reset:
	movb $X86_POWER_RESET_VALUE, %al
	movw $(X86_POWER + X86_POWER_RESET), %dx
	outb %al, %dx
1:	cli
	hlt
	jmp 1b
blob_reset_end:
	.code64

	.section .note.GNU-stack, "", @progbits
