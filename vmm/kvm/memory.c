/* SPDX-License-Identifier: Apache-2.0 */
/* What memory.h declares. */
#include "vmm/kvm/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/kvm/convert.h"
#include "vmm/kvm/huge.h"

static int init_pages(struct memory *mem)
{
	int rc;

	if (!mem->store->has_private)
		return 0;
	rc = pages_init(&mem->pages, mem->len, mem->store->starts_private);
	if (rc)
		return err_set(rc, "state of guest memory: %s", strerror(-rc));
	mem->pages.discard = convert_discard_again;
	mem->pages.ctx = mem;
	mem->guest.pages = &mem->pages;
	return 0;
}

int memory_init(struct memory *mem, struct kvm *kvm,
		const struct store_ops *store,
		const struct memory_range *ranges, unsigned int nr_ranges)
{
	uint64_t off = 0;
	int rc;

	*mem = (struct memory){
		.kvm = kvm, .store = store, .gmem_fd = -1, .memfd = -1
	};
	for (unsigned int i = 0; i < nr_ranges; i++)
		mem->len += ranges[i].len;
	rc = init_pages(mem);
	if (!rc)
		rc = store->create(mem);
	for (unsigned int i = 0; !rc && i < nr_ranges; i++) {
		/* A block of pages.h is one for the guest, too. */
		assert(!store->has_private ||
		       (ranges[i].gpa - off) % PAGES_BLOCK == 0);
		rc = store->add(mem, &ranges[i], off);
		off += ranges[i].len;
	}
	if (rc)
		memory_destroy(mem);
	return rc;
}

void memory_destroy(struct memory *mem)
{
	if (!mem->kvm)
		return;
	kvm_unmap(mem->kvm, mem->map, mem->len);
	kvm_unmap(mem->kvm, mem->private_map, mem->len);
	kvm_close_fd(mem->kvm, mem->gmem_fd);
	if (mem->memfd >= 0)
		close(mem->memfd);
	pages_destroy(&mem->pages);
	*mem = (struct memory){ .gmem_fd = -1, .memfd = -1 };
}

void memory_keep_window(struct memory *mem, enum window_mode mode)
{
	if (mode == WINDOW_OFF || !mem->guest.pages)
		return;
	mem->window.strict = mode == WINDOW_STRICT;
	mem->window.moved = huge_follow;
	mem->window.ctx = mem;
	mem->guest.window = &mem->window;
}

#define WINDOW_PAGES 1024

/* For as long as that gets anywhere. */
static void pre_fault_stretch(struct kvm *kvm, int vcpu_fd, gpa_t gpa,
			      uint64_t len)
{
	uint64_t left;

	do {
		left = len;
	} while (!kvm_pre_fault(kvm, vcpu_fd, &gpa, &len) && len && len < left);
}

/* In stretches of pages that are allocated and of those that are not. */
static void pre_fault_window(struct memory *mem, int vcpu_fd, gpa_t gpa,
			     const uint8_t *allocated, uint64_t nr_pages)
{
	uint64_t end;

	for (uint64_t i = 0; i < nr_pages; i = end) {
		for (end = i + 1; end < nr_pages; end++)
			if ((allocated[end] ^ allocated[i]) & 1)
				break;
		if (allocated[i] & 1)
			pre_fault_stretch(mem->kvm, vcpu_fd,
					  gpa + i * PAGE_SIZE,
					  (end - i) * PAGE_SIZE);
	}
}

/* Less costs less to fault in than to ask for. */
#define PRE_FAULT_MIN (1 * MIB)

int memory_pre_fault(struct memory *mem, int vcpu_fd, gpa_t gpa, uint8_t *host,
		     uint64_t len)
{
	int rc;

	if (len < PRE_FAULT_MIN)
		return 0;
	rc = kvm_check_extension(mem->kvm, KVM_CAP_PRE_FAULT_MEMORY);
	if (rc <= 0)
		return rc;
	for (uint64_t done = 0; done < len; done += WINDOW_PAGES * PAGE_SIZE) {
		uint64_t part = min_of(len - done, WINDOW_PAGES * PAGE_SIZE);
		uint8_t allocated[WINDOW_PAGES];

		if (mincore(host + done, part, allocated))
			break; /* an optimization is all that is lost */
		pre_fault_window(mem, vcpu_fd, gpa + done, allocated,
				 part / PAGE_SIZE);
	}
	return 0;
}

uint64_t memory_allocated(const struct memory *mem, bool of_private)
{
	return mem->kvm ? mem->store->allocated(mem, of_private) : 0;
}
