/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "vmm/base/err.h"

bool elf_detect(const uint8_t *head, size_t len)
{
	return len >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG);
}

static int check_header(const Elf64_Ehdr *e, uint64_t file_len)
{
	if (e->e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->e_ident[EI_DATA] != ELFDATA2LSB || e->e_machine != EM_X86_64)
		return err_set(-ENOEXEC, "not a 64-bit x86 ELF file");
	if (e->e_ident[EI_VERSION] != EV_CURRENT || e->e_version != EV_CURRENT)
		return err_set(-ENOEXEC, "unknown ELF version");
	if (e->e_type == ET_DYN)
		return err_set(-ENOEXEC, "a position-independent ELF file "
					 "cannot be booted: link it at a fixed "
					 "address (ET_EXEC)");
	if (e->e_type != ET_EXEC)
		return err_set(-ENOEXEC, "not an ELF executable (type %u)",
			       e->e_type);
	if (e->e_phentsize != sizeof(Elf64_Phdr))
		return err_set(-ENOEXEC, "ELF program headers of %u bytes",
			       e->e_phentsize);
	if (e->e_shnum && e->e_shentsize != sizeof(Elf64_Shdr))
		return err_set(-ENOEXEC, "ELF section headers of %u bytes",
			       e->e_shentsize);
	if (e->e_shnum &&
	    (e->e_shoff > file_len ||
	     e->e_shnum * sizeof(Elf64_Shdr) > file_len - e->e_shoff))
		return err_set(-ENOEXEC, "ELF section headers end beyond the "
					 "file: is it cut off?");
	return 0;
}

static int check_segment(const Elf64_Phdr *p, uint64_t file_len)
{
	if (p->p_filesz > p->p_memsz)
		return err_set(-ENOEXEC, "an ELF segment is larger in the file "
					 "than in memory");
	if (p->p_offset > file_len || p->p_filesz > file_len - p->p_offset)
		return err_set(-ENOEXEC, "an ELF segment ends beyond the file: "
					 "is it cut off?");
	if (p->p_memsz > UINT64_MAX - p->p_paddr)
		return err_set(-ENOEXEC, "an ELF segment at %#llx is too large",
			       (unsigned long long)p->p_paddr);
	return 0;
}

/* Keeps the segments sorted by address. */
static void insert(struct elf *elf, const Elf64_Phdr *p)
{
	unsigned int i = elf->count++;

	for (; i && elf->segments[i - 1].paddr > p->p_paddr; i--)
		elf->segments[i] = elf->segments[i - 1];
	elf->segments[i] = (struct elf_segment){
		.off = p->p_offset,
		.filesz = p->p_filesz,
		.paddr = p->p_paddr,
		.memsz = p->p_memsz,
	};
	elf->file_end = max_of(elf->file_end, p->p_offset + p->p_filesz);
}

static int check_layout(struct elf *elf)
{
	bool entered = false;

	if (!elf->count)
		return err_set(-ENOEXEC, "the ELF file has nothing to load");
	for (unsigned int i = 0; i < elf->count; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (i && s[-1].memsz > s->paddr - s[-1].paddr)
			return err_set(-ENOEXEC,
				       "ELF segments overlap at %#llx",
				       (unsigned long long)s->paddr);
		if (elf->entry >= s->paddr && elf->entry - s->paddr < s->memsz)
			entered = true;
		elf->high = s->paddr + s->memsz;
	}
	elf->low = elf->segments[0].paddr;
	if (!entered)
		return err_set(-ENOEXEC,
			       "the ELF entry point %#llx is in no segment: it "
			       "must be a physical address",
			       (unsigned long long)elf->entry);
	return 0;
}

int elf_parse(struct elf *elf, const uint8_t *head, size_t len,
	      uint64_t file_len)
{
	Elf64_Ehdr e;
	int rc;

	*elf = (struct elf){ 0 };
	if (len < sizeof(e) || !elf_detect(head, len))
		return err_set(-ENOEXEC, "not an ELF file");
	memcpy(&e, head, sizeof(e));
	rc = check_header(&e, file_len);
	if (rc)
		return rc;
	if (e.e_phoff > len || e.e_phnum * sizeof(Elf64_Phdr) > len - e.e_phoff)
		return err_set(-ENOEXEC,
			       "ELF program headers are not within "
			       "the first %d bytes",
			       ELF_HEAD_LEN);
	elf->entry = e.e_entry;
	if (e.e_shnum)
		elf->file_end = e.e_shoff + e.e_shnum * sizeof(Elf64_Shdr);
	for (unsigned int i = 0; i < e.e_phnum; i++) {
		Elf64_Phdr p;

		memcpy(&p, head + e.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type != PT_LOAD || !p.p_memsz)
			continue;
		if (elf->count == ELF_MAX_SEGMENTS)
			return err_set(-ENOEXEC, "more than %d ELF segments",
				       ELF_MAX_SEGMENTS);
		rc = check_segment(&p, file_len);
		if (rc)
			return rc;
		insert(elf, &p);
	}
	return check_layout(elf);
}

int elf_fill(const struct elf *elf, int fd, uint8_t *dst)
{
	for (unsigned int i = 0; i < elf->count; i++) {
		const struct elf_segment *s = &elf->segments[i];
		int rc = util_pread(fd, dst + (s->paddr - elf->low), s->filesz,
				    s->off);

		if (rc == -ENODATA)
			return err_set(rc, "the file became shorter");
		if (rc)
			return err_set(rc, "cannot read: %s", strerror(-rc));
	}
	return 0;
}
