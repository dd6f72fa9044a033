/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM: its files, slots, mappings, and what is allocated of it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "suites.h"
#include "support/fake_kvm.h"
#include "vmm/base/err.h"
#include "vmm/kvm/memory.h"

static struct fake_kvm fake;
static struct kvm kvm;
static struct memory mem;

static const struct memory_range ranges[] = {
	{ .gpa = 0, .len = 3 * GIB },
	{ .gpa = 4 * GIB, .len = 2 * GIB },
};

static void setup(void)
{
	fake_kvm_init(&fake);
	ck_assert_int_eq(kvm_open(&kvm, &fake.sys), 0);
	ck_assert_int_eq(kvm_create_vm(&kvm, KVM_X86_DEFAULT_VM), 0);
}

static void teardown(void)
{
	memory_destroy(&mem);
	memory_destroy(&mem);
	kvm_close(&kvm);
	kvm_close(&kvm);
	ck_assert_int_eq(fake.open_fds, 0);
	ck_assert_int_eq(fake.maps, 0);
	ck_assert_int_eq(fake.misuse, 0);
}

START_TEST(ranges_are_slots_of_one_file)
{
	const struct fake_slot *slots = fake.vm.slots;
	bool gmem = _i == 0;

	ck_assert_int_eq(memory_init(&mem, &kvm,
				     gmem ? &store_guest_memfd : &store_memfd,
				     ranges, 2),
			 0);
	for (int i = 0; i < 2; i++) {
		ck_assert(slots[i].used);
		ck_assert_uint_eq(slots[i].gpa, ranges[i].gpa);
		ck_assert_uint_eq(slots[i].len, ranges[i].len);
		ck_assert_int_eq(slots[i].gmem, gmem ? mem.gmem_fd : -1);
		ck_assert_uint_eq(slots[i].gmem_off, gmem && i ? 3 * GIB : 0);
		ck_assert_uint_eq(slots[i].host,
				  (uintptr_t)mem.map + (i ? 3 * GIB : 0));
	}
	ck_assert(!slots[2].used);
	ck_assert_uint_eq(mem.len, 5 * GIB);
	ck_assert_uint_eq(fake.open_fds, gmem ? 3 : 2);
}
END_TEST

START_TEST(guest_addresses_lead_to_the_right_bytes)
{
	uint8_t byte = 0;

	ck_assert_int_eq(memory_init(&mem, &kvm, &store_guest_memfd, ranges, 2),
			 0);
	/* Zeroes at first; the hole is not there. */
	ck_assert(guest_read(&mem.guest, 6 * GIB - 1, &byte, 1));
	ck_assert_uint_eq(byte, 0);
	ck_assert(!guest_read(&mem.guest, 3 * GIB, &byte, 1));
	ck_assert(!guest_read(&mem.guest, 4 * GIB - 1, &byte, 1));
	ck_assert(!guest_read(&mem.guest, 6 * GIB, &byte, 1));
	ck_assert(guest_write(&mem.guest, 4 * GIB, "x", 1));
	ck_assert_uint_eq(((uint8_t *)mem.map)[3 * GIB], 'x');
	/* No access crosses the hole, though the file goes on. */
	ck_assert_ptr_null(guest_at(&mem.guest, 3 * GIB - 1, 2));
}
END_TEST

/* Of the other backing only the kernel can tell. */
START_TEST(only_what_was_touched_is_allocated)
{
	ck_assert_int_eq(memory_init(&mem, &kvm, &store_memfd, ranges, 2), 0);
	ck_assert_uint_eq(memory_allocated(&mem, false), 0);
	for (gpa_t gpa = 0; gpa < 16 * MIB; gpa += 4 * MIB)
		ck_assert(guest_write(&mem.guest, 5 * GIB + gpa, "x", 1));
	ck_assert_uint_ge(memory_allocated(&mem, false), 4 * PAGE_SIZE);
	ck_assert_uint_le(memory_allocated(&mem, false), 16 * MIB);
}
END_TEST

