/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles if vmm/kvm/abi.h says what the newest kernel headers say.  The
 * two lists are made from abi.h by tests/scripts/abi.sh: abi_keep.h keeps the
 * kernel's values under other names and gets its names out of the way,
 * abi_compare.h compares.  So what is added to abi.h is compared, too.
 */
#include <stddef.h>

#include <linux/kvm.h>

#include "abi_keep.h"

#include "vmm/kvm/abi.h"

#include "abi_compare.h"

/* What abi.h reads through an overlay has no name of the kernel's. */
#define SAME_FIELD(field)                                                    \
	_Static_assert(ABI_RUN_UNION + offsetof(struct abi_memory_fault,     \
						field) ==                    \
			       offsetof(struct kvm_run, memory_fault.field), \
		       "memory_fault." #field)
SAME_FIELD(flags);
SAME_FIELD(gpa);
SAME_FIELD(size);
_Static_assert(ABI_RUN_UNION == offsetof(struct kvm_run, io), "union");
_Static_assert(sizeof(struct abi_memory_fault) ==
		       sizeof(((struct kvm_run *)0)->memory_fault),
	       "size of memory_fault");
