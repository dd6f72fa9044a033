/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/power.c. */
#include "devices/power.h"
#include "suites.h"
#include "vmm/base/layout_x86.h"

static struct power power;
static struct bus bus;
static int wishes[2];

static void note(void *ctx, enum power_request what)
{
	((int *)ctx)[what]++;
}

static void setup(void)
{
	wishes[POWER_OFF] = wishes[POWER_RESET] = 0;
	bus = (struct bus){ 0 };
	power_init(&power, note, wishes);
	ck_assert_int_eq(bus_add(&bus, &power.window), 0);
}

static const struct {
	unsigned int reg, len;
	uint64_t value;
	int off, reset;
} writes[] = {
	{ X86_POWER_SLEEP_CONTROL, 1, 5 << 2 | 0x20, 1, 0 },
	{ X86_POWER_SLEEP_CONTROL, 1, 0xff & ~(2 << 2), 1, 0 },
	{ X86_POWER_SLEEP_CONTROL, 1, 5 << 2, 0, 0 },        /* no SLP_EN */
	{ X86_POWER_SLEEP_CONTROL, 1, 3 << 2 | 0x20, 0, 0 }, /* S3 */
	{ X86_POWER_SLEEP_CONTROL, 2, 5 << 2 | 0x20, 0, 0 },
	{ X86_POWER_SLEEP_CONTROL, 4, 0x10034, 0, 0 },
	{ X86_POWER_SLEEP_STATUS, 1, 5 << 2 | 0x20, 0, 0 },
	{ X86_POWER_RESET, 1, 1, 0, 1 },
	{ X86_POWER_RESET, 1, 0, 0, 0 },
	{ X86_POWER_RESET, 1, 6, 0, 0 },
	{ X86_POWER_RESET, 2, 1, 0, 0 },
	{ X86_POWER_GUEST_STATUS, 1, 1, 0, 0 },
};

START_TEST(acts_on_the_right_value_of_the_right_size_only)
{
	setup();
	bus_write(&bus, X86_POWER + writes[_i].reg, &writes[_i].value,
		  writes[_i].len);
	ck_assert_int_eq(wishes[POWER_OFF], writes[_i].off);
	ck_assert_int_eq(wishes[POWER_RESET], writes[_i].reset);
}
END_TEST

START_TEST(keeps_the_guest_status_and_reads_zero_elsewhere)
{
	uint32_t v = 0xffffffff;
	uint8_t b = 7;

	setup();
	bus_write(&bus, X86_POWER + X86_POWER_GUEST_STATUS, &b, 1);
	ck_assert_uint_eq(atomic_load(&power.status), 7);
	b = 0;
	bus_read(&bus, X86_POWER + X86_POWER_GUEST_STATUS, &b, 1);
	ck_assert_uint_eq(b, 7);
	bus_read(&bus, X86_POWER + X86_POWER_SLEEP_STATUS, &b, 1);
	ck_assert_uint_eq(b, 0);
	bus_read(&bus, X86_POWER, &v, 4);
	ck_assert_uint_eq(v, 0);
	/* The status register takes bytes only. */
	v = 0x0909;
	bus_write(&bus, X86_POWER + X86_POWER_RESET, &v, 2);
	ck_assert_uint_eq(atomic_load(&power.status), 7);
}
END_TEST

Suite *power_suite(void)
{
	Suite *s = suite_create("power");
	TCase *tc = tcase_create("power");

	tcase_add_loop_test(tc, acts_on_the_right_value_of_the_right_size_only,
			    0, ARRAY_SIZE(writes));
	tcase_add_test(tc, keeps_the_guest_status_and_reads_zero_elsewhere);
	suite_add_tcase(s, tc);
	return s;
}
