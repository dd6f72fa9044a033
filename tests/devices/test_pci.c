/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/pci.c. */
#include <errno.h>
#include <string.h>

#include "devices/pci.h"
#include "suites.h"
#include "vmm/base/layout_x86.h"

static struct pci_bus pci;
static struct bus bus;
static uint8_t config[PCI_CONFIG_EXT_LEN], writable[PCI_CONFIG_EXT_LEN];
static unsigned int read_off, read_len, written_off, written_len;

static void reading(struct pci_device *d, unsigned int off, unsigned int len)
{
	read_off = off;
	read_len = len;
	d->config[off]++;
}

static void written(struct pci_device *d, unsigned int off, unsigned int len)
{
	(void)d;
	written_off = off;
	written_len = len;
}

static struct pci_device device;

static void setup(unsigned int len)
{
	bus = (struct bus){ 0 };
	pci_bus_init(&pci);
	ck_assert_int_eq(bus_add(&bus, &pci.window), 0);
	memset(config, 0x11, sizeof(config));
	memset(writable, 0, sizeof(writable));
	device = (struct pci_device){
		.name = "test",
		.len = len,
		.config = config,
		.writable = writable,
	};
	ck_assert_int_eq(pci_add(&pci, &device), 1);
}

static uint64_t in(unsigned int slot, unsigned int fn, unsigned int reg,
		   unsigned int len)
{
	uint64_t v = 0;

	bus_read(&bus, X86_ECAM + (slot << 15 | fn << 12 | reg), &v, len);
	return v;
}

static void out(unsigned int slot, unsigned int reg, uint64_t v,
		unsigned int len)
{
	bus_write(&bus, X86_ECAM + (slot << 15 | reg), &v, len);
}

START_TEST(host_bridge_is_there_and_read_only)
{
	setup(PCI_CONFIG_LEN);
	ck_assert_uint_eq(in(0, 0, 0, 4), 0x00081b36);
	ck_assert_uint_eq(in(0, 0, 8, 4), 0x06000000);
	ck_assert_uint_eq(in(0, 0, 0x0b, 1), 6);
	ck_assert_uint_eq(in(0, 0, 0x0e, 1), 0); /* type 0, one function */
	for (unsigned int reg = 0; reg < PCI_CONFIG_LEN; reg += 4) {
		uint64_t v = in(0, 0, reg, 4);

		ck_assert(reg < 0x10 || !v); /* no BAR, no capability */
		out(0, reg, ~v, 4);
		ck_assert_uint_eq(in(0, 0, reg, 4), v);
	}
}
END_TEST

static const struct {
	unsigned int slot, fn, reg, len;
} absent[] = {
	{ 2, 0, 0, 4 },   { 31, 0, 0, 4 },     { 0, 1, 0, 4 },
	{ 1, 7, 0, 2 },   { 1, 0, 256, 4 },    { 1, 0, 0xffc, 4 },
	{ 1, 0, 0, 8 },   { 1, 0, 1, 4 },      { 1, 0, 3, 2 },
	{ 1, 0, 254, 4 }, { 31, 7, 0xfff, 1 },
};

START_TEST(nothing_there_reads_all_ones_and_takes_writes)
{
	unsigned int len = absent[_i].len;
	uint8_t copy[sizeof(config)];

	setup(PCI_CONFIG_LEN);
	memset(writable, 0xff, sizeof(writable));
	device.written = written;
	written_len = 0;
	memcpy(copy, config, sizeof(config));
	ck_assert_uint_eq(in(absent[_i].slot, absent[_i].fn, absent[_i].reg,
			     len),
			  UINT64_MAX >> (64 - 8 * len));
	out(absent[_i].slot, absent[_i].fn << 12 | absent[_i].reg, 0, len);
	ck_assert_mem_eq(config, copy, sizeof(config));
	ck_assert_uint_eq(written_len, 0);
}
END_TEST

