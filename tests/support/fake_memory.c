/* SPDX-License-Identifier: Apache-2.0 */
/* guest_memfd and memslots of the fake kernel. */
#include "support/fake_kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* kvm_host.h: KVM_MEM_MAX_NR_PAGES */
#define MAX_SLOT_PAGES ((1ULL << 31) - 1)

/* kvm_gmem_create(), guest_memfd.c:633-645 */
int fake_create_gmem(struct fake_kvm *fake,
		     const struct kvm_create_guest_memfd *gmem)
{
	uint64_t allowed =
		(uint64_t)fake_kvm_cap(fake, KVM_CAP_GUEST_MEMFD_FLAGS);
	struct fake_fd *f;
	int fd;

	if (!fake->knows_gmem || !fake_kvm_cap(fake, KVM_CAP_GUEST_MEMFD))
		return -ENOTTY;
	if (fake_vm_is_private(fake)) /* x86.c:13290 */
		allowed &= ~GUEST_MEMFD_FLAG_INIT_SHARED;
	if (gmem->flags & ~allowed)
		return -EINVAL;
	if ((int64_t)gmem->size <= 0 || gmem->size % PAGE_SIZE)
		return -EINVAL;
	fd = fake_add_fd(fake, FAKE_GMEM);
	if (fd < 0)
		return fd;
	f = fake_find_fd(fake, fd);
	f->size = gmem->size;
	f->flags = gmem->flags;
	f->memfd = memfd_create("fake-gmem", MFD_CLOEXEC);
	if (f->memfd < 0 || ftruncate(f->memfd, (off_t)gmem->size))
		return -ENOMEM;
	return fd;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* kvm_gmem_bind(), guest_memfd.c:647-710 */
static int check_bind(struct fake_kvm *fake,
		      const struct kvm_userspace_memory_region2 *r)
{
	const struct fake_fd *f = fake_find_fd(fake, (int)r->guest_memfd);

	if (!f)
		return -EBADF;
	if (f->kind != FAKE_GMEM)
		return -EINVAL;
	if (r->guest_memfd_offset > f->size ||
	    r->memory_size > f->size - r->guest_memfd_offset)
		return -EINVAL;
	/* One page of the file is at most one page of the guest. */
	for (unsigned int i = 0; i < FAKE_MAX_SLOTS; i++) {
		const struct fake_slot *s = &fake->vm.slots[i];

		if (s->used && s->gmem == (int)r->guest_memfd &&
		    overlap(s->gmem_off, s->len, r->guest_memfd_offset,
			    r->memory_size))
			return -EEXIST; /* EINVAL before 7.2 */
	}
	return 0;
}

/* check_memory_region_flags(), kvm_main.c:1577-1595 */
static int check_flags(const struct kvm_userspace_memory_region2 *r, bool two)
{
	uint32_t valid = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;

	if (two)
		valid |= KVM_MEM_GUEST_MEMFD;
	if (r->flags & KVM_MEM_GUEST_MEMFD) /* no log, not read-only */
		valid &=
			~(uint32_t)(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY);
	return r->flags & ~valid ? -EINVAL : 0;
}

/*
 * kvm_set_memory_region(), kvm_main.c:2000-2110; api.rst,
 * KVM_SET_USER_MEMORY_REGION
 */
static int check_range(const struct fake_kvm *fake,
		       const struct kvm_userspace_memory_region2 *r)
{
	if (r->memory_size % PAGE_SIZE || r->guest_phys_addr % PAGE_SIZE ||
	    r->userspace_addr % PAGE_SIZE)
		return -EINVAL;
	if (r->flags & KVM_MEM_GUEST_MEMFD &&
	    (r->guest_memfd_offset % PAGE_SIZE ||
	     r->guest_memfd_offset + r->memory_size < r->guest_memfd_offset))
		return -EINVAL;
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return -EINVAL;
	if (r->memory_size / PAGE_SIZE > MAX_SLOT_PAGES)
		return -EINVAL;
	/* kvm_arch_prepare_memory_region(), x86.c:12831 */
	if (r->memory_size &&
	    (r->guest_phys_addr + r->memory_size - 1) >> fake->maxphyaddr)
		return -EINVAL;
	/* The fake's slots are few; the kernel's limit is NR_MEMSLOTS. */
	return r->slot >= FAKE_MAX_SLOTS ? -EINVAL : 0;
}

static int delete_slot(struct fake_slot *slot)
{
	if (!slot->used)
		return -EINVAL; /* kvm_main.c: nothing to delete */
	slot->used = false;
	return 0;
}

/* A slot that exists: kvm_main.c:2070-2085 */
static int change_slot(const struct fake_slot *slot,
		       const struct kvm_userspace_memory_region2 *r)
{
	if (r->flags & KVM_MEM_GUEST_MEMFD || slot->gmem >= 0)
		return -EINVAL; /* only delete */
	if (r->userspace_addr != slot->host || r->memory_size != slot->len)
		return -EINVAL;
	return 0;
}

int fake_set_region(struct fake_kvm *fake,
		    const struct kvm_userspace_memory_region2 *r, bool two)
{
	struct fake_slot *slot;
	int rc = check_flags(r, two);

	if (!rc)
		rc = check_range(fake, r);
	if (rc)
		return rc;
	slot = &fake->vm.slots[r->slot];
	if (!r->memory_size)
		return delete_slot(slot);
	if (slot->used)
		rc = change_slot(slot, r);
	for (unsigned int i = 0; !rc && i < FAKE_MAX_SLOTS; i++) {
		const struct fake_slot *s = &fake->vm.slots[i];

		if (s->used && s != slot &&
		    overlap(s->gpa, s->len, r->guest_phys_addr, r->memory_size))
			rc = -EEXIST; /* kvm_main.c:2094 */
	}
	if (!rc && r->flags & KVM_MEM_GUEST_MEMFD)
		rc = check_bind(fake, r);
	if (rc)
		return rc;
	*slot = (struct fake_slot){
		.used = true,
		.gpa = r->guest_phys_addr,
		.len = r->memory_size,
		.host = r->userspace_addr,
		.gmem = r->flags & KVM_MEM_GUEST_MEMFD ? (int)r->guest_memfd
						       : -1,
		.gmem_off = r->guest_memfd_offset,
	};
	return 0;
}

static bool in_slot(const struct fake_kvm *fake, uint64_t gpa)
{
	for (unsigned int i = 0; i < FAKE_MAX_SLOTS; i++) {
		const struct fake_slot *s = &fake->vm.slots[i];

		if (s->used && gpa >= s->gpa && gpa - s->gpa < s->len)
			return true;
	}
	return false;
}

/* The next page: kvm_arch_vcpu_pre_fault_memory(), mmu.c:5085-5129 */
static int pre_fault_page(struct fake_kvm *fake, uint64_t gpa)
{
	int rc;

	/* Offered with two-dimensional paging only: x86.c, api.rst 4.143. */
	if (!fake_kvm_cap(fake, KVM_CAP_PRE_FAULT_MEMORY))
		return -EOPNOTSUPP;
	/* Those that measure memory say when: pre_fault_allowed. */
	if (fake->vm.type == KVM_X86_SNP_VM || fake->vm.type == KVM_X86_TDX_VM)
		return -EOPNOTSUPP;
	if (!in_slot(fake, gpa))
		return -ENOENT;
	rc = fake->pre_fault_error;
	if (rc && fake->pre_fault_errors && !--fake->pre_fault_errors)
		fake->pre_fault_error = 0;
	return rc;
}

/* kvm_vcpu_pre_fault_memory(), kvm_main.c:4356-4398; api.rst, 4.143 */
int fake_pre_fault(struct fake_kvm *fake, struct kvm_pre_fault_memory *range)
{
	uint64_t full = range->size, step = fake->pre_fault_step;
	int rc = 0;

	if (range->flags)
		return -EINVAL;
	if (range->gpa % PAGE_SIZE || range->size % PAGE_SIZE ||
	    range->gpa + range->size <= range->gpa)
		return -EINVAL;
	/* vCPUs do it side by side. */
	pthread_mutex_lock(&fake->lock);
	while (range->size) {
		rc = step && full - range->size >= step
			     ? -EINTR
			     : pre_fault_page(fake, range->gpa);
		if (rc)
			break;
		range->size -= PAGE_SIZE;
		range->gpa += PAGE_SIZE;
		fake->vm.pre_faulted += PAGE_SIZE;
	}
	pthread_mutex_unlock(&fake->lock);
	/* "0 if at least one page is processed" */
	return range->size == full ? rc : 0;
}

/*
 * kvm_vm_ioctl_set_mem_attributes(), kvm_main.c:2559-2647; api.rst,
 * KVM_SET_MEMORY_ATTRIBUTES.  All or nothing; gfns need no slot.
 */
int fake_set_attributes(struct fake_kvm *fake,
			const struct kvm_memory_attributes *set)
{
	uint64_t known =
		fake_vm_is_private(fake)
			? (uint64_t)fake_kvm_cap(fake,
						 KVM_CAP_MEMORY_ATTRIBUTES)
			: 0;
	uint64_t first = set->address / PAGE_SIZE;
	uint64_t nr = set->size / PAGE_SIZE;

	if (!fake->knows_gmem)
		return -ENOTTY;
	if (set->flags || set->attributes & ~known)
		return -EINVAL;
	if (!set->size || set->address + set->size < set->address)
		return -EINVAL;
	if (set->address % PAGE_SIZE || set->size % PAGE_SIZE)
		return -EINVAL;
	if (first + nr > FAKE_MAX_GFN)
		return -ENOMEM; /* the fake's own limit */
	if (!fake->vm.attributes)
		fake->vm.attributes = calloc(FAKE_MAX_GFN / 64, 8);
	if (!fake->vm.attributes)
		return -ENOMEM;
	for (uint64_t i = first; i < first + nr; i++)
		if (set->attributes)
			fake->vm.attributes[i / 64] |= 1ULL << i % 64;
		else
			fake->vm.attributes[i / 64] &= ~(1ULL << i % 64);
	fake->vm.attribute_calls++;
	return 0;
}

bool fake_is_private(struct fake_kvm *fake, uint64_t gpa)
{
	uint64_t i = gpa / PAGE_SIZE;
	bool is;

	pthread_mutex_lock(&fake->lock);
	is = fake->vm.attributes && fake->vm.attributes[i / 64] >> i % 64 & 1;
	pthread_mutex_unlock(&fake->lock);
	return is;
}
