/* SPDX-License-Identifier: Apache-2.0 */
/* What is x86 in making a VM and its vCPUs. */
#pragma once

#include "vmm/kvm/vm.h"

struct image;

/* Right after KVM_CREATE_VM: local APICs in the kernel, no PIC, no IOAPIC. */
int x86_init_vm(struct vm *vm);

/* When all vCPUs exist: CPUID with topology, MSRs of a PC after its BIOS. */
int x86_init_vcpus(struct vm *vm);

/*
 * vCPU 0 enters the image in 64-bit mode; the others wait for INIT and SIPI.
 * Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol".
 */
int x86_set_entry(struct vm *vm, const struct image *image);

/*
 * Makes what KVM supports into what vCPU `id` of `count` sees: its APIC id,
 * one package of count cores with one thread each, x2APIC, TSC deadline.
 * cpuid has room for X86_CPUID_MAX entries.  Pure.
 */
#define X86_CPUID_MAX 256
void x86_cpuid_adapt(struct kvm_cpuid2 *cpuid, unsigned int id,
		     unsigned int count, bool tsc_deadline);
