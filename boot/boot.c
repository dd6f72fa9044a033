/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "boot/acpi.h"
#include "boot/elf.h"
#include "boot/linux.h"
#include "boot/x86_tables.h"
#include "firmware/blobs.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

#define HEAD_LEN LINUX_HEAD_LEN /* enough for either parser */
#define CMDLINE_AREA 0x10000

/* What one step of boot_build() leaves for the next. */
struct boot {
	struct image *image;
	const struct boot_request *req;
	struct memmap map;
	gpa_t ram_end; /* of the RAM below the hole */

	enum { KERNEL_EMBEDDED, KERNEL_ELF, KERNEL_LINUX } kind;
	int fd; /* owned by the image */
	struct elf elf;
	struct linux_kernel linux_kernel; /* its hdr: of any kind */
	gpa_t low;     /* the kernel needs RAM from here ... */
	uint64_t need; /* ... so many bytes */
	struct linux_initrd initrd;
	int initrd_fd; /* owned by the image; -1: none */
};

/* Opens a file that the image will own.  len: its size, not 0. */
static int open_file(struct image *image, const char *path, uint64_t *len)
{
	/* A FIFO must be refused, not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int rc;

	if (fd < 0)
		return err_set(-errno, "cannot open: %s", strerror(errno));
	rc = image_own_fd(image, fd);
	if (rc)
		return rc;
	if (fstat(fd, &st))
		return err_set(-errno, "cannot stat: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(-EINVAL, "not a regular file");
	if (st.st_size <= 0)
		return err_set(-EINVAL, "the file is empty");
	*len = (uint64_t)st.st_size;
	return fd;
}

static int add_acpi(struct boot *b)
{
	/* Not zeroed: only the first few pages of it are used. */
	uint8_t *buf = malloc(X86_ACPI_TABLES_LEN);
	int rc;

	if (!buf)
		return err_set(-ENOMEM, "ACPI tables: out of memory");
	rc = acpi_build(buf, X86_ACPI_TABLES_LEN, X86_ACPI_TABLES,
			b->req->nr_cpus);
	if (rc < 0) {
		free(buf);
		return rc;
	}
	return image_add_data(b->image, "acpi", X86_ACPI_TABLES, buf,
			      (size_t)rc);
}

static int parse_elf(struct boot *b, const uint8_t *head, size_t len,
		     uint64_t file_len)
{
	int rc = elf_parse(&b->elf, head, len, file_len);

	if (rc)
		return rc;
	if (b->elf.low < X86_KERNEL)
		return err_set(-ENOEXEC,
			       "linked for address %#llx: it must be at %#x or "
			       "above",
			       (unsigned long long)b->elf.low, X86_KERNEL);
	b->kind = KERNEL_ELF;
	b->low = b->elf.low;
	b->need = b->elf.high - b->elf.low;
	return 0;
}

static int parse_file(struct boot *b, const char *path)
{
	uint8_t head[HEAD_LEN];
	uint64_t file_len = 0, len;
	int rc = b->fd = open_file(b->image, path, &file_len);

	if (rc < 0)
		return rc;
	_Static_assert(sizeof(head) >= ELF_HEAD_LEN, "an ELF header's too");
	len = min_of(file_len, (uint64_t)sizeof(head));
	rc = util_pread(b->fd, head, len, 0);
	if (rc)
		return err_set(rc, "cannot read: %s", strerror(-rc));
	if (elf_detect(head, len))
		return parse_elf(b, head, len, file_len);
	rc = linux_parse(&b->linux_kernel, head, len, file_len);
	b->kind = KERNEL_LINUX;
	b->low = b->linux_kernel.low;
	b->need = b->linux_kernel.need;
	return rc;
}

static int parse_kernel(struct boot *b)
{
	int rc;

	b->linux_kernel.hdr = linux_default_header();
	if (b->req->kernel) {
		rc = parse_file(b, b->req->kernel);
		return rc ? err_in(rc, "kernel %s", b->req->kernel) : 0;
	}
	b->kind = KERNEL_EMBEDDED;
	b->low = X86_KERNEL;
	b->need = (uint64_t)(blob_guest_end - blob_guest);
	return 0;
}

