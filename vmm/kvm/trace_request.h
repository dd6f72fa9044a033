/* SPDX-License-Identifier: Apache-2.0 */
/* For trace.c: the calls it knows, and how their arguments are printed. */
#pragma once

#include "vmm/base/err.h"
#include "vmm/kvm/trace.h"

struct trace_line {
	char text[256];
	size_t len;
};

/* Adds to the line what there is room for. */
void trace_put(struct trace_line *l, const char *fmt, ...) PRINTF(2, 3);

/* What has this fd, or a mapping at addr; NULL: nothing we know of. */
struct kvm_trace_object *trace_find_fd(struct kvm_trace *t, int fd);
struct kvm_trace_object *trace_find_addr(struct kvm_trace *t, uint64_t addr);
const char *trace_name(const struct kvm_trace_object *o); /* NULL: "?" */

struct trace_request {
	unsigned long req;
	const char *name;
	/* Prints the argument; NULL: there is none worth it. */
	void (*args)(struct trace_line *l, struct kvm_trace *t,
		     const void *arg);
	const char *makes; /* what the new fd is called; NULL: makes none */
};
const struct trace_request *trace_request_find(unsigned long req);
