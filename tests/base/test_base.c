/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/base: errors, bus, guest memory, log. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suites.h"
#include "vmm/base/bus.h"
#include "vmm/base/err.h"
#include "vmm/base/guest.h"
#include "vmm/base/log.h"
#include "vmm/base/outlet.h"

START_TEST(error_text_reads_outside_in)
{
	ck_assert_int_eq(err_set(-EINVAL, "size is %d", 0), -EINVAL);
	ck_assert_int_eq(err_in(-EINVAL, "vm.ini"), -EINVAL);
	ck_assert_str_eq(err_text(), "vm.ini: size is 0");
}
END_TEST

START_TEST(error_text_is_cut_not_overrun)
{
	char big[2000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(-EINVAL, "%s", big);
	err_in(-EINVAL, "%s", big);
	ck_assert_uint_eq(strlen(err_text()), 511);
}
END_TEST

START_TEST(error_text_keeps_the_reason)
{
	char path[4096];

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	err_set(-ENOENT, "No such file");
	err_in(-ENOENT, "%s", path);
	ck_assert_uint_eq(strlen(err_text()), 511);
	ck_assert_ptr_nonnull(strstr(err_text(), "x...: No such file"));
	path[497] = '\0'; /* just enough room */
	err_set(-ENOENT, "No such file");
	err_in(-ENOENT, "%s", path);
	ck_assert_ptr_nonnull(strstr(err_text(), "xx: No such file"));
}
END_TEST

static void probe_read(struct bus_window *w, uint64_t off, void *data,
		       unsigned int len)
{
	(void)w;
	memset(data, (int)off, len);
}

static uint64_t last_write;

static void probe_write(struct bus_window *w, uint64_t off, const void *data,
			unsigned int len)
{
	(void)w;
	(void)off;
	last_write = 0;
	memcpy(&last_write, data, len);
}

static const struct bus_ops probe_ops = { .read = probe_read,
					  .write = probe_write };

START_TEST(bus_hands_devices_offsets)
{
	struct bus bus = { 0 };
	struct bus_window w = {
		.name = "w", .base = 0x100, .len = 8, .ops = &probe_ops
	};
	uint32_t v = 0;

	ck_assert_int_eq(bus_add(&bus, &w), 0);
	bus_read(&bus, 0x104, &v, 4);
	ck_assert_uint_eq(v, 0x04040404);
	v = 0x1234;
	bus_write(&bus, 0x100, &v, 2);
	ck_assert_uint_eq(last_write, 0x1234);
	/* Straddling the end belongs to nobody. */
	bus_read(&bus, 0x106, &v, 4);
	ck_assert_uint_eq(v, 0xffffffff);
	ck_assert_uint_eq(bus.unclaimed, 1);
}
END_TEST

START_TEST(bus_rejects_overlap_and_wrap)
{
	struct bus bus = { 0 };
	struct bus_window a = { .name = "a", .base = 0x100, .len = 8 };
	struct bus_window b = { .name = "b", .base = 0x107, .len = 1 };
	struct bus_window c = { .name = "c", .base = UINT64_MAX, .len = 2 };
	struct bus_window d = { .name = "d", .base = 0x108, .len = 0 };
	struct bus_window top = { .name = "t", .base = UINT64_MAX, .len = 1 };

	ck_assert_int_eq(bus_add(&bus, &a), 0);
	ck_assert_int_eq(bus_add(&bus, &b), -EEXIST);
	ck_assert_int_eq(bus_add(&bus, &c), -EINVAL);
	ck_assert_int_eq(bus_add(&bus, &d), -EINVAL);
	ck_assert_int_eq(bus_add(&bus, &top), 0);
}
END_TEST

START_TEST(guest_ranges_are_checked_by_subtracting)
{
	static uint8_t low[8192], high[4096];
	const struct guest_mem mem = {
		.count = 2,
		.regions = { { 0x1000, sizeof(low), low },
			     { UINT64_MAX - 0xfff, sizeof(high), high } },
	};
	uint32_t v = 42;

	ck_assert_ptr_eq(guest_at(&mem, 0x1000, 8192), low);
	ck_assert_ptr_null(guest_at(&mem, 0xfff, 2));
	ck_assert_ptr_null(guest_at(&mem, 0x1000, 8193));
	ck_assert_ptr_null(guest_at(&mem, 0x2fff, 2));
	ck_assert_ptr_null(guest_at(&mem, 0x1000, UINT64_MAX));
	ck_assert_ptr_nonnull(guest_at(&mem, UINT64_MAX, 1));
	ck_assert_ptr_null(guest_at(&mem, UINT64_MAX, 2));
	ck_assert(guest_write(&mem, 0x2ffc, &v, 4));
	v = 0;
	ck_assert(guest_read(&mem, 0x2ffc, &v, 4));
	ck_assert_uint_eq(v, 42);
	ck_assert(!guest_read(&mem, 0x2ffd, &v, 4));
	ck_assert(!guest_write(&mem, 0, &v, 4));
}
END_TEST

static void expect_text(int fd, const char *text)
{
	char got[200] = "";

	ck_assert_int_gt(read(fd, got, sizeof(got) - 1), 0);
	ck_assert_str_eq(got, text);
}

START_TEST(log_prints_one_line_whatever_the_name)
{
	int fds[2], saved = dup(STDERR_FILENO);

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	log_err("a\nb\x1b[31m\r\x7f \xc3\xa9");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	expect_text(fds[0], "cvmm: a?b?[31m?? \xc3\xa9\n");
	close(fds[0]);
}
END_TEST

START_TEST(log_gives_up_on_a_reader_that_does_not_read)
{
	static uint8_t page[65536];
	int fds[2], saved = dup(STDERR_FILENO);
	struct outlet o;
	int64_t start;

	if (_i)
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	else
		ck_assert_int_eq(pipe(fds), 0);
	outlet_open(&o, fds[1]);
	while (outlet_write(&o, page, sizeof(page)) > 0)
		;
	ck_assert_int_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	start = util_now_ms();
	for (int i = 0; i < 20; i++) { /* it waits for the first only */
		log_err("lost");
		log_line("lost, too");
	}
	start = util_now_ms() - start;
	ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	while (read(fds[0], page, sizeof(page)) > 0)
		;
	log_err("found");
	log_line("%s", "as it is");
	dup2(saved, STDERR_FILENO);
	close(saved);
	outlet_close(&o);
	close(fds[1]);
	ck_assert_msg(start < 3000, "it took %d ms", (int)start);
	expect_text(fds[0],
		    "cvmm: warn: 40 lines lost: nobody read standard error\n"
		    "cvmm: found\nas it is\n");
	close(fds[0]);
}
END_TEST

Suite *base_suite(void)
{
	Suite *s = suite_create("base");
	TCase *tc = tcase_create("base");

	tcase_add_test(tc, error_text_reads_outside_in);
	tcase_add_test(tc, error_text_is_cut_not_overrun);
	tcase_add_test(tc, error_text_keeps_the_reason);
	tcase_add_test(tc, log_prints_one_line_whatever_the_name);
	tcase_add_test(tc, bus_hands_devices_offsets);
	tcase_add_test(tc, bus_rejects_overlap_and_wrap);
	tcase_add_loop_test(tc, log_gives_up_on_a_reader_that_does_not_read, 0,
			    2);
	tcase_add_test(tc, guest_ranges_are_checked_by_subtracting);
	suite_add_tcase(s, tc);
	return s;
}
