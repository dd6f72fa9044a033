/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be huge of the shared store, by the real kernel's account.  Whether
 * it then is depends on the host: CVMM_TEST_HUGE says that it must be.
 */
#include "vmm/kvm/huge.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "suites.h"
#include "support/rig.h"

#define RAM (64 * MIB)
#define HIGH (4 * GIB)
#define BLOCK PAGES_BLOCK
#define LEN (8 * MIB)
#define HAS_HUGE_PAGES "/sys/kernel/mm/transparent_hugepage/enabled"

static struct fake_kvm fake;
static struct kvm kvm;
static struct memory mem;

static void set_up(const struct store_ops *store, unsigned long vm_type)
{
	static const struct memory_range ranges[] = { { 0, RAM },
						      { HIGH, RAM } };

	fake_kvm_init(&fake);
	fake_kvm_set_cap(&fake, KVM_CAP_VM_TYPES,
			 1 | 1 << KVM_X86_SW_PROTECTED_VM);
	rig_memory_init(&mem, &kvm, &fake, vm_type, store, ranges);
}

static void set_up_two(void)
{
	set_up(&store_two, KVM_X86_SW_PROTECTED_VM);
}

/* Its stores are one until something is shared. */
static void set_up_views(void)
{
	set_up(&store_views, KVM_X86_DEFAULT_VM);
	ck_assert_int_eq(memory_convert(&mem, HIGH, PAGE_SIZE, false,
					CONVERT_ASKED),
			 0);
	ck_assert_int_eq(memory_convert(&mem, HIGH, PAGE_SIZE, true,
					CONVERT_ASKED),
			 0);
}

static void tear_down(void)
{
	rig_memory_free(&mem, &kvm, &fake);
}

static void convert(gpa_t gpa, uint64_t len, bool to_private)
{
	ck_assert_int_eq(memory_convert(&mem, gpa, len, to_private,
					CONVERT_ASKED),
			 0);
}

struct seen {
	unsigned int mappings; /* of the shared store */
	uint64_t huge;         /* bytes of those that may be huge */
	uint64_t any;          /* ... of those nobody has said anything of */
	uint64_t from, to;     /* of the last huge one, in RAM */
};

static void see_flags(struct seen *s, const char *line, uint64_t off,
		      uint64_t len)
{
	s->mappings++;
	if (strstr(line, " hg")) {
		s->huge += len;
		s->from = off;
		s->to = off + len;
	} else if (!strstr(line, " nh")) {
		s->any += len;
	}
}

/* From LOW_LEN of store_views.c on, which below is no shared store. */
static struct seen look(void)
{
	uintptr_t map = (uintptr_t)mem.map, from = 0, to = 0;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	struct seen s = { 0 };
	char line[512];

	ck_assert_ptr_nonnull(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		uintptr_t a, b;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &a, &b) == 2) {
			from = a;
			to = b;
		} else if (!strncmp(line, "VmFlags:", 8) &&
			   from >= map + (mem.private_map ? MIB : 0) &&
			   from < map + mem.len) {
			see_flags(&s, line, from - map, to - from);
		}
	}
	fclose(smaps);
	return s;
}

static void check_huge(uint64_t off, uint64_t len)
{
	struct seen s = look();

	ck_assert_uint_eq(s.any, 0);
	ck_assert_uint_eq(s.huge, len);
	if (len)
		ck_assert_uint_eq(s.from, off);
	ck_assert_uint_le(s.mappings, 3);
}

START_TEST(only_whole_blocks_of_the_window_may_be_huge)
{
	if (access(HAS_HUGE_PAGES, F_OK))
		return;
	check_huge(0, 0);
	convert(4 * BLOCK, BLOCK, false); /* no window yet */
	check_huge(0, 0);
	for (gpa_t gpa = 5 * BLOCK; gpa < 9 * BLOCK; gpa += BLOCK)
		convert(gpa, BLOCK, false);
	check_huge(4 * BLOCK, 5 * BLOCK);
	convert(HIGH + BLOCK - PAGE_SIZE, 7 * BLOCK, false); /* a longer one */
	check_huge(RAM + BLOCK, 6 * BLOCK);
	convert(HIGH + 3 * BLOCK, PAGE_SIZE, true);
	check_huge(0, 0);
}
END_TEST

