/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a guest's VMMCALL gets to user space.  KVM_CAP_EXIT_HYPERCALL says
 * what KVM would pass on, not that the instruction reaches it: on kvm_pvm,
 * which has neither VMX nor SVM, KVM_RUN spins on it.  So a guest of a few
 * instructions tries, and is given little time.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "boot/image.h"
#include "vmm/base/err.h"
#include "vmm/cvm/cvm.h"
#include "vmm/kvm/vm.h"

enum { TABLES = 0x1000, CODE = 0x4000, RAM = 0x10000 };
/* Of the vCPU's CPU time: a busy host takes none of that; and of any time. */
enum { PATIENCE_CPU_MS = 200, PATIENCE_MS = 5000 };

/* Intel SDM vol. 3, 4.5: present, writable, accessed, dirty; large page. */
#define PTE_TABLE 0x23ULL
#define PTE_LARGE_PAGE 0xe3ULL

/* Linux uses VMMCALL for SEV, whatever the CPU: asm/kvm_para.h. */
/* clang-format off */
static const uint8_t code[] = {
	0xb8, KVM_HC_MAP_GPA_RANGE, 0, 0, 0, /* mov $12, %eax */
	0x31, 0xdb,                          /* xor %ebx, %ebx: address */
	0xb9, 1, 0, 0, 0,                    /* mov $1, %ecx: pages */
	0x31, 0xd2,                          /* xor %edx, %edx: shared */
	0x0f, 0x01, 0xd9,                    /* vmmcall */
	0x0f, 0x0b,                          /* ud2: a triple fault */
};
/* clang-format on */

/* The first 2 MiB, as they are. */
static int fill_tables(const struct image_region *r, uint8_t *dst)
{
	const uint64_t entries = PAGE_SIZE / sizeof(uint64_t);
	uint64_t *pml4 = (uint64_t *)(void *)dst;

	pml4[0] = (r->gpa + PAGE_SIZE) | PTE_TABLE;
	pml4[entries] = (r->gpa + 2 * PAGE_SIZE) | PTE_TABLE;
	pml4[2 * entries] = PTE_LARGE_PAGE;
	return 0;
}

static const struct image image = {
	.count = 2,
	.regions = { { .name = "page tables",
		       .gpa = TABLES,
		       .len = 3 * PAGE_SIZE,
		       .fill = fill_tables },
		     { .name = "code",
		       .gpa = CODE,
		       .len = PAGE_SIZE,
		       .fill = image_fill_data,
		       .data = code,
		       .data_len = sizeof(code) } },
	.entry = CODE,
	.page_table = TABLES,
};

static void on_ended(void *ctx)
{
	sem_post(ctx);
}

static int64_t cpu_ms(const struct vcpu *vcpu)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (!pthread_getcpuclockid(vcpu->thread, &clock))
		clock_gettime(clock, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Waits until the VM has ended or has had its chance. */
static void wait_for(const struct vm *vm, sem_t *ended)
{
	const int64_t limit = util_now_ms() + PATIENCE_MS;
	struct timespec nap;

	do {
		clock_gettime(CLOCK_REALTIME, &nap);
		nap.tv_nsec += 10000000;
		nap.tv_sec += nap.tv_nsec / 1000000000;
		nap.tv_nsec %= 1000000000;
	} while (sem_timedwait(ended, &nap) && util_now_ms() < limit &&
		 cpu_ms(&vm->vcpus[0]) < PATIENCE_CPU_MS);
}

static int run(struct vm *vm)
{
	sem_t ended;
	int rc;

	sem_init(&ended, 0, 0);
	vm->ended = on_ended;
	vm->ctx = &ended;
	rc = vm_start(vm);
	if (!rc)
		wait_for(vm, &ended);
	vm_stop(vm);
	sem_destroy(&ended);
	if (rc)
		return rc;
	if (!vm_exits(vm, EXIT_HYPERCALL))
		return err_set(-EOPNOTSUPP,
			       "a guest's VMMCALL does not get to user space, "
			       "although KVM_CAP_EXIT_HYPERCALL is there: "
			       "needs kvm_amd or kvm_intel");
	return 0;
}

int cvm_try_hypercall(struct kvm_sys *sys)
{
	static const struct memory_range ram = { 0, RAM };
	const struct vm_params p = { .cvm = &cvm_none,
				     .store = &store_guest_memfd,
				     .ranges = &ram,
				     .nr_ranges = 1,
				     .nr_vcpus = 1 };
	struct vm vm;
	int rc = vm_create(&vm, sys, &p);

	if (!rc)
		rc = vm_launch(&vm, &image);
	if (!rc)
		rc = kvm_enable_cap(&vm.kvm, KVM_CAP_EXIT_HYPERCALL,
				    "KVM_CAP_EXIT_HYPERCALL",
				    1 << KVM_HC_MAP_GPA_RANGE);
	if (!rc)
		rc = run(&vm);
	vm_destroy(&vm);
	return rc;
}
