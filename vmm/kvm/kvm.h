/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only door to the kernel.  Every KVM ioctl is issued by kvm.c, through
 * the few functions of struct kvm_sys; a test passes its own struct kvm_sys
 * and thereby is the kernel.  Unless said otherwise functions return 0 or a
 * non-negative result, or a negative errno with text that names the ioctl.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"
#include "vmm/kvm/abi.h"

/* Each returns a negative errno value on failure, never -1. */
struct kvm_sys {
	int (*open)(struct kvm_sys *sys, const char *path);
	int (*ioctl)(struct kvm_sys *sys, int fd, unsigned long req, void *arg);
	/* Shared, read-write, from offset 0; NULL on failure, errno set. */
	void *(*map)(struct kvm_sys *sys, int fd, size_t len);
	void (*unmap)(struct kvm_sys *sys, void *addr, size_t len);
	void (*close)(struct kvm_sys *sys, int fd);
	/* Makes a hole of [off, off + len) of a file, whole pages. */
	int (*punch)(struct kvm_sys *sys, int fd, uint64_t off, uint64_t len);
};

extern struct kvm_sys kvm_linux;

struct kvm {
	struct kvm_sys *sys;
	int fd;          /* /dev/kvm; -1: closed */
	int vm_fd;       /* -1: no VM yet */
	size_t run_size; /* of the pages shared with each vCPU */
};

/* Opens /dev/kvm and checks the API version.  On failure all is closed. */
int kvm_open(struct kvm *kvm, struct kvm_sys *sys);
void kvm_close(struct kvm *kvm); /* the VM too; twice is fine */

/* Value of a KVM_CAP_*: of the VM if there is one, else of the host; >= 0. */
int kvm_check_extension(struct kvm *kvm, long cap);
int kvm_enable_cap(struct kvm *kvm, unsigned int cap, const char *name,
		   uint64_t arg);

int kvm_create_vm(struct kvm *kvm, unsigned long type);

/* Returns a new guest_memfd of len bytes, close-on-exec, owned by caller. */
int kvm_create_guest_memfd(struct kvm *kvm, uint64_t len, uint64_t flags);
/* Maps an fd that KVM gave (guest_memfd, vCPU) whole; NULL with text. */
void *kvm_map(struct kvm *kvm, int fd, size_t len, const char *what);
void kvm_unmap(struct kvm *kvm, void *addr, size_t len);
void kvm_close_fd(struct kvm *kvm, int fd); /* -1 is fine */

/*
 * Makes memslot `slot` show len bytes at gpa, backed by the mapping at host
 * and, unless gmem_fd is -1, bound to that guest_memfd at gmem_off.
 */
struct kvm_slot {
	unsigned int slot;
	gpa_t gpa;
	uint64_t len;
	void *host;
	int gmem_fd;
	uint64_t gmem_off;
};
int kvm_set_memory(struct kvm *kvm, const struct kvm_slot *slot);

/*
 * Makes [gpa, gpa + len), whole pages, private or shared: all of it or none.
 * What held them is not freed; kvm_punch() does that, of a guest_memfd or any
 * file.  0 or a bare negative errno, without text (api.rst,
 * KVM_SET_MEMORY_ATTRIBUTES).
 */
int kvm_set_private(struct kvm *kvm, gpa_t gpa, uint64_t len, bool is_private);
int kvm_punch(struct kvm *kvm, int fd, uint64_t off, uint64_t len);

/*
 * Has RDMSR and WRMSR of single MSRs (at most KVM_MSR_FILTER_MAX_RANGES) exit
 * to user space; all others stay with KVM (api.rst, 4.97).
 */
int kvm_exit_on_msrs(struct kvm *kvm, const uint32_t *msrs, unsigned int nr);

/* Fills cpuid, which has room for cpuid->nent entries; -E2BIG: too few. */
int kvm_get_supported_cpuid(struct kvm *kvm, struct kvm_cpuid2 *cpuid);

/* vCPUs.  kvm_create_vcpu() returns its fd; the id is also its APIC id. */
int kvm_create_vcpu(struct kvm *kvm, unsigned int id);
int kvm_set_cpuid(struct kvm *kvm, int vcpu_fd, struct kvm_cpuid2 *cpuid);
int kvm_get_regs(struct kvm *kvm, int vcpu_fd, struct kvm_regs *regs);
int kvm_set_regs(struct kvm *kvm, int vcpu_fd, struct kvm_regs *regs);
int kvm_get_sregs(struct kvm *kvm, int vcpu_fd, struct kvm_sregs *sregs);
int kvm_set_sregs(struct kvm *kvm, int vcpu_fd, struct kvm_sregs *sregs);
/* Sets msrs->nmsrs MSRs; -EINVAL with text names the first refused one. */
int kvm_set_msrs(struct kvm *kvm, int vcpu_fd, struct kvm_msrs *msrs);

/*
 * Interrupt routes (all of them at once), a signal of fd as interrupt gsi, and
 * a guest's write of any width at gpa as a signal of fd.  0 or a bare negative
 * errno, without text (api.rst, 4.52, 4.75 and 4.59).
 */
int kvm_set_gsi_routing(struct kvm *kvm, struct kvm_irq_routing *table);
int kvm_irqfd(struct kvm *kvm, int fd, unsigned int gsi, bool on);
int kvm_ioeventfd(struct kvm *kvm, gpa_t gpa, int fd, bool on);

/*
 * Has KVM keep bytes written to the port in the VM's ring rather than exit.
 * Needs KVM_CAP_COALESCED_PIO; see posted.h.
 */
int kvm_post_port(struct kvm *kvm, uint16_t port);

/*
 * Has KVM map [*gpa, *gpa + *len), whole pages of RAM, as the vCPU would by
 * touching them one by one, and moves both on by what it has done: it may stop
 * early, for a signal.  Allocates what is not there yet.  0, or a bare negative
 * errno without text if not even one page was done; -EINTR and -EAGAIN are not
 * failures.  Needs KVM_CAP_PRE_FAULT_MEMORY (Documentation/virt/kvm/api.rst,
 * 4.143), and of private memory a sealed measurement.
 */
int kvm_pre_fault(struct kvm *kvm, int vcpu_fd, gpa_t *gpa, uint64_t *len);

/*
 * Runs the vCPU until it exits.  0, or a bare negative errno without text:
 * -EINTR and -EAGAIN are not failures; with -EFAULT or -EHWPOISON the run
 * page may describe a memory fault (Documentation/virt/kvm/api.rst, 5).
 */
int kvm_run(struct kvm *kvm, int vcpu_fd);
