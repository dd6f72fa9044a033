/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/kvm/sweep.c, with a file of the real kernel. */
#include "vmm/kvm/sweep.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "suites.h"

#define LEN (8 * MIB + 3 * PAGE_SIZE)
#define PAGES (LEN / PAGE_SIZE)

static int told(struct memory *m, gpa_t gpa, uint64_t len, bool to_private)
{
	(void)m;
	(void)gpa;
	(void)len;
	(void)to_private;
	return 0;
}

/* KVM knows what is private by address alone, or has to be told. */
static const struct store_ops by_address = { .has_private = true };
static const struct store_ops by_attribute = { .has_private = true,
					       .set = told };
static struct memory mem;

static void discard(void *ctx, uint64_t off, uint64_t len)
{
	struct memory *m = ctx;

	ck_assert_int_eq(fallocate(m->memfd,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)off, (off_t)len),
			 0);
}

static void set_up(void)
{
	mem = (struct memory){ .len = LEN, .store = &by_address };
	mem.memfd = store_create_memfd(LEN);
	ck_assert_int_ge(mem.memfd, 0);
	ck_assert_int_eq(pages_init(&mem.pages, LEN, true), 0);
	mem.pages.discard = discard;
	mem.pages.ctx = &mem;
	mem.guest.pages = &mem.pages;
}

static void tear_down(void)
{
	pages_destroy(&mem.pages);
	close(mem.memfd);
}

static void share(unsigned int block, unsigned int first, unsigned int nr)
{
	pages_touch(&mem.pages, block);
	pages_set(&mem.pages, block, true, first, nr);
}

static void back_all(void)
{
	for (unsigned int i = 0; i < PAGES; i++)
		ck_assert_int_eq(pwrite(mem.memfd, "x", 1,
					(off_t)(i * PAGE_SIZE)),
				 1);
}

static bool is_backed(unsigned int page)
{
	off_t at = (off_t)(page * PAGE_SIZE);

	return lseek(mem.memfd, at, SEEK_DATA) == at;
}

/* Not too long for any machine: it goes on where it stopped. */
static void sweep_all(void)
{
	uint64_t at = 0;

	while ((at = memory_sweep(&mem, at)))
		;
}

START_TEST(gives_back_what_private_pages_have_in_the_shared_store)
{
	share(0, 3, 5);
	share(1, 0, PAGES_PER_BLOCK);
	share(4, 1, 1); /* of the last block, which has 3 */
	back_all();
	sweep_all();
	for (unsigned int i = 0; i < PAGES; i++)
		ck_assert_int_eq(is_backed(i),
				 (i >= 3 && i < 8) ||
					 i / PAGES_PER_BLOCK == 1 ||
					 i == PAGES - 2);
	ck_assert_uint_eq(store_written(mem.memfd),
			  (5 + PAGES_PER_BLOCK + 1) * PAGE_SIZE);
}
END_TEST

START_TEST(leaves_alone_what_kvm_has_not_been_told_of)
{
	mem.store = &by_attribute;
	share(1, 7, 1);
	back_all();
	sweep_all();
	ck_assert(is_backed(0) && is_backed(PAGES_PER_BLOCK - 1));
	ck_assert(!is_backed(PAGES_PER_BLOCK + 6));
	ck_assert(is_backed(PAGES_PER_BLOCK + 7));
	ck_assert(is_backed(2 * PAGES_PER_BLOCK));
}
END_TEST

START_TEST(sweeps_again_and_again)
{
	struct event_loop loop;
	struct sweep sweep = { 0 };

	ck_assert_int_eq(event_loop_init(&loop), 0);
	ck_assert_int_eq(sweep_init(&sweep, &mem, &loop), 0);
	for (unsigned int round = 0; round < 2; round++) {
		struct epoll_event e;

		back_all();
		while (store_written(mem.memfd)) {
			ck_assert_int_eq(epoll_wait(loop.epoll_fd, &e, 1, -1),
					 1);
			sweep.tick.ready(&sweep.tick, EPOLLIN);
		}
	}
	sweep_destroy(&sweep);
	sweep_destroy(&sweep);
	event_loop_destroy(&loop);
}
END_TEST

START_TEST(has_nothing_to_do_where_all_is_shared)
{
	struct sweep sweep = { 0 };

	mem.guest.pages = NULL;
	ck_assert_int_eq(sweep_init(&sweep, &mem, NULL), 0);
	sweep_destroy(&sweep);
}
END_TEST

Suite *sweep_suite(void)
{
	Suite *s = suite_create("sweep");
	TCase *tc = tcase_create("sweep");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc,
		       gives_back_what_private_pages_have_in_the_shared_store);
	tcase_add_test(tc, leaves_alone_what_kvm_has_not_been_told_of);
	tcase_add_test(tc, sweeps_again_and_again);
	tcase_add_test(tc, has_nothing_to_do_where_all_is_shared);
	suite_add_tcase(s, tc);
	return s;
}
