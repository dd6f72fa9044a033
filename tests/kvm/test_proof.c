/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/kvm/proof.c, with files of the real kernel. */
#include "vmm/kvm/proof.h"

#include <unistd.h>

#include "suites.h"

#define LEN (64 * MIB + 3 * PAGE_SIZE)

static struct memory mem;

static void set_up(void)
{
	mem = (struct memory){ .len = LEN };
	mem.gmem_fd = store_create_memfd(LEN);
	mem.memfd = store_create_memfd(LEN);
	ck_assert_int_ge(mem.gmem_fd, 0);
	ck_assert_int_ge(mem.memfd, 0);
	ck_assert_int_eq(pages_init(&mem.pages, LEN, true), 0);
}

static void tear_down(void)
{
	pages_destroy(&mem.pages);
	close(mem.gmem_fd);
	close(mem.memfd);
}

static void back(int fd, uint64_t page, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		ck_assert_int_eq(pwrite(fd, "x", 1,
					(off_t)((page + i) * PAGE_SIZE)),
				 1);
}

static uint64_t twice(void)
{
	bool whole = false;
	uint64_t bytes = memory_double_backed(&mem, &whole);

	ck_assert(whole);
	return bytes;
}

START_TEST(finds_nothing_where_stores_are_apart)
{
	ck_assert_uint_eq(twice(), 0);
	for (unsigned int i = 0; i < 8000; i += 2) {
		back(mem.gmem_fd, i, 1);
		back(mem.memfd, i + 1, 1);
	}
	ck_assert_uint_eq(twice(), 0);
}
END_TEST

START_TEST(finds_each_page_that_both_have)
{
	back(mem.gmem_fd, 500, 100);               /* across blocks */
	back(mem.memfd, 510, 5);                   /* 5 of them */
	back(mem.gmem_fd, LEN / PAGE_SIZE - 1, 1); /* the last page of RAM */
	back(mem.memfd, LEN / PAGE_SIZE - 2, 2);
	back(mem.memfd, 5000, 600);
	back(mem.gmem_fd, 5100, 3);
	ck_assert_uint_eq(twice(), (5 + 1 + 3) * PAGE_SIZE);
}
END_TEST

START_TEST(knows_stores_that_cannot_be_two)
{
	int fd = mem.gmem_fd;

	back(mem.gmem_fd, 0, 1);
	back(mem.memfd, 0, 1);
	mem.gmem_fd = -1;
	ck_assert_uint_eq(twice(), 0);
	mem.gmem_fd = fd;
	ck_assert_uint_eq(twice(), PAGE_SIZE);
}
END_TEST

Suite *proof_suite(void)
{
	Suite *s = suite_create("proof");
	TCase *tc = tcase_create("proof");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, finds_nothing_where_stores_are_apart);
	tcase_add_test(tc, finds_each_page_that_both_have);
	tcase_add_test(tc, knows_stores_that_cannot_be_two);
	suite_add_tcase(s, tc);
	return s;
}
