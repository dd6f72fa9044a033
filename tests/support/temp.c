/* SPDX-License-Identifier: Apache-2.0 */
/* What temp.h declares. */
#include "tests/support/temp.h"

#include <check.h>
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void temp_make(struct temp *t)
{
	strcpy(t->dir, "/tmp/cvmm-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(t->dir));
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void temp_remove(struct temp *t)
{
	nftw(t->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *temp_path(const struct temp *t, const char *name)
{
	static char paths[4][128];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", t->dir, name);
	return path;
}

const char *temp_write(const struct temp *t, const char *name, const void *data,
		       size_t len)
{
	const char *path = temp_path(t, name);
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
	return path;
}

const char *temp_text(const struct temp *t, const char *name, const char *text)
{
	return temp_write(t, name, text, strlen(text));
}

char *temp_read(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	ck_assert_msg(f != NULL, "%s cannot be opened", path);
	if (getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(f);
	return text;
}

int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}
