/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions against conversions and against I/O; for make check-tsan. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suites.h"
#include "support/fake_kvm.h"
#include "vmm/kvm/memory.h"

#define LEN (40 * MIB + 5 * PAGE_SIZE)
#define NR_PAGES (LEN / PAGE_SIZE)
#define NR_CONVERTERS 4
#define NR_DEVICES 3
#define ROUNDS 4000

static struct fake_kvm fake;
static struct kvm kvm;
static struct memory mem;
static atomic_uint failed, converting;

static void setup(void)
{
	static const struct memory_range ram = { 0, LEN };

	fake_kvm_init(&fake);
	fake_kvm_set_cap(&fake, KVM_CAP_VM_TYPES,
			 1 | 1 << KVM_X86_SW_PROTECTED_VM);
	ck_assert_int_eq(kvm_open(&kvm, &fake.sys), 0);
	ck_assert_int_eq(kvm_create_vm(&kvm, KVM_X86_SW_PROTECTED_VM), 0);
	ck_assert_int_eq(memory_init(&mem, &kvm, &store_two, &ram, 1), 0);
	memory_keep_window(&mem, WINDOW_REPORT);
	failed = 0;
	converting = NR_CONVERTERS;
}

static void teardown(void)
{
	memory_destroy(&mem);
	kvm_close(&kvm);
	ck_assert_int_eq(fake.open_fds, 0);
}

static void *convert(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t first = (uint64_t)rand_r(&seed) % NR_PAGES;
		uint64_t most = rand_r(&seed) % 64 ? 8 : 1500;
		uint64_t nr = (uint64_t)rand_r(&seed) % most + 1;

		nr = min_of(nr, NR_PAGES - first);
		failed +=
			memory_convert(&mem, first * PAGE_SIZE, nr * PAGE_SIZE,
				       rand_r(&seed) & 1, CONVERT_ASKED) != 0;
	}
	converting--;
	return NULL;
}

/* Some requests at a time, given back in another order. */
static void *use(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	struct pages_pins pins[8] = { 0 };
	uint8_t *held[8] = { NULL };

	while (converting) {
		unsigned int k = (unsigned int)rand_r(&seed) % 8;
		gpa_t gpa = (gpa_t)rand_r(&seed) % NR_PAGES * PAGE_SIZE;

		if (held[k])
			__atomic_store_n(held[k], 1, __ATOMIC_RELAXED);
		guest_unpin(&mem.guest, &pins[k]);
		held[k] = guest_pin(&mem.guest, gpa, 64, &pins[k]);
		if (held[k])
			__atomic_store_n(held[k], 2, __ATOMIC_RELAXED);
	}
	for (unsigned int k = 0; k < 8; k++)
		guest_unpin(&mem.guest, &pins[k]);
	return NULL;
}

/* Every byte that the shared store has is of a page that is shared. */
static void check_stores(void)
{
	off_t at = 0;

	while ((at = lseek(mem.memfd, at, SEEK_DATA)) >= 0) {
		ck_assert_msg(guest_at(&mem.guest, (gpa_t)at, PAGE_SIZE),
			      "private page %#lx is in the shared store",
			      (unsigned long)at);
		at += (off_t)PAGE_SIZE;
	}
	for (gpa_t gpa = 0; gpa < LEN; gpa += PAGE_SIZE)
		ck_assert_int_eq(!!guest_at(&mem.guest, gpa, PAGE_SIZE),
				 pages_touched(&mem.pages,
					       (unsigned int)(gpa /
							      PAGES_BLOCK)) &&
					 !fake_is_private(&fake, gpa));
}

/* What turns private is in no window, nor would be in one that grows. */
static void check_window(void)
{
	const struct window_run *runs[] = { &mem.window.last,
					    &mem.window.longest };

	for (unsigned int i = 0; i < ARRAY_SIZE(runs); i++)
		ck_assert_ptr_nonnull(
			guest_at(&mem.guest, runs[i]->base, runs[i]->len));
}

START_TEST(no_page_is_in_both_stores_when_io_has_ended)
{
	pthread_t threads[NR_CONVERTERS + NR_DEVICES];
	uint64_t shared = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						i < NR_CONVERTERS ? convert
								  : use,
						(void *)(uintptr_t)(i + 1)),
				 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(failed, 0);
	ck_assert_uint_eq(mem.counts.failures, 0);
	ck_assert_uint_eq(mem.pages.waiting, 0);
	for (unsigned int i = 0; i < PAGES_GROUPS; i++) {
		const struct pages_group *g = &mem.pages.groups[i];

		ck_assert_uint_eq(g->count[0] + g->count[1], 0);
		ck_assert(!g->now && !g->next);
	}
	check_stores();
	check_window();
	for (gpa_t gpa = 0; gpa < LEN; gpa += PAGE_SIZE)
		shared += guest_at(&mem.guest, gpa, PAGE_SIZE) ? PAGE_SIZE : 0;
	/* What has changed one way and not back is what there is. */
	ck_assert_uint_eq(mem.counts.bytes[0] - mem.counts.bytes[1], shared);
	ck_assert_uint_le(memory_allocated(&mem, false), shared);
}
END_TEST

/* ---- I/O that ends while somebody else discards what it wrote to ---- */

#define EARLY 0 /* pages of one block */
#define LATE 5

static struct pages pages;
static struct pages_pins late;
static pthread_t ender;
static atomic_uint discards; /* of LATE, since the late I/O has ended */

static void *end_late(void *arg)
{
	pages_unpin(&pages, &late);
	return arg;
}

/* The walk has come past LATE: now its I/O ends, and waits for its turn. */
static void on_discard(void *ctx, uint64_t off, uint64_t len)
{
	(void)ctx;
	if (off > LATE * PAGE_SIZE || off + len <= LATE * PAGE_SIZE)
		return;
	if (ender) {
		discards++;
		return;
	}
	ck_assert_int_eq(pthread_create(&ender, NULL, end_late, NULL), 0);
	while (pages.waiting)
		usleep(100);
}

static void turn_private(unsigned int page)
{
	pages_lock(&pages, 0);
	pages_touch(&pages, 0);
	pages_set(&pages, 0, false, page, 1);
	pages_discard_later(&pages, 0, page, 1);
	pages_unlock(&pages, 0);
}

START_TEST(what_ends_during_a_discard_is_discarded_once_more)
{
	struct pages_pins early = { 0 };

	ck_assert_int_eq(pages_init(&pages, PAGES_BLOCK, false), 0);
	pages.discard = on_discard;
	ck_assert(pages_pin(&pages, EARLY * PAGE_SIZE, 1, &early));
	turn_private(EARLY);
	ck_assert(pages_pin(&pages, LATE * PAGE_SIZE, 1, &late));
	turn_private(LATE);
	pages_unpin(&pages, &early);
	ck_assert(ender);
	pthread_join(ender, NULL);
	ck_assert_uint_eq(discards, 1);
	pages_destroy(&pages);
}
END_TEST

Suite *convert_race_suite(void)
{
	Suite *s = suite_create("convert_race");
	TCase *tc = tcase_create("convert_race");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_ends_during_a_discard_is_discarded_once_more);
	tcase_add_test(tc, no_page_is_in_both_stores_when_io_has_ended);
	suite_add_tcase(s, tc);
	return s;
}
