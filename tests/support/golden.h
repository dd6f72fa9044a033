/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that must be what a file says.  GOLDEN_UPDATE=1 in the environment
 * writes the file instead; read the difference before committing it.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

/* Fails the running test at the first line where text differs. */
void golden_check(const char *path, const char *text);

/* A text that grows by lines; any thread may add. */
struct transcript {
	pthread_mutex_t lock;
	char *text; /* "" if NULL; free() it */
	size_t len;
};
#define TRANSCRIPT_INIT                           \
	{                                         \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}
/* ctx is a struct transcript: what kvm_trace_init() takes. */
void transcript_line(void *ctx, const char *line);
void transcript_destroy(struct transcript *t);