START_TEST(what_is_discarded_is_not_allocated_any_more)
{
	const gpa_t high = 5 * GIB;
	uint64_t before;
	uint8_t byte = 1;
	gpa_t gpa;

	ck_assert_int_eq(memory_init(&mem, &kvm, &store_memfd, ranges, 2), 0);
	memset(guest_at(&mem.guest, high, 4 * MIB), 1, 4 * MIB);
	before = memory_allocated(&mem, false);
	ck_assert_uint_ge(before, 4 * MIB);
	ck_assert_int_eq(guest_discard(&mem.guest, high + MIB, 3 * MIB), 0);
	ck_assert_uint_eq(memory_allocated(&mem, false), before - 3 * MIB);
	/* Zeros, and only where it was said. */
	ck_assert(guest_read(&mem.guest, high + MIB, &byte, 1));
	ck_assert_uint_eq(byte, 0);
	ck_assert(guest_read(&mem.guest, high + MIB - 1, &byte, 1));
	ck_assert_uint_eq(byte, 1);
	ck_assert(guest_address(&mem.guest,
				guest_at(&mem.guest, 6 * GIB - 1, 1), &gpa));
	ck_assert_uint_eq(gpa, 6 * GIB - 1);
	ck_assert(!guest_address(&mem.guest, &gpa, &gpa));
}
END_TEST

static const struct {
	gpa_t gpa;
	uint64_t len;
} discards[] = {
	{ 0, 0 },
	{ 0, 1 },
	{ 1, PAGE_SIZE },
	{ PAGE_SIZE, PAGE_SIZE + 1 },
	{ 3 * GIB, PAGE_SIZE },
	{ 3 * GIB - PAGE_SIZE, 2 * PAGE_SIZE },
	{ PAGE_SIZE, (uint64_t)-PAGE_SIZE },
	{ (gpa_t)-PAGE_SIZE, 2 * PAGE_SIZE },
};

START_TEST(rejects_discards_of_what_is_no_whole_page_of_ram)
{
	ck_assert_int_eq(memory_init(&mem, &kvm, &store_memfd, ranges, 2), 0);
	ck_assert_int_eq(guest_discard(&mem.guest, discards[_i].gpa,
				       discards[_i].len),
			 -EINVAL);
	mem.guest.regions[0].fd = 0;
	ck_assert_int_eq(guest_discard(&mem.guest, 0, PAGE_SIZE), -EOPNOTSUPP);
}
END_TEST

START_TEST(memfd_needs_nothing_of_the_kernel)
{
	fake_kvm_set_cap(&fake, KVM_CAP_GUEST_MEMFD_FLAGS, 0);
	fake.knows_gmem = false;
	ck_assert_int_eq(memory_init(&mem, &kvm, &store_memfd, ranges, 2), 0);
	/* Not to be inherited by what the VMM may start. */
	ck_assert_int_eq(fcntl(mem.memfd, F_GETFD), FD_CLOEXEC);
}
END_TEST

START_TEST(missing_guest_memfd_names_the_other_backing)
{
	fake_kvm_set_cap(&fake, KVM_CAP_GUEST_MEMFD_FLAGS, _i);
	ck_assert_int_eq(memory_init(&mem, &kvm, &store_guest_memfd, ranges, 2),
			 -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(err_text(), "Linux 6.18"));
	ck_assert_ptr_nonnull(strstr(err_text(), "memory.backing = memfd"));
}
END_TEST

START_TEST(a_slot_that_is_refused_says_where)
{
	const struct memory_range odd[] = {
		{ .gpa = 0, .len = MIB },
		{ .gpa = MIB - PAGE_SIZE, .len = MIB }, /* overlaps */
	};

	ck_assert_int_eq(memory_init(&mem, &kvm, &store_guest_memfd, odd, 2),
			 -EEXIST);
	ck_assert_str_eq(err_text(), "RAM at 0xff000: "
				     "KVM_SET_USER_MEMORY_REGION2: "
				     "File exists");
}
END_TEST

Suite *memory_suite(void)
{
	Suite *s = suite_create("memory");
	TCase *tc = tcase_create("memory");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, ranges_are_slots_of_one_file, 0, 2);
	tcase_add_test(tc, guest_addresses_lead_to_the_right_bytes);
	tcase_add_test(tc, only_what_was_touched_is_allocated);
	tcase_add_test(tc, what_is_discarded_is_not_allocated_any_more);
	tcase_add_loop_test(tc,
			    rejects_discards_of_what_is_no_whole_page_of_ram, 0,
			    ARRAY_SIZE(discards));
	tcase_add_test(tc, memfd_needs_nothing_of_the_kernel);
	tcase_add_loop_test(tc, missing_guest_memfd_names_the_other_backing, 0,
			    3);
	tcase_add_test(tc, a_slot_that_is_refused_says_where);
	suite_add_tcase(s, tc);
	return s;
}
