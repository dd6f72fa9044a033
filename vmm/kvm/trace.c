/* SPDX-License-Identifier: Apache-2.0 */
/* What trace.h declares. */
#include "vmm/kvm/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct line {
	char text[256];
	size_t len;
};

static void __attribute__((format(printf, 2, 3)))
put(struct line *l, const char *fmt, ...)
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

static void put_result(struct line *l, int rc)
{
	const char *name = rc < 0 ? strerrorname_np(-rc) : NULL;

	if (name)
		put(l, " -> %s", name);
	else if (rc)
		put(l, " -> %d", rc);
}

static struct kvm_trace_object *find_fd(struct kvm_trace *t, int fd)
{
	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(t->objects); i++)
		if (t->objects[i].name[0] && t->objects[i].fd == fd)
			return &t->objects[i];
	return NULL;
}

static struct kvm_trace_object *find_addr(struct kvm_trace *t, uint64_t addr)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->objects); i++) {
		struct kvm_trace_object *o = &t->objects[i];

		if (o->addr && addr >= (uintptr_t)o->addr &&
		    addr - (uintptr_t)o->addr < o->len)
			return o;
	}
	return NULL;
}

static const char *name_of(const struct kvm_trace_object *o)
{
	return o ? o->name : "?";
}

/* NULL if there is no room: the thing is then called "?". */
static struct kvm_trace_object *add(struct kvm_trace *t, int fd)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->objects); i++) {
		struct kvm_trace_object *o = &t->objects[i];

		if (o->name[0])
			continue;
		*o = (struct kvm_trace_object){ .fd = fd };
		return o;
	}
	return NULL;
}

static bool name_taken(struct kvm_trace *t, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->objects); i++)
		if (!strcmp(t->objects[i].name, name))
			return true;
	return false;
}

/* Names what a call made: "vm", the next one "vm1", ... */
static const char *add_named(struct kvm_trace *t, int fd, const char *kind)
{
	struct kvm_trace_object *o = add(t, fd);
	char name[sizeof(o->name)];

	if (!o)
		return "?";
	snprintf(name, sizeof(name), "%s", kind);
	for (unsigned int i = 1; name_taken(t, name); i++)
		snprintf(name, sizeof(name), "%s%u", kind, i % 1000);
	memcpy(o->name, name, sizeof(name));
	return o->name;
}

static void free_if_gone(struct kvm_trace_object *o)
{
	if (o->fd < 0 && !o->addr)
		o->name[0] = '\0';
}

static void put_extension(struct line *l, struct kvm_trace *t, const void *arg)
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
			put(l, " %s", caps[i].name);
			return;
		}
	put(l, " %ld", cap);
}

static void put_enable_cap(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_enable_cap *cap = arg;

	put_extension(l, t, (const void *)(uintptr_t)cap->cap);
	put(l, " args=%#llx", cap->args[0]);
}

static void put_type(struct line *l, struct kvm_trace *t, const void *arg)
{
	(void)t;
	put(l, " type=%lu", (unsigned long)(uintptr_t)arg);
}

static void put_id(struct line *l, struct kvm_trace *t, const void *arg)
{
	(void)t;
	put(l, " %lu", (unsigned long)(uintptr_t)arg);
}

static void put_gmem(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_create_guest_memfd *g = arg;

	(void)t;
	put(l, " len=%#llx flags=%#llx", g->size, g->flags);
}

/* A host address, as an offset into what was mapped there. */
static void put_host(struct line *l, struct kvm_trace *t, uint64_t addr)
{
	const struct kvm_trace_object *o = find_addr(t, addr);

	if (o)
		put(l, " host=%s+%#" PRIx64, o->name,
		    addr - (uintptr_t)o->addr);
	else
		put(l, " host=%s", addr ? "?" : "0");
}

static void put_region(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_userspace_memory_region *r = arg;

	put(l, " slot=%u flags=%#x gpa=%#llx len=%#llx", r->slot, r->flags,
	    r->guest_phys_addr, r->memory_size);
	put_host(l, t, r->userspace_addr);
}

