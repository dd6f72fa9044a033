/* SPDX-License-Identifier: Apache-2.0 */
/* What figures.h declares. */
#include "vmm/figures.h"

#include <string.h>

void json_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f) /* all of ours is ASCII */
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* The name of what follows. */
static void name(struct figures *f, const char *text)
{
	if (!f->json) {
		fprintf(f->out, "%s%s", f->path, text);
		return;
	}
	fprintf(f->out, "%s\n%*s", f->more ? "," : "", (int)(2 * f->depth), "");
	json_string(f->out, text);
	fputs(": ", f->out);
	f->more = true;
}

void figures_begin(struct figures *f, FILE *out, bool json)
{
	*f = (struct figures){ .out = out, .json = json, .depth = 1 };
	fputs(json ? "{" : "", out);
}

void figures_end(struct figures *f)
{
	fputs(f->json ? "\n}\n" : "", f->out);
}

void figures_group(struct figures *f, const char *text)
{
	size_t len = strlen(f->path);

	if (f->json) {
		name(f, text);
		fputc('{', f->out);
		f->more = false;
	}
	f->depth++;
	snprintf(f->path + len, sizeof(f->path) - len, "%s.", text);
}

void figures_group_end(struct figures *f)
{
	char *dot;

	f->depth--;
	if (f->json) {
		fprintf(f->out, "\n%*s}", (int)(2 * f->depth), "");
		f->more = true;
	}
	/* Back to the dot before the last one. */
	if (*f->path)
		f->path[strlen(f->path) - 1] = '\0';
	dot = strrchr(f->path, '.');
	*(dot ? dot + 1 : f->path) = '\0';
}

void figures_number(struct figures *f, const char *text, uint64_t value)
{
	name(f, text);
	fprintf(f->out, f->json ? "%" PRIu64 : " %" PRIu64 "\n", value);
}

void figures_text(struct figures *f, const char *text, const char *value)
{
	name(f, text);
	if (f->json)
		json_string(f->out, value);
	else
		fprintf(f->out, " %s\n", value);
}
