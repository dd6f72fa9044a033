/* SPDX-License-Identifier: Apache-2.0 */
/* What rig.h declares. */
#include "support/rig.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/temp.h"

#define HOLE (3 * GIB)
#define HOLE_END (4 * GIB)

/* A thread that has been joined may take a moment to leave /proc. */
static int threads_left(int before)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	int n = count_entries("/proc/self/task");

	for (int i = 0; i < 1000 && n > before; i++) {
		nanosleep(&nap, NULL);
		n = count_entries("/proc/self/task");
	}
	return n - before;
}

static void *nothing(void *arg)
{
	return arg;
}

/* The first thread may bring one of a sanitizer's with it. */
static void start_first_thread(void)
{
	const struct timespec nap = { .tv_nsec = 5000000 };
	static bool done;
	pthread_t thread;

	if (done)
		return;
	done = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, nothing, NULL), 0);
	pthread_join(thread, NULL);
	nanosleep(&nap, NULL); /* until it has left /proc */
}

static int fill(const struct image_region *r, uint8_t *dst)
{
	memcpy(dst, r->data, r->data_len);
	return 0;
}

static int fill_big(const struct image_region *r, uint8_t *dst)
{
	memset(dst, 1, RIG_BIG_HOLE);
	memset(dst + RIG_BIG_HOLE + PAGE_SIZE, 1,
	       r->len - RIG_BIG_HOLE - PAGE_SIZE);
	return 0;
}

static void build_image(struct image *image)
{
	static const uint8_t halt[] = { 0xf4 };

	image->count = 3;
	image->regions[0] = (struct image_region){ .name = "boot tables",
						   .gpa = 0x1000,
						   .len = 0x7000 };
	image->regions[1] = (struct image_region){ .name = "code",
						   .gpa = 0x100000,
						   .len = PAGE_SIZE,
						   .fill = fill,
						   .data = halt,
						   .data_len = sizeof(halt) };
	image->regions[2] = (struct image_region){ .name = "big file",
						   .gpa = RIG_BIG_GPA,
						   .len = RIG_BIG_LEN,
						   .fill = fill_big };
	image->entry = 0x100000;
	image->arg = 0x8000;
	image->page_table = 0x2000;
	image->gdt = 0x1000;
}

struct rig *rig_new(uint64_t memory, unsigned int nr_vcpus)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	ck_assert_ptr_nonnull(rig);
	fake_kvm_init(&rig->fake);
	fault_kvm_init(&rig->fault, &rig->fake.sys, 0, 0);
	pthread_mutex_init(&rig->transcript.lock, NULL);
	kvm_trace_init(&rig->trace, &rig->fault.sys, transcript_line,
		       &rig->transcript);
	rig->ranges[0] = (struct memory_range){ 0, min_of(memory, HOLE) };
	rig->ranges[1] =
		(struct memory_range){ HOLE_END, memory - rig->ranges[0].len };
	rig->params = (struct vm_params){
		.cvm = &cvm_none,
		.store = &store_guest_memfd,
		.ranges = rig->ranges,
		.nr_ranges = memory > HOLE ? 2 : 1,
		.nr_vcpus = nr_vcpus,
	};
	build_image(&rig->image);
	pthread_mutex_init(&rig->lock, NULL);
	pthread_cond_init(&rig->changed, NULL);
	start_first_thread();
	rig->threads = count_entries("/proc/self/task");
	return rig;
}

static void on_end(void *ctx)
{
	struct rig *rig = ctx;

	pthread_mutex_lock(&rig->lock);
	rig->ended++;
	pthread_cond_signal(&rig->changed);
	pthread_mutex_unlock(&rig->lock);
}

int rig_start(struct rig *rig)
{
	int rc;

	err_set(-1, "%s", ""); /* what an earlier VM left */
	rc = vm_create(&rig->vm, &rig->trace.sys, &rig->params);
	if (rc)
		return rc;
	rig->vm.ended = on_end;
	rig->vm.ctx = rig;
	if (rig->prepare)
		rig->prepare(rig);
	rc = vm_launch(&rig->vm, &rig->image);
	return rc ? rc : vm_start(&rig->vm);
}

void rig_wait(struct rig *rig)
{
	struct timespec limit;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 10;
	pthread_mutex_lock(&rig->lock);
	while (!rig->ended && !rc)
		rc = pthread_cond_timedwait(&rig->changed, &rig->lock, &limit);
	pthread_mutex_unlock(&rig->lock);
	ck_assert_msg(!rc, "the VM did not end");
}

void rig_destroy_vm(struct rig *rig)
{
	vm_destroy(&rig->vm);
	vm_destroy(&rig->vm); /* twice is fine */
	ck_assert_int_eq(rig->fake.open_fds, 0);
	ck_assert_int_eq(rig->fake.maps, 0);
	ck_assert_int_eq(rig->fake.misuse, 0);
	ck_assert_int_eq(atomic_load(&rig->fake.running), 0);
	ck_assert_int_eq(threads_left(rig->threads), 0);
	ck_assert_int_le(rig->ended, 1);
}

void rig_free(struct rig *rig)
{
	transcript_destroy(&rig->transcript);
	free(rig);
}

void rig_run(struct rig *rig)
{
	int rc = rig_start(rig);

	ck_assert_msg(!rc, "%s", err_text());
	rig_wait(rig);
	rig_destroy_vm(rig);
}

void rig_memory_init(struct memory *mem, struct kvm *kvm, struct fake_kvm *fake,
		     unsigned long vm_type, const struct store_ops *store,
		     const struct memory_range *two)
{
	ck_assert_int_eq(kvm_open(kvm, &fake->sys), 0);
	ck_assert_int_eq(kvm_create_vm(kvm, vm_type), 0);
	ck_assert_int_eq(memory_init(mem, kvm, store, two, 2), 0);
	memory_keep_window(mem, WINDOW_REPORT);
}

void rig_memory_free(struct memory *mem, struct kvm *kvm,
		     const struct fake_kvm *fake)
{
	memory_destroy(mem);
	memory_destroy(mem);
	kvm_close(kvm);
	ck_assert_int_eq(fake->open_fds, 0);
	ck_assert_int_eq(fake->maps, 0);
	ck_assert_int_eq(fake->misuse, 0);
}
