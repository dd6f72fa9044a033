/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM_X86_SW_PROTECTED_VM, the kernel's test vehicle: private memory is a
 * guest_memfd that nobody can map, and nobody can write it but the guest.  So
 * the image is loaded into shared pages.  All other RAM is private to devices
 * from the start, and to KVM from when the guest asks, as it is to do before
 * it uses memory: here KVM learns nothing from an access.
 */
#include "vmm/cvm/cvm.h"

#include <errno.h>
#include <string.h>

#include "boot/image.h"
#include "vmm/base/err.h"
#include "vmm/kvm/vm.h"

static int sw_probe(struct kvm *kvm)
{
	int rc = cvm_require_vm_type(kvm, KVM_X86_SW_PROTECTED_VM);

	if (rc != -EOPNOTSUPP)
		return rc;
	switch (cvm_kernel_config("CONFIG_KVM_SW_PROTECTED_VM")) {
	case 'n':
		return err_set(-EOPNOTSUPP,
			       "this kernel was built without "
			       "CONFIG_KVM_SW_PROTECTED_VM, as those of all "
			       "distributions: build one with it");
	case 'y':
		return err_in(rc, "needs the TDP MMU: load kvm with "
				  "tdp_mmu=Y, kvm_intel with ept=1 or kvm_amd "
				  "with npt=1");
	}
	return err_in(rc, "needs a kernel with CONFIG_KVM_SW_PROTECTED_VM=y "
			  "and the TDP MMU");
}

/* Documentation/virt/kvm/x86/cpuid.rst: user space is to tell. */
#define LEAF_FEATURES 0x40000001
#define FEATURE_HC_MAP_GPA_RANGE (1U << 16)

static int sw_cpuid(struct kvm_cpuid2 *cpuid)
{
	for (unsigned int i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == LEAF_FEATURES)
			cpuid->entries[i].eax |= FEATURE_HC_MAP_GPA_RANGE;
	return 0;
}

static int sw_import(struct vm *vm, const struct image_region *r)
{
	struct memory *mem = &vm->memory;
	uint64_t len = align_up(r->len, PAGE_SIZE);
	int rc = memory_convert(mem, r->gpa, len, false, CONVERT_LAUNCH);
	uint8_t *dst = guest_at(&mem->guest, r->gpa, r->len);

	if (rc || !dst)
		return err_set(rc ? rc : -EINVAL,
			       "%s at %#llx: its memory cannot be shared: %s",
			       r->name, (unsigned long long)r->gpa,
			       strerror(rc ? -rc : EINVAL));
	return r->fill ? r->fill(r, dst) : 0;
}

const struct cvm_ops cvm_sw = {
	.name = "sw",
	.help = "software-protected, for development",
	.vm_type = KVM_X86_SW_PROTECTED_VM,
	.store = &store_two,
	.probe = sw_probe,
	.cpuid = sw_cpuid,
	.import = sw_import,
};
