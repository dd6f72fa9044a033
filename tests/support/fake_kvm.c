/* SPDX-License-Identifier: Apache-2.0 */
/* The five functions of the seam, and the ioctls of /dev/kvm and of a VM. */
#include "support/fake_kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* asm/kvm_host.h: vCPU ids; kvm_host.h: pins of a split irqchip. */
#define MAX_VCPU_IDS 4096
#define MAX_RESERVED_PINS 4096

static struct fake_kvm *fake_of(struct kvm_sys *sys)
{
	return container_of(sys, struct fake_kvm, sys);
}

int fake_add_fd(struct fake_kvm *fake, enum fake_kind kind)
{
	if (fake->nr_fds == FAKE_MAX_FDS)
		return -EMFILE;
	fake->fds[fake->nr_fds] = (struct fake_fd){ .kind = kind };
	fake->fds[fake->nr_fds].memfd = -1;
	fake->open_fds++;
	return FAKE_FD_BASE + (int)fake->nr_fds++;
}

struct fake_fd *fake_find_fd(struct fake_kvm *fake, int fd)
{
	unsigned int i = (unsigned int)(fd - FAKE_FD_BASE);

	if (fd < FAKE_FD_BASE || i >= fake->nr_fds ||
	    fake->fds[i].kind == FAKE_FREE)
		return NULL;
	return &fake->fds[i];
}

void fake_kvm_set_cap(struct fake_kvm *fake, long cap, int value)
{
	unsigned int i = 0;

	while (i < fake->nr_caps && fake->caps[i].cap != cap)
		i++;
	if (i == FAKE_MAX_CAPS)
		abort();
	fake->caps[i].cap = cap;
	fake->caps[i].value = value;
	fake->nr_caps = max_of(fake->nr_caps, i + 1);
}

int fake_kvm_cap(const struct fake_kvm *fake, long cap)
{
	for (unsigned int i = 0; i < fake->nr_caps; i++)
		if (fake->caps[i].cap == cap)
			return fake->caps[i].value;
	return 0; /* api.rst, KVM_CHECK_EXTENSION: 0 if unsupported */
}

bool fake_vm_is_private(const struct fake_kvm *fake)
{
	return fake->vm.type == KVM_X86_SW_PROTECTED_VM ||
	       fake->vm.type == KVM_X86_SNP_VM ||
	       fake->vm.type == KVM_X86_TDX_VM;
}

/* On a VM the value is that VM's; on /dev/kvm the union (kvm_main.c:2422). */
static int vm_check_extension(struct fake_kvm *fake, long cap)
{
	int value = fake_kvm_cap(fake, cap);

	if (cap == KVM_CAP_GUEST_MEMFD_FLAGS && fake_vm_is_private(fake))
		value &= ~(int)GUEST_MEMFD_FLAG_INIT_SHARED; /* x86.c:13290 */
	if (cap == KVM_CAP_MEMORY_ATTRIBUTES && !fake_vm_is_private(fake))
		value = 0; /* kvm_supported_mem_attributes() */
	return value;
}

/* api.rst, KVM_GET_SUPPORTED_CPUID */
static int get_supported_cpuid(struct fake_kvm *fake, struct kvm_cpuid2 *cpuid)
{
	if (cpuid->nent < fake->nr_cpuid)
		return -E2BIG;
	memcpy(cpuid->entries, fake->cpuid,
	       fake->nr_cpuid * sizeof(*fake->cpuid));
	cpuid->nent = fake->nr_cpuid;
	return 0;
}

static int create_vm(struct fake_kvm *fake, unsigned long type)
{
	int types = fake_kvm_cap(fake, KVM_CAP_VM_TYPES);

	/* kvm_is_vm_type_supported(); without the capability only type 0 */
	if (type >= 31 || !((types ? types : 1) & 1 << type))
		return -EINVAL;
	memset(&fake->vm, 0, sizeof(fake->vm)); /* too big for the stack */
	fake->vm.type = type;
	return fake_add_fd(fake, FAKE_VM);
}

