/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/kvm/proof.c, with files of the real kernel. */
#include "vmm/kvm/proof.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suites.h"

#define LEN (64 * MIB + 3 * PAGE_SIZE)

static struct memory mem;

static int discard(struct memory *m, bool of_private, uint64_t off,
		   uint64_t len)
{
	return fallocate(of_private ? m->gmem_fd : m->memfd,
			 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
			 (off_t)len);
}

static const struct store_ops store = { .has_private = true,
					.starts_private = true,
					.discard = discard };

static void set_up(void)
{
	mem = (struct memory){ .len = LEN, .store = &store };
	mem.gmem_fd = store_create_memfd(LEN);
	mem.memfd = store_create_memfd(LEN);
	ck_assert_int_ge(mem.gmem_fd, 0);
	ck_assert_int_ge(mem.memfd, 0);
	mem.map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, mem.memfd,
		       0);
	ck_assert_ptr_ne(mem.map, MAP_FAILED);
	ck_assert_int_eq(pages_init(&mem.pages, LEN, true), 0);
	mem.pages.discard = convert_discard_again;
	mem.pages.ctx = &mem;
	mem.guest = (struct guest_mem){
		.count = 1,
		.regions = { { .len = LEN, .host = mem.map } },
		.pages = &mem.pages,
	};
}

static void tear_down(void)
{
	pages_destroy(&mem.pages);
	munmap(mem.map, LEN);
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

static struct memory_use measure(void)
{
	struct memory_use use;

	memory_measure(&mem, &use);
	ck_assert(use.whole);
	return use;
}

static uint64_t twice(void)
{
	return measure().twice;
}

START_TEST(finds_nothing_where_stores_are_apart)
{
	ck_assert_uint_eq(twice(), 0);
	for (unsigned int i = 0; i < 8000; i += 2) {
		back(mem.gmem_fd, i, 1);
		back(mem.memfd, i + 1, 1);
	}
	ck_assert_uint_eq(twice(), 0);
	ck_assert_uint_eq(measure().private, 4000 * PAGE_SIZE);
	ck_assert_uint_eq(measure().shared, 4000 * PAGE_SIZE);
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

/* What I/O under way has left there, and only that. */
START_TEST(tells_what_io_has_not_ended_for)
{
	struct pages_pins pins = { 0 };
	struct memory_use use;

	ck_assert_int_eq(memory_convert(&mem, 0, 3 * PAGE_SIZE, false,
					CONVERT_ASKED),
			 0);
	ck_assert(guest_pin(&mem.guest, PAGE_SIZE, PAGE_SIZE, &pins));
	ck_assert_int_eq(memory_convert(&mem, PAGE_SIZE, PAGE_SIZE, true,
					CONVERT_ASKED),
			 0);
	back(mem.memfd, 1, 1);
	back(mem.gmem_fd, 1, 1);
	use = measure();
	ck_assert_uint_eq(use.in_flight, PAGE_SIZE);
	ck_assert_uint_eq(use.twice, 0);
	back(mem.memfd, 5, 1); /* no I/O is under way to this one */
	back(mem.gmem_fd, 5, 1);
	ck_assert_uint_eq(twice(), PAGE_SIZE);
	guest_unpin(&mem.guest, &pins);
	use = measure();
	ck_assert_uint_eq(use.in_flight, 0);
	ck_assert_uint_eq(use.twice, PAGE_SIZE);
	ck_assert_uint_eq(use.private, 2 * PAGE_SIZE);
	ck_assert_uint_eq(use.shared, PAGE_SIZE);
}
END_TEST

/* ---- While pages change and I/O is under way: every sample is right ---- */

#define NR_GUESTS 3
#define NR_DEVICES 2
#define ROUNDS 3000
#define SPAN (3 * PAGES_BLOCK / PAGE_SIZE) /* pages of RAM that are used */

static atomic_uint guests;

/* Has pages of its own, every third, converted and uses them then. */
static void *be_guest(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	uint64_t mine = seed - 1;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		bool to_private = rand_r(&seed) & 1;
		uint64_t page = (unsigned int)rand_r(&seed) %
					(SPAN / NR_GUESTS) * NR_GUESTS +
				mine;

		ck_assert_int_eq(memory_convert(&mem, page * PAGE_SIZE,
						PAGE_SIZE, to_private,
						CONVERT_ASKED),
				 0);
		back(to_private ? mem.gmem_fd : mem.memfd, page, 1);
	}
	guests--;
	return NULL;
}

static void *be_device(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (guests) {
		struct pages_pins pins = { 0 };
		uint64_t page = (unsigned int)rand_r(&seed) % SPAN;

		if (guest_pin(&mem.guest, page * PAGE_SIZE, 1, &pins)) {
			usleep(10);
			back(mem.memfd, page, 1);
		}
		guest_unpin(&mem.guest, &pins);
	}
	return NULL;
}

START_TEST(no_sample_shows_a_page_twice)
{
	pthread_t threads[NR_GUESTS + NR_DEVICES];
	struct memory_use use;

	/* All of it private and used, so that the sum has no slack. */
	guests = NR_GUESTS;
	back(mem.gmem_fd, 0, LEN / PAGE_SIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						i < NR_GUESTS ? be_guest
							      : be_device,
						(void *)(uintptr_t)(i + 1)),
				 0);
	while (guests) {
		memory_measure(&mem, &use);
		if (!use.whole)
			continue;
		ck_assert_uint_eq(use.twice, 0);
		ck_assert_uint_le(use.private + use.shared,
				  LEN + use.in_flight);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	use = measure();
	ck_assert_uint_eq(use.twice + use.in_flight, 0);
	ck_assert_uint_gt(use.shared, 0);
}
END_TEST

Suite *proof_suite(void)
{
	Suite *s = suite_create("proof");
	TCase *tc = tcase_create("proof");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, finds_nothing_where_stores_are_apart);
	tcase_add_test(tc, finds_each_page_that_both_have);
	tcase_add_test(tc, knows_stores_that_cannot_be_two);
	tcase_add_test(tc, tells_what_io_has_not_ended_for);
	tcase_add_test(tc, no_sample_shows_a_page_twice);
	suite_add_tcase(s, tc);
	return s;
}