static void put_region2(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_userspace_memory_region2 *r = arg;

	put(l, " slot=%u flags=%#x gpa=%#llx len=%#llx", r->slot, r->flags,
	    r->guest_phys_addr, r->memory_size);
	if (r->flags & KVM_MEM_GUEST_MEMFD)
		put(l, " gmem=%s+%#llx",
		    name_of(find_fd(t, (int)r->guest_memfd)),
		    r->guest_memfd_offset);
	put_host(l, t, r->userspace_addr);
}

static void put_cpuid(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_cpuid2 *cpuid = arg;

	(void)t;
	put(l, " nent=%u", cpuid->nent);
}

static void put_msrs(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_msrs *msrs = arg;

	(void)t;
	for (unsigned int i = 0; i < msrs->nmsrs; i++)
		put(l, " %#x=%#llx", msrs->entries[i].index,
		    msrs->entries[i].data);
}

static void put_regs(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_regs *r = arg;

	(void)t;
	put(l, " rip=%#llx rsi=%#llx rsp=%#llx rflags=%#llx", r->rip, r->rsi,
	    r->rsp, r->rflags);
}

static void put_sregs(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_sregs *s = arg;

	(void)t;
	put(l,
	    " cs=%#x%s ss=%#x gdt=%#llx cr0=%#llx cr3=%#llx cr4=%#llx "
	    "efer=%#llx",
	    s->cs.selector, s->cs.l ? "(64-bit)" : "", s->ss.selector,
	    s->gdt.base, s->cr0, s->cr3, s->cr4, s->efer);
}

static void put_zone(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_coalesced_mmio_zone *z = arg;

	(void)t;
	put(l, " %s=%#llx len=%u", z->pio ? "port" : "gpa", z->addr, z->size);
}

/* What the call left of what it was asked for. */
static void put_pre_fault(struct line *l, struct kvm_trace *t, const void *arg)
{
	const struct kvm_pre_fault_memory *range = arg;

	(void)t;
	put(l, " end=%#llx left=%#llx", range->gpa + range->size, range->size);
}

/* What we may ask; args formats the argument, `makes` names the new fd. */
static const struct request {
	unsigned long req;
	const char *name;
	void (*args)(struct line *l, struct kvm_trace *t, const void *arg);
	const char *makes;
} requests[] = {
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
	{ KVM_SET_GSI_ROUTING, "SET_GSI_ROUTING", NULL, NULL },
	{ KVM_IRQFD, "IRQFD", NULL, NULL },
	{ KVM_IOEVENTFD, "IOEVENTFD", NULL, NULL },
};

static void put_exit(struct line *l, const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		put(l, " -> IO %s port=%#x size=%u count=%u",
		    run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in",
		    run->io.port, run->io.size, run->io.count);
		break;
	case KVM_EXIT_MMIO:
		put(l, " -> MMIO %s gpa=%#llx len=%u",
		    run->mmio.is_write ? "write" : "read", run->mmio.phys_addr,
		    run->mmio.len);
		break;
	case KVM_EXIT_SHUTDOWN:
		put(l, " -> SHUTDOWN");
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		put(l, " -> SYSTEM_EVENT type=%u", run->system_event.type);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		put(l, " -> INTERNAL_ERROR suberror=%u",
		    run->internal.suberror);
		break;
	default:
		put(l, " -> exit %u", run->exit_reason);
	}
}

static void put_run(struct line *l, const struct kvm_trace_object *o, int rc)
{
	if (rc < 0 || !o || !o->addr)
		put_result(l, rc);
	else
		put_exit(l, o->addr);
}

static void put_made(struct line *l, struct kvm_trace *t,
		     const struct request *r, const void *arg, int rc)
{
	char kind[16];

	if (rc >= 0 && r->req == KVM_CREATE_VCPU) {
		snprintf(kind, sizeof(kind), "vcpu%u",
			 (unsigned int)(uintptr_t)arg % 10000);
		put(l, " -> %s", add_named(t, rc, kind));
	} else if (rc >= 0 && r->makes) {
		put(l, " -> %s", add_named(t, rc, r->makes));
	} else {
		put_result(l, rc);
	}
}