START_TEST(a_guest_cannot_make_many_mappings)
{
	if (access(HAS_HUGE_PAGES, F_OK))
		return;
	for (unsigned int i = 0; i < 32; i++) {
		gpa_t gpa = (i % 8) * 4 * BLOCK + (i % 2 ? HIGH : 0);

		convert(gpa, 2 * BLOCK, false);
		ck_assert_uint_le(look().mappings, 3);
		convert(gpa + i % 2 * BLOCK, PAGE_SIZE, true);
		ck_assert_uint_eq(look().mappings, 1);
		convert(gpa, 2 * BLOCK, true);
	}
}
END_TEST

/* The window, with something in each page. */
static uint8_t *fill_window(void)
{
	uint8_t *p;

	convert(4 * BLOCK, LEN, false);
	p = guest_at(&mem.guest, 4 * BLOCK, LEN);
	ck_assert_ptr_nonnull(p);
	memset(p, 1, LEN);
	if (getenv("CVMM_TEST_HUGE"))
		ck_assert_uint_eq(huge_mapped(&mem), LEN);
	ck_assert_uint_eq(memory_allocated(&mem, false), LEN);
	return p;
}

START_TEST(a_page_of_a_huge_one_turns_private_alone)
{
	uint8_t *p = fill_window();

	convert(5 * BLOCK + PAGE_SIZE, PAGE_SIZE, true);
	ck_assert_uint_eq(memory_allocated(&mem, false), LEN - PAGE_SIZE);
	ck_assert_uint_eq(huge_mapped(&mem) % BLOCK, 0);
	ck_assert_uint_le(huge_mapped(&mem), LEN - BLOCK);
	/* Whoever uses its neighbours does not bring it back. */
	memset(p, 2, BLOCK + PAGE_SIZE);
	memset(p + BLOCK + 2 * PAGE_SIZE, 2, LEN - BLOCK - 2 * PAGE_SIZE);
	ck_assert_uint_eq(memory_allocated(&mem, false), LEN - PAGE_SIZE);
	convert(4 * BLOCK, LEN, true);
	ck_assert_uint_eq(memory_allocated(&mem, false), 0);
}
END_TEST

/* A huge page that the kernel does I/O with cannot be split. */
START_TEST(io_of_a_neighbour_only_delays_it)
{
	struct pages_pins pins = { 0 };
	uint8_t *p = fill_window();
	struct iovec io = { p + 3 * PAGE_SIZE, PAGE_SIZE };
	char buf[PAGE_SIZE];
	int pipes[2];

	ck_assert_ptr_eq(guest_pin(&mem.guest, 4 * BLOCK + 3 * PAGE_SIZE,
				   PAGE_SIZE, &pins),
			 io.iov_base);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(vmsplice(pipes[1], &io, 1, 0), (int)PAGE_SIZE);
	convert(4 * BLOCK, PAGE_SIZE, true);
	if (getenv("CVMM_TEST_HUGE")) /* or this tests nothing */
		ck_assert_uint_eq(memory_allocated(&mem, false), LEN);
	ck_assert_int_eq(read(pipes[0], buf, sizeof(buf)), (int)PAGE_SIZE);
	guest_unpin(&mem.guest, &pins);
	ck_assert_uint_eq(memory_allocated(&mem, false), LEN - PAGE_SIZE);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

static void add_case(Suite *s, const char *name, void (*start)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, start, tear_down);
	tcase_add_test(tc, only_whole_blocks_of_the_window_may_be_huge);
	tcase_add_test(tc, a_guest_cannot_make_many_mappings);
	tcase_add_test(tc, a_page_of_a_huge_one_turns_private_alone);
	tcase_add_test(tc, io_of_a_neighbour_only_delays_it);
	suite_add_tcase(s, tc);
}

Suite *huge_suite(void)
{
	Suite *s = suite_create("huge");

	add_case(s, "two", set_up_two);
	add_case(s, "views", set_up_views);
	return s;
}
