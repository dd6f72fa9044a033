/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: one file, one mapping, one memslot a range.  Nothing is
 * allocated until the guest or the loader touches it, so size costs nothing.
 */
#pragma once

#include "vmm/base/guest.h"
#include "vmm/kvm/kvm.h"

enum memory_backing {
	MEMORY_GUEST_MEMFD, /* guest_memfd, INIT_SHARED | MMAP: Linux 6.18 */
	MEMORY_MEMFD        /* ordinary memory, without its guarantee */
};

struct memory_range {
	gpa_t gpa;
	uint64_t len;
};

struct memory {
	struct guest_mem guest; /* what devices and loaders see */
	struct kvm *kvm;        /* NULL: empty */
	enum memory_backing backing;
	int fd;
	void *map;
	uint64_t len;
};

/*
 * Creates RAM for the ranges (page aligned, sorted, at most
 * GUEST_MAX_REGIONS) and shows it to the VM.  -EOPNOTSUPP with the way out if
 * this kernel has no mappable guest_memfd.  On failure nothing is left.
 */
int memory_init(struct memory *mem, struct kvm *kvm,
		enum memory_backing backing, const struct memory_range *ranges,
		unsigned int nr_ranges);
void memory_destroy(struct memory *mem); /* twice is fine */

/*
 * Has KVM map what is allocated of [gpa, gpa + len), whole pages of one range:
 * a fault of the guest's for each page would find nothing else to do.  What
 * is not allocated stays so.  Without effect where KVM does not offer it.  Not
 * before memory that is measured is sealed; see kvm_pre_fault().
 */
int memory_pre_fault(struct memory *mem, int vcpu_fd, gpa_t gpa, uint64_t len);

/* Bytes of RAM the kernel has allocated so far; cheap for any size. */
uint64_t memory_allocated(const struct memory *mem);
