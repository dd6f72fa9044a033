/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A confidential technology is one struct cvm_ops in one file.  No other file
 * asks which technology is in use; it calls the operation or reads the flag.
 * Operations are listed, and called, in launch order.  Absent means nothing
 * to do - but for import: a technology without it can be probed only.
 */
#pragma once

#include <stdbool.h>

#include "vmm/kvm/kvm.h"

struct image_region;
struct store_ops;
struct vcpu;
struct vm;

struct cvm_ops {
	const char *name;      /* as written in the configuration */
	const char *help;      /* a few words for lists */
	unsigned long vm_type; /* argument of KVM_CREATE_VM */
	bool opaque_vcpus;     /* registers can be neither read nor set */
	/* What holds RAM; NULL: what the configuration says, all shared. */
	const struct store_ops *store;
	/*
	 * A memory fault says what the guest wants a page to be.  Else KVM
	 * takes that from the page, and a fault that of RAM is one that met
	 * a conversion: the guest tries again.
	 */
	bool faults_convert;
	/*
	 * KVM makes a status of its own of a hypercall's result, from 0 or a
	 * positive errno.  Else the guest gets it as it is.
	 */
	bool translates_result;
	/* Marks private pages in the guest's page tables: the C-bit; or 0. */
	uint64_t private_bit;
	const char *warning; /* for who starts such a VM; or NULL */

	/*
	 * Can this host run it?  0, or -errno with text that says what is
	 * missing (capability, module, option, permission) and what to do.
	 * kvm is open and has no VM.
	 */
	int (*probe)(struct kvm *kvm);
	/* The VM exists, and neither memory nor vCPUs. */
	int (*init_vm)(struct vm *vm);
	/* Adapts what a vCPU sees; room for X86_CPUID_MAX entries. */
	int (*cpuid)(struct kvm_cpuid2 *cpuid);
	/* Writes the region to guest memory. */
	int (*import)(struct vm *vm, const struct image_region *r);
	/*
	 * A vCPU reads or writes an MSR that init_vm() has KVM hand over.
	 * false: it gets #GP.  On the vCPU's thread.
	 */
	bool (*msr)(uint32_t index, bool write, uint64_t *value);
};

extern const struct cvm_ops cvm_none, cvm_emulated, cvm_sw, cvm_snp, cvm_tdx;

/* The i-th technology in order of preference for lists; NULL at the end. */
const struct cvm_ops *cvm_at(unsigned int i);
/* Just its name; NULL at the end. */
const char *cvm_name(unsigned int i);
const struct cvm_ops *cvm_find(const char *name);

/*
 * For probes: does KVM_CAP_VM_TYPES offer this type?  Hosts before 6.8 lack
 * the capability and have the default type only.  0, or -errno with text.
 */
int cvm_require_vm_type(struct kvm *kvm, unsigned long type);

/*
 * For probes: runs a throw-away VM of a few pages whose guest makes the
 * hypercall by which Linux converts memory.  0: user space got it.
 */
int cvm_try_hypercall(struct kvm_sys *sys);

/* For probes: is `flag` one of the CPU's features in /proc/cpuinfo? */
bool cvm_cpu_has(const char *flag);

/*
 * For probes: the first character of a module parameter's file under
 * /sys/module ("kvm_amd/parameters/sev_snp"), or 0 if there is none.
 */
char cvm_module_parameter(const char *path);

/*
 * For probes: how the running kernel was built with "CONFIG_..."; 'y', 'm',
 * 'n', or 0 if no copy of its configuration can be read.
 */
char cvm_kernel_config(const char *option);
