/* SPDX-License-Identifier: Apache-2.0 */
/* What vcpu.h declares. */
#include "vmm/kvm/vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/thread.h"

int vcpu_create(struct vcpu *vcpu)
{
	struct kvm *kvm = &vcpu->vm->kvm;
	int rc;

	vcpu->fd = -1;
	rc = kvm_create_vcpu(kvm, vcpu->index);
	if (rc < 0)
		return err_in(rc, "vCPU %u", vcpu->index);
	vcpu->fd = rc;
	vcpu->run = kvm_map(kvm, vcpu->fd, kvm->run_size, "vCPU run area");
	return vcpu->run ? 0 : err_in(-ENOMEM, "vCPU %u", vcpu->index);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	struct kvm *kvm = &vcpu->vm->kvm;

	kvm_unmap(kvm, vcpu->run, kvm->run_size);
	kvm_close_fd(kvm, vcpu->fd);
	vcpu->run = NULL;
	vcpu->fd = -1;
}

const char *vcpu_describe(const struct vcpu *vcpu, char *buf, size_t len)
{
	struct kvm *kvm = &vcpu->vm->kvm;
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	buf[0] = '\0';
	if (kvm_get_regs(kvm, vcpu->fd, &regs) >= 0 &&
	    kvm_get_sregs(kvm, vcpu->fd, &sregs) >= 0)
		snprintf(buf, len, ", RIP %#llx, CR2 %#llx", regs.rip,
			 sregs.cr2);
	return buf;
}

static void end_with_state(struct vcpu *vcpu, enum vm_end why, const char *what)
{
	char state[VCPU_DESCRIPTION];

	vm_end(vcpu->vm, why, "%s on vCPU %u%s", what, vcpu->index,
	       vcpu_describe(vcpu, state, sizeof(state)));
}

static void access_bus(struct bus *bus, const struct vm_exit *e)
{
	for (unsigned int i = 0; i < e->count; i++) {
		uint8_t *data = e->data + (size_t)i * e->len;

		if (e->write)
			bus_write(bus, e->addr, data, e->len);
		else
			bus_read(bus, e->addr, data, e->len);
	}
}

/*
 * What a hypercall returns: hypercalls.rst has negative errors, and the kernel
 * has its own ENOSYS for guests (uapi linux/kvm_para.h).  A host that cannot
 * convert is none of the guest's business; that it did not happen is.
 */
static uint64_t result_of(const struct vm *vm, int rc)
{
	uint64_t code = rc == -ENOSYS ? KVM_ENOSYS : EINVAL;

	if (!rc)
		return 0;
	return vm->translates_result ? EINVAL : -code;
}

static void handle_hypercall(struct vcpu *vcpu, const struct vm_exit *e)
{
	struct vm *vm = vcpu->vm;
	int rc = e->refusal;

	if (!rc)
		rc = memory_convert(&vm->memory, e->addr, e->bytes,
				    e->to_private, CONVERT_ASKED);
	/* Always: KVM does not preset it before 7.2. */
	vcpu->run->hypercall.ret = result_of(vm, rc);
}

/* Of an access that faults while nobody converts anything. */
#define FAULT_REPEATS 1000

/* False if the guest cannot go on. */
static bool handle_fault(struct vcpu *vcpu, const struct vm_exit *e)
{
	struct vm *vm = vcpu->vm;
	const gpa_t page = align_down(e->addr, PAGE_SIZE);
	uint64_t converted = convert_bytes(&vm->memory.counts);

	if (page != vcpu->fault || converted != vcpu->fault_converted)
		vcpu->fault_repeats = 0;
	vcpu->fault = page;
	vcpu->fault_converted = converted;
	if (e->error != -EFAULT || ++vcpu->fault_repeats > FAULT_REPEATS ||
	    !guest_has(&vm->memory.guest, page))
		return false;
	if (vm->faults_convert && e->to_private)
		memory_touch(&vm->memory, page);
	return !vm->faults_convert ||
	       !memory_convert(&vm->memory, page, PAGE_SIZE, e->to_private,
			       CONVERT_FAULT);
}

