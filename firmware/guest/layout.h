/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers shared by the assembly and the C of the embedded guest. */
#pragma once

#define MAX_CPUS 255
#define AP_STACK_SHIFT 11  /* 2 KiB for each of the other CPUs */
#define TRAMPOLINE 0x20000 /* free RAM below 1 MiB; SIPI vector is >> 12 */
#define NR_VECTORS 48      /* exceptions, then 16 interrupts */
#define GDT_CODE32 0x08
#define GDT_CODE64 0x10 /* as at entry */
#define GDT_DATA 0x18
