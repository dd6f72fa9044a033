/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM on the fake kernel: trace over faults over fake, a small image, and
 * the checks that must hold when it is gone.
 */
#pragma once

#include "boot/image.h"
#include "support/fake_kvm.h"
#include "support/fault_kvm.h"
#include "support/golden.h"
#include "vmm/cvm/cvm.h"
#include "vmm/kvm/trace.h"
#include "vmm/kvm/vm.h"

/* The image's last region: big enough to care, and with a page not filled. */
#define RIG_BIG_GPA (2 * MIB)
#define RIG_BIG_LEN (1 * MIB)
#define RIG_BIG_HOLE (256 * KIB) /* where, from its start */

struct rig {
	struct fake_kvm fake;
	struct fault_kvm fault;
	struct kvm_trace trace;
	struct transcript transcript;
	struct vm vm;
	struct memory_range ranges[2];
	struct vm_params params;
	struct image image;
	void (*prepare)(struct rig *rig); /* before the launch; or NULL */
	int threads;                      /* of the process, before */
	/* Set when the VM ended; wait with rig_wait(). */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int ended;
};

/* NULL never.  memory below 3 GiB is one range, else there is a hole. */
struct rig *rig_new(uint64_t memory, unsigned int nr_vcpus);

/* Creates, launches and starts the VM; 0 or -errno of the step that failed. */
int rig_start(struct rig *rig);
/* Waits until the VM has ended; fails the test after 10 s. */
void rig_wait(struct rig *rig);
/* Destroys the VM and fails the test if anything is left of it. */
void rig_destroy_vm(struct rig *rig);
void rig_free(struct rig *rig);

/* Start, wait, destroy: a whole life that begins with success. */
void rig_run(struct rig *rig);

/* Memory alone: of two ranges, in a VM of the fake kernel, which is ready. */
void rig_memory_init(struct memory *mem, struct kvm *kvm, struct fake_kvm *fake,
		     unsigned long vm_type, const struct store_ops *store,
		     const struct memory_range *two);
/* Frees it, twice, and checks that nothing is left of it. */
void rig_memory_free(struct memory *mem, struct kvm *kvm,
		     const struct fake_kvm *fake);
