/* SPDX-License-Identifier: Apache-2.0 */
/* KVM_X86_SW_PROTECTED_VM, the kernel's test vehicle.  Only probed so far. */
#include "vmm/cvm/cvm.h"

#include <errno.h>

#include "vmm/base/err.h"

static int sw_probe(struct kvm *kvm)
{
	int rc = cvm_require_vm_type(kvm, KVM_X86_SW_PROTECTED_VM);

	if (!rc)
		return 0;
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

const struct cvm_ops cvm_sw = {
	.name = "sw",
	.help = "software-protected, for development",
	.vm_type = KVM_X86_SW_PROTECTED_VM,
	.probe = sw_probe,
};
