/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What acpi.h declares.  Layouts from ACPI 6.5, chapter 5.2; MCFG from PCI
 * Firmware 3.3, 4.1.2.  Fields not named here are zero.
 */
#include "boot/acpi.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "firmware/blobs.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

#define PACKED __attribute__((packed))

struct acpi_rsdp { /* 5.2.5.3 */
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} PACKED;
#define RSDP_V1_LEN 20

struct acpi_header { /* 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;

struct acpi_xsdt {
	struct acpi_header header;
	uint64_t tables[3];
} PACKED;

struct acpi_gas { /* generic address structure, 5.2.3.2 */
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
} PACKED;
#define GAS_IO 1
#define GAS_ACCESS_BYTE 1

struct acpi_fadt { /* 5.2.9; what hardware-reduced ACPI ignores is left out */
	struct acpi_header header;
	uint32_t firmware_ctrl, dsdt;
	uint8_t int_model, pm_profile;
	uint8_t ignored_legacy_blocks[62];
	uint8_t century;
	uint16_t boot_arch;
	uint8_t reserved;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct acpi_gas ignored_x_blocks[8];
	struct acpi_gas sleep_control, sleep_status;
	uint64_t hypervisor;
} PACKED;
#define FADT_REVISION 6
#define FADT_MINOR 5
#define FADT_PROFILE_ENTERPRISE_SERVER 4
#define FADT_BOOT_NO_VGA (1 << 2)
#define FADT_BOOT_NO_CMOS_RTC (1 << 5)
#define FADT_WBINVD (1 << 0)
#define FADT_PWR_BUTTON (1 << 4) /* set: no fixed-hardware button */
#define FADT_SLP_BUTTON (1 << 5) /* likewise */
#define FADT_RESET_REG_SUP (1 << 10)
#define FADT_HW_REDUCED_ACPI (1 << 20)

struct acpi_madt { /* 5.2.12 */
	struct acpi_header header;
	uint32_t lapic;
	uint32_t flags; /* PCAT_COMPAT clear: no 8259s */
} PACKED;
#define MADT_ENABLED 1

struct madt_lapic { /* type 0 */
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} PACKED;

struct madt_x2apic { /* type 9 */
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id, flags, uid;
} PACKED;
#define MADT_X2APIC 9
#define FIRST_X2APIC_ID 255

struct acpi_mcfg {
	struct acpi_header header;
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved2;
} PACKED;

_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
_Static_assert(sizeof(struct acpi_header) == 36, "table header");
_Static_assert(offsetof(struct acpi_fadt, boot_arch) == 109, "FADT");
_Static_assert(offsetof(struct acpi_fadt, reset_reg) == 116, "FADT");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "FADT");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "FADT");
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT");
_Static_assert(sizeof(struct acpi_mcfg) == 60, "MCFG");

#define TABLE_ALIGN 16
#define DSDT_REVISION 2 /* 64-bit integers */
#define MADT_REVISION 5

struct tables {
	uint8_t *buf;
	size_t room, used;
	gpa_t gpa;
};

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

/* Room for len zeroed bytes, or NULL and t->used says what was wanted. */
static void *reserve(struct tables *t, size_t len)
{
	size_t end = t->used, at = align_up(end, TABLE_ALIGN);

	t->used = at + len;
	if (t->used > t->room)
		return NULL;
	memset(t->buf + end, 0, t->used - end); /* what is between, too */
	return t->buf + at;
}

static void fill_header(struct acpi_header *h, const char *signature,
			uint8_t revision, size_t len)
{
	*h = (struct acpi_header){
		.length = (uint32_t)len,
		.revision = revision,
		.oem_id = { 'C', 'V', 'M', 'M' },
		.oem_table_id = { 'C', 'V', 'M', 'M' },
		.oem_revision = 1,
		.creator_id = { 'C', 'V', 'M', 'M' },
		.creator_revision = 1,
	};
	memcpy(h->signature, signature, sizeof(h->signature));
}

/* Seals a table whose bytes are complete and returns its address. */
static gpa_t seal(const struct tables *t, struct acpi_header *h)
{
	h->checksum = checksum(h, h->length);
	return t->gpa + (gpa_t)((uint8_t *)h - t->buf);
}

static gpa_t add_dsdt(struct tables *t)
{
	size_t len = (size_t)(blob_dsdt_end - blob_dsdt);
	uint8_t *p = reserve(t, len);

	if (!p)
		return 0;
	memcpy(p, blob_dsdt, len);
	/* A header of our own: iasl's names its version. */
	fill_header((struct acpi_header *)p, "DSDT", DSDT_REVISION, len);
	return seal(t, (struct acpi_header *)p);
}

