/* SPDX-License-Identifier: Apache-2.0 */
/* What trace_request.h declares: the calls the trace knows. */
#include "vmm/kvm/trace_request.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

void trace_put(struct trace_line *l, const char *fmt, ...)
{
	size_t room = sizeof(l->text) - l->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->len += min_of((size_t)n, room - 1);
}

struct kvm_trace_object *trace_find_fd(struct kvm_trace *t, int fd)
{
	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(t->objects); i++)
		if (t->objects[i].name[0] && t->objects[i].fd == fd)
			return &t->objects[i];
	return NULL;
}

struct kvm_trace_object *trace_find_addr(struct kvm_trace *t, uint64_t addr)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->objects); i++) {
		struct kvm_trace_object *o = &t->objects[i];

		if (o->addr && addr >= (uintptr_t)o->addr &&
		    addr - (uintptr_t)o->addr < o->len)
			return o;
	}
	return NULL;
}

const char *trace_name(const struct kvm_trace_object *o)
{
	return o ? o->name : "?";
}

static void put_extension(struct trace_line *l, struct kvm_trace *t,
			  const void *arg)
{
	static const struct {
		long cap;
		const char *name;
	} caps[] = {
		{ KVM_CAP_NR_VCPUS, "NR_VCPUS" },
		{ KVM_CAP_COALESCED_MMIO, "COALESCED_MMIO" },
		{ KVM_CAP_COALESCED_PIO, "COALESCED_PIO" },
		{ KVM_CAP_MAX_VCPUS, "MAX_VCPUS" },
		{ KVM_CAP_NR_MEMSLOTS, "NR_MEMSLOTS" },
		{ KVM_CAP_TSC_DEADLINE_TIMER, "TSC_DEADLINE_TIMER" },
		{ KVM_CAP_SPLIT_IRQCHIP, "SPLIT_IRQCHIP" },
		{ KVM_CAP_X86_USER_SPACE_MSR, "X86_USER_SPACE_MSR" },
		{ KVM_CAP_EXIT_HYPERCALL, "EXIT_HYPERCALL" },
		{ KVM_CAP_USER_MEMORY2, "USER_MEMORY2" },
		{ KVM_CAP_MEMORY_ATTRIBUTES, "MEMORY_ATTRIBUTES" },
		{ KVM_CAP_GUEST_MEMFD, "GUEST_MEMFD" },
		{ KVM_CAP_VM_TYPES, "VM_TYPES" },
		{ KVM_CAP_PRE_FAULT_MEMORY, "PRE_FAULT_MEMORY" },
		{ KVM_CAP_GUEST_MEMFD_FLAGS, "GUEST_MEMFD_FLAGS" },
	};
	long cap = (long)(uintptr_t)arg;

	(void)t;
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++)
		if (caps[i].cap == cap) {
			trace_put(l, " %s", caps[i].name);
			return;
		}
	trace_put(l, " %ld", cap);
}

static void put_enable_cap(struct trace_line *l, struct kvm_trace *t,
			   const void *arg)
{
	const struct kvm_enable_cap *cap = arg;

	put_extension(l, t, (const void *)(uintptr_t)cap->cap);
	trace_put(l, " args=%#llx", cap->args[0]);
}

static void put_type(struct trace_line *l, struct kvm_trace *t, const void *arg)
{
	(void)t;
	trace_put(l, " type=%lu", (unsigned long)(uintptr_t)arg);
}

static void put_id(struct trace_line *l, struct kvm_trace *t, const void *arg)
{
	(void)t;
	trace_put(l, " %lu", (unsigned long)(uintptr_t)arg);
}

static void put_gmem(struct trace_line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_create_guest_memfd *g = arg;

	(void)t;
	trace_put(l, " len=%#llx flags=%#llx", g->size, g->flags);
}

/* A host address, as an offset into what was mapped there. */
static void put_host(struct trace_line *l, struct kvm_trace *t, uint64_t addr)
{
	const struct kvm_trace_object *o = trace_find_addr(t, addr);

	if (o)
		trace_put(l, " host=%s+%#" PRIx64, o->name,
			  addr - (uintptr_t)o->addr);
	else
		trace_put(l, " host=%s", addr ? "?" : "0");
}

