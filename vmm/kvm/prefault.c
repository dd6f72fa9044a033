/* SPDX-License-Identifier: Apache-2.0 */
/* What prefault.h declares. */
#include "vmm/kvm/prefault.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/kvm/vm.h"

int prefault_check(struct kvm *kvm)
{
	int rc = kvm_check_extension(kvm, KVM_CAP_PRE_FAULT_MEMORY);

	if (rc)
		return rc < 0 ? rc : 0;
	return err_set(-EOPNOTSUPP,
		       "memory.prefault: KVM lacks KVM_CAP_PRE_FAULT_MEMORY "
		       "(needs Linux 6.11 and two-dimensional paging)");
}

static void plan(struct vm *vm, uint64_t off, uint64_t len, bool must)
{
	vm->prefault.off = off;
	vm->prefault.len = len;
	vm->prefault.must = must;
	vm->prefault.working = vm->nr_vcpus;
}

void prefault_all(struct vm *vm)
{
	plan(vm, 0, vm->memory.len, true);
}

void prefault_private(struct vm *vm, gpa_t gpa, uint64_t len)
{
	struct guest_mem *mem = &vm->memory.guest;

	for (unsigned int i = 0; mem->pages && i < mem->count; i++) {
		const struct guest_region *r = &mem->regions[i];

		if (gpa >= r->base && gpa - r->base <= r->len &&
		    len <= r->len - (gpa - r->base) &&
		    kvm_check_extension(&vm->kvm, KVM_CAP_PRE_FAULT_MEMORY) > 0)
			plan(vm, r->off + (gpa - r->base), len, false);
	}
}

/* [gpa, gpa + len), until it is done or the VM ends. */
static int fault_in(struct vcpu *vcpu, gpa_t gpa, uint64_t len)
{
	struct vm *vm = vcpu->vm;
	int rc = 0;

	memory_touch_range(&vm->memory, gpa, len);
	gpa |= vm->private_bit;
	while (len && vm->end == VM_RUNNING) {
		rc = kvm_pre_fault(&vm->kvm, vcpu->fd, &gpa, &len);
		if (rc && rc != -EINTR && rc != -EAGAIN)
			return rc;
	}
	return 0;
}

/* What of [off, off + len) is in one memslot, and in the next one. */
static int fault_in_block(struct vcpu *vcpu, uint64_t off, uint64_t len)
{
	const struct guest_mem *mem = &vcpu->vm->memory.guest;
	int rc = 0;

	for (unsigned int i = 0; !rc && i < mem->count; i++) {
		const struct guest_region *r = &mem->regions[i];
		uint64_t from = max_of(off, r->off);
		uint64_t end = min_of(off + len, r->off + r->len);

		if (from < end)
			rc = fault_in(vcpu, r->base + (from - r->off),
				      end - from);
	}
	return rc;
}

static void give_up(struct vcpu *vcpu, int rc)
{
	struct prefault *p = &vcpu->vm->prefault;

	p->taken = p->len; /* nobody needs to try the rest */
	if (p->must)
		vm_end(vcpu->vm, VM_FAILED,
		       "memory.prefault: KVM_PRE_FAULT_MEMORY: %s",
		       strerror(-rc));
}

/* Whoever gets past another tenth says so. */
static void note_progress(struct vm *vm, uint64_t len)
{
	struct prefault *p = &vm->prefault;
	uint64_t done = atomic_fetch_add(&p->done, len) + len;
	unsigned int tenths = (unsigned int)(done * 10 / p->len);

	if (p->must && vm->prefaulted && tenths > (done - len) * 10 / p->len)
		vm->prefaulted(vm->ctx, tenths * 10);
}

/* The last one to leave lets vCPU 0 go on. */
static void leave(struct vcpu *vcpu)
{
	struct prefault *p = &vcpu->vm->prefault;

	pthread_mutex_lock(&p->lock);
	if (!--p->working)
		pthread_cond_broadcast(&p->finished);
	while (!vcpu->index && p->working)
		pthread_cond_wait(&p->finished, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void prefault_run(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct prefault *p = &vm->prefault;
	uint64_t at;

	if (!p->len)
		return;
	while (vm->end == VM_RUNNING &&
	       (at = atomic_fetch_add(&p->taken, PAGES_BLOCK)) < p->len) {
		uint64_t len = min_of(p->len - at, PAGES_BLOCK);
		int rc = fault_in_block(vcpu, p->off + at, len);

		if (rc)
			give_up(vcpu, rc);
		else if (vm->end == VM_RUNNING)
			note_progress(vm, len);
	}
	leave(vcpu);
}
