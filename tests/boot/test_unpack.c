/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of unpacking a kernel on the host: decompression, the ELF file in
 * place, KASLR.  What must come out is computed by support/fake_kernel.c.
 */
#include "boot/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/kaslr.h"
#include "suites.h"
#include "support/fake_kernel.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

#define MEMORY (128 * MIB)

static const struct fake_kernel small = { .text_len = 0x2345, .lists = 3 };

/* A VM's memory is a shared file; a bounce buffer is not. */
static uint8_t *guest_memory(bool shared)
{
	int how = shared ? MAP_SHARED : MAP_PRIVATE;
	void *p = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
		       how | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

static struct boot_request request(struct bytes bzimage, int *fd, uint64_t seed)
{
	return (struct boot_request){ .kernel = fake_file(bzimage, fd),
				      .cmdline = "quiet",
				      .memory = MEMORY,
				      .nr_cpus = 1,
				      .seed = seed };
}

static const struct image_region *kernel(const struct image *image)
{
	for (unsigned int i = 0; i < image->count; i++)
		if (!strcmp(image->regions[i].name, "kernel"))
			return &image->regions[i];
	ck_abort_msg("no kernel");
	return NULL;
}

static uint8_t loadflags(const struct image *image)
{
	uint8_t page[PAGE_SIZE];
	const struct image_region *r = &image->regions[image->count - 1];

	ck_assert_uint_eq(r->gpa, X86_BOOT_PARAMS);
	ck_assert_int_eq(r->fill(r, page), 0);
	return page[0x211];
}

/* The bytes at p, len of them, are what want says and zero after that. */
static void check_bytes(const uint8_t *p, size_t len, const struct bytes *want)
{
	ck_assert_uint_ge(len, want->len);
	if (want->len)
		ck_assert_mem_eq(p, want->data, want->len);
	for (size_t i = want->len; i < len; i++)
		ck_assert_msg(!p[i], "byte %#zx is not zero", i);
}

/* Fills the kernel's region twice and compares all of it. */
static void check_kernel(const struct image *image, bool shared,
			 const struct fake_kernel *k)
{
	const struct image_region *r = kernel(image);
	const struct unpack *u = r->data;
	struct bytes want = fake_loaded(k, u->shift), none = { 0 };
	uint8_t *mem = guest_memory(shared), *p = mem + r->gpa;
	gpa_t load = image->entry - FAKE_ENTRY;

	ck_assert_uint_le(r->gpa + r->len, MEMORY);
	ck_assert_uint_eq(load % (2 * MIB), 0);
	ck_assert_uint_ge(load, FAKE_BASE);
	for (int i = 0; i < 2; i++) {
		ck_assert_msg(!r->fill(r, p), "%s", err_text());
		check_bytes(p, load - r->gpa, &none);
		check_bytes(mem + load, r->len - (load - r->gpa), &want);
		check_bytes(p + r->len, 4 * PAGE_SIZE, &none);
		memset(p, 0, r->len);
	}
	munmap(mem, MEMORY);
	free(want.data);
}

static const struct good {
	const char *codec;
	size_t text_len;
	unsigned int lists;
	bool shared;
} good[] = {
	{ "zstd", 0x2345, 3, true },  { "zstd", 0x2345, 2, false },
	{ "zstd", 9000000, 3, true }, { "xz", 0x2345, 3, false },
	{ "xz", 0x2345, 2, true },    { "xz", 9000000, 3, true },
	{ "lz4", 0x2345, 3, true },   { "lz4", 0x2345, 2, false },
	{ "lz4", 9000000, 2, true },  { "gzip", 0x2345, 3, true },
	{ "gzip", 0x2345, 2, false }, { "gzip", 9000000, 2, true },
	{ "zstd", 0x2345, 0, true },
};

START_TEST(unpacks_what_the_guest_would_have_unpacked)
{
	const struct good *g = &good[_i];
	const struct fake_kernel k = { g->text_len, g->lists };
	struct image image;
	struct boot_request req;
	char note[64];
	int fd;

	req = request(fake_bzimage(fake_compress(g->codec, fake_payload(&k))),
		      &fd, 7);
	ck_assert_msg(!boot_build(&image, &req), "%s", err_text());
	snprintf(note, sizeof(note), "%s kernel unpacked on the host%s",
		 g->codec, g->lists ? ", KASLR applied" : "");
	ck_assert_str_eq(image.note, note);
	ck_assert_uint_eq(loadflags(&image), g->lists ? 3 : 1);
	check_kernel(&image, g->shared, &k);
	image_destroy(&image);
	close(fd);
}
END_TEST

START_TEST(same_seed_same_image_other_seed_other_addresses)
{
	struct bytes b =
		fake_bzimage(fake_compress("zstd", fake_payload(&small)));
	int fd;
	struct boot_request req = request(b, &fd, 0);
	struct image image;
	gpa_t entries[32];
	uint32_t shifts[32];
	unsigned int same = 0;

	for (unsigned int i = 0; i < 32; i++) {
		req.seed = i / 2;
		ck_assert_int_eq(boot_build(&image, &req), 0);
		entries[i] = image.entry;
		shifts[i] =
			((const struct unpack *)kernel(&image)->data)->shift;
		ck_assert_uint_eq(shifts[i] % (2 * MIB), 0);
		ck_assert_uint_lt(FAKE_BASE + shifts[i], GIB);
		image_destroy(&image);
	}
	for (unsigned int i = 0; i < 32; i += 2) {
		ck_assert_uint_eq(entries[i], entries[i + 1]);
		ck_assert_uint_eq(shifts[i], shifts[i + 1]);
		same += i && entries[i] == entries[i - 1];
		same += i && shifts[i] == shifts[i - 1];
	}
	ck_assert_uint_le(same, 3);
	close(fd);
}
END_TEST

static const struct {
	const char *cmdline;
	bool virt, phys;
} lines[] = {
	{ "", true, true },
	{ "quiet", true, true },
	{ "nokaslr", false, false },
	{ "quiet nokaslr", false, false },
	{ "\tnokaslr ro", false, false },
	{ "nokaslrx xnokaslr nokaslr=1", true, true },
	{ "mem=64M", true, false },
	{ "a memmap=1M!16M b", true, false },
	{ "foomem=64M", true, true },
};

START_TEST(honours_what_the_command_line_says_of_kaslr)
{
	struct boot_request req;
	struct image image;
	bool virt, phys;
	int fd;

	kaslr_allowed(lines[_i].cmdline, &virt, &phys);
	ck_assert_int_eq(virt, lines[_i].virt);
	ck_assert_int_eq(phys, lines[_i].phys);
	req = request(fake_bzimage(fake_compress("gzip", fake_payload(&small))),
		      &fd, 1);
	req.cmdline = lines[_i].cmdline;
	ck_assert_int_eq(boot_build(&image, &req), 0);
	ck_assert_uint_eq(loadflags(&image), virt ? 3 : 1);
	ck_assert(!phys == (image.entry == FAKE_BASE + FAKE_ENTRY));
	check_kernel(&image, true, &small);
	image_destroy(&image);
	close(fd);
}
END_TEST

/* Fields of the fake's ELF headers that only unpacking minds. */
static const struct odd {
	size_t off;
	uint64_t value;
	const char *says;
} odd[] = {
	{ 64 + 24, FAKE_BASE - 0x1000, "below the kernel" },
	{ 64 + 8, 0x1001, "unusual addresses" },
	{ 64 + 2 * 56 + 24, FAKE_BASE + 0x5800, "unusual order" },
	{ 16, 3, "position-independent" },
};

START_TEST(leaves_an_unusual_kernel_to_the_guest)
{
	struct bytes b = fake_payload(&small);
	struct boot_request req;
	struct image image;
	int fd;

	fake_poke(b, odd[_i].off, _i == 3 ? 2 : 8, odd[_i].value);
	if (!_i)
		fake_poke(b, 24, 8, FAKE_BASE);
	req = request(fake_bzimage(fake_compress("zstd", b)), &fd, 1);
	ck_assert_int_eq(boot_build(&image, &req), 0);
	ck_assert_msg(strstr(image.note, odd[_i].says), "note: %s", image.note);
	ck_assert_uint_eq(image.entry, FAKE_BASE + 0x200);
	ck_assert_uint_eq(loadflags(&image), 1);
	image_destroy(&image);
	close(fd);
}
END_TEST

/* Fields of the bzImage's header and of its payload (at 0xc10); 0x1e8: none */
static const struct packed {
	const char *codec;
	size_t off;
	uint32_t value;
	const char *says;
} packed[] = {
	{ "none", 0x1e8, 0, "unknown compression" },
	{ "zstd", 0xc10, 0, "unknown compression" },
	{ "zstd", 0xc14, UINT32_MAX, "zstd stream is damaged" },
	{ "xz", 0xc16, UINT32_MAX, "xz stream is damaged" },
	{ "lz4", 0xc14, 0, "lz4 stream is damaged" },
	{ "lz4", 0xc14, UINT32_MAX, "lz4 stream is damaged" },
	{ "gzip", 0xc13, UINT32_MAX, "gzip stream is damaged" },
	{ "gzip", 0x248, UINT32_MAX, "payload is outside" },
	{ "gzip", 0x24c, UINT32_MAX, "payload is outside" },
	{ "gzip", 0x24c, 0, "has no payload" },
	{ "gzip", 0x24c, 12, "damaged" },
	{ "gzip", 0x258, FAKE_BASE + 0x200000, "below the kernel" },
	{ "gzip", 0x258, FAKE_BASE - 0x200000, "unusual order" },
};

START_TEST(leaves_what_it_cannot_read_to_the_guest)
{
	struct bytes b = fake_bzimage(
		fake_compress(packed[_i].codec, fake_payload(&small)));
	struct boot_request req;
	struct image image;
	int fd;

	fake_poke(b, packed[_i].off, 4, packed[_i].value);
	req = request(b, &fd, 1);
	ck_assert_msg(!boot_build(&image, &req), "%s", err_text());
	ck_assert_msg(strstr(image.note, packed[_i].says), "note: %s",
		      image.note);
	image_destroy(&image);
	close(fd);
}
END_TEST

START_TEST(leaves_a_kernel_to_the_guest_when_memory_is_short)
{
	const struct fake_kernel k = { .text_len = 20 * MIB, .lists = 2 };
	struct boot_request req;
	struct image image;
	int fd;

	req = request(fake_bzimage(fake_compress("lz4", fake_payload(&k))), &fd,
		      1);
	req.memory = 34 * MIB;
	ck_assert_int_eq(boot_build(&image, &req), 0);
	ck_assert_str_eq(image.note, "the kernel unpacks itself: too little "
				     "memory to do it on the host");
	ck_assert_uint_eq(loadflags(&image), 1);
	image_destroy(&image);
	close(fd);
}
END_TEST

static const char *const codecs[] = { "zstd", "xz", "lz4", "gzip" };

/* Damage behind what the plan looked at is found when it is unpacked. */
START_TEST(says_what_to_do_about_a_damaged_payload)
{
	const struct fake_kernel k = { .text_len = MIB, .lists = 3 };
	struct bytes b =
		fake_bzimage(fake_compress(codecs[_i], fake_payload(&k)));
	uint8_t *mem = guest_memory(true);
	const struct image_region *r;
	struct boot_request req;
	struct image image;
	int fd;

	memset(b.data + b.len / 2, 0xff, 64);
	req = request(b, &fd, 1);
	ck_assert_int_eq(boot_build(&image, &req), 0);
	r = kernel(&image);
	ck_assert_int_eq(r->fill(r, mem + r->gpa), -EPROTO);
	ck_assert_ptr_nonnull(
		strstr(err_text(), "set boot.decompress = guest"));
	ck_assert_int_eq(ftruncate(fd, 0x2000), 0);
	ck_assert_int_lt(r->fill(r, mem + r->gpa), 0);
	image_destroy(&image);
	munmap(mem, MEMORY);
	close(fd);
}
END_TEST

/* More or less comes out than the last four bytes of the payload say. */
START_TEST(rejects_a_payload_of_another_length)
{
	for (int delta = -4; delta <= 4; delta += 8) {
		struct bytes in = fake_payload(&small), b;
		size_t len = in.len + (size_t)delta;
		uint8_t *mem = guest_memory(true);
		const struct image_region *r;
		struct boot_request req;
		struct image image;
		uint32_t payload;
		int fd;

		b = fake_bzimage(fake_compress(codecs[_i], in));
		memcpy(&payload, b.data + 0x24c, sizeof(payload));
		fake_poke(b, 0xc10 + payload - 4, 4, len);
		req = request(b, &fd, 1);
		ck_assert_int_eq(boot_build(&image, &req), 0);
		r = kernel(&image);
		ck_assert_int_eq(r->fill(r, mem + r->gpa), -EPROTO);
		image_destroy(&image);
		munmap(mem, MEMORY);
		close(fd);
	}
}
END_TEST

static int no_run(struct decompress_job *job, struct decompress_input *in,
		  void *const *functions)
{
	(void)job;
	(void)in;
	(void)functions;
	return 0;
}

START_TEST(names_the_library_that_is_missing)
{
	static const char *const none[] = { NULL };
	static const char *const unknown[] = { "no_such_function", NULL };
	struct decompress_codec codec = { .library = "libnone.so.1",
					  .package = "libnone1",
					  .symbols = none,
					  .run = no_run };
	struct decompress_job job = { 0 };

	ck_assert_int_eq(decompress_run(&codec, &job), -ENOPKG);
	ck_assert_str_eq(err_text(), "libnone.so.1 is missing (package "
				     "libnone1)");
	codec.library = "libz.so.1";
	ck_assert_int_eq(decompress_run(&codec, &job), 0);
	codec.symbols = unknown;
	ck_assert_int_eq(decompress_run(&codec, &job), -ENOPKG);
	ck_assert_str_eq(err_text(), "libz.so.1 has no no_such_function");
}
END_TEST

Suite *unpack_suite(void)
{
	Suite *s = suite_create("unpack");
	TCase *tc = tcase_create("unpack");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, unpacks_what_the_guest_would_have_unpacked, 0,
			    ARRAY_SIZE(good));
	tcase_add_test(tc, same_seed_same_image_other_seed_other_addresses);
	tcase_add_loop_test(tc, honours_what_the_command_line_says_of_kaslr, 0,
			    ARRAY_SIZE(lines));
	tcase_add_loop_test(tc, leaves_an_unusual_kernel_to_the_guest, 0,
			    ARRAY_SIZE(odd));
	tcase_add_loop_test(tc, leaves_what_it_cannot_read_to_the_guest, 0,
			    ARRAY_SIZE(packed));
	tcase_add_test(tc, leaves_a_kernel_to_the_guest_when_memory_is_short);
	tcase_add_loop_test(tc, says_what_to_do_about_a_damaged_payload, 0, 4);
	tcase_add_loop_test(tc, rejects_a_payload_of_another_length, 0, 4);
	tcase_add_test(tc, names_the_library_that_is_missing);
	suite_add_tcase(s, tc);
	return s;
}
