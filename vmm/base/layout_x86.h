/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86 machine as the guest sees it: the same for every VM type.  Also
 * read by the DSDT (boot/dsdt.asl) and the embedded guest, so: only #defines
 * with plain numbers here.
 */
#pragma once

/* Guest physical memory. */
#define X86_GDT 0x1000          /* boot GDT, one page */
#define X86_PAGE_TABLES 0x2000  /* identity map of 4 GiB: 6 pages */
#define X86_BOOT_PARAMS 0x8000  /* struct boot_params, one page */
#define X86_CMDLINE 0x10000     /* up to 64 KiB */
#define X86_LOW_RAM_END 0xa0000 /* E820: RAM ends, legacy area starts */
#define X86_ACPI_TABLES 0xe0000 /* RSDP first; E820 type ACPI */
#define X86_ACPI_TABLES_LEN 0x20000
#define X86_RESET_VECTOR 0xffff0 /* 16 bytes at the end of that area */
#define X86_KERNEL 0x100000      /* lowest address of a kernel */
#define X86_HOLE 0xc0000000      /* 3 GiB: RAM stops below ... */
#define X86_HOLE_END 0x100000000 /* ... and goes on at 4 GiB */
#define X86_ECAM 0xe0000000      /* PCI configuration, bus 0 only: 1 MiB */
#define X86_ECAM_LEN 0x100000
#define X86_PCI_MMIO32 0xc0000000 /* 32-bit BARs */
#define X86_PCI_MMIO32_LEN 0x20000000
#define X86_PCI_MMIO32_LAST 0xdfffffff
/*
 * 64-bit BARs, above the most RAM a guest can have (1 TiB).  A guest with
 * fewer than 42 physical address bits ignores the window and loses nothing:
 * every BAR of ours fits below 4 GiB.
 */
#define X86_PCI_MMIO64 0x20000000000
#define X86_PCI_MMIO64_LEN 0x20000000000
#define X86_PCI_MMIO64_LAST 0x3ffffffffff
#define X86_IOAPIC 0xfec00000 /* none there; KVM's and Linux' convention */
#define X86_LAPIC 0xfee00000

/* I/O ports. */
#define X86_SERIAL 0x3f8
#define X86_SERIAL_LEN 8
/*
 * Power block, 4 byte-wide registers: ACPI 6.5, 4.8.3.7 sleep control and
 * status (hardware-reduced ACPI), the FADT's reset register, and the status
 * with which firmware of ours says how its checks ended (0: all passed).
 */
#define X86_POWER 0x600
#define X86_POWER_LEN 4
#define X86_POWER_SLEEP_CONTROL 0
#define X86_POWER_SLEEP_STATUS 1
#define X86_POWER_RESET 2
#define X86_POWER_GUEST_STATUS 3
#define X86_POWER_SLP_TYP_S5 5 /* SLP_TYPx value of \_S5 */
#define X86_POWER_RESET_VALUE 1
