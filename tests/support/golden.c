/* SPDX-License-Identifier: Apache-2.0 */
/* What golden.h declares. */
#include "support/golden.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path)
{
	char *text = NULL;
	size_t room = 0;
	FILE *f = fopen(path, "re");

	if (f && getdelim(&text, &room, '\0', f) < 0) {
		free(text);
		text = NULL;
	}
	if (f)
		fclose(f);
	return text;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f))
		ck_abort_msg("cannot write %s", path);
}

static int line_length(const char *s)
{
	return (int)strcspn(s, "\n");
}

static void compare(const char *path, const char *want, const char *got)
{
	unsigned int line = 1;

	for (;; line++) {
		int w = line_length(want), g = line_length(got);

		if (w != g || memcmp(want, got, (size_t)w) != 0 ||
		    want[w] != got[g])
			ck_abort_msg("%s:%u: want '%.*s', got '%.*s' "
				     "(GOLDEN_UPDATE=1 rewrites the file)",
				     path, line, w, want, g, got);
		if (!want[w])
			return;
		want += w + 1;
		got += g + 1;
	}
}

void golden_check(const char *path, const char *text)
{
	char *want;

	if (getenv("GOLDEN_UPDATE"))
		write_file(path, text);
	want = read_file(path);
	if (!want)
		ck_abort_msg("cannot read %s: run the tests from the root of "
			     "the tree",
			     path);
	compare(path, want, text);
	free(want);
}

void transcript_line(void *ctx, const char *line)
{
	struct transcript *t = ctx;
	size_t n = strlen(line);
	char *text;

	pthread_mutex_lock(&t->lock);
	text = realloc(t->text, t->len + n + 2);
	if (text) {
		memcpy(text + t->len, line, n);
		memcpy(text + t->len + n, "\n", 2);
		t->text = text;
		t->len += n + 1;
	}
	pthread_mutex_unlock(&t->lock);
}

void transcript_destroy(struct transcript *t)
{
	free(t->text);
	t->text = NULL;
	t->len = 0;
}
