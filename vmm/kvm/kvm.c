/* SPDX-License-Identifier: Apache-2.0 */
/* The only file that issues KVM ioctls.  See kvm.h. */
#include "vmm/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/err.h"

static int linux_open(struct kvm_sys *sys, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)sys;
	return fd < 0 ? -errno : fd;
}

static int linux_ioctl(struct kvm_sys *sys, int fd, unsigned long req,
		       void *arg)
{
	int rc = ioctl(fd, req, arg);

	(void)sys;
	/* The kernel gives this one out without O_CLOEXEC. */
	if (rc >= 0 && req == KVM_CREATE_GUEST_MEMFD)
		fcntl(rc, F_SETFD, FD_CLOEXEC);
	return rc < 0 ? -errno : rc;
}

static void *linux_map(struct kvm_sys *sys, int fd, size_t len)
{
	(void)sys;
	return util_map(fd, len);
}

static void linux_unmap(struct kvm_sys *sys, void *addr, size_t len)
{
	(void)sys;
	munmap(addr, len);
}

static void linux_close(struct kvm_sys *sys, int fd)
{
	(void)sys;
	close(fd);
}

static int linux_punch(struct kvm_sys *sys, int fd, uint64_t off, uint64_t len)
{
	(void)sys;
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)off, (off_t)len)
		       ? -errno
		       : 0;
}

struct kvm_sys kvm_linux = {
	.open = linux_open,
	.ioctl = linux_ioctl,
	.map = linux_map,
	.unmap = linux_unmap,
	.close = linux_close,
	.punch = linux_punch,
};

static int do_ioctl(struct kvm *kvm, int fd, unsigned long req,
		    const char *name, void *arg)
{
	int rc = kvm->sys->ioctl(kvm->sys, fd, req, arg);

	return rc < 0 ? err_set(rc, "%s: %s", name, strerror(-rc)) : rc;
}