static int dev_ioctl(struct fake_kvm *fake, unsigned long req, void *arg)
{
	switch (req) {
	case KVM_GET_API_VERSION: /* kvm_dev_ioctl(): takes no argument */
		return arg ? -EINVAL : fake->api_version;
	case KVM_GET_VCPU_MMAP_SIZE: /* likewise */
		return arg ? -EINVAL : (int)fake->run_size;
	case KVM_CHECK_EXTENSION:
		return fake_kvm_cap(fake, (long)(uintptr_t)arg);
	case KVM_CREATE_VM:
		return create_vm(fake, (unsigned long)(uintptr_t)arg);
	case KVM_GET_SUPPORTED_CPUID:
		return get_supported_cpuid(fake, arg);
	}
	return -EINVAL; /* kvm_arch_dev_ioctl(): not ENOTTY */
}

/* kvm_vm_ioctl_enable_cap(); api.rst, 7.5 KVM_CAP_SPLIT_IRQCHIP */
static int enable_cap(struct fake_kvm *fake, const struct kvm_enable_cap *cap)
{
	struct fake_vm *vm = &fake->vm;

	if (cap->flags)
		return -EINVAL;
	/* kvm_vm_ioctl_enable_cap(): only what the capability has bits for */
	if (cap->cap == KVM_CAP_EXIT_HYPERCALL) {
		if (cap->args[0] & ~(__u64)fake_kvm_cap(fake, cap->cap))
			return -EINVAL;
		vm->exit_hypercall = cap->args[0];
		return 0;
	}
	/* kvm_vm_ioctl_enable_cap(): no bit but KVM_MSR_EXIT_REASON_* */
	if (cap->cap == KVM_CAP_X86_USER_SPACE_MSR) {
		if (cap->args[0] & ~7ULL || !fake_kvm_cap(fake, cap->cap))
			return -EINVAL;
		vm->user_space_msr = cap->args[0];
		return 0;
	}
	if (cap->cap != KVM_CAP_SPLIT_IRQCHIP ||
	    !fake_kvm_cap(fake, KVM_CAP_SPLIT_IRQCHIP))
		return -EINVAL;
	if (cap->args[0] > MAX_RESERVED_PINS)
		return -EINVAL;
	/* Once, and before the first vCPU: its local APIC is made with it. */
	if (vm->split_irqchip || vm->nr_vcpus)
		return -EEXIST;
	vm->split_irqchip = true;
	return 0;
}

/* kvm_vm_ioctl_create_vcpu(); api.rst, KVM_CREATE_VCPU */
static int create_vcpu(struct fake_kvm *fake, unsigned long id)
{
	struct fake_vm *vm = &fake->vm;
	int fd;

	if (id >= MAX_VCPU_IDS)
		return -EINVAL;
	/* TDX has no other irqchip: tdx.c:673. */
	if (vm->type == KVM_X86_TDX_VM && !vm->split_irqchip)
		return -EINVAL;
	if (vm->nr_vcpus >= (unsigned int)fake_kvm_cap(fake, KVM_CAP_MAX_VCPUS))
		return -EINVAL;
	if (id >= FAKE_MAX_VCPUS)
		return -EINVAL; /* the fake's own limit */
	if (vm->vcpus[id].exists)
		return -EEXIST;
	fd = fake_add_fd(fake, FAKE_VCPU);
	if (fd < 0)
		return fd;
	fake_find_fd(fake, fd)->vcpu = (unsigned int)id;
	fake_vcpu_reset(&vm->vcpus[id], (unsigned int)id);
	vm->nr_vcpus++;
	return fd;
}

/* kvm_vm_ioctl_set_msr_filter(), kvm_add_msr_filter() */
static int set_msr_filter(struct fake_vm *vm, const struct kvm_msr_filter *f)
{
	if (f->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(f->ranges); i++) {
		const struct kvm_msr_filter_range *r = &f->ranges[i];

		if (r->nmsrs && (!r->flags || r->flags & ~3u || !r->bitmap))
			return -EINVAL;
	}
	vm->msr_filter = *f;
	return 0;
}

