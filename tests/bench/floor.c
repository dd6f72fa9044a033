/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor that cvmm's start is measured against: a static program that asks
 * the kernel for exactly what a VM of cvmm's kind consists of, in order, and
 * does nothing else: no options, no devices, no threads, no error texts.  Its
 * guest of three instructions runs in 64-bit mode and ends it through a port.
 * sw is the VM type whose private memory nobody can map: what is shared of its
 * RAM is in a file of its own, and nothing is private yet.
 *
 *	floor MEBIBYTES [sw]
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/layout_x86.h"
#include "vmm/kvm/abi.h"

#define CPUID_ROOM 256
#define CODE 0x7000 /* above the page tables of the machine's layout */
#define PORT X86_POWER

/* Page table bits and control registers: Intel SDM vol. 3, 2.5 and 4.5. */
#define PTE_TABLE 0x3ULL
#define PTE_2M_PAGE 0x83ULL
#define CR0_PE_ET_NE_PG 0x80000031ULL
#define CR4_PAE 0x20ULL
#define EFER_LME_LMA 0x500ULL

static const uint8_t code[] = {
	0x66, 0xba, PORT & 0xff, PORT >> 8, /* mov dx, PORT */
	0xb0, 0x34,                         /* mov al, 0x34 */
	0xee,                               /* out dx, al   */
};

/* Which step failed is the exit status: strace tells the rest. */
static int step;

static int must(int rc)
{
	step++;
	if (rc < 0)
		_exit(step);
	return rc;
}

static void *must_map(int fd, uint64_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	must(map == MAP_FAILED ? -1 : 0);
	return map;
}

static void add_slot(int vm, int gmem, uint8_t *ram, uint64_t gpa, uint64_t off,
		     uint64_t len)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = off ? 1 : 0,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)ram + off,
		.guest_memfd = (uint32_t)gmem,
		.guest_memfd_offset = off,
	};

	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region));
}

static int create_shared(uint64_t len)
{
	int fd = must(memfd_create("floor", MFD_CLOEXEC));

	must(ftruncate(fd, (off_t)len));
	return fd;
}

static uint8_t *add_ram(int vm, uint64_t len, bool sw)
{
	struct kvm_create_guest_memfd create = {
		.size = len,
		.flags = sw ? 0
			    : GUEST_MEMFD_FLAG_MMAP |
					 GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	int gmem = must(ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create));
	uint8_t *ram = must_map(sw ? create_shared(len) : gmem, len);
	uint64_t low = len < X86_HOLE ? len : X86_HOLE;

	add_slot(vm, gmem, ram, 0, 0, low);
	if (len > low)
		add_slot(vm, gmem, ram, X86_HOLE_END, low, len - low);
	return ram;
}

/* The first gibibyte mapped to itself, and the code. */
static void load(uint8_t *ram)
{
	uint64_t *table = (uint64_t *)(ram + X86_PAGE_TABLES);

	table[0] = (X86_PAGE_TABLES + 0x1000) | PTE_TABLE;
	table[512] = (X86_PAGE_TABLES + 0x2000) | PTE_TABLE;
	for (uint64_t i = 0; i < 512; i++)
		table[1024 + i] = i << 21 | PTE_2M_PAGE;
	memcpy(ram + CODE, code, sizeof(code));
}

static void set_cpuid(int kvm, int vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[CPUID_ROOM];
	} cpuid = { .head.nent = CPUID_ROOM };

	must(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid));
	must(ioctl(vcpu, KVM_SET_CPUID2, &cpuid));
}

static void set_registers(int vcpu)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	must(ioctl(vcpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = 0;
	sregs.cs.selector = 0x10;
	sregs.cs.type = 0xb;
	sregs.cs.l = 1;
	sregs.cs.db = 0;
	sregs.cs.g = 1;
	sregs.cs.limit = 0xffffffff;
	sregs.cr0 = CR0_PE_ET_NE_PG;
	sregs.cr3 = X86_PAGE_TABLES;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME_LMA;
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs));
	must(ioctl(vcpu, KVM_SET_REGS, &regs));
}

int main(int argc, char **argv)
{
	uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	bool sw = argc > 2 && !strcmp(argv[2], "sw");
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP };
	struct kvm_run *run;
	int kvm, vm, vcpu;

	must(mib ? 0 : -1);
	kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC));
	vm = must(ioctl(kvm, KVM_CREATE_VM,
			sw ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM));
	must(ioctl(vm, KVM_ENABLE_CAP, &split));
	load(add_ram(vm, mib << 20, sw));
	vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0));
	run = must_map(vcpu,
		       (uint64_t)must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)));
	set_cpuid(kvm, vcpu);
	set_registers(vcpu);
	must(ioctl(vcpu, KVM_RUN, 0));
	return run->exit_reason == KVM_EXIT_IO && run->io.port == PORT ? 0 : 1;
}
