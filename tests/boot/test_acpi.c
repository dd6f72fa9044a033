/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of boot/acpi.c: what a guest's parser will check, and the bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/acpi.h"
#include "firmware/blobs.h"
#include "suites.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

static uint8_t buf[X86_ACPI_TABLES_LEN];
static int used;

static void build(unsigned int nr_cpus)
{
	memset(buf, 0xa5, sizeof(buf));
	used = acpi_build(buf, sizeof(buf), X86_ACPI_TABLES, nr_cpus);
	ck_assert_int_gt(used, 0);
}

static uint64_t field(const uint8_t *p, unsigned int off, unsigned int len)
{
	uint64_t v = 0;

	memcpy(&v, p + off, len);
	return v;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* The table at gpa, which must lie in the buffer, be whole and sum to 0. */
static const uint8_t *table(uint64_t gpa, const char *signature)
{
	uint64_t off = gpa - X86_ACPI_TABLES;

	ck_assert_uint_ge(gpa, X86_ACPI_TABLES);
	ck_assert_uint_le(off, (uint64_t)used - 36);
	ck_assert_uint_eq(off % 16, 0);
	ck_assert_uint_le(field(buf + off, 4, 4), (uint64_t)used - off);
	ck_assert_uint_eq(sum(buf + off, field(buf + off, 4, 4)), 0);
	ck_assert_mem_eq(buf + off, signature, 4);
	return buf + off;
}

static const uint8_t *xsdt_entry(unsigned int i, const char *signature)
{
	const uint8_t *xsdt = table(field(buf, 24, 8), "XSDT");

	ck_assert_uint_eq(field(xsdt, 4, 4), 36 + 3 * 8);
	return table(field(xsdt, 36 + 8 * i, 8), signature);
}

START_TEST(rsdp_is_first_and_sums_to_zero_twice)
{
	build(1);
	ck_assert_mem_eq(buf, "RSD PTR ", 8);
	ck_assert_uint_eq(buf[15], 2);
	ck_assert_uint_eq(field(buf, 20, 4), 36);
	ck_assert_uint_eq(sum(buf, 20), 0);
	ck_assert_uint_eq(sum(buf, 36), 0);
}
END_TEST

static void is_power_register(const uint8_t *gas, unsigned int off)
{
	ck_assert_uint_eq(gas[0], 1); /* I/O */
	ck_assert_uint_eq(gas[1], 8);
	ck_assert_uint_eq(gas[2], 0);
	ck_assert_uint_eq(gas[3], 1);
	ck_assert_uint_eq(field(gas, 4, 8), X86_POWER + off);
}

START_TEST(fadt_says_hardware_reduced_and_no_legacy)
{
	const uint8_t *f;

	build(1);
	f = xsdt_entry(0, "FACP");
	ck_assert_uint_eq(field(f, 4, 4), 276);
	ck_assert_uint_eq(f[8], 6);
	ck_assert_uint_eq(field(f, 109, 2), 1 << 2 | 1 << 5);
	ck_assert_uint_eq(field(f, 112, 4) & (1 << 20 | 1 << 10),
			  1 << 20 | 1 << 10);
	is_power_register(f + 116, X86_POWER_RESET);
	ck_assert_uint_eq(f[128], X86_POWER_RESET_VALUE);
	is_power_register(f + 244, X86_POWER_SLEEP_CONTROL);
	is_power_register(f + 256, X86_POWER_SLEEP_STATUS);
	/* No SCI, no SMI port, no PM blocks. */
	ck_assert_uint_eq(sum(f + 46, 62), 0);
	table(field(f, 140, 8), "DSDT");
}
END_TEST

static const struct {
	unsigned int cpus, len;
} madts[] = {
	{ 1, 44 + 8 },
	{ 2, 44 + 2 * 8 },
	{ 255, 44 + 255 * 8 },
	{ 256, 44 + 255 * 8 + 16 },
	{ 4096, 44 + 255 * 8 + (4096 - 255) * 16 },
};

START_TEST(madt_lists_every_cpu_once_and_nothing_else)
{
	const uint8_t *m, *e, *end;
	unsigned int id = 0;

	build(madts[_i].cpus);
	m = xsdt_entry(1, "APIC");
	ck_assert_uint_eq(field(m, 4, 4), madts[_i].len);
	ck_assert_uint_eq(field(m, 36, 4), X86_LAPIC);
	ck_assert_uint_eq(field(m, 40, 4), 0);
	end = m + field(m, 4, 4);
	for (e = m + 44; e < end; e += e[1], id++) {
		int wide = id >= 255;

		ck_assert_uint_eq(e[0], wide ? 9 : 0);
		ck_assert_uint_eq(e[1], wide ? 16 : 8);
		ck_assert_uint_eq(wide ? field(e, 4, 4) : e[3], id);
		ck_assert_uint_eq(wide ? field(e, 12, 4) : e[2], id);
		ck_assert_uint_eq(field(e, wide ? 8 : 4, 4), 1);
	}
	ck_assert_ptr_eq(e, end);
	ck_assert_uint_eq(id, madts[_i].cpus);
}
END_TEST

START_TEST(mcfg_names_bus_zero_only)
{
	const uint8_t *m;

	build(1);
	m = xsdt_entry(2, "MCFG");
	ck_assert_uint_eq(field(m, 4, 4), 60);
	ck_assert_uint_eq(field(m, 44, 8), X86_ECAM);
	ck_assert_uint_eq(field(m, 52, 8), 0);
}
END_TEST

START_TEST(dsdt_is_the_same_for_every_machine)
{
	uint8_t first[4096];
	size_t len = (size_t)(blob_dsdt_end - blob_dsdt);
	const uint8_t *d;

	ck_assert_uint_le(len, sizeof(first));
	build(1);
	d = table(field(xsdt_entry(0, "FACP"), 140, 8), "DSDT");
	memcpy(first, d, len);
	build(255);
	d = table(field(xsdt_entry(0, "FACP"), 140, 8), "DSDT");
	ck_assert_uint_eq(field(d, 4, 4), len);
	ck_assert_mem_eq(first, d, len);
	ck_assert_mem_eq(d + 36, blob_dsdt + 36, len - 36);
}
END_TEST

START_TEST(refuses_a_buffer_that_is_too_small)
{
	build(300);
	for (size_t room = 0; room < (size_t)used; room++) {
		uint8_t *small = malloc(room + 1);
		int rc;

		ck_assert_ptr_nonnull(small);
		small[room] = 0x5a;
		rc = acpi_build(small, room, X86_ACPI_TABLES, 300);
		ck_assert_int_eq(rc, -ENOSPC);
		ck_assert_uint_eq(small[room], 0x5a);
		free(small);
	}
	ck_assert_ptr_nonnull(strstr(err_text(), "fewer CPUs"));
	ck_assert_int_eq(acpi_build(buf, (size_t)used, 0xe0000, 300), used);
}
END_TEST

/*
 * The bytes themselves, as text.  After an intended change:
 * CVMM_GOLDEN=write build/tests/run, and read the diff.
 */
#define GOLDEN "tests/golden/acpi/tables_2_cpus.hex"

START_TEST(bytes_are_the_golden_ones)
{
	FILE *f;

	build(2);
	if (getenv("CVMM_GOLDEN")) {
		f = fopen(GOLDEN, "w");
		ck_assert_ptr_nonnull(f);
		for (int i = 0; i < used; i++)
			fprintf(f, "%02x%c", buf[i], i % 16 == 15 ? '\n' : ' ');
		fputc('\n', f);
		fclose(f);
	}
	f = fopen(GOLDEN, "r");
	ck_assert_msg(f, "%s: %s", GOLDEN, strerror(errno));
	for (int i = 0; i < used; i++) {
		unsigned int byte;

		ck_assert_int_eq(fscanf(f, "%x", &byte), 1);
		ck_assert_msg(byte == buf[i], "byte %#x is %02x, not %02x", i,
			      buf[i], byte);
	}
	ck_assert_int_eq(fscanf(f, " %*c"), EOF);
	fclose(f);
}
END_TEST

static void write_table(const char *dir, const char *name, const uint8_t *t)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	f = fopen(path, "wb");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(t, 1, field(t, 4, 4), f), field(t, 4, 4));
	fclose(f);
}

