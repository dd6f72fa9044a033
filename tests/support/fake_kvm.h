/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel for tests: a struct kvm_sys that does what KVM does for the part
 * of it that we use, and refuses what KVM would refuse, by argument and by
 * order.  Every rule names its source: api.rst is Documentation/virt/kvm/
 * api.rst, and kernel lines and functions are those of Linux 7.2.13.
 *
 * It keeps no log: put a struct kvm_trace around it for that, and a struct
 * fault_kvm to make calls fail.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/kvm/kvm.h"

#define FAKE_MAX_FDS 1024
#define FAKE_MAX_CAPS 32
#define FAKE_MAX_VCPUS 255
#define FAKE_MAX_SLOTS 16
#define FAKE_MAX_MAPS 512
#define FAKE_MAX_GFN (64 * GIB / PAGE_SIZE) /* it keeps attributes of */
#define FAKE_RUN_SIZE 12288 /* kvm_run, PIO data, coalesced MMIO: x86 */
#define FAKE_RING_OFFSET 8192

enum fake_kind { FAKE_FREE, FAKE_KVM, FAKE_VM, FAKE_VCPU, FAKE_GMEM };

struct fake_vcpu {
	bool exists;
	unsigned int maxphyaddr; /* of its CPUID */
	unsigned int runs;       /* calls of fake_kvm.run so far */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_cpuid_entry2 cpuid[256]; /* as set last */
	unsigned int nr_cpuid;
	struct kvm_msr_entry msrs[16]; /* as set last */
	unsigned int nr_msrs;
	struct kvm_run *run; /* NULL: not mapped */
};

struct fake_slot {
	bool used;
	uint64_t gpa, len, host;
	int gmem; /* -1: none */
	uint64_t gmem_off;
};

#define FAKE_MAX_IRQFDS 700
#define FAKE_MAX_BELLS 1300
#define FAKE_MAX_ROUTES 4096 /* KVM_MAX_IRQ_ROUTES */

struct fake_irqfd {
	int fd;
	uint32_t gsi;
};

struct fake_ioeventfd {
	int fd;
	uint64_t addr;
	uint32_t len;
	bool pio, matches;
	uint64_t match; /* DATAMATCH */
};

struct fake_wires { /* what interrupts, and what a write signals */
	struct fake_irqfd irqfds[FAKE_MAX_IRQFDS];
	struct fake_ioeventfd bells[FAKE_MAX_BELLS];
	struct kvm_irq_routing_entry routes[FAKE_MAX_ROUTES];
	unsigned int nr_irqfds, nr_bells, nr_routes; /* there are now */
};

struct fake_vm { /* the VM made last; another may be made once it is gone */
	unsigned long type;
	bool split_irqchip;
	uint64_t exit_hypercall; /* a bit each that exits */
	uint64_t user_space_msr; /* reasons for which they exit */
	struct kvm_msr_filter msr_filter;
	unsigned int nr_vcpus;
	struct fake_vcpu vcpus[FAKE_MAX_VCPUS];
	struct fake_slot slots[FAKE_MAX_SLOTS];
	uint64_t pre_faulted; /* bytes */
	uint64_t *attributes; /* of FAKE_MAX_GFN, a bit each: private */
	unsigned int attribute_calls;
	struct kvm_coalesced_mmio_zone zone;  /* size 0: none */
	struct kvm_coalesced_mmio_ring *ring; /* vCPU 0's mapping has it */
	struct fake_wires wires;
};

struct fake_fd {
	enum fake_kind kind;
	unsigned int vcpu;    /* FAKE_VCPU: its id */
	int memfd;            /* FAKE_GMEM: what is under it */
	uint64_t size, flags; /* FAKE_GMEM */
};

struct fake_kvm {
	struct kvm_sys sys; /* hand &fake.sys to the VMM */

	/* The host.  Good values from fake_kvm_init(); change before use. */
	int open_error; /* 0, or what opening /dev/kvm gives */
	int api_version;
	unsigned int run_size;
	unsigned int maxphyaddr;
	uint32_t refused_msr;    /* one it does not know; 0: none */
	bool knows_gmem;         /* Linux 6.8: region2 and guest_memfd exist */
	uint64_t pre_fault_step; /* a signal comes after so much; 0: none */
	int pre_fault_error;     /* 0, or what each page gives */
	unsigned int pre_fault_errors;        /* how often it does; 0: always */
	const struct kvm_cpuid_entry2 *cpuid; /* supported */
	unsigned int nr_cpuid;
	unsigned int nr_caps;
	struct {
		long cap;
		int value;
	} caps[FAKE_MAX_CAPS];