static void access_msr(struct vcpu *vcpu, const struct vm_exit *e)
{
	const struct vm *vm = vcpu->vm;
	uint64_t value;

	memcpy(&value, e->data, sizeof(value));
	if (!vm->msr || !vm->msr((uint32_t)e->addr, e->write, &value))
		vcpu->run->msr.error = 1; /* #GP */
	memcpy(e->data, &value, sizeof(value));
}

static void handle_exit(struct vcpu *vcpu, const struct vm_exit *e)
{
	struct vm *vm = vcpu->vm;
	char what[160];

	switch (e->kind) {
	case EXIT_PIO:
		access_bus(&vm->pio, e);
		break;
	case EXIT_MMIO:
		access_bus(&vm->mmio, e);
		break;
	case EXIT_MSR:
		access_msr(vcpu, e);
		break;
	case EXIT_INTERRUPTED:
		break;
	case EXIT_SHUTDOWN:
		end_with_state(vcpu, VM_TRIPLE_FAULT, "triple fault");
		break;
	case EXIT_RESET:
		vm_end(vm, VM_RESET, "reset by KVM for vCPU %u", vcpu->index);
		break;
	case EXIT_POWEROFF:
		vm_end(vm, VM_POWEROFF, "powered off by KVM for vCPU %u",
		       vcpu->index);
		break;
	case EXIT_HYPERCALL:
		handle_hypercall(vcpu, e);
		break;
	case EXIT_MEMORY_FAULT:
		if (handle_fault(vcpu, e))
			break;
		/* fall through */
	case EXIT_FAILED:
	case EXIT_KINDS:
		end_with_state(vcpu, VM_FAILED,
			       exit_describe(e, what, sizeof(what)));
		break;
	}
}

/*
 * KVM cannot emulate an instruction while an event is being delivered.  For
 * SVM Linux 7.2 looks only at that event's type, which stays when the delivery
 * is over, as under QEMU's emulator, where a notification soon after a page
 * fault meets this.  Entering again is all it takes, or changes nothing.
 */
#define DELIVERY_TRIES 8

static bool is_worth_another_try(const struct vm_exit *e, unsigned int *tries)
{
	if (e->reason == KVM_EXIT_INTERNAL_ERROR &&
	    e->detail == KVM_INTERNAL_ERROR_DELIVERY_EV)
		return ++*tries < DELIVERY_TRIES;
	*tries = 0;
	return false;
}

static void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vm *vm = vcpu->vm;
	unsigned int tries = 0;

	vcpu->tid = gettid(); /* from here vcpu_kick() sends a signal */
	prefault_run(vcpu);
	while (vm->end == VM_RUNNING) {
		struct vm_exit e;
		int rc = kvm_run(&vm->kvm, vcpu->fd);

		if (exit_decode(vcpu->run, vm->kvm.run_size, rc, &e)) {
			vm_end(vm, VM_FAILED,
			       "KVM exit %u makes no sense on vCPU %u",
			       vcpu->run->exit_reason, vcpu->index);
			break;
		}
		atomic_fetch_add_explicit(&vcpu->exits[e.kind], 1,
					  memory_order_relaxed);
		if (!is_worth_another_try(&e, &tries))
			handle_exit(vcpu, &e);
	}
	vcpu->tid = 0;
	return NULL;
}

int vcpu_start(struct vcpu *vcpu)
{
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	rc = thread_start(&vcpu->thread, name, SIGRTMIN, run_vcpu, vcpu);
	vcpu->started = !rc; /* from here vcpu_join() owns it */
	return rc;
}

void vcpu_kick(struct vcpu *vcpu)
{
	int tid;

	if (!vcpu->run)
		return; /* vcpu_create() did not get that far */
	/*
	 * KVM_RUN looks at the flag before it enters the guest, and the
	 * signal takes it out: whichever comes first, none is lost.  The
	 * thread sets its tid before it looks at anything.  By tid, as a
	 * pthread_t must not be used once the thread may have been joined;
	 * should the number be in use again by then, another thread of ours
	 * gets an EINTR.
	 */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	tid = vcpu->tid;
	if (tid)
		tgkill(getpid(), tid, SIGRTMIN);
}

void vcpu_join(struct vcpu *vcpu)
{
	if (vcpu->started)
		pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
}
