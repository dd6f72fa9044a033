/* SPDX-License-Identifier: Apache-2.0 */
/* What guest.h declares. */
#include "vmm/base/guest.h"

#include <string.h>

void *guest_at(const struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct guest_region *r = &mem->regions[i];

		/* Written so that no sum of guest values can wrap. */
		if (gpa >= r->base && gpa - r->base <= r->len &&
		    len <= r->len - (gpa - r->base))
			return r->host + (gpa - r->base);
	}
	return NULL;
}

bool guest_read(const struct guest_mem *mem, gpa_t gpa, void *buf, size_t len)
{
	const void *p = guest_at(mem, gpa, len);

	if (p)
		memcpy(buf, p, len);
	/* The caller checks this copy; it must not become a second read. */
	__asm__ volatile("" ::: "memory");
	return p;
}

bool guest_write(const struct guest_mem *mem, gpa_t gpa, const void *buf,
		 size_t len)
{
	void *p = guest_at(mem, gpa, len);

	if (p)
		memcpy(p, buf, len);
	return p;
}