/* For ioctls that take a struct: the size is part of the request number. */
#define kvm_ioctl(kvm, fd, req, argp)                                   \
	do_ioctl(kvm, fd,                                               \
		 (req) + STATIC_ZERO(_IOC_SIZE(req) == sizeof(*(argp)), \
				     "wrong struct for " #req),         \
		 #req, argp)

/* For ioctls that take a plain number. */
#define kvm_ioctl_num(kvm, fd, req, num)                      \
	do_ioctl(kvm, fd,                                     \
		 (req) + STATIC_ZERO(_IOC_SIZE(req) == 0,     \
				     #req " takes a struct"), \
		 #req, (void *)(uintptr_t)(num))

static int open_device(struct kvm *kvm)
{
	int rc = kvm->sys->open(kvm->sys, "/dev/kvm");

	if (rc == -ENOENT)
		return err_set(rc, "/dev/kvm is missing: enable virtualization "
				   "and load kvm-intel or kvm-amd");
	if (rc == -EACCES)
		return err_set(rc, "/dev/kvm: permission denied: join its "
				   "group (kvm) or run as root");
	if (rc < 0)
		return err_set(rc, "/dev/kvm: %s", strerror(-rc));
	kvm->fd = rc;

	rc = kvm_ioctl_num(kvm, kvm->fd, KVM_GET_API_VERSION, 0);
	if (rc == -ENOTTY)
		return err_set(rc, "/dev/kvm is something else than KVM: "
				   "remove it and load kvm-intel or kvm-amd");
	if (rc >= 0 && rc != KVM_API_VERSION)
		return err_set(-ENOSYS, "/dev/kvm: API version %d, want %d", rc,
			       KVM_API_VERSION);
	if (rc >= 0)
		rc = kvm_ioctl_num(kvm, kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (rc < 0)
		return rc;
	if ((size_t)rc < sizeof(struct kvm_run))
		return err_set(-ENOSYS,
			       "/dev/kvm: run area of %d bytes is too small",
			       rc);
	kvm->run_size = (size_t)rc;
	return 0;
}

int kvm_open(struct kvm *kvm, struct kvm_sys *sys)
{
	int rc;

	*kvm = (struct kvm){ .sys = sys, .fd = -1, .vm_fd = -1 };
	rc = open_device(kvm);
	if (rc)
		kvm_close(kvm);
	return rc;
}

void kvm_close_fd(struct kvm *kvm, int fd)
{
	if (fd >= 0)
		kvm->sys->close(kvm->sys, fd);
}

void kvm_close(struct kvm *kvm)
{
	if (!kvm->sys)
		return;
	kvm_close_fd(kvm, kvm->vm_fd);
	kvm_close_fd(kvm, kvm->fd);
	kvm->vm_fd = -1;
	kvm->fd = -1;
}

int kvm_check_extension(struct kvm *kvm, long cap)
{
	int fd = kvm->vm_fd >= 0 ? kvm->vm_fd : kvm->fd;

	return kvm_ioctl_num(kvm, fd, KVM_CHECK_EXTENSION, cap);
}

int kvm_enable_cap(struct kvm *kvm, unsigned int cap, const char *name,
		   uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };
	int rc = kvm_ioctl(kvm, kvm->vm_fd, KVM_ENABLE_CAP, &enable);

	return rc < 0 ? err_in(rc, "%s", name) : 0;
}

int kvm_create_vm(struct kvm *kvm, unsigned long type)
{
	int rc = kvm_ioctl_num(kvm, kvm->fd, KVM_CREATE_VM, type);

	if (rc < 0)
		return rc;
	kvm->vm_fd = rc;
	return 0;
}

int kvm_create_guest_memfd(struct kvm *kvm, uint64_t len, uint64_t flags)
{
	struct kvm_create_guest_memfd gmem = { .size = len, .flags = flags };

	return kvm_ioctl(kvm, kvm->vm_fd, KVM_CREATE_GUEST_MEMFD, &gmem);
}

void *kvm_map(struct kvm *kvm, int fd, size_t len, const char *what)
{
	void *p = kvm->sys->map(kvm->sys, fd, len);

	if (!p)
		err_set(-ENOMEM, "cannot map %zu bytes of %s: %s", len, what,
			strerror(errno));
	return p;
}

void kvm_unmap(struct kvm *kvm, void *addr, size_t len)
{
	if (addr)
		kvm->sys->unmap(kvm->sys, addr, len);
}

/* What kernels before 6.8 know: no guest_memfd. */
static int set_plain_memory(struct kvm *kvm, const struct kvm_slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot->slot,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->len,
		.userspace_addr = (uintptr_t)slot->host,
	};

	return kvm_ioctl(kvm, kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

int kvm_set_memory(struct kvm *kvm, const struct kvm_slot *slot)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot->slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->len,
		.userspace_addr = (uintptr_t)slot->host,
		.guest_memfd = (__u32)slot->gmem_fd,
		.guest_memfd_offset = slot->gmem_off,
	};

	if (slot->gmem_fd < 0)
		return set_plain_memory(kvm, slot);
	return kvm_ioctl(kvm, kvm->vm_fd, KVM_SET_USER_MEMORY_REGION2, &region);
}

int kvm_set_private(struct kvm *kvm, gpa_t gpa, uint64_t len, bool is_private)
{
	struct kvm_memory_attributes set = {
		.address = gpa,
		.size = len,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return kvm->sys->ioctl(kvm->sys, kvm->vm_fd, KVM_SET_MEMORY_ATTRIBUTES,
			       &set);
}

int kvm_punch(struct kvm *kvm, int fd, uint64_t off, uint64_t len)
{
	return kvm->sys->punch(kvm->sys, fd, off, len);
}

int kvm_exit_on_msrs(struct kvm *kvm, const uint32_t *msrs, unsigned int nr)
{
	static uint8_t denied[1]; /* a bit for each MSR: not allowed */
	struct kvm_msr_filter filter = { .flags =
						 KVM_MSR_FILTER_DEFAULT_ALLOW };
	int rc = kvm_enable_cap(kvm, KVM_CAP_X86_USER_SPACE_MSR,
				"KVM_CAP_X86_USER_SPACE_MSR",
				KVM_MSR_EXIT_REASON_FILTER);

	for (unsigned int i = 0; i < nr; i++)
		filter.ranges[i] = (struct kvm_msr_filter_range){
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			.nmsrs = 1,
			.base = msrs[i],
			.bitmap = denied,
		};
	return rc ? rc
		  : kvm_ioctl(kvm, kvm->vm_fd, KVM_X86_SET_MSR_FILTER, &filter);
}

int kvm_get_supported_cpuid(struct kvm *kvm, struct kvm_cpuid2 *cpuid)
{
	return kvm_ioctl(kvm, kvm->fd, KVM_GET_SUPPORTED_CPUID, cpuid);
}

int kvm_create_vcpu(struct kvm *kvm, unsigned int id)
{
	return kvm_ioctl_num(kvm, kvm->vm_fd, KVM_CREATE_VCPU, id);
}

int kvm_set_cpuid(struct kvm *kvm, int vcpu_fd, struct kvm_cpuid2 *cpuid)
{
	return kvm_ioctl(kvm, vcpu_fd, KVM_SET_CPUID2, cpuid);
}

int kvm_get_regs(struct kvm *kvm, int vcpu_fd, struct kvm_regs *regs)
{
	return kvm_ioctl(kvm, vcpu_fd, KVM_GET_REGS, regs);
}

int kvm_set_regs(struct kvm *kvm, int vcpu_fd, struct kvm_regs *regs)
{
	return kvm_ioctl(kvm, vcpu_fd, KVM_SET_REGS, regs);
}

int kvm_get_sregs(struct kvm *kvm, int vcpu_fd, struct kvm_sregs *sregs)
{
	return kvm_ioctl(kvm, vcpu_fd, KVM_GET_SREGS, sregs);
}

int kvm_set_sregs(struct kvm *kvm, int vcpu_fd, struct kvm_sregs *sregs)
{
	return kvm_ioctl(kvm, vcpu_fd, KVM_SET_SREGS, sregs);
}

int kvm_set_msrs(struct kvm *kvm, int vcpu_fd, struct kvm_msrs *msrs)
{
	int rc = kvm_ioctl(kvm, vcpu_fd, KVM_SET_MSRS, msrs);

	if (rc >= 0 && (__u32)rc < msrs->nmsrs)
		return err_set(-EINVAL, "KVM_SET_MSRS: MSR %#x refused",
			       msrs->entries[rc].index);
	return rc < 0 ? rc : 0;
}

/* No text in these three: what a guest writes leads to them. */
int kvm_set_gsi_routing(struct kvm *kvm, struct kvm_irq_routing *table)
{
	return kvm->sys->ioctl(kvm->sys, kvm->vm_fd, KVM_SET_GSI_ROUTING,
			       table);
}

int kvm_irqfd(struct kvm *kvm, int fd, unsigned int gsi, bool on)
{
	struct kvm_irqfd irqfd = {
		.fd = (__u32)fd,
		.gsi = gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return kvm->sys->ioctl(kvm->sys, kvm->vm_fd, KVM_IRQFD, &irqfd);
}

int kvm_ioeventfd(struct kvm *kvm, gpa_t gpa, int fd, bool on)
{
	struct kvm_ioeventfd bell = {
		.addr = gpa,
		.fd = fd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return kvm->sys->ioctl(kvm->sys, kvm->vm_fd, KVM_IOEVENTFD, &bell);
}

int kvm_post_port(struct kvm *kvm, uint16_t port)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = port, .size = 1 };

	zone.pio = 1;
	return kvm_ioctl(kvm, kvm->vm_fd, KVM_REGISTER_COALESCED_MMIO, &zone);
}

int kvm_pre_fault(struct kvm *kvm, int vcpu_fd, gpa_t *gpa, uint64_t *len)
{
	struct kvm_pre_fault_memory range = { .gpa = *gpa, .size = *len };
	int rc = kvm->sys->ioctl(kvm->sys, vcpu_fd, KVM_PRE_FAULT_MEMORY,
				 &range);

	if (rc < 0)
		return rc;
	*gpa = range.gpa;
	*len = range.size;
	return 0;
}

int kvm_run(struct kvm *kvm, int vcpu_fd)
{
	return kvm->sys->ioctl(kvm->sys, vcpu_fd, KVM_RUN, NULL);
}
