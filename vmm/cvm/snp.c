/* SPDX-License-Identifier: Apache-2.0 */
/* AMD SEV-SNP.  Only probed so far. */
#include "vmm/cvm/cvm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/err.h"

static int snp_probe(struct kvm *kvm)
{
	char on = cvm_module_parameter("kvm_amd/parameters/sev_snp");

	if (!cvm_cpu_has("sev_snp"))
		return err_set(
			-EOPNOTSUPP,
			"the CPU has no sev_snp feature: needs an AMD "
			"EPYC 7003 or later with SNP enabled in the BIOS");
	if (cvm_kernel_config("CONFIG_KVM_AMD_SEV") == 'n')
		return err_set(-EOPNOTSUPP,
			       "this kernel was built without "
			       "CONFIG_KVM_AMD_SEV: use one with it");
	if (!on)
		return err_set(-EOPNOTSUPP, "kvm_amd is not loaded or knows no "
					    "sev_snp: modprobe kvm_amd "
					    "(Linux 6.11)");
	if (on != 'Y' && on != '1')
		return err_set(-EOPNOTSUPP, "kvm_amd.sev_snp is off: set "
					    "kvm_amd.sev_snp=1 and enable SNP "
					    "in the BIOS");
	if (access("/dev/sev", R_OK | W_OK))
		return err_set(-errno,
			       "/dev/sev: %s: load ccp, and run as "
			       "root or grant access",
			       strerror(errno));
	return cvm_require_vm_type(kvm, KVM_X86_SNP_VM);
}

const struct cvm_ops cvm_snp = {
	.name = "snp",
	.help = "AMD SEV-SNP",
	.vm_type = KVM_X86_SNP_VM,
	.opaque_vcpus = true,
	.probe = snp_probe,
};
