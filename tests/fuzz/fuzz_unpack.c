/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking on the host, from behind the decompression: arbitrary bytes are
 * the ELF file and relocations of a kernel, in an lz4 block of literals.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"

#define MEMORY (24 * MIB)
#define SETUP (5 * 512U)
#define PAYLOAD 0x210U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t file[256 * KIB];

static void poke(size_t off, size_t size, uint64_t value)
{
	memcpy(file + off, &value, size);
}

/* lz4 block format: 15 literals, and more while bytes of 255 say so. */
static size_t pack(uint8_t *out, const uint8_t *data, uint32_t len)
{
	static const uint8_t magic[] = { 0x02, 0x21, 0x4c, 0x18 };
	uint32_t more = len - 15, at = sizeof(magic) + 4, block;

	memcpy(out, magic, sizeof(magic));
	out[at++] = 15 << 4;
	for (; more >= 255; more -= 255)
		out[at++] = 255;
	out[at++] = (uint8_t)more;
	memcpy(out + at, data, len);
	at += len;
	block = at - 8;
	memcpy(out + 4, &block, sizeof(block));
	memcpy(out + at, &len, sizeof(len));
	return at + sizeof(len);
}

/* Offsets: x86/boot.rst, "Details of Header Fields". */
static size_t wrap(const uint8_t *data, size_t len)
{
	size_t payload;

	memset(file, 0, SETUP + PAYLOAD);
	payload = pack(file + SETUP + PAYLOAD, data, (uint32_t)len);
	poke(0x1f1, 1, SETUP / 512 - 1);
	poke(0x1f4, 4, (PAYLOAD + payload + 15) / 16);
	poke(0x1fe, 2, 0xaa55);
	poke(0x200, 2, 0x6aeb);
	poke(0x202, 4, 0x53726448);
	poke(0x206, 2, 0x020f);
	poke(0x211, 1, 1);
	poke(0x22c, 4, 0x7fffffff);
	poke(0x230, 4, 0x200000);
	poke(0x234, 1, 1);
	poke(0x236, 2, 1);
	poke(0x238, 4, 2047);
	poke(0x248, 4, PAYLOAD);
	poke(0x24c, 4, payload);
	poke(0x258, 8, 0x1000000);
	poke(0x260, 4, 0x10000);
	return SETUP + PAYLOAD + payload;
}

static void boot(const char *path)
{
	struct boot_request req = { .kernel = path,
				    .cmdline = "",
				    .memory = MEMORY,
				    .nr_cpus = 1,
				    .seed = 1 };
	uint8_t *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct image image;

	assert(memory != MAP_FAILED);
	if (!boot_build(&image, &req))
		for (unsigned int i = 0; i < image.count; i++) {
			const struct image_region *r = &image.regions[i];

			assert(r->gpa < MEMORY && r->len <= MEMORY - r->gpa);
			if (r->fill)
				(void)r->fill(r, memory + r->gpa);
		}
	image_destroy(&image);
	munmap(memory, MEMORY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char path[32];
	size_t total;
	int fd;

	if (len < 64 || len > 128 * KIB)
		return 0;
	total = wrap(data, len);
	fd = memfd_create("kernel", MFD_CLOEXEC);
	assert(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, file, total) == (ssize_t)total)
		boot(path);
	close(fd);
	return 0;
}
