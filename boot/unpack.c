/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/unpack.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "boot/kaslr.h"
#include "vmm/base/err.h"

/* Reads what the file says of its payload, and the payload's first bytes. */
static int look(struct unpack *u, int fd, uint8_t *head)
{
	uint8_t magic[DECOMPRESS_MAGIC_LEN];
	struct decompress_job job = {
		.fd = fd,
		.off = u->off,
		.len = u->len,
		.out = head,
		.out_len = ELF_HEAD_LEN,
		.partial = true,
	};
	uint32_t out_len;
	int rc;

	/* Its last four bytes, little endian: the length unpacked. */
	if (u->len < sizeof(magic) + sizeof(out_len))
		return err_set(-ENOEXEC, "it has no payload");
	rc = util_pread(fd, magic, sizeof(magic), u->off);
	if (!rc)
		rc = util_pread(fd, &out_len, sizeof(out_len),
				u->off + u->len - sizeof(out_len));
	if (rc)
		return err_set(rc, "cannot read: %s", strerror(-rc));
	u->out_len = out_len;
	u->codec = decompress_detect(magic);
	if (!u->codec)
		return err_set(-ENOEXEC, "unknown compression");
	if (u->out_len < ELF_HEAD_LEN)
		return err_set(-ENOEXEC, "too small for a kernel");
	rc = decompress_run(u->codec, &job);
	u->scratch = job.scratch_need;
	return rc;
}

/* Checks what the picture in unpack.h says of segments. */
static int check_segments(struct unpack *u)
{
	uint64_t ahead = 0;

	if (u->elf.low < u->base)
		return err_set(-ENOEXEC, "a segment is below the kernel");
	for (unsigned int i = 0; i < u->elf.count; i++) {
		struct elf_segment *s = &u->elf.segments[i];

		s->paddr -= u->base;
		if (s->off < s->paddr || s->off - s->paddr < ahead)
			return err_set(-ENOEXEC, "an unusual order of "
						 "segments");
		ahead = s->off - s->paddr;
		if (!i)
			u->kernel_at = ahead;
	}
	if (u->kernel_at % PAGE_SIZE || u->elf.high - u->base > UINT32_MAX)
		return err_set(-ENOEXEC, "unusual addresses of segments");
	return 0;
}

int unpack_plan(struct unpack *u, int fd, uint64_t off, uint64_t len,
		uint64_t base)
{
	uint8_t head[ELF_HEAD_LEN];
	int rc;

	*u = (struct unpack){ .off = off, .len = len, .base = base };
	rc = look(u, fd, head);
	if (!rc)
		rc = elf_parse(&u->elf, head, sizeof(head), u->out_len);
	if (!rc)
		rc = check_segments(u);
	if (rc)
		return rc;
	u->kernel_len = u->elf.high - u->base;
	u->region_len = align_up(max_of(u->out_len + u->scratch,
					u->kernel_at + u->kernel_len),
				 PAGE_SIZE);
	return 0;
}

bool unpack_relocatable(const struct unpack *u)
{
	return u->out_len > u->elf.file_end;
}

/*
 * Moves every segment to where it belongs.  None is moved onto the file bytes
 * of a later one or of the relocations: each goes down by no less than the
 * one before, and the addresses where they go are disjoint.
 */
static void move_segments(const struct unpack *u, uint8_t *dst)
{
	for (unsigned int i = 0; i < u->elf.count; i++) {
		const struct elf_segment *s = &u->elf.segments[i];

		memmove(dst + u->kernel_at + s->paddr, dst + s->off, s->filesz);
	}
}

/*
 * Zeroes [p, p + len).  Where that is a shared file, as guest memory is, it
 * gives the pages back to the host: the guest may never need them.
 */
static void discard(uint8_t *p, uint64_t len)
{
	uint64_t skip = -(uintptr_t)p % PAGE_SIZE;

	if (len > skip + PAGE_SIZE) {
		uint64_t pages = align_down(len - skip, PAGE_SIZE);

		if (!madvise(p + skip, pages, MADV_REMOVE)) {
			memset(p, 0, skip);
			p += skip + pages;
			len -= skip + pages;
		}
	}
	memset(p, 0, len);
}

/* Zeroes whatever is not file bytes of a segment, up to the end of scratch. */
static void clear_gaps(const struct unpack *u, uint8_t *dst)
{
	uint64_t at = u->kernel_at, end = at + u->kernel_len;
	uint64_t used = u->out_len + u->scratch;

	discard(dst, at);
	for (unsigned int i = 0; i < u->elf.count; i++) {
		const struct elf_segment *s = &u->elf.segments[i];
		uint64_t start = u->kernel_at + s->paddr;

		memset(dst + at, 0, start - at);
		at = start + s->filesz;
	}
	/* What comes next is the kernel's bss, which it needs at once. */
	if (at < min_of(end, used))
		memset(dst + at, 0, min_of(end, used) - at);
	if (end < used)
		discard(dst + end, used - end);
}

static int unpack_fill(const struct image_region *r, uint8_t *dst)
{
	const struct unpack *u = r->data;
	struct decompress_job job = {
		.fd = r->fd,
		.off = u->off,
		.len = u->len,
		.out = dst,
		.out_len = u->out_len,
		.scratch_len = u->scratch,
	};
	const struct kaslr_kernel kernel = {
		.mem = dst + u->kernel_at,
		.len = u->kernel_len,
		.base = u->base,
		.table = dst + u->elf.file_end,
		.table_len = u->out_len - u->elf.file_end,
	};
	int rc;

	image_populate(dst, u->out_len);
	rc = decompress_run(u->codec, &job);
	if (!rc) {
		move_segments(u, dst);
		rc = u->shift ? kaslr_relocate(&kernel, u->shift) : 0;
	}
	if (rc)
		return err_in(rc, "unpacking the kernel on the host (set "
				  "boot.decompress = guest)");
	clear_gaps(u, dst);
	return 0;
}

int unpack_add(struct image *image, struct unpack *u, int fd, gpa_t gpa)
{
	const struct image_region r = {
		.name = "kernel",
		.gpa = gpa - u->kernel_at,
		.len = u->region_len,
		.measured = true,
		.fill = unpack_fill,
		.data = u,
		.data_len = sizeof(*u),
		.fd = fd,
		.off = u->off,
	};
	int rc = image_own(image, u);

	assert(gpa >= u->kernel_at);
	if (!rc)
		rc = image_own_fd(image, fd);
	return rc ? rc : image_add(image, &r);
}
