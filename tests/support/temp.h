/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for one test, gone with everything in it at the end. */
#pragma once

#include <stddef.h>

struct temp {
	char dir[32];
};

void temp_make(struct temp *t);
void temp_remove(struct temp *t);

/* "DIR/name" in a static buffer; the last four results are valid. */
const char *temp_path(const struct temp *t, const char *name);

/* Writes the file name and returns its path as temp_path() does. */
const char *temp_write(const struct temp *t, const char *name, const void *data,
		       size_t len);
const char *temp_text(const struct temp *t, const char *name, const char *text);

/* How many entries a directory has, "." and ".." among them. */
int count_entries(const char *dir);

/* The file at path as a string; the caller frees it. */
char *temp_read(const char *path);
