/* SPDX-License-Identifier: Apache-2.0 */
/* What store.h declares. */
#include "vmm/kvm/store.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/kvm/memory.h"

/* cachestat(2), Linux 6.5: older than any guest_memfd that can be mapped. */
#define SYS_CACHESTAT 451

int store_create_memfd(uint64_t len)
{
	int fd = memfd_create("cvmm-ram", MFD_CLOEXEC);
	int rc;

	if (fd >= 0 && ftruncate(fd, (off_t)len) == 0)
		return fd;
	rc = err_set(-errno, "%" PRIu64 " bytes of memfd: %s", len,
		     strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

void store_set_huge(void *host, uint64_t len, bool on)
{
	madvise(host, len, on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

/* Pages of the file in the page cache, by walking only those that are. */
uint64_t store_cached(int fd, uint64_t off, uint64_t len)
{
	struct {
		uint64_t off, len;
	} range = { off, len };
	struct {
		uint64_t cache, dirty, writeback, evicted, recent;
	} stat = { 0 };

	/* A file that cannot be asked counts as empty. */
	if (syscall(SYS_CACHESTAT, fd, &range, &stat, 0))
		return 0;
	return stat.cache * PAGE_SIZE;
}

/* Swapped out or not. */
uint64_t store_written(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

/* What the host sees: the file for that if there are two. */
static int shared_fd(const struct memory *mem)
{
	return mem->memfd >= 0 ? mem->memfd : mem->gmem_fd;
}

static int map(struct memory *mem)
{
	mem->map = kvm_map(mem->kvm, shared_fd(mem), mem->len, "guest RAM");
	return mem->map ? 0 : -ENOMEM;
}

static int add_slot(struct memory *mem, const struct memory_range *range,
		    uint64_t off)
{
	struct kvm_slot slot = {
		.slot = mem->guest.count,
		.gpa = range->gpa,
		.len = range->len,
		.host = (uint8_t *)mem->map + off,
		.gmem_fd = mem->gmem_fd,
		.gmem_off = off,
	};
	int rc = kvm_set_memory(mem->kvm, &slot);

	if (rc < 0)
		return err_in(rc, "RAM at %#" PRIx64, range->gpa);
	mem->guest.regions[mem->guest.count++] =
		(struct guest_region){ .base = range->gpa,
				       .len = range->len,
				       .host = slot.host,
				       .fd = shared_fd(mem),
				       .fd_off = off,
				       .off = off };
	return 0;
}

/* --- one guest_memfd, all shared --- */

static int one_create(struct memory *mem)
{
	const uint64_t flags =
		GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	int rc = kvm_check_extension(mem->kvm, KVM_CAP_GUEST_MEMFD_FLAGS);

	if (rc < 0)
		return rc;
	if (((uint64_t)rc & flags) != flags)
		return err_set(-EOPNOTSUPP,
			       "this kernel's KVM cannot map guest_memfd "
			       "(needs Linux 6.18): set memory.backing = memfd "
			       "to run without guest_memfd's guarantee");
	rc = kvm_create_guest_memfd(mem->kvm, mem->len, flags);
	if (rc < 0)
		return rc;
	mem->gmem_fd = rc;
	return map(mem);
}

static uint64_t one_allocated(const struct memory *mem, bool of_private)
{
	return of_private ? 0 : store_cached(mem->gmem_fd, 0, 0);
}

const struct store_ops store_guest_memfd = {
	.name = "guest_memfd",
	.create = one_create,
	.add = add_slot,
	.allocated = one_allocated,
};

/* --- an ordinary file --- */

static int memfd_create_store(struct memory *mem)
{
	mem->memfd = store_create_memfd(mem->len);
	return mem->memfd < 0 ? mem->memfd : map(mem);
}

static uint64_t memfd_allocated(const struct memory *mem, bool of_private)
{
	return of_private ? 0 : store_written(mem->memfd);
}

const struct store_ops store_memfd = {
	.name = "memfd",
	.create = memfd_create_store,
	.add = add_slot,
	.allocated = memfd_allocated,
};

/* --- two stores --- */

static int two_create(struct memory *mem)
{
	int rc = kvm_check_extension(mem->kvm, KVM_CAP_MEMORY_ATTRIBUTES);

	if (rc < 0)
		return rc;
	if (!((uint64_t)rc & KVM_MEMORY_ATTRIBUTE_PRIVATE))
		return err_set(-EOPNOTSUPP,
			       "this kernel's KVM knows no private memory "
			       "(KVM_CAP_MEMORY_ATTRIBUTES; needs Linux 6.8)");
	/* No flags: what the host could map it could read. */
	rc = kvm_create_guest_memfd(mem->kvm, mem->len, 0);
	if (rc < 0)
		return rc;
	mem->gmem_fd = rc;
	rc = memfd_create_store(mem);
	if (!rc)
		store_set_huge(mem->map, mem->len, false);
	return rc;
}

static int two_set(struct memory *mem, gpa_t gpa, uint64_t len, bool to_private)
{
	return kvm_set_private(mem->kvm, gpa, len, to_private);
}

static int two_discard(struct memory *mem, bool of_private, uint64_t off,
		       uint64_t len)
{
	return kvm_punch(mem->kvm, of_private ? mem->gmem_fd : mem->memfd, off,
			 len);
}

static uint64_t two_allocated(const struct memory *mem, bool of_private)
{
	return of_private ? store_cached(mem->gmem_fd, 0, 0)
			  : store_written(mem->memfd);
}

const struct store_ops store_two = {
	.name = "guest_memfd and memfd",
	.has_private = true,
	.starts_private = true,
	.create = two_create,
	.add = add_slot,
	.set = two_set,
	.discard = two_discard,
	.allocated = two_allocated,
};
