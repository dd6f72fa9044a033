/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of boot_build(): what is in guest memory, and what is refused. */
#include "boot/boot.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/blobs.h"
#include "suites.h"
#include "support/fake_kernel.h"
#include "support/temp.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

static const struct fake_kernel fake = { .text_len = 0x2345, .lists = 3 };

static struct bytes bzimage(const char *codec)
{
	return fake_bzimage(fake_compress(codec, fake_payload(&fake)));
}

/* A request that works once it has a kernel. */
static struct boot_request request(const char *kernel)
{
	return (struct boot_request){ .kernel = kernel,
				      .cmdline = "quiet",
				      .memory = 64 * MIB,
				      .nr_cpus = 1 };
}

static const struct image_region *region(const struct image *image,
					 const char *name)
{
	for (unsigned int i = 0; i < image->count; i++)
		if (!strcmp(image->regions[i].name, name))
			return &image->regions[i];
	ck_abort_msg("no region %s", name);
	return NULL;
}

/* The bytes of a region; free() them. */
static uint8_t *filled(const struct image *image, const char *name)
{
	const struct image_region *r = region(image, name);
	uint8_t *p = calloc(1, r->len);

	ck_assert_int_eq(r->fill(r, p), 0);
	return p;
}

static struct boot_params *params(const struct image *image)
{
	ck_assert_uint_eq(image->arg, X86_BOOT_PARAMS);
	return (void *)filled(image, "boot_params");
}

/* E: every region lies in RAM, and no two meet: image_add() saw to that. */
static void check_regions(const struct image *image, uint64_t ram)
{
	for (unsigned int i = 0; i < image->count; i++) {
		ck_assert_uint_lt(image->regions[i].gpa, ram);
		ck_assert_uint_le(image->regions[i].len,
				  ram - image->regions[i].gpa);
	}
}

