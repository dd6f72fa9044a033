/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: ranges of it, in a store, shown to the guest and to the host.
 * Nothing is allocated until the guest or the loader touches it, so size
 * costs nothing.
 */
#pragma once

#include "vmm/base/guest.h"
#include "vmm/kvm/convert.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/store.h"

struct memory_range {
	gpa_t gpa;
	uint64_t len;
};

struct memory_stretch {
	uint64_t off, len; /* in RAM; len 0: none */
};

struct memory {
	struct guest_mem guest; /* what devices and loaders see */
	struct kvm *kvm;        /* NULL: empty */
	const struct store_ops *store;
	uint64_t len;
	struct pages pages;          /* where the store has private ones */
	struct convert_count counts; /* likewise */
	struct window window;        /* likewise */
	struct memory_stretch huge;  /* of it; under its lock */
	atomic_bool given_up;        /* the VM ends: convert no more */
	/* The store's: */
	int gmem_fd, memfd; /* -1: none */
	void *map;          /* of all that is shared */
	void *private_map;  /* of all that is private; NULL: nobody can */
	atomic_bool parted; /* the stores of store_views are two by now */
};

/*
 * Creates RAM for the ranges (page aligned, sorted, at most
 * GUEST_MAX_REGIONS) and shows it to the VM.  -EOPNOTSUPP with the way out if
 * this kernel cannot have such a store.  On failure nothing is left.  mem must
 * not move afterwards.
 */
int memory_init(struct memory *mem, struct kvm *kvm,
		const struct store_ops *store,
		const struct memory_range *ranges, unsigned int nr_ranges);
void memory_destroy(struct memory *mem); /* twice is fine */

/*
 * Has the shared window looked for; before any vCPU and any device.  Where no
 * memory is private there is none.
 */
void memory_keep_window(struct memory *mem, enum window_mode mode);

/*
 * Has KVM map what is allocated of [gpa, gpa + len), whole pages of one memslot
 * that the host has at host, if it is worth asking for: a fault of the guest's
 * for each page would find nothing else to do.  What is not allocated stays
 * so.  Without effect where KVM does not offer it.  Not before memory that is
 * measured is sealed; see kvm_pre_fault().
 */
int memory_pre_fault(struct memory *mem, int vcpu_fd, gpa_t gpa, uint8_t *host,
		     uint64_t len);

/* Bytes the kernel has allocated so far for a state; cheap for any size. */
uint64_t memory_allocated(const struct memory *mem, bool of_private);
