/* SPDX-License-Identifier: Apache-2.0 */
/* What memory.h declares. */
#include "vmm/kvm/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/err.h"

/* cachestat(2), Linux 6.5: older than any guest_memfd that can be mapped. */
#define SYS_CACHESTAT 451

static int create_guest_memfd(struct memory *mem)
{
	const uint64_t flags =
		GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	int have = kvm_check_extension(mem->kvm, KVM_CAP_GUEST_MEMFD_FLAGS);

	if (have < 0)
		return have;
	if (((uint64_t)have & flags) != flags)
		return err_set(-EOPNOTSUPP,
			       "this kernel's KVM cannot map guest_memfd "
			       "(needs Linux 6.18): set memory.backing = memfd "
			       "to run without guest_memfd's guarantee");
	return kvm_create_guest_memfd(mem->kvm, mem->len, flags);
}

static int create_memfd(struct memory *mem)
{
	int fd = memfd_create("cvmm-ram", MFD_CLOEXEC);
	int rc;

	if (fd >= 0 && ftruncate(fd, (off_t)mem->len) == 0)
		return fd;
	rc = err_set(-errno, "%" PRIu64 " bytes of memfd: %s", mem->len,
		     strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

static int create_store(struct memory *mem)
{
	int rc = mem->backing == MEMORY_MEMFD ? create_memfd(mem)
					      : create_guest_memfd(mem);

	if (rc < 0)
		return rc;
	mem->fd = rc;
	mem->map = kvm_map(mem->kvm, mem->fd, mem->len, "guest RAM");
	return mem->map ? 0 : -ENOMEM;
}

static int add_range(struct memory *mem, const struct memory_range *range,
		     uint64_t off)
{
	struct kvm_slot slot = {
		.slot = mem->guest.count,
		.gpa = range->gpa,
		.len = range->len,
		.host = (uint8_t *)mem->map + off,
		.gmem_fd = mem->backing == MEMORY_MEMFD ? -1 : mem->fd,
		.gmem_off = off,
	};
	int rc = kvm_set_memory(mem->kvm, &slot);

	if (rc < 0)
		return err_in(rc, "RAM at %#" PRIx64, range->gpa);
	mem->guest.regions[mem->guest.count++] =
		(struct guest_region){ .base = range->gpa,
				       .len = range->len,
				       .host = slot.host,
				       .fd = mem->fd,
				       .fd_off = off };
	return 0;
}

int memory_init(struct memory *mem, struct kvm *kvm,
		enum memory_backing backing, const struct memory_range *ranges,
		unsigned int nr_ranges)
{
	uint64_t off = 0;
	int rc;

	*mem = (struct memory){ .kvm = kvm, .backing = backing, .fd = -1 };
	for (unsigned int i = 0; i < nr_ranges; i++)
		mem->len += ranges[i].len;
	rc = create_store(mem);
	for (unsigned int i = 0; !rc && i < nr_ranges; i++) {
		rc = add_range(mem, &ranges[i], off);
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
	if (mem->backing == MEMORY_GUEST_MEMFD)
		kvm_close_fd(mem->kvm, mem->fd);
	else if (mem->fd >= 0)
		close(mem->fd);
	*mem = (struct memory){ .fd = -1 };
}

#define WINDOW_PAGES 1024

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
			kvm_pre_fault(mem->kvm, vcpu_fd, gpa + i * PAGE_SIZE,
				      (end - i) * PAGE_SIZE);
	}
}

int memory_pre_fault(struct memory *mem, int vcpu_fd, gpa_t gpa, uint64_t len)
{
	uint8_t *host = guest_at(&mem->guest, gpa, len);
	int rc = kvm_check_extension(mem->kvm, KVM_CAP_PRE_FAULT_MEMORY);

	if (rc <= 0 || !host)
		return rc < 0 ? rc : 0;
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

/* Pages of the file in the page cache, by walking only those that are. */
static uint64_t count_cached(int fd)
{
	struct {
		uint64_t off, len; /* len 0: to the end */
	} range = { 0 };
	struct {
		uint64_t cache, dirty, writeback, evicted, recent;
	} stat = { 0 };

	/* A file that cannot be asked counts as empty. */
	if (syscall(SYS_CACHESTAT, fd, &range, &stat, 0))
		return 0;
	return stat.cache;
}

uint64_t memory_allocated(const struct memory *mem)
{
	struct stat st;

	if (!mem->kvm)
		return 0;
	/* A guest_memfd keeps no count of blocks; a memfd may be swapped. */
	if (mem->backing == MEMORY_GUEST_MEMFD)
		return count_cached(mem->fd) * PAGE_SIZE;
	return fstat(mem->fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}
