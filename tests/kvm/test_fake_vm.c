/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the fake kernel for /dev/kvm, VMs and memory: see world.h. */
#include <stdlib.h>

#include "suites.h"
#include "support/world.h"

static int gmem(struct world *w, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd g = { .size = size, .flags = flags };

	return world_keep(w, world_call(w, w->vm, KVM_CREATE_GUEST_MEMFD, &g));
}

static int shared_gmem(struct world *w, uint64_t size)
{
	return gmem(w, size,
		    GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
}

/* A slot of the file `fd` (-1: no guest_memfd). */
static int slot(struct world *w, uint32_t n, uint64_t gpa, uint64_t len, int fd,
		uint64_t off)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = n,
		.flags = fd >= 0 ? KVM_MEM_GUEST_MEMFD : 0,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = 0x10000000,
		.guest_memfd = (__u32)fd,
		.guest_memfd_offset = off,
	};

	return world_call(w, w->vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

static int api_version_with_argument(struct world *w)
{
	return world_number(w, w->kvm, KVM_GET_API_VERSION, 1);
}

static int run_size_with_argument(struct world *w)
{
	return world_number(w, w->kvm, KVM_GET_VCPU_MMAP_SIZE, 1);
}

static int unknown_vm_type(struct world *w)
{
	return world_keep(w, world_number(w, w->kvm, KVM_CREATE_VM, 30));
}

static int unknown_extension(struct world *w)
{
	return world_number(w, w->vm, KVM_CHECK_EXTENSION, 100000);
}

static int vm_call_on_dev_kvm(struct world *w)
{
	return world_keep(w, world_number(w, w->kvm, KVM_CREATE_VCPU, 0));
}

static int device_call_on_vm(struct world *w)
{
	return world_number(w, w->vm, KVM_GET_API_VERSION, 0);
}

static int call_on_closed_fd(struct world *w)
{
	int fd = world_number(w, w->kvm, KVM_CREATE_VM, 0);

	w->sys->close(w->sys, fd);
	return world_number(w, fd, KVM_CHECK_EXTENSION, 0);
}

static int too_little_room_for_cpuid(struct world *w)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[3];
	} c = { .head.nent = 3 };

	return world_call(w, w->kvm, KVM_GET_SUPPORTED_CPUID, &c);
}

static int irqchip_before_vcpus(struct world *w)
{
	return world_split_irqchip(w, 0, 0);
}

static int irqchip_twice(struct world *w)
{
	world_split_irqchip(w, 0, 0);
	return world_split_irqchip(w, 0, 0);
}

static int irqchip_after_vcpu(struct world *w)
{
	world_vcpu(w, 0);
	return world_split_irqchip(w, 0, 0);
}

static int irqchip_with_too_many_pins(struct world *w)
{
	return world_split_irqchip(w, 4097, 0);
}

static int irqchip_with_flags(struct world *w)
{
	return world_split_irqchip(w, 0, 1);
}

static int exit_hypercall(struct world *w, uint64_t which)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_HYPERCALL,
				      .args = { which } };

	return world_call(w, w->vm, KVM_ENABLE_CAP, &cap);
}

static int exit_of_conversions(struct world *w)
{
	return exit_hypercall(w, 1 << 12);
}

static int exit_of_unknown_hypercall(struct world *w)
{
	return exit_hypercall(w, 1 << 12 | 1 << 11);
}

static int vcpu_twice(struct world *w)
{
	world_vcpu(w, 3);
	return world_vcpu(w, 3);
}

static int vcpu_with_huge_id(struct world *w)
{
	return world_vcpu(w, 1 << 20);
}

static int gmem_of_no_size(struct world *w)
{
	return shared_gmem(w, 0);
}

static int gmem_of_odd_size(struct world *w)
{
	return shared_gmem(w, PAGE_SIZE + 1);
}

static int gmem_of_negative_size(struct world *w)
{
	return shared_gmem(w, 1ULL << 63);
}