START_TEST(boots_the_embedded_guest_without_a_kernel)
{
	struct boot_request req = request(NULL);
	struct image image;
	struct boot_params *p;
	uint8_t *bytes;

	req.memory = 16 * MIB;
	ck_assert_int_eq(boot_build(&image, &req), 0);
	check_regions(&image, req.memory);
	ck_assert_uint_eq(image.entry, X86_KERNEL);
	bytes = filled(&image, "embedded guest");
	ck_assert_mem_eq(bytes, blob_guest,
			 (size_t)(blob_guest_end - blob_guest));
	free(bytes);
	p = params(&image);
	ck_assert_uint_eq(p->acpi_rsdp_addr, X86_ACPI_TABLES);
	ck_assert_uint_eq(p->e820_entries, 5);
	ck_assert_uint_eq(p->e820_table[3].addr, 1 * MIB);
	ck_assert_uint_eq(p->e820_table[3].size, 15 * MIB);
	ck_assert_uint_eq(p->hdr.cmd_line_ptr, X86_CMDLINE);
	ck_assert_uint_eq(p->hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(p->hdr.ramdisk_size, 0);
	free(p);
	bytes = filled(&image, "cmdline");
	ck_assert_str_eq((char *)bytes, "quiet");
	free(bytes);
	bytes = filled(&image, "reset vector");
	/* mov $1, %al; mov $0x602, %dx; out %al, (%dx): in 16-bit mode */
	ck_assert_mem_eq(bytes + 0xff0, "\xb0\x01\xba\x02\x06\xee", 6);
	free(bytes);
	bytes = filled(&image, "acpi");
	ck_assert_mem_eq(bytes, "RSD PTR ", 8);
	free(bytes);
	image_destroy(&image);
}
END_TEST

START_TEST(enters_a_bzimage_that_unpacks_itself)
{
	struct bytes b = bzimage("gzip"), copy = b;
	struct image image;
	struct boot_request req;
	struct boot_params *p;
	uint8_t *bytes;
	int fd;

	copy.data = malloc(b.len);
	memcpy(copy.data, b.data, b.len);
	req = request(fake_file(b, &fd));
	req.decompress = BOOT_DECOMPRESS_GUEST;
	ck_assert_int_eq(boot_build(&image, &req), 0);
	check_regions(&image, req.memory);
	ck_assert_uint_eq(image.entry, FAKE_BASE + 0x200);
	ck_assert_uint_eq(region(&image, "kernel")->gpa, FAKE_BASE);
	bytes = filled(&image, "kernel");
	ck_assert_mem_eq(bytes, copy.data + 5 * 512, copy.len - 5 * 512);
	free(bytes);
	/* The header is the file's, but for what a loader sets. */
	p = params(&image);
	ck_assert_uint_eq(p->hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(p->hdr.loadflags, LOADED_HIGH);
	ck_assert_mem_eq((uint8_t *)p + 0x22c, copy.data + 0x22c,
			 0x264 - 0x22c);
	ck_assert_uint_eq(p->sentinel, 0);
	ck_assert_str_eq(image.note,
			 "the kernel unpacks itself: as configured");
	free(p);
	free(copy.data);
	image_destroy(&image);
	close(fd);
}
END_TEST

START_TEST(copies_no_more_header_than_the_kernel_has)
{
	struct bytes b = bzimage("gzip");
	struct boot_request req;
	struct boot_params *p;
	struct image image;
	int fd;

	/* What follows a short header is code and must not be copied. */
	fake_poke(b, 0x201, 1, 0x264 - 0x202);
	fake_poke(b, 0x264, 4, 0xffffffff);
	req = request(fake_file(b, &fd));
	ck_assert_int_eq(boot_build(&image, &req), 0);
	p = params(&image);
	ck_assert_uint_eq(p->hdr.handover_offset, 0);
	ck_assert_uint_eq(p->hdr.init_size, 0x100000);
	free(p);
	image_destroy(&image);
	close(fd);
}
END_TEST

START_TEST(puts_the_initrd_as_high_as_it_may_be)
{
	static const struct {
		uint64_t memory, initrd_max;
		gpa_t end;
	} cases[] = {
		{ 64 * MIB, 0x7fffffff, 64 * MIB },
		{ 5 * GIB, 0x7fffffff, 2 * GIB },
		{ 5 * GIB, 0xffffffff, 3 * GIB },
		{ 5 * GIB, 0x3fffffffULL - 100, GIB - 4096 },
	};
	struct bytes b = bzimage("gzip"), initrd = { calloc(1, 5000), 5000 };
	const struct image_region *r;
	struct boot_request req;
	struct boot_params *p;
	struct image image;
	uint8_t *bytes;
	int fd, initrd_fd;

	initrd.data[4999] = 0x5a;
	fake_poke(b, 0x22c, 4, cases[_i].initrd_max);
	req = request(fake_file(b, &fd));
	req.initrd = fake_file(initrd, &initrd_fd);
	req.memory = cases[_i].memory;
	ck_assert_int_eq(boot_build(&image, &req), 0);
	r = region(&image, "initrd");
	ck_assert_uint_eq(r->gpa + r->len, cases[_i].end);
	bytes = filled(&image, "initrd");
	ck_assert_uint_eq(bytes[4999], 0x5a);
	free(bytes);
	p = params(&image);
	ck_assert_uint_eq(p->hdr.ramdisk_image, r->gpa);
	ck_assert_uint_eq(p->hdr.ramdisk_size, 5000);
	ck_assert_uint_eq(p->ext_ramdisk_image, 0);
	free(p);
	image_destroy(&image);
	close(fd);
	close(initrd_fd);
}
END_TEST

START_TEST(boots_an_elf_file)
{
	struct bytes want = fake_loaded(&fake, 0);
	struct boot_request req;
	struct image image;
	uint8_t *bytes;
	int fd;

	req = request(fake_file(fake_elf(&fake), &fd));
	ck_assert_int_eq(boot_build(&image, &req), 0);
	check_regions(&image, req.memory);
	ck_assert_uint_eq(image.entry, FAKE_BASE + FAKE_ENTRY);
	ck_assert_uint_eq(region(&image, "kernel")->gpa, FAKE_BASE);
	bytes = filled(&image, "kernel");
	ck_assert_mem_eq(bytes, want.data, want.len);
	free(bytes);
	free(want.data);
	image_destroy(&image);
	close(fd);
}
END_TEST

static const struct bad {
	size_t off;
	unsigned int size;
	uint64_t value;
	const char *says;
} bad[] = {
	{ 0x1fe, 2, 0, "neither a bzImage nor an ELF file" },
	{ 0x202, 4, 0, "neither a bzImage nor an ELF file" },
	{ 0x206, 2, 0x020b, "boot protocol 2.11 is too old" },
	{ 0x211, 1, 0, "a zImage" },
	{ 0x236, 2, 0, "not a 64-bit kernel" },
	{ 0x230, 4, 0, "alignment 0" },
	{ 0x230, 4, 0x300000, "alignment 0x300000" },
	{ 0x230, 4, 16, "alignment 0x10" },
	{ 0x258, 8, UINT64_MAX, "damaged header" },
	{ 0x260, 4, 0, "damaged header" },
	{ 0x201, 1, 0, "neither a bzImage nor an ELF file" },
	{ 0x1f1, 1, 255, "cut off" },
	{ 0x1f4, 4, 0, "cut off" },
	{ 0x1f4, 4, UINT32_MAX, "cut off" },
	{ 0x260, 4, UINT32_MAX, "which no VM has" },
	{ 0x258, 8, 3 * GIB, "which no VM has" },
	{ 0x260, 4, 60 * MIB, "give it 76M or more" },
	{ 0x238, 4, 4, "takes no more than 4: shorten it" },
};

START_TEST(rejects_a_bzimage_that_lies)
{
	struct bytes b = bzimage("gzip");
	struct boot_request req;
	struct image image;
	int fd;

	fake_poke(b, bad[_i].off, bad[_i].size, bad[_i].value);
	req = request(fake_file(b, &fd));
	ck_assert_int_lt(boot_build(&image, &req), 0);
	ck_assert_msg(strstr(err_text(), bad[_i].says), "says: %s", err_text());
	ck_assert_uint_eq(image.count, 0);
	close(fd);
}
END_TEST

START_TEST(names_the_file_that_cannot_be_used)
{
	struct boot_request req = request("/nonexistent");
	struct bytes b = { malloc(1), 0 };
	struct image image;
	int fd;

	ck_assert_int_eq(boot_build(&image, &req), -ENOENT);
	ck_assert_str_eq(err_text(), "kernel /nonexistent: cannot open: No "
				     "such file or directory");
	req.kernel = "/dev/null";
	ck_assert_int_eq(boot_build(&image, &req), -EINVAL);
	ck_assert_str_eq(err_text(), "kernel /dev/null: not a regular file");
	req.kernel = fake_file(b, &fd);
	ck_assert_int_eq(boot_build(&image, &req), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err_text(), "the file is empty"));
	close(fd);
	req.kernel = NULL;
	req.initrd = "/";
	ck_assert_int_eq(boot_build(&image, &req), -EINVAL);
	ck_assert_str_eq(err_text(), "initrd /: not a regular file");
}
END_TEST

/* Kernel and initrd are below it, and the command line says how large. */
START_TEST(leaves_room_for_a_pool)
{
	static const struct {
		uint64_t memory, pool;
		const char *cmdline, *want;
		bool guess;
		int rc;
	} cases[] = {
		{ 256 * MIB, 64 * MIB, "quiet", "quiet swiotlb=32768", 1, 0 },
		{ 4 * GIB, 256 * MIB, "quiet", "quiet swiotlb=131072", 0, 0 },
		{ 64 * MIB, 4 * MIB, "quiet", "quiet swiotlb=2048", 0, 0 },
		/* Who says it knows better. */
		{ 256 * MIB, 64 * MIB, "swiotlb=1", "swiotlb=1", 1, 0 },
		{ 256 * MIB, 0, "quiet", "quiet", 1, 0 },
		{ 64 * MIB, 64 * MIB, "quiet", "quiet", 1, 0 },
		{ 64 * MIB, 64 * MIB, "quiet", "", 0, -ENOMEM },
	};
	int fd, initrd;
	struct boot_request req = request(fake_file(bzimage("gzip"), &fd));
	struct bytes b = { calloc(1, MIB), MIB };
	const struct image_region *r;
	struct image image;
	uint8_t *bytes;

	req.initrd = fake_file(b, &initrd);
	req.memory = cases[_i].memory;
	req.swiotlb = cases[_i].pool;
	req.swiotlb_guess = cases[_i].guess;
	req.cmdline = cases[_i].cmdline;
	req.seed = 1;
	ck_assert_int_eq(boot_build(&image, &req), cases[_i].rc);
	if (!cases[_i].rc) {
		bytes = filled(&image, "cmdline");
		ck_assert_str_eq((char *)bytes, cases[_i].want);
		free(bytes);
		if (image.pool_len) {
			r = image_find(&image, image.pool, UINT32_MAX);
			ck_assert_ptr_null(r);
			ck_assert_uint_eq(image.pool_len, req.swiotlb);
		}
		ck_assert_int_eq(image.pool_len != 0,
				 strcmp(req.cmdline, cases[_i].want) != 0);
		image_destroy(&image);
	} else {
		ck_assert_ptr_nonnull(strstr(err_text(), "SWIOTLB"));
	}
	close(fd);
	close(initrd);
}
END_TEST

START_TEST(does_not_wait_for_a_fifo)
{
	struct boot_request req;
	struct image image;
	struct temp temp;

	temp_make(&temp);
	req = request(temp_path(&temp, "fifo"));
	ck_assert_int_eq(mkfifo(req.kernel, 0600), 0);
	ck_assert_int_eq(boot_build(&image, &req), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err_text(), "not a regular file"));
	temp_remove(&temp);
}
END_TEST

