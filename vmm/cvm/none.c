/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No protection: an ordinary VM.  RAM is a guest_memfd all the same, shared
 * from the start, and the host writes the image straight into it.
 */
#include "vmm/cvm/cvm.h"

#include <errno.h>

#include "boot/image.h"
#include "vmm/base/err.h"
#include "vmm/kvm/vm.h"

static int none_probe(struct kvm *kvm)
{
	return cvm_require_vm_type(kvm, KVM_X86_DEFAULT_VM);
}

static int none_import(struct vm *vm, const struct image_region *r)
{
	uint8_t *dst = guest_at(&vm->memory.guest, r->gpa, r->len);
	int rc = 0;

	if (!dst)
		return err_set(-EINVAL,
			       "%s at %#llx does not fit in guest memory",
			       r->name, (unsigned long long)r->gpa);
	if (r->fill)
		rc = r->fill(r, dst);
	/* What was just written is what the guest reads first. */
	if (!rc)
		rc = memory_pre_fault(&vm->memory, vm->vcpus[0].fd, r->gpa, dst,
				      r->len);
	return rc;
}

const struct cvm_ops cvm_none = {
	.name = "none",
	.help = "an ordinary VM, not protected from the host",
	.vm_type = KVM_X86_DEFAULT_VM,
	.probe = none_probe,
	.import = none_import,
};
