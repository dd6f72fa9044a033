/* SPDX-License-Identifier: Apache-2.0 */
/* What guest.h declares. */
#include "vmm/base/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const struct guest_region *find(const struct guest_mem *mem, gpa_t gpa,
				       uint64_t len)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct guest_region *r = &mem->regions[i];

		/* Written so that no sum of guest values can wrap. */
		if (gpa >= r->base && gpa - r->base <= r->len &&
		    len <= r->len - (gpa - r->base))
			return r;
	}
	return NULL;
}

void *guest_at(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	const struct guest_region *r = find(mem, gpa, len);

	if (!r ||
	    (mem->pages &&
	     !pages_are_shared(mem->pages, r->off + (gpa - r->base), len)))
		return NULL;
	return r->host + (gpa - r->base);
}

void *guest_pin(const struct guest_mem *mem, gpa_t gpa, uint64_t len,
		struct pages_pins *pins)
{
	const struct guest_region *r = find(mem, gpa, len);

	if (!r || (mem->pages &&
		   !pages_pin(mem->pages, r->off + (gpa - r->base), len, pins)))
		return NULL;
	return r->host + (gpa - r->base);
}

void guest_unpin(const struct guest_mem *mem, struct pages_pins *pins)
{
	if (mem->pages)
		pages_unpin(mem->pages, pins);
}

void guest_scrub(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	const struct guest_region *r = find(mem, gpa, len);

	if (r && mem->pages)
		pages_scrub(mem->pages, r->off + (gpa - r->base), len);
}

bool guest_read(const struct guest_mem *mem, gpa_t gpa, void *buf, size_t len)
{
	struct pages_pins pins = { 0 };
	const void *p = guest_pin(mem, gpa, len, &pins);

	if (p)
		memcpy(buf, p, len);
	/* The caller checks this copy; it must not become a second read. */
	__asm__ volatile("" ::: "memory");
	guest_unpin(mem, &pins);
	return p;
}

bool guest_write(const struct guest_mem *mem, gpa_t gpa, const void *buf,
		 size_t len)
{
	struct pages_pins pins = { 0 };
	void *p = guest_pin(mem, gpa, len, &pins);

	if (p)
		memcpy(p, buf, len);
	guest_unpin(mem, &pins);
	return p;
}

bool guest_has(const struct guest_mem *mem, gpa_t gpa)
{
	return find(mem, gpa, PAGE_SIZE);
}

bool guest_address(const struct guest_mem *mem, const void *host, gpa_t *gpa)
{
	uintptr_t p = (uintptr_t)host;

	for (unsigned int i = 0; i < mem->count; i++) {
		const struct guest_region *r = &mem->regions[i];
		uintptr_t base = (uintptr_t)r->host;

		if (p >= base && p - base < r->len) {
			*gpa = r->base + (p - base);
			return true;
		}
	}
	return false;
}

int guest_discard(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	const struct guest_region *r = find(mem, gpa, len);

	if (!r || !len || (gpa | len) % PAGE_SIZE || !guest_at(mem, gpa, len))
		return -EINVAL;
	if (r->fd <= 0)
		return -EOPNOTSUPP;
	return fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(r->fd_off + (gpa - r->base)), (off_t)len)
		       ? -errno
		       : 0;
}
