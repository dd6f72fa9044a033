/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/linux.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/kaslr.h"
#include "boot/unpack.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"

/* Offsets and values from x86/boot.rst, "The Real-Mode Kernel Header". */
#define HEADER_OFF 0x1f1
#define HEADER_END_OFF 0x201 /* the header ends at 0x202 + this byte */
#define HEADER_END_BASE 0x202
#define HEADER_MIN_END 0x268 /* pref_address, init_size: protocol 2.10 */
#define MAGIC 0x53726448     /* "HdrS" */
#define BOOT_FLAG 0xaa55
#define VERSION_64 0x020c /* the first with xloadflags and a 64-bit entry */
#define VERSION_OURS 0x020f
#define LOADER_UNDEFINED 0xff
#define ENTRY64 0x200 /* of the protected-mode part */
#define SECTOR 512
#define SETUP_SECTS_DEFAULT 4
#define SYSSIZE_UNIT 16
#define INITRD_MAX_DEFAULT 0x7fffffff
#define CMDLINE_MAX_DEFAULT 2047 /* COMMAND_LINE_SIZE - 1 */
#define ALIGN_MIN (2 * MIB)      /* of any 64-bit kernel: its page tables */

static int check_fields(const struct setup_header *h)
{
	if (h->version < VERSION_64)
		return err_set(-ENOEXEC,
			       "boot protocol %u.%02u is too old: 2.12 is "
			       "needed (Linux 3.8)",
			       h->version >> 8, h->version & 0xff);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return err_set(-ENOEXEC, "not a 64-bit kernel");
	if (!(h->loadflags & LOADED_HIGH))
		return err_set(-ENOEXEC, "a zImage cannot be booted: use the "
					 "bzImage");
	if (!is_pow2(h->kernel_alignment) || h->kernel_alignment < PAGE_SIZE)
		return err_set(-ENOEXEC, "a damaged header: alignment %#x",
			       h->kernel_alignment);
	if (h->pref_address > X86_HOLE || !h->init_size)
		return err_set(-ENOEXEC,
			       "a damaged header: address %#llx, size %#x",
			       (unsigned long long)h->pref_address,
			       h->init_size);
	return 0;
}

int linux_parse(struct linux_kernel *k, const uint8_t *head, size_t len,
		uint64_t file_len)
{
	struct setup_header *h = &k->hdr;
	uint64_t setup, size;
	int rc;

	*k = (struct linux_kernel){ 0 };
	if (len < HEADER_MIN_END)
		return err_set(-ENOEXEC, "neither a bzImage nor an ELF file");
	/* The length rule: newer kernels may have more, older ones less. */
	size = HEADER_END_BASE + head[HEADER_END_OFF];
	size = min_of(min_of(size, len) - HEADER_OFF, sizeof(*h));
	memcpy(h, head + HEADER_OFF, size);
	if (h->boot_flag != BOOT_FLAG || h->header != MAGIC)
		return err_set(-ENOEXEC, "neither a bzImage nor an ELF file");
	rc = check_fields(h);
	if (rc)
		return rc;
	setup = h->setup_sects ? h->setup_sects : SETUP_SECTS_DEFAULT;
	k->protected_off = (setup + 1) * SECTOR;
	size = (uint64_t)h->syssize * SYSSIZE_UNIT;
	/* What rounding up the size adds need not be there. */
	if (k->protected_off + ENTRY64 >= file_len || size <= ENTRY64 ||
	    size >= file_len - k->protected_off + SYSSIZE_UNIT)
		return err_set(-ENOEXEC,
			       "the file is cut off: it has %llu bytes and the "
			       "header says %llu",
			       (unsigned long long)file_len,
			       (unsigned long long)k->protected_off + size);
	k->protected_len = min_of(size, file_len - k->protected_off);
	k->low = align_up(max_of(h->pref_address, (uint64_t)X86_KERNEL),
			  (uint64_t)h->kernel_alignment);
	k->need = max_of((uint64_t)h->init_size, k->protected_len);
	return 0;
}

static int add_packed(struct image *image, const struct linux_kernel *k, int fd)
{
	image->entry = k->low + ENTRY64;
	return image_add_file(image, "kernel", k->low, fd, k->protected_off,
			      k->protected_len);
}

/*
 * Decides where the kernel goes, in physical memory and in its own address
 * space.  UINT64_MAX: there is no room to unpack it.
 */
