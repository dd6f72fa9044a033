/* SPDX-License-Identifier: Apache-2.0 */
/* The whole boot path on a kernel file of arbitrary bytes. */
#include <assert.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"

#define MEMORY (24 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fill(const struct image *image, uint8_t *memory)
{
	for (unsigned int i = 0; i < image->count; i++) {
		const struct image_region *r = &image->regions[i];

		assert(r->gpa < MEMORY && r->len <= MEMORY - r->gpa);
		/* An error is an answer too. */
		if (r->fill)
			(void)r->fill(r, memory + r->gpa);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct boot_request req = {
		.cmdline = "", .memory = MEMORY, .nr_cpus = 1, .seed = len
	};
	int fd = memfd_create("kernel", MFD_CLOEXEC);
	uint8_t *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct image image;
	char path[32];

	assert(fd >= 0 && memory != MAP_FAILED);
	if (write(fd, data, len) == (ssize_t)len) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		req.kernel = path;
		if (!boot_build(&image, &req))
			fill(&image, memory);
		image_destroy(&image);
	}
	munmap(memory, MEMORY);
	close(fd);
	return 0;
}
