/* SPDX-License-Identifier: Apache-2.0 */
/* KVM_X86_SW_PROTECTED_VM, the kernel's test vehicle.  Only probed so far. */
#include "vmm/cvm/cvm.h"

#include "vmm/base/err.h"

static int sw_probe(struct kvm *kvm)
{
	int rc = cvm_require_vm_type(kvm, KVM_X86_SW_PROTECTED_VM);

	return rc ? err_in(rc, "needs a kernel with "
			       "CONFIG_KVM_SW_PROTECTED_VM=y and the TDP MMU")
		  : 0;
}

const struct cvm_ops cvm_sw = {
	.name = "sw",
	.help = "software-protected, for development",
	.vm_type = KVM_X86_SW_PROTECTED_VM,
	.probe = sw_probe,
};
