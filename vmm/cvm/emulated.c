/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An unmodified Linux that believes it is an SEV guest, on the default VM
 * type: for development, without protection.  The C-bit is an alias of the
 * address space: guest_memfd, the private store, is at addresses with it and
 * the shared store at those without, so what a page table entry says selects
 * the store, as encryption would.  The host can read both.
 */
#include "vmm/cvm/cvm.h"

#include <errno.h>

#include "boot/image.h"
#include "vmm/base/err.h"
#include "vmm/kvm/vm.h"
#include "vmm/kvm/x86.h"

/*
 * Any x86 CPU with a second level of page tables that KVM can use has 39
 * address bits, so the guest is the same everywhere: the last one is C.
 */
#define C_BIT 38
#define ADDRESS_BITS (C_BIT + 1)
_Static_assert(STORE_VIEWS_BIT >> C_BIT == 1, "C selects the store");

/* AMD APM vol. 3, E.4.17: Fn8000_001F. */
#define SEV_LEAF 0x8000001f
#define SEV_EAX_SEV (1u << 1)
#define SEV_EBX_REDUCTION (1u << 6)
/* AMD APM vol. 2, 15.34.10: SEV_STATUS. */
#define MSR_SEV_STATUS 0xc0010131
#define SEV_STATUS_SEV 1
/* uapi asm/kvm_para.h; Documentation/virt/kvm/x86/msr.rst */
#define MSR_KVM_MIGRATION_CONTROL 0x4b564d08
#define KVM_LEAF 0x40000001
#define KVM_EAX_MAP_GPA_RANGE (1u << 16)
#define KVM_EAX_MIGRATION_CONTROL (1u << 17)
#define ECX7_LA57 (1u << 16) /* Intel SDM vol. 2A, CPUID, leaf 7 */

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

static int emulated_init_vm(struct vm *vm)
{
	static const uint32_t msrs[] = { MSR_SEV_STATUS,
					 MSR_KVM_MIGRATION_CONTROL };

	return kvm_exit_on_msrs(&vm->kvm, msrs, ARRAY_SIZE(msrs));
}

static bool emulated_msr(uint32_t index, bool write, uint64_t *value)
{
	/* Whether the guest is ready to be moved: it never is. */
	if (index == MSR_KVM_MIGRATION_CONTROL)
		return true;
	if (write || index != MSR_SEV_STATUS)
		return false;
	*value = SEV_STATUS_SEV;
	return true;
}

static bool adapt_entry(struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case 7:
		if (!e->index)
			e->ecx &= ~ECX7_LA57;
		break;
	case KVM_LEAF:
		e->eax |= KVM_EAX_MAP_GPA_RANGE | KVM_EAX_MIGRATION_CONTROL;
		break;
	case 0x80000000:
		e->eax = max_of(e->eax, (uint32_t)SEV_LEAF);
		break;
	case 0x80000008:
		if ((e->eax & 0xff) < ADDRESS_BITS)
			return false;
		/* Linear bits stay; no third kind of address bits. */
		e->eax = (e->eax & 0xff00) | ADDRESS_BITS;
		break;
	}
	return true;
}

static int emulated_cpuid(struct kvm_cpuid2 *cpuid)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (!adapt_entry(e))
			return err_set(-EOPNOTSUPP,
				       "needs a CPU with %u physical address "
				       "bits, this one has %u",
				       ADDRESS_BITS, e->eax & 0xff);
		if (e->function != SEV_LEAF)
			cpuid->entries[kept++] = *e;
	}
	cpuid->nent = kept;
	if (kept == X86_CPUID_MAX)
		return err_set(-E2BIG, "CPUID: no room for leaf %#x", SEV_LEAF);
	cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
		.function = SEV_LEAF,
		.eax = SEV_EAX_SEV,
		.ebx = C_BIT | SEV_EBX_REDUCTION,
	};
	return 0;
}

static int emulated_import(struct vm *vm, const struct image_region *r)
{
	uint8_t *dst = store_views_private(&vm->memory, r->gpa, r->len);
	int rc;

	if (!dst)
		return err_set(-EINVAL,
			       "%s at %#llx does not fit in guest memory",
			       r->name, (unsigned long long)r->gpa);
	rc = r->fill ? r->fill(r, dst) : 0;
	/* What was just written is what the guest reads first. */
	if (!rc)
		rc = memory_pre_fault(&vm->memory, vm->vcpus[0].fd,
				      r->gpa | STORE_VIEWS_BIT, dst, r->len);
	return rc;
}

const struct cvm_ops cvm_emulated = {
	.name = "emulated",
	.help = "a guest that believes in SEV, not protected",
	.warning = "the guest believes in SEV, but the host can read and "
		   "change all of its memory: for development only",
	.vm_type = KVM_X86_DEFAULT_VM,
	.store = &store_views,
	.private_bit = STORE_VIEWS_BIT,
	.probe = emulated_probe,
	.init_vm = emulated_init_vm,
	.cpuid = emulated_cpuid,
	.import = emulated_import,
	.msr = emulated_msr,
};
