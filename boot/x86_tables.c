/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/x86_tables.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/blobs.h"
#include "vmm/base/layout_x86.h"

/* Intel SDM 3A, 3.4.5: flat, present, ring 0, accessed. */
#define DESC_CODE64 0x00af9b000000ffffULL
#define DESC_DATA 0x00cf93000000ffffULL

/* Intel SDM 3A, 4.5: page table entries. */
#define PTE_PRESENT 0x01ULL
#define PTE_WRITE 0x02ULL
#define PTE_ACCESSED 0x20ULL
#define PTE_DIRTY 0x40ULL
#define PTE_LARGE 0x80ULL
#define PTES 512
#define PTE_TABLE (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED)
#define PTE_PAGE (PTE_TABLE | PTE_DIRTY | PTE_LARGE)

#define MAPPED_GIB 4
#define TABLES (2 + MAPPED_GIB) /* PML4, PDPT, one directory per GiB */

static int add_gdt(struct image *image)
{
	uint64_t *gdt = calloc(1, X86_GDT_LEN);

	if (gdt) {
		gdt[X86_GDT_CODE64 / 8] = DESC_CODE64;
		gdt[X86_GDT_DATA / 8] = DESC_DATA;
	}
	image->gdt = X86_GDT;
	return image_add_data(image, "gdt", X86_GDT, gdt, X86_GDT_LEN);
}

static int fill_page_tables(const struct image_region *r, uint8_t *dst)
{
	uint64_t *pml4 = (uint64_t *)(void *)dst, *pdpt = pml4 + PTES,
		 *directory = pdpt + PTES;

	pml4[0] = (r->gpa + PAGE_SIZE) | PTE_TABLE | r->off;
	for (uint64_t i = 0; i < MAPPED_GIB; i++)
		pdpt[i] = (r->gpa + (2 + i) * PAGE_SIZE) | PTE_TABLE | r->off;
	for (uint64_t i = 0; i < MAPPED_GIB * PTES; i++)
		directory[i] = i * 2 * MIB | PTE_PAGE | r->off;
	return 0;
}

static int fill_reset_vector(const struct image_region *r, uint8_t *dst)
{
	size_t len = (size_t)(blob_reset_end - blob_reset);

	assert(len <= 16);
	memcpy(dst + (X86_RESET_VECTOR - r->gpa), blob_reset, len);
	return 0;
}

int x86_tables_add(struct image *image, uint64_t private_bit)
{
	const struct image_region tables = {
		.name = "page tables",
		.gpa = X86_PAGE_TABLES,
		.len = TABLES * PAGE_SIZE,
		.measured = true,
		.fill = fill_page_tables,
		.off = private_bit,
	};
	const struct image_region reset = {
		.name = "reset vector",
		.gpa = align_down(X86_RESET_VECTOR, PAGE_SIZE),
		.len = PAGE_SIZE,
		.measured = true,
		.fill = fill_reset_vector,
	};
	int rc = add_gdt(image);

	_Static_assert(X86_PAGE_TABLES + TABLES * PAGE_SIZE <= X86_BOOT_PARAMS,
		       "page tables overrun what follows them");
	image->page_table = X86_PAGE_TABLES | private_bit;
	if (!rc)
		rc = image_add(image, &tables);
	return rc ? rc : image_add(image, &reset);
}
