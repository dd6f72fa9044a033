/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two views of RAM, private and shared, that differ by a bit of the address:
 *
 *	guest          0 .. RAM              BIT .. BIT + RAM
 *	store          memfd                 guest_memfd
 *	the host's     map                   private_map
 *
 * A Linux that believes in SEV looks at the shared view in two moments before
 * it could have said so: its decompressor loads a CR3 without the bit, and it
 * writes what will be its first shared pages before it shares them.  So both
 * views are of guest_memfd until the first pages turn shared; those are copied
 * then.  The first MiB stays one for good, since processors start in it with
 * paging off.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/err.h"
#include "vmm/kvm/memory.h"

#define LOW_LEN (1 * MIB)
/* Memslots of the private view begin with this one. */
#define PRIVATE_SLOT GUEST_MAX_REGIONS

static int views_create(struct memory *mem)
{
	int rc = kvm_create_guest_memfd(mem->kvm, mem->len,
					GUEST_MEMFD_FLAG_MMAP |
						GUEST_MEMFD_FLAG_INIT_SHARED);

	if (rc < 0)
		return rc;
	mem->gmem_fd = rc;
	mem->private_map = kvm_map(mem->kvm, rc, mem->len, "private memory");
	if (mem->private_map)
		mem->map = kvm_map(mem->kvm, rc, mem->len, "shared memory");
	if (!mem->map)
		return -ENOMEM;
	mem->memfd = store_create_memfd(mem->len);
	return mem->memfd < 0 ? mem->memfd : 0;
}

static int views_add(struct memory *mem, const struct memory_range *range,
		     uint64_t off)
{
	struct kvm_slot slot = {
		.slot = PRIVATE_SLOT + mem->guest.count,
		.gpa = range->gpa | STORE_VIEWS_BIT,
		.len = range->len,
		.host = (uint8_t *)mem->private_map + off,
		.gmem_fd = mem->gmem_fd,
		.gmem_off = off,
	};
	int rc;

	if (range->gpa + range->len > STORE_VIEWS_BIT)
		return err_set(-EINVAL,
			       "no more than %llu GiB of RAM: set vm.memory",
			       (STORE_VIEWS_BIT - GIB) / GIB);
	rc = kvm_set_memory(mem->kvm, &slot);
	if (rc >= 0) {
		slot.slot = mem->guest.count;
		slot.gpa = range->gpa;
		slot.host = (uint8_t *)mem->map + off;
		slot.gmem_fd = -1;
		rc = kvm_set_memory(mem->kvm, &slot);
	}
	if (rc < 0)
		return err_in(rc, "RAM at %#" PRIx64, slot.gpa);
	mem->guest.regions[mem->guest.count++] =
		(struct guest_region){ .base = range->gpa,
				       .len = range->len,
				       .host = slot.host,
				       .fd = mem->memfd,
				       .fd_off = off,
				       .off = off };
	return 0;
}

/* Gives the shared view pages of its own, [off, off + len) with contents. */
static int part(struct memory *mem, uint64_t off, uint64_t len)
{
	uint8_t *view = mem->map;
	void *p;

	if (mem->len <= LOW_LEN)
		return 0;
	p = mmap(view + LOW_LEN, mem->len - LOW_LEN, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_NORESERVE | MAP_FIXED, mem->memfd, LOW_LEN);
	if (p == MAP_FAILED)
		return -errno;
	store_set_huge(p, mem->len - LOW_LEN, false);
	if (off >= LOW_LEN)
		memcpy(view + off, (uint8_t *)mem->private_map + off, len);
	return 0;
}

static int views_set(struct memory *mem, gpa_t gpa, uint64_t len,
		     bool to_private)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	const uint8_t *host = store_views_private(mem, gpa, len);
	int rc = 0;

	if (to_private || atomic_load(&mem->parted))
		return 0;
	pthread_mutex_lock(&lock);
	if (!atomic_load(&mem->parted))
		rc = part(mem, (uint64_t)(host - (uint8_t *)mem->private_map),
			  len);
	if (!rc)
		atomic_store(&mem->parted, true);
	pthread_mutex_unlock(&lock);
	return rc;
}

static int views_discard(struct memory *mem, bool of_private, uint64_t off,
			 uint64_t len)
{
	uint64_t keep = off < LOW_LEN ? min_of(LOW_LEN - off, len) : 0;

	return keep == len ? 0
			   : kvm_punch(mem->kvm,
				       of_private ? mem->gmem_fd : mem->memfd,
				       off + keep, len - keep);
}

static uint64_t views_allocated(const struct memory *mem, bool of_private)
{
	return of_private ? store_cached(mem->gmem_fd, 0, 0)
			  : store_written(mem->memfd);
}

void *store_views_private(const struct memory *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->guest.count; i++) {
		const struct guest_region *r = &mem->guest.regions[i];

		if (gpa >= r->base && gpa - r->base <= r->len &&
		    len <= r->len - (gpa - r->base))
			return (uint8_t *)mem->private_map + r->off +
			       (gpa - r->base);
	}
	return NULL;
}

const struct store_ops store_views = {
	.name = "guest_memfd and memfd",
	.has_private = true,
	.starts_private = true,
	.create = views_create,
	.add = views_add,
	.set = views_set,
	.discard = views_discard,
	.allocated = views_allocated,
};