START_TEST(cuts_a_kernel_short_everywhere_and_survives)
{
	struct bytes b = bzimage("gzip");
	struct boot_request req;
	struct image image;
	size_t len = b.len;
	int fd;

	req = request(fake_file(b, &fd));
	for (len -= 16; len > 16; len -= len > 0x300 ? 257 : 1) {
		ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
		ck_assert_int_eq(boot_build(&image, &req), -ENOEXEC);
	}
	close(fd);
}
END_TEST

START_TEST(says_when_the_initrd_is_too_large)
{
	struct bytes b = bzimage("gzip"), initrd = { malloc(1), 1 };
	struct boot_request req;
	struct image image;
	int fd, initrd_fd;

	req = request(fake_file(b, &fd));
	req.initrd = fake_file(initrd, &initrd_fd);
	ck_assert_int_eq(ftruncate(initrd_fd, 48 * MIB), 0);
	ck_assert_int_eq(boot_build(&image, &req), -ENOMEM);
	ck_assert_str_eq(err_text(), "too little memory for the kernel (1 MiB "
				     "from 16 MiB up) and the initrd (48 MiB): "
				     "give it 65M or more");
	req.memory = 65 * MIB;
	ck_assert_int_eq(boot_build(&image, &req), 0);
	image_destroy(&image);
	ck_assert_int_eq(ftruncate(initrd_fd, 2 * GIB), 0);
	ck_assert_int_eq(boot_build(&image, &req), -EFBIG);
	ck_assert_ptr_nonnull(strstr(err_text(), "no more than 2031"));
	ck_assert_int_eq(ftruncate(initrd_fd, 5 * GIB), 0);
	ck_assert_int_eq(boot_build(&image, &req), -EFBIG);
	close(fd);
	close(initrd_fd);
}
END_TEST