static void put_region(struct trace_line *l, struct kvm_trace *t,
		       const void *arg)
{
	const struct kvm_userspace_memory_region *r = arg;

	trace_put(l, " slot=%u flags=%#x gpa=%#llx len=%#llx", r->slot,
		  r->flags, r->guest_phys_addr, r->memory_size);
	put_host(l, t, r->userspace_addr);
}

static void put_region2(struct trace_line *l, struct kvm_trace *t,
			const void *arg)
{
	const struct kvm_userspace_memory_region2 *r = arg;

	trace_put(l, " slot=%u flags=%#x gpa=%#llx len=%#llx", r->slot,
		  r->flags, r->guest_phys_addr, r->memory_size);
	if (r->flags & KVM_MEM_GUEST_MEMFD)
		trace_put(l, " gmem=%s+%#llx",
			  trace_name(trace_find_fd(t, (int)r->guest_memfd)),
			  r->guest_memfd_offset);
	put_host(l, t, r->userspace_addr);
}

static void put_attributes(struct trace_line *l, struct kvm_trace *t,
			   const void *arg)
{
	const struct kvm_memory_attributes *a = arg;

	(void)t;
	trace_put(l, " gpa=%#llx len=%#llx %s", a->address, a->size,
		  a->attributes ? "private" : "shared");
}

static void put_filter(struct trace_line *l, struct kvm_trace *t,
		       const void *arg)
{
	const struct kvm_msr_filter *f = arg;

	(void)t;
	trace_put(l, " flags=%#x", f->flags);
	for (size_t i = 0; i < ARRAY_SIZE(f->ranges) && f->ranges[i].nmsrs; i++)
		trace_put(l, " %#x", f->ranges[i].base);
}

static void put_cpuid(struct trace_line *l, struct kvm_trace *t,
		      const void *arg)
{
	const struct kvm_cpuid2 *cpuid = arg;

	(void)t;
	trace_put(l, " nent=%u", cpuid->nent);
}

static void put_msrs(struct trace_line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_msrs *msrs = arg;

	(void)t;
	for (unsigned int i = 0; i < msrs->nmsrs; i++)
		trace_put(l, " %#x=%#llx", msrs->entries[i].index,
			  msrs->entries[i].data);
}

static void put_regs(struct trace_line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_regs *r = arg;

	(void)t;
	trace_put(l, " rip=%#llx rsi=%#llx rsp=%#llx rflags=%#llx", r->rip,
		  r->rsi, r->rsp, r->rflags);
}

static void put_sregs(struct trace_line *l, struct kvm_trace *t,
		      const void *arg)
{
	const struct kvm_sregs *s = arg;

	(void)t;
	trace_put(l,
		  " cs=%#x%s ss=%#x gdt=%#llx cr0=%#llx cr3=%#llx cr4=%#llx "
		  "efer=%#llx",
		  s->cs.selector, s->cs.l ? "(64-bit)" : "", s->ss.selector,
		  s->gdt.base, s->cr0, s->cr3, s->cr4, s->efer);
}

static void put_zone(struct trace_line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_coalesced_mmio_zone *z = arg;

	(void)t;
	trace_put(l, " %s=%#llx len=%u", z->pio ? "port" : "gpa", z->addr,
		  z->size);
}

/* What the call left of what it was asked for. */
static void put_pre_fault(struct trace_line *l, struct kvm_trace *t,
			  const void *arg)
{
	const struct kvm_pre_fault_memory *range = arg;

	(void)t;
	trace_put(l, " end=%#llx left=%#llx", range->gpa + range->size,
		  range->size);
}

/* A line has room for a few; a message is an address and what is written. */
#define MAX_ROUTES 4

