/* SPDX-License-Identifier: Apache-2.0 */
/* Intel TDX.  Only probed so far. */
#include "vmm/cvm/cvm.h"

#include <errno.h>

#include "vmm/base/err.h"

static int tdx_probe(struct kvm *kvm)
{
	char on = cvm_module_parameter("kvm_intel/parameters/tdx");

	if (cvm_kernel_config("CONFIG_KVM_INTEL_TDX") == 'n')
		return err_set(-EOPNOTSUPP,
			       "this kernel was built without "
			       "CONFIG_KVM_INTEL_TDX: needs Linux 6.16 with it "
			       "and a Xeon with TDX enabled in the BIOS");
	if (!cvm_cpu_has("tdx_host_platform"))
		return err_set(-EOPNOTSUPP,
			       "the CPU is not a TDX host: needs a Xeon with "
			       "TDX enabled in the BIOS and a kernel with "
			       "CONFIG_INTEL_TDX_HOST=y");
	if (!on)
		return err_set(-EOPNOTSUPP,
			       "kvm_intel is not loaded or knows no tdx: "
			       "needs Linux 6.16 with CONFIG_KVM_INTEL_TDX=y");
	if (on != 'Y' && on != '1')
		return err_set(-EOPNOTSUPP, "kvm_intel.tdx is off: set "
					    "kvm_intel.tdx=1");
	return cvm_require_vm_type(kvm, KVM_X86_TDX_VM);
}

const struct cvm_ops cvm_tdx = {
	.name = "tdx",
	.help = "Intel TDX",
	.vm_type = KVM_X86_TDX_VM,
	.opaque_vcpus = true,
	.probe = tdx_probe,
};