	/*
	 * The guest: called on vCPU `id`'s thread for its n-th KVM_RUN (from
	 * 0).  Fills the run page and returns 0, or returns -errno, or
	 * FAKE_BLOCK to sleep until kicked.  NULL: always sleeps.
	 */
	int (*run)(struct fake_kvm *fake, unsigned int id, unsigned int n,
		   struct kvm_run *run);
	void *ctx; /* for run */

	/* What must be 0 when all is destroyed. */
	int open_fds, maps;
	int misuse; /* closed or unmapped what is not; a kick that got lost */
	atomic_int running; /* threads inside KVM_RUN now */

	/* Inside. */
	pthread_mutex_t lock;
	struct fake_fd fds[FAKE_MAX_FDS];
	unsigned int nr_fds; /* handed out so far; numbers are not reused */
	struct {
		void *addr;
		size_t len;
	} mappings[FAKE_MAX_MAPS];
	struct fake_vm vm;
};

#define FAKE_BLOCK 1
#define FAKE_FD_BASE 5000 /* far from the process's own */

/* An Intel host with Linux 7.2, one VM type (default), mappable gmem. */
void fake_kvm_init(struct fake_kvm *fake);

/* Sets a KVM_CAP_*; those never set are 0. */
void fake_kvm_set_cap(struct fake_kvm *fake, long cap, int value);
int fake_kvm_cap(const struct fake_kvm *fake, long cap);

/* CPUID as KVM_GET_SUPPORTED_CPUID gives it, shortened. */
extern const struct kvm_cpuid_entry2 fake_cpuid_intel[], fake_cpuid_amd[];
extern const unsigned int fake_cpuid_intel_count, fake_cpuid_amd_count;

/* For the run callback: fill the page as KVM does and return 0. */
int fake_exit(struct kvm_run *run, uint32_t reason);
int fake_exit_pio(struct kvm_run *run, int direction, uint16_t port,
		  uint8_t size, uint32_t count, const void *data);
int fake_exit_mmio(struct kvm_run *run, bool write, uint64_t gpa, uint32_t len,
		   const void *data);
/*
 * KVM_HC_MAP_GPA_RANGE of some pages, if the VM has it exit; else a write to
 * port 0x80.  Its ret is stale, as before Linux 7.2.
 */
int fake_exit_map_gpa(const struct fake_kvm *fake, struct kvm_run *run,
		      uint64_t gpa, uint64_t pages, uint64_t attributes);
int fake_exit_hypercall(const struct fake_kvm *fake, struct kvm_run *run);
#define FAKE_STALE_RET 0x57a1e
/* Gives -EFAULT, as KVM_RUN does then. */
int fake_exit_memory_fault(struct kvm_run *run, uint64_t gpa, bool private);
uint8_t *fake_pio_data(struct kvm_run *run);
/* A guest writes a byte to a port: true if KVM keeps it and does not exit. */
bool fake_post(struct fake_kvm *fake, uint16_t port, uint8_t byte);

/* Inside: fake_vcpu.c */
int fake_vcpu_ioctl(struct fake_kvm *fake, unsigned int id, unsigned long req,
		    void *arg);
void fake_vcpu_reset(struct fake_vcpu *vcpu, unsigned int id);
/* Inside: fake_ring.c */
int fake_register_zone(struct fake_kvm *fake,
		       const struct kvm_coalesced_mmio_zone *zone);
/* The message a signal of fd sends: false if none does. */
bool fake_kvm_message(const struct fake_kvm *fake, int fd, uint64_t *addr,
		      uint32_t *data);
/* Inside: fake_wires.c */
int fake_wires_ioctl(struct fake_vm *vm, unsigned long req, const void *arg);
/* Inside: fake_memory.c */
int fake_create_gmem(struct fake_kvm *fake,
		     const struct kvm_create_guest_memfd *gmem);
int fake_set_region(struct fake_kvm *fake,
		    const struct kvm_userspace_memory_region2 *r, bool two);
int fake_set_attributes(struct fake_kvm *fake,
			const struct kvm_memory_attributes *set);
/* Is the page at gpa private, as the kernel sees it? */
bool fake_is_private(struct fake_kvm *fake, uint64_t gpa);
int fake_pre_fault(struct fake_kvm *fake, struct kvm_pre_fault_memory *range);
bool fake_vm_is_private(const struct fake_kvm *fake);
int fake_add_fd(struct fake_kvm *fake, enum fake_kind kind);
struct fake_fd *fake_find_fd(struct fake_kvm *fake, int fd);
