/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launch list: adding regions, and the two common ways to fill them.
 * What the regions mean is not its business.
 */
#include "boot/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/err.h"

/* Whether [a, a + a_len) and [b, b + b_len) meet; neither wraps. */
static bool overlap(gpa_t a, uint64_t a_len, gpa_t b, uint64_t b_len)
{
	return a < b ? a_len > b - a : b_len > a - b;
}

const struct image_region *image_find(const struct image *image, gpa_t gpa,
				      uint64_t len)
{
	for (unsigned int i = 0; i < image->count; i++) {
		const struct image_region *r = &image->regions[i];

		if (overlap(r->gpa, r->len, gpa, len))
			return r;
	}
	return NULL;
}

int image_add(struct image *image, const struct image_region *region)
{
	struct image_region r = *region;
	const struct image_region *other;

	if (r.gpa % PAGE_SIZE || !r.len || r.len > UINT64_MAX - PAGE_SIZE ||
	    align_up(r.len, PAGE_SIZE) > UINT64_MAX - r.gpa)
		return err_set(-EINVAL, "%s: no range of guest memory", r.name);
	if (image->count == IMAGE_MAX_REGIONS)
		return err_set(-ENOSPC, "%s: the launch list is full", r.name);
	r.len = align_up(r.len, PAGE_SIZE);
	other = image_find(image, r.gpa, r.len);
	if (other)
		return err_set(-EEXIST, "%s overlaps %s at %#llx", r.name,
			       other->name, (unsigned long long)other->gpa);
	image->regions[image->count++] = r;
	return 0;
}

void image_populate(uint8_t *dst, uint64_t len)
{
	uint64_t skip = -(uintptr_t)dst % PAGE_SIZE;

	if (len > skip + PAGE_SIZE)
		madvise(dst + skip, align_down(len - skip, PAGE_SIZE),
			MADV_POPULATE_WRITE);
}

int image_fill_data(const struct image_region *r, uint8_t *dst)
{
	memcpy(dst, r->data, r->data_len);
	return 0;
}

static int fill_file(const struct image_region *r, uint8_t *dst)
{
	int rc;

	image_populate(dst, r->data_len);
	rc = util_pread(r->fd, dst, r->data_len, r->off);
	if (rc == -ENODATA)
		return err_set(rc, "%s: the file became shorter", r->name);
	if (rc)
		return err_set(rc, "%s: cannot read: %s", r->name,
			       strerror(-rc));
	return 0;
}

int image_own(struct image *image, void *data)
{
	if (image->nr_owned == ARRAY_SIZE(image->owned)) {
		free(data);
		return err_set(-ENOSPC, "the launch list owns too much");
	}
	image->owned[image->nr_owned++] = data;
	return 0;
}

int image_add_data(struct image *image, const char *name, gpa_t gpa, void *data,
		   size_t len)
{
	const struct image_region r = {
		.name = name,
		.gpa = gpa,
		.len = len,
		.measured = true,
		.fill = image_fill_data,
		.data = data,
		.data_len = len,
	};
	int rc;

	if (!data)
		return err_set(-ENOMEM, "%s: out of memory", name);
	rc = image_own(image, data);
	return rc ? rc : image_add(image, &r);
}

int image_own_fd(struct image *image, int fd)
{
	for (unsigned int i = 0; i < image->nr_fds; i++)
		if (image->fds[i] == fd)
			return 0;
	if (image->nr_fds == ARRAY_SIZE(image->fds)) {
		close(fd);
		return err_set(-ENOSPC, "the launch list has too many files");
	}
	image->fds[image->nr_fds++] = fd;
	return 0;
}

int image_add_file(struct image *image, const char *name, gpa_t gpa, int fd,
		   uint64_t off, uint64_t len)
{
	const struct image_region r = {
		.name = name,
		.gpa = gpa,
		.len = len,
		.measured = true,
		.fill = fill_file,
		.data_len = len,
		.fd = fd,
		.off = off,
	};
	int rc = image_own_fd(image, fd);

	return rc ? rc : image_add(image, &r);
}

void image_destroy(struct image *image)
{
	for (unsigned int i = 0; i < image->nr_owned; i++)
		free(image->owned[i]);
	for (unsigned int i = 0; i < image->nr_fds; i++)
		close(image->fds[i]);
	memset(image, 0, sizeof(*image));
}
