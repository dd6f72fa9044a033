/* SPDX-License-Identifier: Apache-2.0 */
/* What fault_kvm.h declares. */
#include "support/fault_kvm.h"

#include <errno.h>

static bool fails(struct fault_kvm *f)
{
	return atomic_fetch_add(&f->calls, 1) + 1 == f->fail_at;
}

static int fault_open(struct kvm_sys *sys, const char *path)
{
	struct fault_kvm *f = container_of(sys, struct fault_kvm, sys);

	return fails(f) ? f->error : f->next->open(f->next, path);
}

static int fault_ioctl(struct kvm_sys *sys, int fd, unsigned long req,
		       void *arg)
{
	struct fault_kvm *f = container_of(sys, struct fault_kvm, sys);

	if (!fails(f))
		return f->next->ioctl(f->next, fd, req, arg);
	f->failed_req = req;
	return f->error;
}

static void *fault_map(struct kvm_sys *sys, int fd, size_t len)
{
	struct fault_kvm *f = container_of(sys, struct fault_kvm, sys);

	if (!fails(f))
		return f->next->map(f->next, fd, len);
	f->failed_map = true;
	errno = -f->error;
	return NULL;
}

static void fault_unmap(struct kvm_sys *sys, void *addr, size_t len)
{
	struct fault_kvm *f = container_of(sys, struct fault_kvm, sys);

	f->next->unmap(f->next, addr, len);
}

static void fault_close(struct kvm_sys *sys, int fd)
{
	struct fault_kvm *f = container_of(sys, struct fault_kvm, sys);

	f->next->close(f->next, fd);
}

static int fault_punch(struct kvm_sys *sys, int fd, uint64_t off, uint64_t len)
{
	struct fault_kvm *f = container_of(sys, struct fault_kvm, sys);

	if (!fails(f))
		return f->next->punch(f->next, fd, off, len);
	f->failed_punch = true;
	return f->error;
}

void fault_kvm_init(struct fault_kvm *fault, struct kvm_sys *next,
		    unsigned int fail_at, int error)
{
	*fault = (struct fault_kvm){
		.sys = { .open = fault_open,
			 .ioctl = fault_ioctl,
			 .map = fault_map,
			 .unmap = fault_unmap,
			 .close = fault_close,
			 .punch = fault_punch },
		.next = next,
		.fail_at = fail_at,
		.error = error,
	};
}