static int vm_ioctl(struct fake_kvm *fake, unsigned long req, void *arg)
{
	struct kvm_userspace_memory_region2 region = { 0 };

	switch (req) {
	case KVM_CHECK_EXTENSION:
		return vm_check_extension(fake, (long)(uintptr_t)arg);
	case KVM_ENABLE_CAP:
		return enable_cap(fake, arg);
	case KVM_CREATE_VCPU:
		return create_vcpu(fake, (unsigned long)(uintptr_t)arg);
	case KVM_CREATE_GUEST_MEMFD:
		return fake_create_gmem(fake, arg);
	case KVM_SET_USER_MEMORY_REGION:
		memcpy(&region, arg,
		       sizeof(struct kvm_userspace_memory_region));
		return fake_set_region(fake, &region, false);
	case KVM_REGISTER_COALESCED_MMIO:
		return fake_register_zone(fake, arg);
	case KVM_SET_USER_MEMORY_REGION2:
		return fake->knows_gmem ? fake_set_region(fake, arg, true)
					: -ENOTTY;
	case KVM_X86_SET_MSR_FILTER:
		return set_msr_filter(&fake->vm, arg);
	case KVM_SET_MEMORY_ATTRIBUTES:
		return fake_set_attributes(fake, arg);
	case KVM_IRQFD:
	case KVM_IOEVENTFD:
	case KVM_SET_GSI_ROUTING:
		return fake_wires_ioctl(&fake->vm, req, arg);
	}
	return -ENOTTY;
}

static int fake_open(struct kvm_sys *sys, const char *path)
{
	struct fake_kvm *fake = fake_of(sys);
	int rc;

	if (fake->open_error)
		return fake->open_error;
	if (strcmp(path, "/dev/kvm") != 0)
		return -ENOENT;
	pthread_mutex_lock(&fake->lock);
	rc = fake_add_fd(fake, FAKE_KVM);
	pthread_mutex_unlock(&fake->lock);
	return rc;
}

static int fake_ioctl(struct kvm_sys *sys, int fd, unsigned long req, void *arg)
{
	struct fake_kvm *fake = fake_of(sys);
	struct fake_fd *f;
	int rc = -EBADF;

	pthread_mutex_lock(&fake->lock);
	f = fake_find_fd(fake, fd);
	if (f && f->kind == FAKE_VCPU) {
		unsigned int id = f->vcpu;

		/* vCPUs run side by side. */
		pthread_mutex_unlock(&fake->lock);
		return fake_vcpu_ioctl(fake, id, req, arg);
	}
	if (f && f->kind == FAKE_KVM)
		rc = dev_ioctl(fake, req, arg);
	else if (f && f->kind == FAKE_VM)
		rc = vm_ioctl(fake, req, arg);
	else if (f)
		rc = -ENOTTY;
	pthread_mutex_unlock(&fake->lock);
	return rc;
}

static void *map_any(struct fake_kvm *fake, int fd, size_t len)
{
	struct fake_fd *f = fake_find_fd(fake, fd);
	void *p;

	if (f && f->kind == FAKE_GMEM) {
		errno = ENODEV; /* guest_memfd.c:473 */
		if (!(f->flags & GUEST_MEMFD_FLAG_MMAP))
			return NULL;
		fd = f->memfd;
	} else if (f && f->kind == FAKE_VCPU) {
		errno = EINVAL;
		if (len > fake->run_size)
			return NULL;
	}
	if (f && f->kind == FAKE_VCPU) {
		p = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		p = p == MAP_FAILED ? NULL : p;
	} else {
		p = util_map(fd, len);
	}
	if (!p)
		return NULL;
	if (f && f->kind == FAKE_VCPU)
		fake->vm.vcpus[f->vcpu].run = p;
	if (f && f->kind == FAKE_VCPU && !f->vcpu && len == FAKE_RUN_SIZE)
		fake->vm.ring = (void *)((uint8_t *)p + FAKE_RING_OFFSET);
	return p;
}

static void *fake_map(struct kvm_sys *sys, int fd, size_t len)
{
	struct fake_kvm *fake = fake_of(sys);
	unsigned int i = 0;
	void *p;

	pthread_mutex_lock(&fake->lock);
	p = map_any(fake, fd, len);
	while (p && fake->mappings[i].addr)
		i++;
	if (p) {
		fake->mappings[i].addr = p;
		fake->mappings[i].len = len;
		fake->maps++;
	}
	pthread_mutex_unlock(&fake->lock);
	return p;
}