START_TEST(writes_change_writable_bits_only)
{
	setup(PCI_CONFIG_EXT_LEN);
	device.written = written;
	writable[4] = 0x07;
	writable[5] = 0xf0;
	out(1, 4, 0xffffffff, 4);
	ck_assert_uint_eq(in(1, 0, 4, 4), 0x1111f117);
	ck_assert_uint_eq(written_off, 4);
	ck_assert_uint_eq(written_len, 4);
	out(1, 5, 0, 1);
	ck_assert_uint_eq(in(1, 0, 4, 2), 0x0117);
	ck_assert_uint_eq(written_off, 5);
	ck_assert_uint_eq(written_len, 1);
	writable[0xffe] = 0xff;
	out(1, 0xffe, 0xabcd, 2);
	ck_assert_uint_eq(in(1, 0, 0xffc, 4), 0x11cd1111);
}
END_TEST

START_TEST(device_may_refresh_what_is_read)
{
	setup(PCI_CONFIG_LEN);
	device.reading = reading;
	ck_assert_uint_eq(in(1, 0, 0x40, 2), 0x1112);
	ck_assert_uint_eq(read_off, 0x40);
	ck_assert_uint_eq(read_len, 2);
	ck_assert_uint_eq(in(1, 0, 0x40, 1), 0x13);
}
END_TEST

START_TEST(takes_31_devices_beside_the_bridge)
{
	setup(PCI_CONFIG_LEN);
	for (int slot = 2; slot < PCI_SLOTS; slot++)
		ck_assert_int_eq(pci_add(&pci, &device), slot);
	ck_assert_int_eq(pci_add(&pci, &device), -ENOSPC);
	ck_assert_uint_eq(in(31, 0, 0xfc, 4), 0x11111111);
}
END_TEST

/* ---- BARs ---- */

#define BAR_LEN 0x1000
#define NR 31

static struct pci_device many[NR];
static uint8_t configs[NR][PCI_CONFIG_LEN], bar_writable[PCI_CONFIG_LEN];
static uint64_t moved_to[NR];
static unsigned int accesses[NR];
static uint64_t last_off;

static unsigned int index_of(const struct pci_device *d)
{
	return (unsigned int)(d - many);
}

static void bar_read(struct pci_device *d, uint64_t off, void *data,
		     unsigned int len)
{
	memset(data, (int)index_of(d) + 1, len);
	accesses[index_of(d)]++;
	last_off = off;
}

static void bar_write(struct pci_device *d, uint64_t off, const void *data,
		      unsigned int len)
{
	(void)data;
	(void)len;
	accesses[index_of(d)]++;
	last_off = off;
}

static void bar_moved(struct pci_device *d, uint64_t base)
{
	moved_to[index_of(d)] = base;
}

static void setup_many(void)
{
	bus = (struct bus){ 0 };
	pci_bus_init(&pci);
	ck_assert_int_eq(bus_add(&bus, &pci.window), 0);
	ck_assert_int_eq(bus_add(&bus, &pci.bars[0]), 0);
	ck_assert_int_eq(bus_add(&bus, &pci.bars[1]), 0);
	bar_writable[4] = 2;
	memset(bar_writable + 0x11, 0xf0, 1);
	memset(bar_writable + 0x12, 0xff, 6);
	for (unsigned int i = 0; i < NR; i++) {
		many[i] = (struct pci_device){ .name = "test",
					       .len = PCI_CONFIG_LEN,
					       .config = configs[i],
					       .writable = bar_writable,
					       .bar_len = BAR_LEN,
					       .bar_read = bar_read,
					       .bar_write = bar_write,
					       .bar_moved = bar_moved };
		moved_to[i] = PCI_NOWHERE;
		accesses[i] = 0;
		ck_assert_int_eq(pci_add(&pci, &many[i]), (int)i + 1);
	}
}

static uint8_t peek(uint64_t addr, unsigned int len)
{
	uint8_t data[8];

	bus_read(&bus, addr, data, len);
	for (unsigned int i = 1; i < len; i++)
		ck_assert_uint_eq(data[i], data[0]);
	return data[0];
}

static void place(unsigned int slot, uint64_t addr)
{
	out(slot, 0x10, (uint32_t)addr, 4);
	out(slot, 0x14, addr >> 32, 4);
}