static void put_routes(struct trace_line *l, struct kvm_trace *t,
		       const void *arg)
{
	const struct kvm_irq_routing *table = arg;

	(void)t;
	trace_put(l, " nr=%u", table->nr);
	for (unsigned int i = 0; i < min_of(table->nr, MAX_ROUTES); i++) {
		const struct kvm_irq_routing_entry *e = &table->entries[i];

		trace_put(l, " gsi%u=%#llx/%#x", e->gsi,
			  (unsigned long long)e->u.msi.address_hi << 32 |
				  e->u.msi.address_lo,
			  e->u.msi.data);
	}
	if (table->nr > MAX_ROUTES)
		trace_put(l, " ...");
}

static void put_irqfd(struct trace_line *l, struct kvm_trace *t,
		      const void *arg)
{
	const struct kvm_irqfd *i = arg;

	(void)t;
	trace_put(l, " gsi=%u%s", i->gsi,
		  i->flags & KVM_IRQFD_FLAG_DEASSIGN ? " off" : "");
}

static void put_ioeventfd(struct trace_line *l, struct kvm_trace *t,
			  const void *arg)
{
	const struct kvm_ioeventfd *e = arg;

	(void)t;
	trace_put(l, " gpa=%#llx len=%u%s", e->addr, e->len,
		  e->flags & KVM_IOEVENTFD_FLAG_DEASSIGN ? " off" : "");
}

/* What we may ask. */
static const struct trace_request requests[] = {
	{ KVM_GET_API_VERSION, "GET_API_VERSION", NULL, NULL },
	{ KVM_CHECK_EXTENSION, "CHECK_EXTENSION", put_extension, NULL },
	{ KVM_GET_VCPU_MMAP_SIZE, "GET_VCPU_MMAP_SIZE", NULL, NULL },
	{ KVM_GET_SUPPORTED_CPUID, "GET_SUPPORTED_CPUID", NULL, NULL },
	{ KVM_CREATE_VM, "CREATE_VM", put_type, "vm" },
	{ KVM_ENABLE_CAP, "ENABLE_CAP", put_enable_cap, NULL },
	{ KVM_CREATE_GUEST_MEMFD, "CREATE_GUEST_MEMFD", put_gmem, "gmem" },
	{ KVM_SET_USER_MEMORY_REGION, "SET_USER_MEMORY_REGION", put_region,
	  NULL },
	{ KVM_SET_USER_MEMORY_REGION2, "SET_USER_MEMORY_REGION2", put_region2,
	  NULL },
	{ KVM_SET_MEMORY_ATTRIBUTES, "SET_MEMORY_ATTRIBUTES", put_attributes,
	  NULL },
	{ KVM_X86_SET_MSR_FILTER, "X86_SET_MSR_FILTER", put_filter, NULL },
	{ KVM_CREATE_VCPU, "CREATE_VCPU", put_id, "vcpu" },
	{ KVM_SET_CPUID2, "SET_CPUID2", put_cpuid, NULL },
	{ KVM_SET_MSRS, "SET_MSRS", put_msrs, NULL },
	{ KVM_GET_REGS, "GET_REGS", NULL, NULL },
	{ KVM_SET_REGS, "SET_REGS", put_regs, NULL },
	{ KVM_GET_SREGS, "GET_SREGS", NULL, NULL },
	{ KVM_SET_SREGS, "SET_SREGS", put_sregs, NULL },
	{ KVM_REGISTER_COALESCED_MMIO, "REGISTER_COALESCED_MMIO", put_zone,
	  NULL },
	{ KVM_PRE_FAULT_MEMORY, "PRE_FAULT_MEMORY", put_pre_fault, NULL },
	{ KVM_SIGNAL_MSI, "SIGNAL_MSI", NULL, NULL },
	{ KVM_SET_GSI_ROUTING, "SET_GSI_ROUTING", put_routes, NULL },
	{ KVM_IRQFD, "IRQFD", put_irqfd, NULL },
	{ KVM_IOEVENTFD, "IOEVENTFD", put_ioeventfd, NULL },
};

const struct trace_request *trace_request_find(unsigned long req)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].req == req)
			return &requests[i];
	return NULL;
}