static void fake_unmap(struct kvm_sys *sys, void *addr, size_t len)
{
	struct fake_kvm *fake = fake_of(sys);
	unsigned int i = 0;

	pthread_mutex_lock(&fake->lock);
	while (i < FAKE_MAX_MAPS &&
	       (fake->mappings[i].addr != addr || fake->mappings[i].len != len))
		i++;
	if (i == FAKE_MAX_MAPS) {
		fake->misuse++;
	} else {
		munmap(addr, len);
		fake->mappings[i].addr = NULL;
		fake->maps--;
	}
	pthread_mutex_unlock(&fake->lock);
}

static void fake_close(struct kvm_sys *sys, int fd)
{
	struct fake_kvm *fake = fake_of(sys);
	struct fake_fd *f;

	pthread_mutex_lock(&fake->lock);
	f = fake_find_fd(fake, fd);
	if (!f) {
		fake->misuse++;
	} else {
		if (f->memfd >= 0)
			close(f->memfd);
		if (f->kind == FAKE_VM) {
			free(fake->vm.attributes);
			fake->vm.attributes = NULL;
		}
		f->kind = FAKE_FREE;
		fake->open_fds--;
	}
	pthread_mutex_unlock(&fake->lock);
}

/* A file of the process's own is punched for real. */
static int fake_punch(struct kvm_sys *sys, int fd, uint64_t off, uint64_t len)
{
	struct fake_kvm *fake = fake_of(sys);
	const struct fake_fd *f;
	int rc = 0;

	pthread_mutex_lock(&fake->lock);
	f = fake_find_fd(fake, fd);
	if (f && f->kind != FAKE_GMEM)
		rc = -EBADF;
	/* kvm_gmem_fallocate(), guest_memfd.c:308-320 */
	if (f && (off % PAGE_SIZE || len % PAGE_SIZE || !len))
		rc = -EINVAL;
	if (f)
		fd = f->memfd;
	pthread_mutex_unlock(&fake->lock);
	if (!rc && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     (off_t)off, (off_t)len))
		rc = -errno;
	return rc;
}

void fake_kvm_init(struct fake_kvm *fake)
{
	memset(fake, 0, sizeof(*fake)); /* too big for the stack */
	fake->sys = (struct kvm_sys){ .open = fake_open,
				      .ioctl = fake_ioctl,
				      .map = fake_map,
				      .unmap = fake_unmap,
				      .close = fake_close,
				      .punch = fake_punch };
	fake->api_version = KVM_API_VERSION;
	fake->run_size = FAKE_RUN_SIZE;
	fake->maxphyaddr = 46;
	fake->knows_gmem = true;
	fake->cpuid = fake_cpuid_intel;
	fake->nr_cpuid = fake_cpuid_intel_count;
	pthread_mutex_init(&fake->lock, NULL);
	fake_kvm_set_cap(fake, KVM_CAP_VM_TYPES, 1 << KVM_X86_DEFAULT_VM);
	fake_kvm_set_cap(fake, KVM_CAP_SPLIT_IRQCHIP, 1);
	fake_kvm_set_cap(fake, KVM_CAP_NR_VCPUS, 8);
	fake_kvm_set_cap(fake, KVM_CAP_MAX_VCPUS, 1024);
	fake_kvm_set_cap(fake, KVM_CAP_NR_MEMSLOTS, 32764);
	fake_kvm_set_cap(fake, KVM_CAP_TSC_DEADLINE_TIMER, 1);
	fake_kvm_set_cap(fake, KVM_CAP_USER_MEMORY2, 1);
	fake_kvm_set_cap(fake, KVM_CAP_GUEST_MEMFD, 1);
	fake_kvm_set_cap(fake, KVM_CAP_GUEST_MEMFD_FLAGS,
			 GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	fake_kvm_set_cap(fake, KVM_CAP_MEMORY_ATTRIBUTES,
			 KVM_MEMORY_ATTRIBUTE_PRIVATE);
	fake_kvm_set_cap(fake, KVM_CAP_PRE_FAULT_MEMORY, 1);
	fake_kvm_set_cap(fake, KVM_CAP_COALESCED_PIO, 1);
	fake_kvm_set_cap(fake, KVM_CAP_COALESCED_MMIO,
			 KVM_COALESCED_MMIO_PAGE_OFFSET);
	fake_kvm_set_cap(fake, KVM_CAP_EXIT_HYPERCALL, 1 << 12);
	fake_kvm_set_cap(fake, KVM_CAP_X86_USER_SPACE_MSR, 1);
}
