/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables: whether they are sound, and what they say of the machine. */
#include "firmware/guest/guest.h"

#define BP_ACPI_RSDP 0x70 /* Documentation/arch/x86/zero-page.rst */
#define TABLE_MAX (1u << 20)

/* ACPI 6.5, 5.2.5.3, 5.2.6 and 5.2.8. */
#define RSDP_LEN 36
#define RSDP_V1_LEN 20
#define RSDP_REVISION 15
#define RSDP_XSDT 24
#define SDT_HEADER 36

/* ACPI 6.5, 5.2.9. */
#define FADT_FLAGS 112
#define FADT_RESET_REG 116
#define FADT_RESET_VALUE 128
#define FADT_X_DSDT 140
#define FADT_SLEEP_CONTROL 244
#define FADT_LEN 268 /* up to and with SLEEP_STATUS_REG */
#define FADT_RESET_SUPPORTED (1u << 10)
#define FADT_HW_REDUCED (1u << 20)
#define GAS_IO 1
#define GAS_ADDRESS 4

/* ACPI 6.5, 5.2.12. */
#define MADT_ENTRIES 44
#define MADT_LAPIC 0
#define MADT_X2APIC 9
#define MADT_ENABLED 1

/* PCI firmware specification 3.3, 4.1.2. */
#define MCFG_BASE 44

struct acpi acpi = {
	/* Until the FADT says more. */
	.sleep_port = X86_POWER + X86_POWER_SLEEP_CONTROL,
	.reset_port = X86_POWER + X86_POWER_RESET,
	.reset_value = X86_POWER_RESET_VALUE,
};

static bool sums_to_zero(uint64_t addr, uint32_t len)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += *(const uint8_t *)(addr + i);
	return !sum;
}

/* Length of the table at addr; 0 if it is not sound. */
static uint32_t table_len(uint64_t addr)
{
	uint32_t len;

	if (!addr || addr > X86_HOLE - TABLE_MAX)
		return 0;
	len = load32(addr + 4);
	if (len < SDT_HEADER || len > TABLE_MAX || !sums_to_zero(addr, len))
		return 0;
	return len;
}

static uint16_t gas_port(uint64_t gas)
{
	uint64_t port = load64(gas + GAS_ADDRESS);

	return *(const uint8_t *)gas == GAS_IO && port < 0x10000
		       ? (uint16_t)port
		       : 0;
}

static void read_fadt(uint64_t fadt, uint32_t len)
{
	uint32_t flags = load32(fadt + FADT_FLAGS), dsdt;
	uint32_t both = FADT_HW_REDUCED | FADT_RESET_SUPPORTED;
	uint16_t sleep, reset;

	check_in("FADT: length", FADT_LEN, TABLE_MAX, len);
	if (len < FADT_LEN)
		return;
	check_bits("FADT: hardware reduced, with a reset register", both,
		   flags & both);
	sleep = gas_port(fadt + FADT_SLEEP_CONTROL);
	reset = gas_port(fadt + FADT_RESET_REG);
	check_that("FADT: sleep control is a port", sleep);
	check_that("FADT: reset register is a port", reset);
	acpi.sleep_port = sleep ? sleep : acpi.sleep_port;
	acpi.reset_port = reset ? reset : acpi.reset_port;
	acpi.reset_value = *(const uint8_t *)(fadt + FADT_RESET_VALUE);
	dsdt = table_len(load64(fadt + FADT_X_DSDT));
	check_that("DSDT: checksum", dsdt);
}

static void add_cpu(uint32_t id)
{
	if (acpi.nr_cpus < MAX_CPUS)
		acpi.cpus[acpi.nr_cpus] = id;
	acpi.nr_cpus++;
}

static bool ids_differ(void)
{
	for (unsigned int i = 1; i < acpi.nr_cpus; i++)
		for (unsigned int k = 0; k < i; k++)
			if (acpi.cpus[i] == acpi.cpus[k])
				return false;
	return true;
}

static void read_madt(uint64_t madt, uint32_t len)
{
	uint32_t off = MADT_ENTRIES;

	while (off + 2 <= len) {
		const uint8_t *e = (const uint8_t *)(madt + off);
		uint32_t entry_len = e[1];

		if (entry_len < 2 || entry_len > len - off)
			break;
		if (e[0] == MADT_LAPIC && entry_len >= 8 && e[4] & MADT_ENABLED)
			add_cpu(e[3]);
		if (e[0] == MADT_X2APIC && entry_len >= 16 &&
		    e[8] & MADT_ENABLED)
			add_cpu(load32(madt + off + 4));
		off += entry_len;
	}
	check_is("MADT: entries end where the table ends", len, off);
	check_in("MADT: CPUs", 1, MAX_CPUS, acpi.nr_cpus);
	if (acpi.nr_cpus > MAX_CPUS)
		acpi.nr_cpus = MAX_CPUS;
	check_that("MADT: no APIC id twice", ids_differ());
}

/* Which tables there are; one bit each. */
enum { FOUND_FADT = 1, FOUND_MADT = 2, FOUND_MCFG = 4 };

static unsigned int read_table(uint64_t addr, uint32_t len)
{
	switch (load32(addr)) {
	case 0x50434146: /* FACP */
		read_fadt(addr, len);
		return FOUND_FADT;
	case 0x43495041: /* APIC */
		read_madt(addr, len);
		return FOUND_MADT;
	case 0x4746434d: /* MCFG */
		check_bits("MCFG: base", X86_ECAM, load64(addr + MCFG_BASE));
		return FOUND_MCFG;
	default:
		return 0;
	}
}

void acpi_check(void)
{
	uint64_t rsdp = load64(entry.boot_params + BP_ACPI_RSDP), xsdt;
	unsigned int found = 0, bad = 0;
	uint32_t len;

	check_bits("RSDP: address", X86_ACPI_TABLES, rsdp);
	if (!rsdp || rsdp >= X86_HOLE)
		return;
	check_bits("RSDP: signature", 0x2052545020445352, load64(rsdp));
	check_is("RSDP: revision", 2, *(const uint8_t *)(rsdp + RSDP_REVISION));
	check_that("RSDP: checksums", sums_to_zero(rsdp, RSDP_V1_LEN) &&
					      sums_to_zero(rsdp, RSDP_LEN));
	xsdt = load64(rsdp + RSDP_XSDT);
	len = table_len(xsdt);
	check_that("XSDT: checksum", len && load32(xsdt) == 0x54445358);
	for (uint32_t off = SDT_HEADER; off + 8 <= len; off += 8) {
		uint64_t table = load64(xsdt + off);
		uint32_t table_size = table_len(table);

		if (table_size)
			found |= read_table(table, table_size);
		else
			bad++;
	}
	check_is("ACPI: tables with a bad checksum", 0, bad);
	check_bits("ACPI: FADT, MADT, MCFG",
		   FOUND_FADT | FOUND_MADT | FOUND_MCFG, found);
}
