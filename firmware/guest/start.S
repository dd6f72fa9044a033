/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the embedded guest: 64-bit mode, RSI = struct boot_params. */
	.text
	.globl start
start:	hlt
	jmp start
	.section .note.GNU-stack, "", @progbits