START_TEST(gives_every_bar_a_place_of_its_own)
{
	uint64_t bases[NR];

	setup_many();
	for (unsigned int i = 0; i < NR; i++) {
		bases[i] = in(i + 1, 0, 0x10, 4) & ~0xfULL;
		ck_assert_uint_eq(in(i + 1, 0, 0x14, 4), 0);
		ck_assert_uint_ge(bases[i], X86_PCI_MMIO32);
		ck_assert_uint_eq(peek(bases[i], 4), 0xff); /* memory is off */
		for (unsigned int k = 0; k < i; k++)
			ck_assert(bases[k] + BAR_LEN <= bases[i] ||
				  bases[i] + BAR_LEN <= bases[k]);
	}
	for (unsigned int i = 0; i < NR; i++) {
		out(i + 1, 4, 2, 2);
		ck_assert_uint_eq(moved_to[i], bases[i]);
	}
	for (unsigned int i = 0; i < NR; i++) {
		ck_assert_uint_eq(peek(bases[i] + BAR_LEN - 8, 8), i + 1);
		ck_assert_uint_eq(last_off, BAR_LEN - 8);
		ck_assert_uint_eq(peek(bases[i] + BAR_LEN, 4), 0xff);
		ck_assert_uint_eq(peek(bases[i] + BAR_LEN - 2, 4), 0xff);
		ck_assert_uint_eq(accesses[i], 1);
	}
}
END_TEST

START_TEST(lowest_slot_answers_where_bars_overlap)
{
	uint64_t base = X86_PCI_MMIO64 + 0x10000;

	setup_many();
	for (unsigned int i = 0; i < NR; i++) {
		place(i + 1, base);
		out(i + 1, 4, 2, 2);
	}
	ck_assert_uint_eq(peek(base, 1), 1);
	for (unsigned int i = 0; i < NR; i++) {
		ck_assert_uint_eq(peek(base + 16, 8), i + 1);
		out(i + 1, 4, 0, 2);
		ck_assert_uint_eq(moved_to[i], PCI_NOWHERE);
	}
	ck_assert_uint_eq(peek(base, 1), 0xff);
}
END_TEST

static const uint64_t nowhere[] = {
	0,
	0x100000,
	X86_PCI_MMIO32 - BAR_LEN,
	X86_ECAM,
	0xfffff000,
	X86_PCI_MMIO64 - BAR_LEN,
	X86_PCI_MMIO64 + X86_PCI_MMIO64_LEN,
	0xfffffffffffff000,
};

START_TEST(bars_outside_of_the_windows_are_nowhere)
{
	uint64_t addr = nowhere[_i];
	uint8_t data[8] = { 0 };

	setup_many();
	out(1, 4, 2, 2);
	place(1, addr);
	ck_assert_uint_eq(moved_to[0], PCI_NOWHERE);
	ck_assert_uint_eq(in(1, 0, 0x10, 4), (uint32_t)addr | 4);
	bus_read(&bus, addr, data, 8);
	bus_write(&bus, addr, data, 8);
	ck_assert_uint_eq(accesses[0], 0);
	place(1, X86_PCI_MMIO32);
	ck_assert_uint_eq(moved_to[0], X86_PCI_MMIO32);
	ck_assert_uint_eq(peek(X86_PCI_MMIO32, 2), 1);
}
END_TEST

Suite *pci_suite(void)
{
	Suite *s = suite_create("pci");
	TCase *tc = tcase_create("pci");

	tcase_add_test(tc, host_bridge_is_there_and_read_only);
	tcase_add_loop_test(tc, nothing_there_reads_all_ones_and_takes_writes,
			    0, ARRAY_SIZE(absent));
	tcase_add_test(tc, writes_change_writable_bits_only);
	tcase_add_test(tc, device_may_refresh_what_is_read);
	tcase_add_test(tc, takes_31_devices_beside_the_bridge);
	tcase_add_test(tc, gives_every_bar_a_place_of_its_own);
	tcase_add_test(tc, lowest_slot_answers_where_bars_overlap);
	tcase_add_loop_test(tc, bars_outside_of_the_windows_are_nowhere, 0,
			    ARRAY_SIZE(nowhere));
	suite_add_tcase(s, tc);
	return s;
}
