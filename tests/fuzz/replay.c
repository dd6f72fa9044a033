/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files named, with any compiler. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		/* Exact size, so that an overrun is seen by the sanitizer. */
		uint8_t *data = NULL;
		long len = -1;

		if (f && !fseek(f, 0, SEEK_END))
			len = ftell(f);
		if (len >= 0)
			data = malloc((size_t)len ? (size_t)len : 1);
		if (!data || fseek(f, 0, SEEK_SET) ||
		    fread(data, 1, (size_t)len, f) != (size_t)len) {
			fprintf(stderr, "replay: cannot read %s\n", argv[i]);
			return 1;
		}
		fclose(f);
		LLVMFuzzerTestOneInput(data, (size_t)len);
		free(data);
	}
	printf("replay: %s: %d inputs passed\n", argv[0], argc - 1);
	return argc > 1 ? 0 : 1;
}