static int gmem_with_unknown_flag(struct world *w)
{
	return gmem(w, PAGE_SIZE, 1ULL << 40);
}

static int map_of_private_gmem(struct world *w)
{
	void *p = w->sys->map(w->sys, gmem(w, PAGE_SIZE, 0), PAGE_SIZE);

	return p ? 0 : -errno;
}

static int slot_of_gmem(struct world *w)
{
	return slot(w, 0, 0, MIB, shared_gmem(w, 2 * MIB), MIB);
}

static int slots_of_one_file(struct world *w)
{
	int fd = shared_gmem(w, 2 * MIB);

	slot(w, 0, 0, MIB, fd, 0);
	return slot(w, 1, GIB, MIB, fd, MIB);
}

static int slots_of_one_page(struct world *w)
{
	int fd = shared_gmem(w, 2 * MIB);

	slot(w, 0, 0, MIB, fd, 0);
	return slot(w, 1, GIB, MIB, fd, MIB - PAGE_SIZE);
}

static int slots_that_overlap(struct world *w)
{
	int fd = shared_gmem(w, 2 * MIB);

	slot(w, 0, 0, MIB, fd, 0);
	return slot(w, 1, MIB - PAGE_SIZE, MIB, fd, MIB);
}

static int slot_beyond_file(struct world *w)
{
	return slot(w, 0, 0, 2 * MIB, shared_gmem(w, 2 * MIB), PAGE_SIZE);
}

static int slot_at_odd_address(struct world *w)
{
	return slot(w, 0, 1, MIB, shared_gmem(w, MIB), 0);
}

static int slot_of_odd_size(struct world *w)
{
	return slot(w, 0, 0, MIB + 1, shared_gmem(w, 2 * MIB), 0);
}

static int slot_at_odd_offset(struct world *w)
{
	return slot(w, 0, 0, MIB, shared_gmem(w, 2 * MIB), 512);
}

static int slot_that_wraps(struct world *w)
{
	return slot(w, 0, 0 - MIB, 2 * MIB, shared_gmem(w, 2 * MIB), 0);
}

static int slot_beyond_physical_addresses(struct world *w)
{
	return slot(w, 0, 1ULL << 53, MIB, shared_gmem(w, MIB), 0);
}

static int slot_of_bad_fd(struct world *w)
{
	return slot(w, 0, 0, MIB, 1000000, 0);
}

static int slot_of_other_fd(struct world *w)
{
	return slot(w, 0, 0, MIB, w->kvm, 0);
}

static int slot_changed(struct world *w)
{
	int fd = shared_gmem(w, 2 * MIB);

	slot(w, 0, 0, MIB, fd, 0);
	return slot(w, 0, 0, MIB, fd, MIB);
}

static int slot_deleted_and_made_again(struct world *w)
{
	int fd = shared_gmem(w, 2 * MIB);

	slot(w, 0, 0, MIB, fd, 0);
	if (slot(w, 0, 0, 0, -1, 0))
		return -ENOTRECOVERABLE;
	return slot(w, 0, 0, MIB, fd, MIB);
}

static int slot_deleted_that_is_not(struct world *w)
{
	return slot(w, 0, 0, 0, -1, 0);
}