static struct acpi_gas power_register(unsigned int off)
{
	return (struct acpi_gas){
		.space = GAS_IO,
		.bit_width = 8,
		.access_size = GAS_ACCESS_BYTE,
		.address = X86_POWER + off,
	};
}

static gpa_t add_fadt(struct tables *t, gpa_t dsdt)
{
	struct acpi_fadt *f = reserve(t, sizeof(*f));

	if (!f)
		return 0;
	fill_header(&f->header, "FACP", FADT_REVISION, sizeof(*f));
	f->minor_version = FADT_MINOR;
	f->pm_profile = FADT_PROFILE_ENTERPRISE_SERVER;
	f->boot_arch = FADT_BOOT_NO_VGA | FADT_BOOT_NO_CMOS_RTC;
	f->flags = FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON |
		   FADT_RESET_REG_SUP | FADT_HW_REDUCED_ACPI;
	f->reset_reg = power_register(X86_POWER_RESET);
	f->reset_value = X86_POWER_RESET_VALUE;
	f->sleep_control = power_register(X86_POWER_SLEEP_CONTROL);
	f->sleep_status = power_register(X86_POWER_SLEEP_STATUS);
	/* X_DSDT alone: with both set they must agree, 5.2.9. */
	f->x_dsdt = dsdt;
	return seal(t, &f->header);
}

static void fill_cpu(uint8_t **at, unsigned int id)
{
	if (id < FIRST_X2APIC_ID) {
		const struct madt_lapic e = {
			.length = sizeof(e),
			.uid = (uint8_t)id,
			.apic_id = (uint8_t)id,
			.flags = MADT_ENABLED,
		};

		memcpy(*at, &e, sizeof(e));
		*at += sizeof(e);
	} else {
		const struct madt_x2apic e = {
			.type = MADT_X2APIC,
			.length = sizeof(e),
			.apic_id = id,
			.flags = MADT_ENABLED,
			.uid = id,
		};

		memcpy(*at, &e, sizeof(e));
		*at += sizeof(e);
	}
}

static gpa_t add_madt(struct tables *t, unsigned int nr_cpus)
{
	size_t nr_lapic = min_of(nr_cpus, FIRST_X2APIC_ID);
	size_t len = sizeof(struct acpi_madt) +
		     nr_lapic * sizeof(struct madt_lapic) +
		     (nr_cpus - nr_lapic) * sizeof(struct madt_x2apic);
	struct acpi_madt *m = reserve(t, len);
	uint8_t *at;

	if (!m)
		return 0;
	at = (uint8_t *)(m + 1);
	fill_header(&m->header, "APIC", MADT_REVISION, len);
	m->lapic = X86_LAPIC;
	for (unsigned int id = 0; id < nr_cpus; id++)
		fill_cpu(&at, id);
	return seal(t, &m->header);
}

static gpa_t add_mcfg(struct tables *t)
{
	struct acpi_mcfg *m = reserve(t, sizeof(*m));

	if (!m)
		return 0;
	fill_header(&m->header, "MCFG", 1, sizeof(*m));
	m->base = X86_ECAM; /* segment 0, bus 0 to 0 */
	return seal(t, &m->header);
}

static gpa_t add_xsdt(struct tables *t, unsigned int nr_cpus)
{
	struct acpi_xsdt *x = reserve(t, sizeof(*x));
	gpa_t fadt = add_fadt(t, add_dsdt(t));
	gpa_t madt = add_madt(t, nr_cpus);
	gpa_t mcfg = add_mcfg(t);

	if (t->used > t->room)
		return 0;
	fill_header(&x->header, "XSDT", 1, sizeof(*x));
	x->tables[0] = fadt;
	x->tables[1] = madt;
	x->tables[2] = mcfg;
	return seal(t, &x->header);
}

int acpi_build(uint8_t *buf, size_t room, gpa_t gpa, unsigned int nr_cpus)
{
	struct tables t = { .buf = buf, .room = room, .gpa = gpa };
	struct acpi_rsdp *r = reserve(&t, sizeof(*r));
	gpa_t xsdt = add_xsdt(&t, nr_cpus);

	assert(nr_cpus && gpa % TABLE_ALIGN == 0);
	if (t.used > room)
		return err_set(-ENOSPC,
			       "ACPI tables for %u CPUs need %zu bytes, "
			       "there is room for %zu: configure fewer CPUs",
			       nr_cpus, t.used, room);
	*r = (struct acpi_rsdp){
		.oem_id = { 'C', 'V', 'M', 'M' },
		.revision = 2,
		.length = sizeof(*r),
		.xsdt = xsdt,
	};
	memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
	r->checksum = checksum(r, RSDP_V1_LEN);
	r->extended_checksum = checksum(r, sizeof(*r));
	return (int)t.used;
}