static gpa_t place(const struct image *image, struct linux_kernel *k,
		   struct unpack *u, const struct boot_request *req,
		   gpa_t ram_end)
{
	uint64_t align = max_of((uint64_t)k->hdr.kernel_alignment, ALIGN_MIN);
	const struct kaslr_range range = {
		.len = u->region_len,
		.lead = u->kernel_at,
		.align = align,
		.low = max_of(k->low, X86_KERNEL + u->kernel_at),
		.high = ram_end,
	};
	uint64_t state = req->seed;
	bool virt, phys;
	gpa_t gpa;

	kaslr_allowed(req->cmdline, &virt, &phys);
	if (!k->hdr.relocatable_kernel || !unpack_relocatable(u))
		virt = phys = false;
	gpa = kaslr_place(image, &range, phys ? &state : NULL);
	if (gpa == UINT64_MAX ||
	    (!k->hdr.relocatable_kernel && gpa != k->hdr.pref_address))
		return UINT64_MAX;
	if (virt) {
		u->shift =
			kaslr_shift(u->base, max_of(u->kernel_len, u->out_len),
				    align, &state);
		k->hdr.loadflags |= KASLR_FLAG;
	}
	return gpa;
}

/* Plans to unpack the kernel here.  -errno, with text: it must do so itself. */
static int plan(const struct image *image, struct linux_kernel *k, int fd,
		const struct boot_request *req, gpa_t ram_end, struct unpack *u,
		gpa_t *gpa)
{
	const struct setup_header *h = &k->hdr;
	int rc;

	if (req->decompress == BOOT_DECOMPRESS_GUEST)
		return err_set(-ENOTSUP, "as configured");
	if (h->payload_offset > k->protected_len ||
	    h->payload_length > k->protected_len - h->payload_offset)
		return err_set(-ENOEXEC, "its payload is outside the file");
	rc = unpack_plan(u, fd, k->protected_off + h->payload_offset,
			 h->payload_length, h->pref_address);
	if (rc)
		return rc;
	*gpa = place(image, k, u, req, ram_end);
	if (*gpa == UINT64_MAX)
		return err_set(-ENOMEM,
			       "too little memory to do it on the host");
	return 0;
}

int linux_add(struct image *image, struct linux_kernel *k, int fd,
	      const struct boot_request *req, gpa_t ram_end)
{
	struct unpack *u = calloc(1, sizeof(*u));
	gpa_t gpa = 0;
	int rc;

	if (!u)
		return err_set(-ENOMEM, "kernel: out of memory");
	rc = plan(image, k, fd, req, ram_end, u, &gpa);
	if (rc) {
		free(u);
		image->note_warns = rc == -ENOPKG;
		snprintf(image->note, sizeof(image->note),
			 "the kernel unpacks itself%s: %s",
			 image->note_warns ? ", which is slower" : "",
			 err_text());
		return add_packed(image, k, fd);
	}
	assert(u->codec);
	snprintf(image->note, sizeof(image->note),
		 "%s kernel unpacked on the host%s", u->codec->name,
		 k->hdr.loadflags & KASLR_FLAG ? ", KASLR applied" : "");
	image->entry = gpa + (u->elf.entry - u->base);
	return unpack_add(image, u, fd, gpa);
}

struct setup_header linux_default_header(void)
{
	return (struct setup_header){
		.boot_flag = BOOT_FLAG,
		.header = MAGIC,
		.version = VERSION_OURS,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = INITRD_MAX_DEFAULT,
		.cmdline_size = CMDLINE_MAX_DEFAULT,
	};
}

int linux_add_params(struct image *image, const struct memmap *map,
		     const struct setup_header *hdr,
		     const struct linux_initrd *initrd)
{
	struct boot_params *p = calloc(1, sizeof(*p));

	_Static_assert(sizeof(*p) == PAGE_SIZE, "boot_params is one page");
	_Static_assert(MEMMAP_MAX <= E820_MAX_ENTRIES_ZEROPAGE,
		       "E820 does not fit into boot_params");
	if (p) {
		p->hdr = *hdr;
		p->hdr.type_of_loader = LOADER_UNDEFINED;
		p->hdr.cmd_line_ptr = X86_CMDLINE;
		p->hdr.ramdisk_image = (uint32_t)initrd->gpa;
		p->hdr.ramdisk_size = (uint32_t)initrd->len;
		p->ext_ramdisk_image = (uint32_t)(initrd->gpa >> 32);
		p->ext_ramdisk_size = (uint32_t)(initrd->len >> 32);
		p->acpi_rsdp_addr = X86_ACPI_TABLES;
		p->e820_entries = (uint8_t)map->nr_e820;
		for (unsigned int i = 0; i < map->nr_e820; i++) {
			p->e820_table[i].addr = map->e820[i].gpa;
			p->e820_table[i].size = map->e820[i].len;
			p->e820_table[i].type = map->e820[i].type;
		}
	}
	image->arg = X86_BOOT_PARAMS;
	return image_add_data(image, "boot_params", X86_BOOT_PARAMS, p,
			      sizeof(*p));
}
