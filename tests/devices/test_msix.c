/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/msix.c. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "devices/msix.h"
#include "suites.h"
#include "support/fake_wiring.h"

#define VECTORS 4
#define ENABLE 0x8000
#define MASK_ALL 0x4000

static struct fake_wiring wiring;
static struct msix m;

static void setup(void)
{
	fake_wiring_init(&wiring);
	ck_assert_int_eq(msix_init(&m, &wiring.wiring, VECTORS), 0);
}

static void teardown(void)
{
	msix_destroy(&m);
	msix_destroy(&m); /* twice is fine */
	for (unsigned int i = 0; i < wiring.nr_lines; i++)
		ck_assert(!wiring.lines[i].connected);
	ck_assert_uint_eq(wiring.misuse, 0);
}

static void put(uint64_t off, uint64_t value, unsigned int len)
{
	msix_table_write(&m, off, &value, len);
}

static uint64_t get(uint64_t off, unsigned int len)
{
	uint64_t value = 0;

	msix_table_read(&m, off, &value, len);
	return value;
}

static uint64_t pending(void)
{
	uint64_t bits = 0;

	msix_pending_read(&m, 0, &bits, 8);
	return bits;
}

static void mask(unsigned int v, bool on)
{
	put(v * MSIX_ENTRY_LEN + 12, on, 4);
}

static void message(unsigned int v, uint64_t addr, uint32_t data)
{
	put(v * MSIX_ENTRY_LEN, addr, 8);
	put(v * MSIX_ENTRY_LEN + 8, data, 4);
}

static void signal_vector(unsigned int v)
{
	eventfd_write(m.vectors[v].fd, 1);
}

static unsigned int delivered(unsigned int v)
{
	return fake_wiring_interrupts(&wiring, m.vectors[v].line, 0);
}

static void start(void)
{
	for (unsigned int v = 0; v < VECTORS; v++) {
		message(v, 0xfee00000 + 0x1000 * v, 0x40 + v);
		mask(v, false);
	}
	msix_set_control(&m, ENABLE);
}

START_TEST(is_masked_and_silent_at_first)
{
	for (unsigned int v = 0; v < VECTORS; v++) {
		ck_assert_uint_eq(get(v * MSIX_ENTRY_LEN, 8), 0);
		ck_assert_uint_eq(get(v * MSIX_ENTRY_LEN + 8, 8), 1ULL << 32);
		ck_assert(!wiring.lines[m.vectors[v].line].connected);
	}
	signal_vector(2);
	ck_assert_uint_eq(pending(), 1 << 2);
	msix_set_control(&m, ENABLE);
	ck_assert_uint_eq(delivered(2), 0);
	ck_assert_uint_eq(pending(), 1 << 2);
}
END_TEST

START_TEST(sends_the_message_of_its_entry)
{
	start();
	for (unsigned int v = 0; v < VECTORS; v++) {
		const struct fake_line *l = &wiring.lines[m.vectors[v].line];

		ck_assert_uint_eq(l->msi.addr, 0xfee00000 + 0x1000 * v);
		ck_assert_uint_eq(l->msi.data, 0x40 + v);
		signal_vector(v);
		ck_assert_uint_eq(delivered(v), 1);
		ck_assert_uint_eq(l->connects, 1);
	}
	ck_assert_uint_eq(pending(), 0);
}
END_TEST

START_TEST(keeps_what_comes_while_masked)
{
	start();
	mask(1, true);
	signal_vector(1);
	signal_vector(3);
	ck_assert_uint_eq(delivered(1), 0);
	ck_assert_uint_eq(delivered(3), 1);
	ck_assert_uint_eq(pending(), 1 << 1);
	mask(1, true);
	ck_assert_uint_eq(pending(), 1 << 1);
	mask(1, false);
	ck_assert_uint_eq(delivered(1), 1);
	ck_assert_uint_eq(pending(), 0);
}
END_TEST

START_TEST(keeps_what_comes_while_all_are_masked)
{
	start();
	msix_set_control(&m, ENABLE | MASK_ALL);
	for (unsigned int v = 0; v < VECTORS; v++)
		signal_vector(v);
	mask(2, true);
	ck_assert_uint_eq(pending(), 0xf);
	msix_set_control(&m, ENABLE);
	ck_assert_uint_eq(delivered(0), 1);
	ck_assert_uint_eq(delivered(1), 1);
	ck_assert_uint_eq(delivered(2), 0);
	ck_assert_uint_eq(delivered(3), 1);
	ck_assert_uint_eq(pending(), 1 << 2);
	msix_set_control(&m, 0);
	mask(2, false);
	ck_assert_uint_eq(delivered(2), 0);
	msix_set_control(&m, ENABLE);
	ck_assert_uint_eq(delivered(2), 1);
}
END_TEST

