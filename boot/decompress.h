/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacks a compressed file straight to where the bytes are wanted, in a few
 * hundred KiB of memory.  The libraries that can do it are loaded when asked
 * for, because loading them at every start costs more than starting a VM.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"

struct decompress_job {
	int fd; /* the compressed bytes: len at off of this file */
	uint64_t off, len;
	/*
	 * Where to: exactly out_len bytes must come out.  With partial, the
	 * first out_len bytes of what may be more; that needs no scratch.
	 */
	uint8_t *out;
	size_t out_len;
	bool partial;
	/*
	 * What follows out is room for working memory that is a match for
	 * the output in size, and may have been written to afterwards.
	 */
	size_t scratch_len;
	/* Result of a partial job: the scratch_len a whole job will need. */
	size_t scratch_need;
};

struct decompress_input;

struct decompress_codec {
	const char *name;    /* zstd */
	const char *library; /* libzstd.so.1: what is loaded ... */
	const char *package; /* ... from this Debian package */
	const char *const *symbols;
	uint8_t magic[6];
	uint8_t magic_len;
	int (*run)(struct decompress_job *job, struct decompress_input *in,
		   void *const *functions);
};

#define DECOMPRESS_MAGIC_LEN 6

/* By the first bytes of a compressed stream.  NULL: unknown. */
const struct decompress_codec *
decompress_detect(const uint8_t magic[DECOMPRESS_MAGIC_LEN]);

/*
 * Does the job.  Errors, with text: -ENOPKG the library is missing or too
 * old, -EPROTO the stream is damaged or of another length than out_len,
 * -ENOMEM, or what reading the file gave.
 */
int decompress_run(const struct decompress_codec *codec,
		   struct decompress_job *job);