/* Disassembled, compiled again, compared, and searched for code. */
static const char round_trip[] =
	"cd $CVMM_DIR || exit 1\n"
	"for t in facp apic mcfg xsdt dsdt; do\n"
	"  iasl -d $t.dat || exit 1\n"
	"  ! grep -iE 'invalid|unknown|error' $t.dsl || exit 1\n"
	"  iasl -ve -p new $t.dsl || exit 1\n"
	/* All but the header, where iasl puts its own version. */
	"  tail -c +37 $t.dat >old.body; tail -c +37 new.aml >new.body\n"
	"  cmp old.body new.body || exit 1\n"
	"done >log 2>&1\n"
	"grep -q _CRS dsdt.dsl && ! grep -q Method dsdt.dsl";

START_TEST(iasl_reads_every_table_and_finds_no_method)
{
	char dir[] = "/tmp/cvmm-acpi-XXXXXX", cleanup[64];
	const uint8_t *fadt;

	if (system("command -v iasl >/dev/null 2>&1"))
		return;
	build(2);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	fadt = xsdt_entry(0, "FACP");
	write_table(dir, "facp", fadt);
	write_table(dir, "apic", xsdt_entry(1, "APIC"));
	write_table(dir, "mcfg", xsdt_entry(2, "MCFG"));
	write_table(dir, "xsdt", table(field(buf, 24, 8), "XSDT"));
	write_table(dir, "dsdt", table(field(fadt, 140, 8), "DSDT"));
	setenv("CVMM_DIR", dir, 1);
	ck_assert_msg(system(round_trip) == 0, "see %s/log", dir);
	snprintf(cleanup, sizeof(cleanup), "rm -r %s", dir);
	ck_assert_int_eq(system(cleanup), 0);
}
END_TEST

Suite *acpi_suite(void)
{
	Suite *s = suite_create("acpi");
	TCase *tc = tcase_create("acpi");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, rsdp_is_first_and_sums_to_zero_twice);
	tcase_add_test(tc, fadt_says_hardware_reduced_and_no_legacy);
	tcase_add_loop_test(tc, madt_lists_every_cpu_once_and_nothing_else, 0,
			    sizeof(madts) / sizeof(madts[0]));
	tcase_add_test(tc, mcfg_names_bus_zero_only);
	tcase_add_test(tc, dsdt_is_the_same_for_every_machine);
	tcase_add_test(tc, refuses_a_buffer_that_is_too_small);
	tcase_add_test(tc, bytes_are_the_golden_ones);
	tcase_add_test(tc, iasl_reads_every_table_and_finds_no_method);
	suite_add_tcase(s, tc);
	return s;
}