START_TEST(message_changes_at_any_time)
{
	const struct fake_line *l = &wiring.lines[m.vectors[0].line];

	start();
	put(8, 0x77, 4); /* while it is not masked */
	ck_assert_uint_eq(l->msi.data, 0x77);
	mask(0, true);
	put(0, 0xfee01000, 4);
	put(4, 0xabcd, 4);
	put(8, 0x78, 4);
	ck_assert_uint_eq(l->connects, 2);
	mask(0, false);
	ck_assert_uint_eq(l->msi.addr, 0xabcdfee01000);
	ck_assert_uint_eq(l->msi.data, 0x78);
	ck_assert_uint_eq(l->connects, 3);
	put(8, 0x78, 4); /* nothing new */
	mask(0, false);
	ck_assert_uint_eq(l->connects, 3);
	put(8, 0x79 | 1ULL << 32, 8); /* message and mask at once */
	ck_assert(!l->connected);
}
END_TEST

START_TEST(reserved_bits_read_as_zero)
{
	put(0, ~0ULL, 8);
	put(8, ~0ULL, 8);
	ck_assert_uint_eq(get(0, 8), ~3ULL);
	ck_assert_uint_eq(get(8, 8), 1ULL << 32 | 0xffffffff);
	put(12, ~1u, 4);
	ck_assert_uint_eq(get(12, 4), 0);
}
END_TEST

static const struct {
	uint64_t off;
	unsigned int len;
} odd[] = {
	{ 0, 1 }, { 0, 2 },  { 2, 2 },  { 2, 4 },
	{ 4, 8 }, { 12, 8 }, { 64, 4 }, { VECTORS * MSIX_ENTRY_LEN, 8 },
	{ 1, 1 }, { 13, 4 }, { 60, 8 }, { 0xffc, 4 },
	{ 3, 8 },
};

START_TEST(odd_accesses_change_nothing)
{
	struct msix before;
	uint64_t value = 0x1122334455667788;

	start();
	before = m;
	msix_table_write(&m, odd[_i].off, &value, odd[_i].len);
	ck_assert_mem_eq(&m, &before, sizeof(m));
	msix_table_read(&m, odd[_i].off, &value, odd[_i].len);
	ck_assert_uint_eq(value, 0x1122334455667788);
}
END_TEST

START_TEST(pending_bits_end_after_one_word)
{
	uint64_t value = ~0ULL;

	signal_vector(3);
	msix_pending_read(&m, 0, &value, 4);
	ck_assert_uint_eq(value, 0xffffffff00000008);
	msix_pending_read(&m, 4, &value, 4);
	ck_assert_uint_eq(value, 0xffffffff00000000);
	value = 7;
	msix_pending_read(&m, 8, &value, 8);
	msix_pending_read(&m, 0, &value, 1);
	msix_pending_read(&m, 4, &value, 8);
	ck_assert_uint_eq(value, 7);
}
END_TEST

START_TEST(survives_messages_that_are_refused)
{
	wiring.connect_error = -EINVAL;
	start();
	signal_vector(0);
	ck_assert_uint_eq(pending(), 1); /* it cannot get through */
	wiring.connect_error = 0;
	put(8, 0x99, 4);
	ck_assert_uint_eq(delivered(0), 1);
	ck_assert_uint_eq(pending(), 0);
}
END_TEST

START_TEST(leaves_nothing_when_lines_run_out)
{
	struct msix other;

	wiring.max_lines = VECTORS + 2;
	ck_assert_int_eq(msix_init(&other, &wiring.wiring, 3), -ENOSPC);
	ck_assert_uint_eq(other.nr_vectors, 0);
	msix_destroy(&other);
}
END_TEST

Suite *msix_suite(void)
{
	Suite *s = suite_create("msix");
	TCase *tc = tcase_create("msix");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, is_masked_and_silent_at_first);
	tcase_add_test(tc, sends_the_message_of_its_entry);
	tcase_add_test(tc, keeps_what_comes_while_masked);
	tcase_add_test(tc, keeps_what_comes_while_all_are_masked);
	tcase_add_test(tc, message_changes_at_any_time);
	tcase_add_test(tc, reserved_bits_read_as_zero);
	tcase_add_loop_test(tc, odd_accesses_change_nothing, 0,
			    ARRAY_SIZE(odd));
	tcase_add_test(tc, pending_bits_end_after_one_word);
	tcase_add_test(tc, survives_messages_that_are_refused);
	tcase_add_test(tc, leaves_nothing_when_lines_run_out);
	suite_add_tcase(s, tc);
	return s;
}
