/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we ask of the kernel, one readable line a call: a struct kvm_sys that
 * passes every call on to another one.  Lines are deterministic: things are
 * named after the call that made them, never by fd or address, so a
 * transcript can be compared with a file.  Guest memory is never printed.
 *
 *	open /dev/kvm -> kvm
 *	kvm CREATE_VM type=0 -> vm
 *	vm SET_USER_MEMORY_REGION2 slot=0 gpa=0 len=0x20000000 ...
 *	vcpu0 RUN -> IO out port=0x3f8 size=1 count=1
 */
#pragma once

#include <pthread.h>

#include "vmm/kvm/kvm.h"

/* /dev/kvm, VM, guest_memfd, 255 vCPUs and a reserve. */
#define TRACE_MAX_OBJECTS 288

/* Something the kernel made for us: a file descriptor, a mapping, or both. */
struct kvm_trace_object {
	char name[12]; /* "": this place is free */
	int fd;        /* -1: none */
	void *addr;    /* NULL: none */
	size_t len;
};

struct kvm_trace {
	struct kvm_sys sys; /* hand &trace->sys to the VMM */
	struct kvm_sys *next;
	/* One line, without its newline; never two calls at a time. */
	void (*line)(void *ctx, const char *line);
	void *ctx;
	pthread_mutex_t lock; /* guards what follows, and line() */
	struct kvm_trace_object objects[TRACE_MAX_OBJECTS];
};

/* next must outlive the trace.  Nothing to destroy.  Calls: any thread. */
void kvm_trace_init(struct kvm_trace *trace, struct kvm_sys *next,
		    void (*line)(void *ctx, const char *line), void *ctx);
