/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A struct kvm_sys that makes the n-th call fail and passes all others on to
 * another one.  Opening, ioctls and mappings count; unmapping and closing
 * cannot fail.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/kvm/kvm.h"

struct fault_kvm {
	struct kvm_sys sys; /* hand &fault.sys to the VMM */
	struct kvm_sys *next;
	unsigned int fail_at; /* the call that fails, from 1; 0: none */
	int error;            /* ... with this negative errno */
	atomic_uint calls;
	unsigned long failed_req;      /* the ioctl it was, or 0 */
	bool failed_map, failed_punch; /* it was a mapping */
};

void fault_kvm_init(struct fault_kvm *fault, struct kvm_sys *next,
		    unsigned int fail_at, int error);