/* Bytes as MiB, rounded up: for messages. */
static unsigned long long mib(uint64_t bytes)
{
	return bytes / MIB + !!(bytes % MIB);
}

static int open_initrd(struct boot *b)
{
	int rc;

	if (!b->req->initrd)
		return 0;
	rc = b->initrd_fd = open_file(b->image, b->req->initrd, &b->initrd.len);
	if (rc < 0)
		return err_in(rc, "initrd %s", b->req->initrd);
	if (b->initrd.len > UINT32_MAX) /* so that no sum of it can wrap */
		return err_set(-EFBIG, "initrd %s: larger than 4 GiB",
			       b->req->initrd);
	return 0;
}

/*
 * What Linux takes from the top of RAM before the pool: a struct page for each
 * page, hash tables, per-CPU areas.
 */
static uint64_t taken_before_pool(const struct boot *b)
{
	return b->ram_end / 64 + 24 * MIB + b->req->nr_cpus * 512 * KIB;
}

/* The kernel and the initrd keep off the pool, and off what is above it. */
static int place_pool(struct boot *b)
{
	const struct boot_request *req = b->req;
	struct memmap map = b->map;
	uint64_t room;

	if (!req->swiotlb || b->kind == KERNEL_EMBEDDED ||
	    strstr(req->cmdline, "swiotlb="))
		return 0;
	if (!memmap_place_pool(&map, req->swiotlb, taken_before_pool(b)) &&
	    b->low < map.pool) {
		room = map.pool - b->low;
		if (b->need <= room &&
		    align_up(b->initrd.len, PAGE_SIZE) <= room - b->need) {
			b->map = map;
			b->ram_end = map.pool;
			b->image->pool = map.pool;
			b->image->pool_len = map.pool_len;
			return 0;
		}
	}
	return req->swiotlb_guess
		       ? 0
		       : err_set(-ENOMEM,
				 "too little memory for a SWIOTLB pool of %llu "
				 "MiB beside the kernel and the initrd: set "
				 "vm.memory or memory.swiotlb",
				 mib(req->swiotlb));
}

/* Linux counts in slabs of 2 KiB: kernel-parameters.txt, swiotlb=. */
#define SLAB 2048

static char *make_cmdline(const struct boot *b)
{
	char *text;

	if (!b->map.pool_len)
		return strdup(b->req->cmdline);
	return asprintf(&text, "%s swiotlb=%llu", b->req->cmdline,
			(unsigned long long)(b->map.pool_len / SLAB)) < 0
		       ? NULL
		       : text;
}

static int add_cmdline(struct boot *b)
{
	char *text = make_cmdline(b);
	size_t len = text ? strlen(text) : 0;
	size_t max = min_of(b->linux_kernel.hdr.cmdline_size,
			    (uint32_t)(CMDLINE_AREA - 1));

	if (len > max) {
		free(text);
		return err_set(-E2BIG,
			       "the command line is %zu bytes long and this "
			       "kernel takes no more than %zu: shorten it",
			       len, max);
	}
	return image_add_data(b->image, "cmdline", X86_CMDLINE, text, len + 1);
}

/* Whether the kernel, and above it the initrd, fit below end. */
static int check_room(const struct boot *b, gpa_t end, uint64_t initrd_len)
{
	uint64_t top = X86_HOLE;
	uint64_t least;

	if (b->low <= end && b->need <= end - b->low &&
	    initrd_len <= end - b->low - b->need)
		return 0;
	if (initrd_len)
		top = min_of(top, b->linux_kernel.hdr.initrd_addr_max + 1ULL);
	if (b->low > top || b->need > top - b->low)
		return err_set(-EFBIG,
			       "the kernel needs %llu MiB from %#llx, which no "
			       "VM has",
			       mib(b->need), (unsigned long long)b->low);
	if (initrd_len > top - b->low - b->need)
		return err_set(-EFBIG,
			       "the initrd has %llu MiB and this kernel takes "
			       "no more than %llu",
			       mib(initrd_len),
			       (unsigned long long)((top - b->low - b->need) /
						    MIB));
	least = b->low + b->need + initrd_len;
	return err_set(-ENOMEM,
		       "too little memory for the kernel (%llu MiB from %llu "
		       "MiB up) and the initrd (%llu MiB): give it %lluM "
		       "or more",
		       mib(b->need), mib(b->low), mib(initrd_len), mib(least));
}

