/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the ELF reader with files that lie. */
#include "boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suites.h"
#include "support/fake_kernel.h"
#include "vmm/base/err.h"

static const struct fake_kernel fake = { .text_len = 0x2345 };

/* Offsets of fields in the ELF header and in program header n. */
#define EHDR(field) offsetof(Elf64_Ehdr, field)
#define PHDR(n, field)                                   \
	(sizeof(Elf64_Ehdr) + (n) * sizeof(Elf64_Phdr) + \
	 offsetof(Elf64_Phdr, field))

static const struct bad {
	size_t off;
	unsigned int size;
	uint64_t value;
	const char *says;
} bad[] = {
	{ 0, 4, 0, "not an ELF file" },
	{ EI_CLASS, 1, ELFCLASS32, "not a 64-bit x86" },
	{ EI_DATA, 1, ELFDATA2MSB, "not a 64-bit x86" },
	{ EI_VERSION, 1, 2, "ELF version" },
	{ EHDR(e_machine), 2, EM_AARCH64, "not a 64-bit x86" },
	{ EHDR(e_version), 4, 0, "ELF version" },
	{ EHDR(e_type), 2, ET_DYN, "position-independent" },
	{ EHDR(e_type), 2, ET_REL, "not an ELF executable" },
	{ EHDR(e_phentsize), 2, 32, "program headers of 32 bytes" },
	{ EHDR(e_shentsize), 2, 40, "section headers of 40 bytes" },
	{ EHDR(e_shoff), 8, UINT64_MAX, "is it cut off" },
	{ EHDR(e_shnum), 2, 0xffff, "is it cut off" },
	{ EHDR(e_phoff), 8, UINT64_MAX - 8, "not within" },
	{ EHDR(e_phoff), 8, ELF_HEAD_LEN, "not within" },
	{ EHDR(e_phnum), 2, 0xffff, "not within" },
	{ EHDR(e_phnum), 2, 0, "nothing to load" },
	{ EHDR(e_phnum), 2, 40, "ELF segment" }, /* noise as headers */
	{ EHDR(e_entry), 8, 0xffffffff81000000, "in no segment" },
	{ EHDR(e_entry), 8, FAKE_BASE - 1, "in no segment" },
	{ PHDR(0, p_filesz), 8, 0x2346, "larger in the file" },
	{ PHDR(0, p_filesz), 8, UINT64_MAX, "larger in the file" },
	{ PHDR(0, p_offset), 8, UINT64_MAX - 4, "is it cut off" },
	{ PHDR(0, p_offset), 8, 1 << 20, "is it cut off" },
	{ PHDR(0, p_paddr), 8, UINT64_MAX - 4, "too large" },
	{ PHDR(0, p_memsz), 8, UINT64_MAX - 4, "too large" },
	{ PHDR(0, p_memsz), 8, 0x3001, "overlap" },
	{ PHDR(2, p_paddr), 8, FAKE_BASE, "overlap" },
	{ PHDR(1, p_paddr), 8, FAKE_BASE + 0x3001, "overlap" },
};

START_TEST(rejects_an_elf_file_that_lies)
{
	struct bytes b = fake_elf(&fake);
	struct elf elf;

	/* Noise is not a segment by chance. */
	fake_poke(b, PHDR(3, p_type), 4, PT_LOAD);
	fake_poke(b, PHDR(3, p_filesz), 8, 2);
	fake_poke(b, PHDR(3, p_memsz), 8, 1);
	ck_assert_int_eq(elf_parse(&elf, b.data, b.len, b.len), 0);
	fake_poke(b, bad[_i].off, bad[_i].size, bad[_i].value);
	ck_assert_int_eq(elf_parse(&elf, b.data,
				   min_of(b.len, ELF_HEAD_LEN + 0UL), b.len),
			 -ENOEXEC);
	ck_assert_msg(strstr(err_text(), bad[_i].says), "says: %s", err_text());
	free(b.data);
}
END_TEST

START_TEST(never_reads_beyond_a_short_elf_file)
{
	struct bytes b = fake_elf(&fake);
	struct elf elf;

	for (size_t len = 0; len < sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr);
	     len++) {
		/* Exact size, so that an overrun is seen by the sanitizer. */
		uint8_t *part = malloc(len ? len : 1);

		memcpy(part, b.data, len);
		ck_assert_int_eq(elf_parse(&elf, part, len, b.len), -ENOEXEC);
		free(part);
	}
	free(b.data);
}
END_TEST

START_TEST(rejects_too_many_segments)
{
	struct bytes b = fake_elf(&fake);
	struct elf elf;

	fake_poke(b, EHDR(e_phnum), 2, ELF_MAX_SEGMENTS + 1);
	for (unsigned int i = 0; i <= ELF_MAX_SEGMENTS; i++) {
		const Elf64_Phdr p = { .p_type = PT_LOAD,
				       .p_paddr = FAKE_BASE + i * PAGE_SIZE,
				       .p_memsz = PAGE_SIZE };

		memcpy(b.data + PHDR(i, p_type), &p, sizeof(p));
	}
	ck_assert_int_eq(elf_parse(&elf, b.data, b.len, b.len), -ENOEXEC);
	ck_assert_str_eq(err_text(), "more than 16 ELF segments");
	fake_poke(b, EHDR(e_phnum), 2, ELF_MAX_SEGMENTS);
	ck_assert_int_eq(elf_parse(&elf, b.data, b.len, b.len), 0);
	free(b.data);
}
END_TEST

START_TEST(loads_segments_in_any_order)
{
	struct bytes b = fake_elf(&fake), want = fake_loaded(&fake, 0);
	struct bytes got = { calloc(1, want.len), want.len };
	Elf64_Phdr first, last;
	struct elf elf;
	int fd;

	memcpy(&first, b.data + PHDR(0, p_type), sizeof(first));
	memcpy(&last, b.data + PHDR(2, p_type), sizeof(last));
	memcpy(b.data + PHDR(0, p_type), &last, sizeof(last));
	memcpy(b.data + PHDR(2, p_type), &first, sizeof(first));
	ck_assert_int_eq(elf_parse(&elf, b.data, b.len, b.len), 0);
	ck_assert_uint_eq(elf.entry, FAKE_BASE + FAKE_ENTRY);
	ck_assert_uint_eq(elf.low, FAKE_BASE);
	ck_assert_uint_eq(elf.high, FAKE_BASE + want.len);
	ck_assert_uint_eq(elf.file_end, b.len);
	fake_file(b, &fd);
	ck_assert_int_eq(elf_fill(&elf, fd, got.data), 0);
	ck_assert_mem_eq(got.data, want.data, want.len);
	ck_assert_int_eq(ftruncate(fd, 0x2000), 0);
	ck_assert_int_eq(elf_fill(&elf, fd, got.data), -ENODATA);
	close(fd);
	free(got.data);
	free(want.data);
}
END_TEST

Suite *elf_suite(void)
{
	Suite *s = suite_create("elf");
	TCase *tc = tcase_create("elf");

	tcase_add_loop_test(tc, rejects_an_elf_file_that_lies, 0,
			    ARRAY_SIZE(bad));
	tcase_add_test(tc, never_reads_beyond_a_short_elf_file);
	tcase_add_test(tc, rejects_too_many_segments);
	tcase_add_test(tc, loads_segments_in_any_order);
	suite_add_tcase(s, tc);
	return s;
}
