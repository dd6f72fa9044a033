/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An unmodified Linux that believes it is an SEV guest, on the default VM
 * type: for development, without protection.  Only probed so far.
 */
#include "vmm/cvm/cvm.h"

#include <errno.h>

#include "vmm/base/err.h"

static int emulated_probe(struct kvm *kvm)
{
	int rc = cvm_require_vm_type(kvm, KVM_X86_DEFAULT_VM);

	if (rc)
		return rc;
	rc = kvm_check_extension(kvm, KVM_CAP_GUEST_MEMFD_FLAGS);
	if (rc >= 0 && (rc & GUEST_MEMFD_FLAG_MMAP) == 0)
		return err_set(-EOPNOTSUPP, "KVM cannot map guest_memfd "
					    "(needs Linux 6.18)");
	if (rc >= 0)
		rc = kvm_check_extension(kvm, KVM_CAP_EXIT_HYPERCALL);
	if (rc >= 0 && !(rc & (1 << KVM_HC_MAP_GPA_RANGE)))
		return err_set(-EOPNOTSUPP, "KVM_CAP_EXIT_HYPERCALL does not "
					    "offer KVM_HC_MAP_GPA_RANGE");
	if (rc >= 0)
		rc = kvm_check_extension(kvm, KVM_CAP_X86_USER_SPACE_MSR);
	if (!rc)
		return err_set(-EOPNOTSUPP,
			       "KVM lacks KVM_CAP_X86_USER_SPACE_MSR");
	return rc < 0 ? rc : cvm_try_hypercall(kvm->sys);
}

const struct cvm_ops cvm_emulated = {
	.name = "emulated",
	.help = "a guest that believes in SEV, not protected",
	.vm_type = KVM_X86_DEFAULT_VM,
	.probe = emulated_probe,
};
