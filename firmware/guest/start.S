/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything of the embedded guest that C cannot say: the entry in 64-bit
 * mode with RSI = struct boot_params, the way of the other CPUs from real
 * mode to C, and the frames of exceptions and interrupts.
 */
#include "firmware/guest/layout.h"

	.text
	.globl start
start:	cld
	mov	$boot_stack_end, %esp
	pushfq
	pop	%r8
	/*
	 * Where memory can be private all but the file is, and KVM emulates
	 * with the shared memory that it sees: so all of ours is to be shared.
	 * But not where a bit of page table entries says what memory is meant:
	 * it is set in ours, and in CR3.
	 */
	mov	%cr3, %rax
	shr	$32, %rax
	jnz	1f
	mov	$0x40000001, %eax	/* virt/kvm/x86/cpuid.rst */
	cpuid
	bt	$16, %eax		/* KVM_FEATURE_HC_MAP_GPA_RANGE */
	jnc	1f
	mov	$12, %eax		/* KVM_HC_MAP_GPA_RANGE, to shared */
	mov	$bss_start, %ebx
	and	$-4096, %ebx
	mov	$image_end, %ecx
	sub	%ebx, %ecx
	shr	$12, %ecx
	xor	%edx, %edx
	vmmcall
	mov	$12, %eax
	mov	$TRAMPOLINE, %ebx
	mov	$1, %ecx
	vmmcall
1:	mov	$bss_start, %edi
	mov	$bss_end, %ecx
	sub	%edi, %ecx
	shr	$3, %ecx
	xor	%eax, %eax
	rep stosq
	mov	%rsi, entry
	mov	%r8, entry + 8
	mov	%cr0, %rax
	mov	%rax, entry + 16
	mov	%cr4, %rax
	mov	%rax, entry + 24
	mov	%cs, %eax
	mov	%eax, entry + 32
	mov	%ds, %eax
	mov	%eax, entry + 40
	mov	%ss, %eax
	mov	%eax, entry + 48
	lgdt	gdtr
	mov	$GDT_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	pushq	$GDT_CODE64
	pushq	$1f
	lretq
1:	call	main
2:	cli
	hlt
	jmp	2b

/* ---- The other CPUs: copied to TRAMPOLINE, CS = TRAMPOLINE >> 4 ---- */

	.globl	trampoline, trampoline_end, trampoline_cr3
	.code16
trampoline:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	trampoline_gdtr - trampoline
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$GDT_CODE32, $(TRAMPOLINE + 1f - trampoline)
	.code32
1:	mov	$GDT_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%cr4, %eax
	or	$0x20, %eax		/* CR4.PAE */
	mov	%eax, %cr4
	mov	TRAMPOLINE + trampoline_cr3 - trampoline, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax	/* CR0.PG: long mode is active */
	mov	%eax, %cr0
	ljmp	$GDT_CODE64, $ap_start
	.balign	8
/* Here, for without paging it may be that only this page is seen. */
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* 0x08: 32-bit code */
	.quad	0x00af9b000000ffff	/* 0x10: 64-bit code */
	.quad	0x00cf93000000ffff	/* 0x18: data */
gdt_end:
trampoline_gdtr:
	.word	gdt_end - gdt - 1
	.long	TRAMPOLINE + gdt - trampoline
	.balign	8
trampoline_cr3:
	.long	0
trampoline_end:

	.code64
ap_start:
	mov	$1, %eax
	lock xadd %eax, ap_next
	cmp	$MAX_CPUS - 1, %eax
	jae	2b
	mov	%eax, %edi
	inc	%eax
	shl	$AP_STACK_SHIFT, %eax
	lea	ap_stacks(%rax), %rsp
	call	ap_main
	jmp	2b

/* ---- Exceptions and interrupts: 16 bytes of entry code for each ---- */

#define HAS_ERROR_CODE 0x60227d00 /* 8, 10-14, 17, 21, 29, 30 */

	.balign 16
	.globl	vectors
vectors:
	.set	vector, 0
	.rept	NR_VECTORS
	.balign 16
	.if	vector >= 32 || !((HAS_ERROR_CODE >> vector) & 1)
	push	$0
	.endif
	push	$vector
	jmp	trap_entry
	.set	vector, vector + 1
	.endr

trap_entry:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	cld
	call	trap
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq

	.section .data
	.balign	8
gdtr:	.word	gdt_end - gdt - 1
	.quad	gdt

	.section .bss
	.balign	8
	.globl	entry
	.globl	ap_next
entry:	.skip	56
ap_next: .skip	8

	.section .bss.scratch, "aw", @nobits
	.balign	16
	.skip	8192
boot_stack_end:
ap_stacks:
	.skip	(MAX_CPUS - 1) << AP_STACK_SHIFT

	.section .note.GNU-stack, "", @progbits