static int slot_of_gmem_read_only(struct world *w)
{
	struct kvm_userspace_memory_region2 r = {
		.flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_READONLY,
		.memory_size = MIB,
		.guest_memfd = (__u32)shared_gmem(w, MIB),
	};

	return world_call(w, w->vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

static int gmem_through_the_old_call(struct world *w)
{
	struct kvm_userspace_memory_region r = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = MIB,
	};

	return world_call(w, w->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static int coalesced(struct world *w, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = 0x3f8, .size = 1 };

	zone.pio = pio;
	return world_call(w, w->vm, KVM_REGISTER_COALESCED_MMIO, &zone);
}

static int coalesced_port(struct world *w)
{
	return coalesced(w, 1);
}

static int coalesced_neither_port_nor_memory(struct world *w)
{
	return coalesced(w, 2);
}

static int vcpu_call_on_vm(struct world *w)
{
	return world_number(w, w->vm, KVM_RUN, 0);
}

static const struct world_case cases[] = {
	CASE(-EINVAL, api_version_with_argument),
	CASE(-EINVAL, run_size_with_argument),
	CASE(-EINVAL, unknown_vm_type),
	CASE(0, unknown_extension),
	CASE(-EINVAL, vm_call_on_dev_kvm),
	CASE(-ENOTTY, device_call_on_vm),
	CASE(-EBADF, call_on_closed_fd),
	CASE(-E2BIG, too_little_room_for_cpuid),
	CASE(0, irqchip_before_vcpus),
	CASE(-EEXIST, irqchip_twice),
	CASE(-EEXIST, irqchip_after_vcpu),
	CASE(-EINVAL, irqchip_with_too_many_pins),
	CASE(-EINVAL, irqchip_with_flags),
	CASE(0, exit_of_conversions),
	CASE(-EINVAL, exit_of_unknown_hypercall),
	CASE(0, coalesced_port),
	CASE(-EINVAL, coalesced_neither_port_nor_memory),
	CASE(-EEXIST, vcpu_twice),
	CASE(-EINVAL, vcpu_with_huge_id),
	CASE(-EINVAL, gmem_of_no_size),
	CASE(-EINVAL, gmem_of_odd_size),
	CASE(-EINVAL, gmem_of_negative_size),
	CASE(-EINVAL, gmem_with_unknown_flag),
	CASE(-ENODEV, map_of_private_gmem),
	CASE(0, slot_of_gmem),
	CASE(0, slots_of_one_file),
	CASE_OLDER(-EEXIST, -EINVAL, slots_of_one_page),
	CASE(-EEXIST, slots_that_overlap),
	CASE(-EINVAL, slot_beyond_file),
	CASE(-EINVAL, slot_at_odd_address),
	CASE(-EINVAL, slot_of_odd_size),
	CASE(-EINVAL, slot_at_odd_offset),
	CASE(-EINVAL, slot_that_wraps),
	CASE(-EINVAL, slot_beyond_physical_addresses),
	CASE(-EBADF, slot_of_bad_fd),
	CASE(-EINVAL, slot_of_other_fd),
	CASE(-EINVAL, slot_changed),
	CASE(0, slot_deleted_and_made_again),
	CASE(-EINVAL, slot_deleted_that_is_not),
	CASE(-EINVAL, slot_of_gmem_read_only),
	CASE(-EINVAL, gmem_through_the_old_call),
	CASE(-ENOTTY, vcpu_call_on_vm),
};

START_TEST(fake_notices_what_is_left_and_what_is_misused)
{
	struct fake_kvm *fake = malloc(sizeof(*fake));
	struct kvm_sys *sys;
	int fd;

	fake_kvm_init(fake);
	sys = &fake->sys;
	fd = sys->open(sys, "/dev/kvm");
	ck_assert_int_eq(fake->open_fds, 1);
	sys->close(sys, fd);
	ck_assert_int_eq(fake->misuse, 0);
	sys->close(sys, fd); /* again */
	ck_assert_int_eq(fake->misuse, 1);
	sys->unmap(sys, fake, PAGE_SIZE);
	ck_assert_int_eq(fake->misuse, 2);
	ck_assert_int_eq(fake->open_fds, 0);
	ck_assert_int_eq(sys->open(sys, "/dev/null"), -ENOENT);
	free(fake);
}
END_TEST

Suite *fake_vm_suite(void)
{
	Suite *s = suite_create("fake_vm");
	TCase *tc = tcase_create("fake_vm");

	world_add(tc, cases, ARRAY_SIZE(cases));
	tcase_add_test(tc, fake_notices_what_is_left_and_what_is_misused);
	suite_add_tcase(s, tc);
	return s;
}
