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

static int discard(struct memory *m, bool of_private, uint64_t off,
		   uint64_t len)
{
	int fd = of_private ? m->gmem_fd : m->memfd;

	ck_assert_int_eq(fallocate(fd,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)off, (off_t)len),
			 0);
	return 0;
}

/* KVM knows what is private by address alone, or has to be told. */
static const struct store_ops by_address = { .has_private = true,
					     .discard = discard };
static const struct store_ops by_attribute = { .has_private = true,
					       .set = told,
					       .discard = discard };
static struct memory mem;

static void set_up(void)
{
	mem = (struct memory){ .len = LEN, .store = &by_address };
	mem.memfd = store_create_memfd(LEN);
	mem.gmem_fd = store_create_memfd(LEN);
	ck_assert_int_ge(mem.memfd, 0);
	ck_assert_int_ge(mem.gmem_fd, 0);
	ck_assert_int_eq(pages_init(&mem.pages, LEN, true), 0);
	mem.guest.pages = &mem.pages;
}

static void tear_down(void)
{
	pages_destroy(&mem.pages);
	close(mem.memfd);
	close(mem.gmem_fd);
}

static void share(unsigned int block, unsigned int first, unsigned int nr)
{
	pages_touch(&mem.pages, block);
	pages_set(&mem.pages, block, true, first, nr);
}

static void back(int fd)
{
	for (unsigned int i = 0; i < PAGES; i++)
		ck_assert_int_eq(pwrite(fd, "x", 1, (off_t)(i * PAGE_SIZE)), 1);
}

static bool has(int fd, unsigned int page)
{
	off_t at = (off_t)(page * PAGE_SIZE);

	return lseek(fd, at, SEEK_DATA) == at;
}

static bool is_backed(unsigned int page)
{
	return has(mem.memfd, page);
}

/* Not too long for any machine: it goes on where it stopped. */
static void sweep_all(void)
{
	uint64_t at = 0;

	while ((at = memory_sweep(&mem, at)))
		;
}

START_TEST(leaves_each_page_to_one_store)
{
	share(0, 3, 5);
	share(1, 0, PAGES_PER_BLOCK);
	share(4, 1, 1); /* of the last block, which has 3 */
	back(mem.memfd);
	back(mem.gmem_fd);
	sweep_all();
	for (unsigned int i = 0; i < PAGES; i++) {
		bool shared = (i >= 3 && i < 8) || i / PAGES_PER_BLOCK == 1 ||
			      i == PAGES - 2;

		ck_assert_int_eq(has(mem.memfd, i), shared);
		ck_assert_int_eq(has(mem.gmem_fd, i), !shared);
	}
}
END_TEST

START_TEST(leaves_alone_what_kvm_has_not_been_told_of)
{
	mem.store = &by_attribute;
	share(1, 7, 1);
	back(mem.memfd);
	sweep_all();
	ck_assert(is_backed(0) && is_backed(PAGES_PER_BLOCK - 1));
	ck_assert(!is_backed(PAGES_PER_BLOCK + 6));
	ck_assert(is_backed(PAGES_PER_BLOCK + 7));
	ck_assert(is_backed(2 * PAGES_PER_BLOCK));
}
END_TEST

static void tick(struct event_loop *loop, struct sweep *s)
{
	struct epoll_event e;

	ck_assert_int_eq(epoll_wait(loop->epoll_fd, &e, 1, -1), 1);
	s->tick.ready(&s->tick, EPOLLIN);
}

/* With back ends always; else once more than it takes to see it settled. */
START_TEST(sweeps_after_conversions_and_always_with_back_ends)
{
	struct event_loop loop;
	struct sweep sweep = { 0 };
	bool back_ends = _i;

	ck_assert_int_eq(event_loop_init(&loop), 0);
	ck_assert_int_eq(sweep_init(&sweep, &mem, &loop, back_ends), 0);
	mem.counts.bytes[1] = PAGE_SIZE;
	for (unsigned int sweeps = 0; sweeps < 3; sweeps++) {
		back(mem.memfd);
		do
			tick(&loop, &sweep);
		while (sweep.at);
		ck_assert_int_eq(is_backed(0), sweeps == 2 && !back_ends);
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
	ck_assert_int_eq(sweep_init(&sweep, &mem, NULL, true), 0);
	sweep_destroy(&sweep);
}
END_TEST

Suite *sweep_suite(void)
{
	Suite *s = suite_create("sweep");
	TCase *tc = tcase_create("sweep");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, leaves_each_page_to_one_store);
	tcase_add_test(tc, leaves_alone_what_kvm_has_not_been_told_of);
	tcase_add_loop_test(tc,
			    sweeps_after_conversions_and_always_with_back_ends,
			    0, 2);
	tcase_add_test(tc, has_nothing_to_do_where_all_is_shared);
	suite_add_tcase(s, tc);
	return s;
}
