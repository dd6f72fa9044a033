/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of the x86 machine: hardware-reduced, no legacy parts, the
 * same bytes on every host.
 */
#pragma once

#include "vmm/base/util.h"

/*
 * Writes RSDP (at buf), XSDT, FADT, MADT, MCFG and the constant DSDT, as they
 * will be seen at gpa (16-byte aligned), for APIC ids 0 to nr_cpus - 1.
 * Nothing but gpa and nr_cpus decides the bytes.  Returns how many bytes of
 * buf are used; -ENOSPC: more than room.
 */
int acpi_build(uint8_t *buf, size_t room, gpa_t gpa, unsigned int nr_cpus);
