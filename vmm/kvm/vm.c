/* SPDX-License-Identifier: Apache-2.0 */
/* What vm.h declares; with vcpu.c the whole life of a VM. */
#include "vmm/kvm/vm.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "boot/image.h"
#include "vmm/base/err.h"
#include "vmm/cvm/cvm.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/x86.h"

static int add_vcpus(struct vm *vm, unsigned int count)
{
	int rc = 0;

	vm->vcpus = calloc(count, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return err_set(-ENOMEM, "%u vCPUs: out of memory", count);
	for (unsigned int i = 0; !rc && i < count; i++) {
		struct vcpu *vcpu = &vm->vcpus[i];

		vcpu->vm = vm;
		vcpu->index = i;
		vcpu->fd = -1;
		vm->nr_vcpus++; /* from here vm_destroy() owns it */
		rc = vcpu_create(vcpu);
	}
	return rc ? rc : x86_init_vcpus(vm);
}

static int build(struct vm *vm, const struct vm_params *p)
{
	const struct store_ops *store =
		p->cvm->store ? p->cvm->store : p->store;
	int rc = p->cvm->probe(&vm->kvm);

	if (!rc && p->prefault)
		rc = prefault_check(&vm->kvm);
	if (!rc)
		rc = kvm_create_vm(&vm->kvm, p->cvm->vm_type);
	if (!rc)
		rc = x86_init_vm(vm);
	if (!rc && p->cvm->init_vm)
		rc = p->cvm->init_vm(vm);
	if (!rc)
		rc = memory_init(&vm->memory, &vm->kvm, store, p->ranges,
				 p->nr_ranges);
	if (!rc)
		memory_keep_window(&vm->memory, p->window);
	if (!rc && store->has_private)
		rc = kvm_enable_cap(&vm->kvm, KVM_CAP_EXIT_HYPERCALL,
				    "KVM_CAP_EXIT_HYPERCALL",
				    1 << KVM_HC_MAP_GPA_RANGE);
	if (!rc)
		rc = add_vcpus(vm, p->nr_vcpus);
	return rc;
}

int vm_create(struct vm *vm, struct kvm_sys *sys, const struct vm_params *p)
{
	int rc;

	*vm = (struct vm){ .cvm = p->cvm,
			   .msr = p->cvm->msr,
			   .faults_convert = p->cvm->faults_convert,
			   .translates_result = p->cvm->translates_result,
			   .private_bit = p->cvm->private_bit,
			   .prefault_all = p->prefault };
	if (!p->cvm->import)
		return err_set(-EOPNOTSUPP,
			       "VM type %s cannot be launched by this version "
			       "of cvmm, only probed",
			       p->cvm->name);
	rc = kvm_open(&vm->kvm, sys);
	if (rc)
		return rc;
	rc = build(vm, p);
	if (rc) {
		vm_destroy(vm);
		return err_in(rc, "VM type %s", p->cvm->name);
	}
	return 0;
}

/*
 * A Linux whose memory is private clears its SWIOTLB pool before it shares it:
 * twice as many faults as all others of its boot.
 */
static void plan_prefault(struct vm *vm, const struct image *image)
{
	if (vm->prefault_all)
		prefault_all(vm);
	else if (image->pool_len)
		prefault_private(vm, image->pool, image->pool_len);
}

int vm_launch(struct vm *vm, const struct image *image)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < image->count; i++) {
		rc = vm->cvm->import(vm, &image->regions[i]);
		if (rc)
			return err_in(rc, "load %s", image->regions[i].name);
	}
	rc = x86_set_entry(vm, image);
	if (!rc)
		plan_prefault(vm, image);
	vm->launched = !rc;
	return rc;
}

int vm_start(struct vm *vm)
{
	int rc = 0;

	assert(vm->launched); /* asked-for protection was applied */
	/*
	 * vCPU 0 is last: until it runs the others wait, so nothing has run
	 * if one cannot be started.
	 */
	for (unsigned int i = vm->nr_vcpus; !rc && i--;)
		rc = vcpu_start(&vm->vcpus[i]);
	return rc;
}

void vm_end(struct vm *vm, enum vm_end why, const char *fmt, ...)
{
	static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
	va_list ap;

	pthread_mutex_lock(&first);
	if (vm->end != VM_RUNNING) {
		pthread_mutex_unlock(&first);
		return;
	}
	va_start(ap, fmt);
	vsnprintf(vm->end_text, sizeof(vm->end_text), fmt, ap);
	va_end(ap);
	vm->end = why;
	vm->memory.given_up = true;
	pthread_mutex_unlock(&first);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_kick(&vm->vcpus[i]);
	if (vm->ended)
		vm->ended(vm->ctx);
}

void vm_stop(struct vm *vm)
{
	if (vm->end == VM_RUNNING)
		vm_end(vm, VM_STOPPED, "destroyed");
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_join(&vm->vcpus[i]);
}

void vm_destroy(struct vm *vm)
{
	vm_stop(vm);
	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		vcpu_destroy(&vm->vcpus[i]);
	free(vm->vcpus);
	vm->vcpus = NULL;
	vm->nr_vcpus = 0;
	memory_destroy(&vm->memory);
	kvm_close(&vm->kvm);
	vm->launched = false;
}

uint64_t vm_exits(const struct vm *vm, enum exit_kind kind)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		sum += vm->vcpus[i].exits[kind];
	return sum;
}