/* The initrd goes as high as it may. */
static int add_initrd(struct boot *b)
{
	gpa_t end = min_of(b->ram_end,
			   (gpa_t)b->linux_kernel.hdr.initrd_addr_max + 1);
	uint64_t room;
	int rc;

	if (b->initrd_fd < 0)
		return check_room(b, b->ram_end, 0);
	end = align_down(end, PAGE_SIZE);
	room = align_up(b->initrd.len, PAGE_SIZE);
	rc = check_room(b, end, room);
	if (rc)
		return rc;
	b->initrd.gpa = end - room;
	return image_add_file(b->image, "initrd", b->initrd.gpa, b->initrd_fd,
			      0, b->initrd.len);
}

static int fill_elf(const struct image_region *r, uint8_t *dst)
{
	int rc = elf_fill(r->data, r->fd, dst);

	return rc ? err_in(rc, "%s", r->name) : 0;
}

static int add_elf(struct boot *b)
{
	struct elf *elf = malloc(sizeof(*elf));
	struct image_region r = {
		.name = "kernel",
		.gpa = align_down(b->elf.low, PAGE_SIZE),
		.len = b->elf.high - align_down(b->elf.low, PAGE_SIZE),
		.measured = true,
		.fill = fill_elf,
		.data = elf,
		.data_len = sizeof(*elf),
		.fd = b->fd,
	};
	int rc;

	if (!elf)
		return err_set(-ENOMEM, "kernel: out of memory");
	*elf = b->elf;
	elf->low = r.gpa;
	b->image->entry = elf->entry;
	rc = image_own(b->image, elf);
	return rc ? rc : image_add(b->image, &r);
}

static int add_kernel(struct boot *b)
{
	const struct image_region embedded = {
		.name = "embedded guest",
		.gpa = X86_KERNEL,
		.len = b->need,
		.measured = true,
		.fill = image_fill_data,
		.data = blob_guest,
		.data_len = b->need,
	};

	if (b->kind == KERNEL_ELF)
		return add_elf(b);
	if (b->kind == KERNEL_LINUX)
		return linux_add(b->image, &b->linux_kernel, b->fd, b->req,
				 b->ram_end);
	b->image->entry = X86_KERNEL;
	return image_add(b->image, &embedded);
}

static int build(struct boot *b)
{
	int rc = memmap_build(&b->map, b->req->memory);

	if (rc)
		return rc;
	b->ram_end = b->map.ram[0].len;
	rc = x86_tables_add(b->image, b->req->private_bit);
	if (!rc)
		rc = add_acpi(b);
	if (!rc)
		rc = parse_kernel(b);
	if (!rc)
		rc = open_initrd(b);
	if (!rc)
		rc = place_pool(b);
	if (!rc)
		rc = add_cmdline(b);
	if (!rc)
		rc = add_initrd(b);
	if (!rc)
		rc = add_kernel(b);
	if (!rc)
		rc = linux_add_params(b->image, &b->map, &b->linux_kernel.hdr,
				      &b->initrd);
	return rc;
}

int boot_build(struct image *image, const struct boot_request *req)
{
	struct boot b = {
		.image = image, .req = req, .fd = -1, .initrd_fd = -1
	};
	int rc;

	memset(image, 0, sizeof(*image));
	rc = build(&b);
	if (rc)
		image_destroy(image);
	return rc;
}
