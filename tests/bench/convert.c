/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a conversion costs on a KVM that knows private memory: cvmm's against
 * the bare system calls that it consists of, KVM_SET_MEMORY_ATTRIBUTES and a
 * hole in the store that has the pages no more, one of each for a range.  Both
 * have a VM of the same kind and take turns.  What is "used" was allocated and
 * is mapped for the guest; else there is nothing to free.
 *
 *	convert ROUNDS
 *
 * Prints a line for each measurement, for tests/bench/table.awk; one round
 * more is thrown away.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "vmm/kvm/memory.h"

#define RAM (2 * GIB)
#define MAX_THREADS 4

struct vm {
	const char *name;
	int (*convert)(struct vm *vm, gpa_t gpa, uint64_t len, bool to_private);
	struct kvm kvm;
	struct memory mem;
	int vcpu;
};

static const struct what {
	const char *name;
	uint64_t len, stride; /* of a range; from one to the next */
	unsigned int count;   /* ranges for each thread */
	unsigned int threads;
	bool used;
} whats[] = {
	{ "4K", PAGE_SIZE, 2 * PAGE_SIZE, 1024, 1, false },
	{ "4K-used", PAGE_SIZE, 2 * PAGE_SIZE, 1024, 1, true },
	{ "2M", 2 * MIB, 2 * MIB, 64, 1, false },
	{ "2M-used", 2 * MIB, 2 * MIB, 64, 1, true },
	{ "2M-used-4", 2 * MIB, 2 * MIB, 64, 4, true },
	{ "1G", GIB, GIB, 1, 1, false },
	{ "1G-used", GIB, GIB, 1, 1, true },
};

static int convert(struct vm *vm, gpa_t gpa, uint64_t len, bool to_private)
{
	return memory_convert(&vm->mem, gpa, len, to_private, CONVERT_ASKED);
}

/* Guest addresses are offsets in the files: RAM ends below the hole. */
static int bare(struct vm *vm, gpa_t gpa, uint64_t len, bool to_private)
{
	struct kvm_memory_attributes set = {
		.address = gpa,
		.size = len,
		.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (ioctl(vm->kvm.vm_fd, KVM_SET_MEMORY_ATTRIBUTES, &set))
		return -errno;
	return fallocate(to_private ? vm->mem.memfd : vm->mem.gmem_fd,
			 FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (off_t)gpa,
			 (off_t)len)
		       ? -errno
		       : 0;
}

static void must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "convert: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void create(struct vm *vm)
{
	const struct memory_range range = { 0, RAM };

	must(kvm_open(&vm->kvm, &kvm_linux), "/dev/kvm");
	must(kvm_create_vm(&vm->kvm, KVM_X86_SW_PROTECTED_VM), "VM");
	must(memory_init(&vm->mem, &vm->kvm, &store_two, &range, 1), "RAM");
	vm->vcpu = kvm_create_vcpu(&vm->kvm, 0);
	must(vm->vcpu, "vCPU");
	must(vm->convert(vm, 0, RAM, true), "to private");
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* As if the guest had written to all that is going to be converted. */
static void use(struct vm *vm, const struct what *w)
{
	for (unsigned int i = 0; i < w->count * w->threads; i++) {
		gpa_t gpa = GIB + i * w->stride;
		uint64_t len = w->len;

		while (len)
			must(kvm_pre_fault(&vm->kvm, vm->vcpu, &gpa, &len),
			     "KVM_PRE_FAULT_MEMORY");
	}
}

struct job {
	struct vm *vm;
	const struct what *what;
	gpa_t gpa;
	bool to_private;
	pthread_barrier_t *begin;
	uint64_t from_ns, to_ns; /* of all of its work */
};

static void *work(void *arg)
{
	struct job *job = arg;
	const struct what *w = job->what;

	pthread_barrier_wait(job->begin);
	job->from_ns = now_ns();
	for (unsigned int i = 0; i < w->count; i++)
		must(job->vm->convert(job->vm, job->gpa + i * w->stride, w->len,
				      job->to_private),
		     "conversion");
	job->to_ns = now_ns();
	return NULL;
}

/* From the first one's begin to the last one's end. */
static uint64_t run_threads(struct vm *vm, const struct what *w,
			    bool to_private)
{
	uint64_t from_ns = UINT64_MAX, to_ns = 0;
	pthread_t threads[MAX_THREADS];
	struct job jobs[MAX_THREADS];
	pthread_barrier_t begin;

	pthread_barrier_init(&begin, NULL, w->threads);
	for (unsigned int i = 0; i < w->threads; i++) {
		jobs[i] = (struct job){
			.vm = vm,
			.what = w,
			.gpa = GIB + i * w->count * w->stride,
			.to_private = to_private,
			.begin = &begin,
		};
		must(-pthread_create(&threads[i], NULL, work, &jobs[i]),
		     "thread");
	}
	for (unsigned int i = 0; i < w->threads; i++) {
		pthread_join(threads[i], NULL);
		from_ns = min_of(from_ns, jobs[i].from_ns);
		to_ns = max_of(to_ns, jobs[i].to_ns);
	}
	pthread_barrier_destroy(&begin);
	return to_ns - from_ns;
}

static void measure(struct vm *vm, const struct what *w, bool to_private,
		    bool counts)
{
	uint64_t ns;

	if (w->used)
		use(vm, w);
	ns = run_threads(vm, w, to_private);
	if (counts)
		printf("full convert-%s-%s %s us=%.3f\n", w->name,
		       to_private ? "private" : "shared", vm->name,
		       (double)ns / 1000 / (w->count * w->threads));
}

int main(int argc, char **argv)
{
	unsigned int rounds =
		argc == 2 ? (unsigned int)strtoul(argv[1], NULL, 10) : 5;
	static struct vm vms[] = { { .name = "cvmm", .convert = convert },
				   { .name = "bare", .convert = bare } };

	setvbuf(stdout, NULL, _IOLBF, 0); /* the lab may die */
	create(&vms[0]);
	create(&vms[1]);
	for (unsigned int i = 0; i < ARRAY_SIZE(whats); i++)
		for (unsigned int round = 0; round <= rounds; round++)
			for (unsigned int n = 0; n < 4; n++)
				measure(&vms[(n / 2 + round) % 2], &whats[i],
					n % 2, round > 0);
	return 0;
}