static void put_call(struct line *l, struct kvm_trace *t, int fd,
		     unsigned long req, const void *arg, int rc)
{
	const struct kvm_trace_object *o = find_fd(t, fd);

	if (req == KVM_RUN) {
		put(l, "%s RUN", name_of(o));
		put_run(l, o, rc);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		const struct request *r = &requests[i];

		if (r->req != req)
			continue;
		put(l, "%s %s", name_of(o), r->name);
		if (r->args)
			r->args(l, t, arg);
		put_made(l, t, r, arg, rc);
		return;
	}
	put(l, "%s ioctl %#lx", name_of(o), req);
	put_result(l, rc);
}

static struct kvm_trace *trace_of(struct kvm_sys *sys)
{
	return container_of(sys, struct kvm_trace, sys);
}

/*
 * A new fd is named after its call returned and forgotten before it is
 * closed, so no number is known by two names, whatever other threads do.
 */
static int trace_open(struct kvm_sys *sys, const char *path)
{
	struct kvm_trace *t = trace_of(sys);
	struct line l = { .len = 0 };
	int rc = t->next->open(t->next, path);

	pthread_mutex_lock(&t->lock);
	put(&l, "open %s", path);
	if (rc < 0)
		put_result(&l, rc);
	else
		put(&l, " -> %s", add_named(t, rc, "kvm"));
	t->line(t->ctx, l.text);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static int trace_ioctl(struct kvm_sys *sys, int fd, unsigned long req,
		       void *arg)
{
	struct kvm_trace *t = trace_of(sys);
	struct line l = { .len = 0 };
	int rc = t->next->ioctl(t->next, fd, req, arg); /* KVM_RUN blocks */

	pthread_mutex_lock(&t->lock);
	put_call(&l, t, fd, req, arg, rc);
	t->line(t->ctx, l.text);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static void *trace_map(struct kvm_sys *sys, int fd, size_t len)
{
	struct kvm_trace *t = trace_of(sys);
	struct line l = { .len = 0 };
	struct kvm_trace_object *o;
	void *p = t->next->map(t->next, fd, len);
	int saved = errno;

	pthread_mutex_lock(&t->lock);
	o = find_fd(t, fd);
	if (!o && p) { /* not from KVM: a memfd */
		add_named(t, fd, "file");
		o = find_fd(t, fd);
		if (o)
			o->fd = -1; /* closed behind our back */
	}
	put(&l, "map %s len=%#zx%s", o ? o->name : "file", len,
	    p ? "" : " -> failed");
	if (o && p) {
		o->addr = p;
		o->len = len;
	}
	t->line(t->ctx, l.text);
	pthread_mutex_unlock(&t->lock);
	errno = saved;
	return p;
}

static void trace_unmap(struct kvm_sys *sys, void *addr, size_t len)
{
	struct kvm_trace *t = trace_of(sys);
	struct line l = { .len = 0 };
	struct kvm_trace_object *o;

	pthread_mutex_lock(&t->lock);
	o = find_addr(t, (uintptr_t)addr);
	put(&l, "unmap %s len=%#zx", name_of(o), len);
	if (o) {
		o->addr = NULL;
		free_if_gone(o);
	}
	t->line(t->ctx, l.text);
	pthread_mutex_unlock(&t->lock);
	t->next->unmap(t->next, addr, len);
}

static void trace_close(struct kvm_sys *sys, int fd)
{
	struct kvm_trace *t = trace_of(sys);
	struct line l = { .len = 0 };
	struct kvm_trace_object *o;

	pthread_mutex_lock(&t->lock);
	o = find_fd(t, fd);
	put(&l, "close %s", name_of(o));
	if (o) {
		o->fd = -1;
		free_if_gone(o);
	}
	t->line(t->ctx, l.text);
	pthread_mutex_unlock(&t->lock);
	t->next->close(t->next, fd);
}

void kvm_trace_init(struct kvm_trace *trace, struct kvm_sys *next,
		    void (*line)(void *ctx, const char *line), void *ctx)
{
	*trace = (struct kvm_trace){
		.sys = { .open = trace_open,
			 .ioctl = trace_ioctl,
			 .map = trace_map,
			 .unmap = trace_unmap,
			 .close = trace_close },
		.next = next,
		.line = line,
		.ctx = ctx,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
}
