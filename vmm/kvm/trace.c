/* SPDX-License-Identifier: Apache-2.0 */
/* What trace.h declares. */
#include "vmm/kvm/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/kvm/trace_request.h"

static void put_result(struct trace_line *l, int rc)
{
	const char *name = rc < 0 ? strerrorname_np(-rc) : NULL;

	if (name)
		trace_put(l, " -> %s", name);
	else if (rc)
		trace_put(l, " -> %d", rc);
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

static void put_exit(struct trace_line *l, const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		trace_put(l, " -> IO %s port=%#x size=%u count=%u",
			  run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in",
			  run->io.port, run->io.size, run->io.count);
		break;
	case KVM_EXIT_MMIO:
		trace_put(l, " -> MMIO %s gpa=%#llx len=%u",
			  run->mmio.is_write ? "write" : "read",
			  run->mmio.phys_addr, run->mmio.len);
		break;
	case KVM_EXIT_HYPERCALL:
		trace_put(l, " -> HYPERCALL %llu %#llx %#llx %#llx",
			  run->hypercall.nr, run->hypercall.args[0],
			  run->hypercall.args[1], run->hypercall.args[2]);
		break;
	case KVM_EXIT_SHUTDOWN:
		trace_put(l, " -> SHUTDOWN");
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		trace_put(l, " -> SYSTEM_EVENT type=%u",
			  run->system_event.type);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		trace_put(l, " -> INTERNAL_ERROR suberror=%u",
			  run->internal.suberror);
		break;
	default:
		trace_put(l, " -> exit %u", run->exit_reason);
	}
}

static void put_run(struct trace_line *l, const struct kvm_trace_object *o,
		    int rc)
{
	if (rc < 0 || !o || !o->addr)
		put_result(l, rc);
	else
		put_exit(l, o->addr);
}

static void put_made(struct trace_line *l, struct kvm_trace *t,
		     const struct trace_request *r, const void *arg, int rc)
{
	char kind[16];

	if (rc >= 0 && r->req == KVM_CREATE_VCPU) {
		snprintf(kind, sizeof(kind), "vcpu%u",
			 (unsigned int)(uintptr_t)arg % 10000);
		trace_put(l, " -> %s", add_named(t, rc, kind));
	} else if (rc >= 0 && r->makes) {
		trace_put(l, " -> %s", add_named(t, rc, r->makes));
	} else {
		put_result(l, rc);
	}
}

static void put_call(struct trace_line *l, struct kvm_trace *t, int fd,
		     unsigned long req, const void *arg, int rc)
{
	const struct kvm_trace_object *o = trace_find_fd(t, fd);
	const struct trace_request *r;

	if (req == KVM_RUN) {
		trace_put(l, "%s RUN", trace_name(o));
		put_run(l, o, rc);
		return;
	}
	r = trace_request_find(req);
	if (r) {
		trace_put(l, "%s %s", trace_name(o), r->name);
		if (r->args)
			r->args(l, t, arg);
		put_made(l, t, r, arg, rc);
		return;
	}
	trace_put(l, "%s ioctl %#lx", trace_name(o), req);
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
	struct trace_line l = { .len = 0 };
	int rc = t->next->open(t->next, path);

	pthread_mutex_lock(&t->lock);
	trace_put(&l, "open %s", path);
	if (rc < 0)
		put_result(&l, rc);
	else
		trace_put(&l, " -> %s", add_named(t, rc, "kvm"));
	t->line(t->ctx, l.text);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static int trace_ioctl(struct kvm_sys *sys, int fd, unsigned long req,
		       void *arg)
{
	struct kvm_trace *t = trace_of(sys);
	struct trace_line l = { .len = 0 };
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
	struct trace_line l = { .len = 0 };
	struct kvm_trace_object *o;
	void *p = t->next->map(t->next, fd, len);
	int saved = errno;

	pthread_mutex_lock(&t->lock);
	o = trace_find_fd(t, fd);
	if (!o && p) { /* not from KVM: a memfd */
		add_named(t, fd, "file");
		o = trace_find_fd(t, fd);
		if (o)
			o->fd = -1; /* closed behind our back */
	}
	trace_put(&l, "map %s len=%#zx%s", o ? o->name : "file", len,
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
	struct trace_line l = { .len = 0 };
	struct kvm_trace_object *o;

	pthread_mutex_lock(&t->lock);
	o = trace_find_addr(t, (uintptr_t)addr);
	trace_put(&l, "unmap %s len=%#zx", trace_name(o), len);
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
	struct trace_line l = { .len = 0 };
	struct kvm_trace_object *o;

	pthread_mutex_lock(&t->lock);
	o = trace_find_fd(t, fd);
	trace_put(&l, "close %s", trace_name(o));
	if (o) {
		o->fd = -1;
		free_if_gone(o);
	}
	t->line(t->ctx, l.text);
	pthread_mutex_unlock(&t->lock);
	t->next->close(t->next, fd);
}

static int trace_punch(struct kvm_sys *sys, int fd, uint64_t off, uint64_t len)
{
	struct kvm_trace *t = trace_of(sys);
	const struct kvm_trace_object *o;
	struct trace_line l = { .len = 0 };
	int rc = t->next->punch(t->next, fd, off, len);

	pthread_mutex_lock(&t->lock);
	o = trace_find_fd(t, fd); /* what is not from KVM is a memfd */
	trace_put(&l, "punch %s off=%#" PRIx64 " len=%#" PRIx64,
		  o ? o->name : "file", off, len);
	put_result(&l, rc);
	t->line(t->ctx, l.text);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void kvm_trace_init(struct kvm_trace *trace, struct kvm_sys *next,
		    void (*line)(void *ctx, const char *line), void *ctx)
{
	*trace = (struct kvm_trace){
		.sys = { .open = trace_open,
			 .ioctl = trace_ioctl,
			 .map = trace_map,
			 .unmap = trace_unmap,
			 .close = trace_close,
			 .punch = trace_punch },
		.next = next,
		.line = line,
		.ctx = ctx,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
}