START_TEST(limits_the_command_line)
{
	static char line[70000];
	struct boot_request req = request(NULL);
	struct image image;

	memset(line, 'x', 2047);
	req.cmdline = line;
	ck_assert_int_eq(boot_build(&image, &req), 0);
	image_destroy(&image);
	memset(line, 'x', sizeof(line) - 1);
	ck_assert_int_eq(boot_build(&image, &req), -E2BIG);
	ck_assert_str_eq(err_text(),
			 "the command line is 69999 bytes long and this "
			 "kernel takes no more than 2047: shorten it");
}
END_TEST

START_TEST(refuses_an_elf_file_that_does_not_fit)
{
	static const struct {
		uint64_t paddr;
		const char *says;
	} cases[] = {
		{ 0x1000, "it must be at 0x100000 or above" },
		{ 64 * MIB, "give it 65M or more" },
		{ 4 * GIB, "which no VM has" },
		{ UINT64_MAX - 0x20000, "which no VM has" },
	};
	struct bytes b = fake_elf(&fake);
	struct boot_request req;
	struct image image;
	int fd;

	for (unsigned int i = 0; i < 3; i++)
		fake_poke(b, 64 + i * 56 + 24, 8,
			  cases[_i].paddr + (i ? 0x2000 + i * 0x1000 : 0));
	fake_poke(b, 24, 8, cases[_i].paddr);
	req = request(fake_file(b, &fd));
	ck_assert_int_lt(boot_build(&image, &req), 0);
	ck_assert_msg(strstr(err_text(), cases[_i].says), "says: %s",
		      err_text());
	close(fd);
}
END_TEST

Suite *boot_suite(void)
{
	Suite *s = suite_create("boot");
	TCase *tc = tcase_create("boot");

	tcase_add_test(tc, boots_the_embedded_guest_without_a_kernel);
	tcase_add_test(tc, enters_a_bzimage_that_unpacks_itself);
	tcase_add_test(tc, copies_no_more_header_than_the_kernel_has);
	tcase_add_loop_test(tc, puts_the_initrd_as_high_as_it_may_be, 0, 4);
	tcase_add_test(tc, boots_an_elf_file);
	tcase_add_loop_test(tc, rejects_a_bzimage_that_lies, 0,
			    ARRAY_SIZE(bad));
	tcase_add_test(tc, names_the_file_that_cannot_be_used);
	tcase_add_loop_test(tc, leaves_room_for_a_pool, 0, 7);
	tcase_add_test(tc, does_not_wait_for_a_fifo);
	tcase_add_test(tc, cuts_a_kernel_short_everywhere_and_survives);
	tcase_add_test(tc, says_when_the_initrd_is_too_large);
	tcase_add_test(tc, limits_the_command_line);
	tcase_add_loop_test(tc, refuses_an_elf_file_that_does_not_fit, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}
