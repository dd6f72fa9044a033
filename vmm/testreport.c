/* SPDX-License-Identifier: Apache-2.0 */
/* What testreport.h declares. */
#include "vmm/testreport.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/util.h"

enum {
	TAIL_LINES = 15,
	TAIL_BYTES = 16 * 1024,
	LINE_SHOWN = 200,
};

/* Prints the last lines of the log, each after prefix. */
static void print_tail(FILE *out, const struct test *t, const char *prefix,
		       void (*put)(FILE *out, const char *text))
{
	char buf[TAIL_BYTES];
	FILE *f = t->log_path ? fopen(t->log_path, "re") : NULL;
	char shown[LINE_SHOWN];
	const char *p, *end;
	size_t len = 0;
	int lines = 0;

	if (f) {
		if (fseek(f, -TAIL_BYTES, SEEK_END))
			rewind(f); /* it is shorter than that */
		len = fread(buf, 1, TAIL_BYTES, f);
	}
	if (f)
		fclose(f);
	end = buf + len;
	while (end > buf && end[-1] == '\n')
		end--;
	for (p = end; p > buf; p--)
		if (p[-1] == '\n' && ++lines == TAIL_LINES)
			break;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		nl = nl ? nl : end;
		fputs(prefix, out);
		put(out, expect_printable(shown, sizeof(shown), p,
					  (size_t)(nl - p)));
		fputc('\n', out);
		p = nl + 1;
	}
}

static void put_plain(FILE *out, const char *text)
{
	fputs(text, out);
}

/* '<', '&' and quotes; control characters are gone before. */
static void put_xml(FILE *out, const char *text)
{
	static const struct {
		char c;
		const char *name;
	} entities[] = { { '&', "&amp;" },
			 { '<', "&lt;" },
			 { '>', "&gt;" },
			 { '"', "&quot;" } };

	for (; *text; text++) {
		const char *name = NULL;

		for (size_t i = 0; i < ARRAY_SIZE(entities); i++)
			if (entities[i].c == *text)
				name = entities[i].name;
		if (name)
			fputs(name, out);
		else
			fputc(*text, out);
	}
}

/* As put() prints it, made printable and cut. */
static void put_text(FILE *out, const char *text,
		     void (*put)(FILE *out, const char *text))
{
	char shown[1024];

	text = text ? text : "out of memory";
	put(out, expect_printable(shown, sizeof(shown), text, strlen(text)));
}

/* '#' begins a directive and '\' escapes it. */
static void put_tap(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("#\\", *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

/* Inside YAML's double quotes. */
static void put_yaml(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("\"\\", *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void clear_progress(struct test_report *r)
{
	if (r->shown[0])
		fputs("\r\x1b[K", r->out); /* ECMA-48 EL: to the line's end */
	r->shown[0] = '\0';
}

void report_begin(struct test_report *r)
{
	if (r->tap)
		fprintf(r->out, "TAP version 13\n1..%zu\n", r->total);
	fflush(r->out);
}

static void tap_test(struct test_report *r, const struct test *t)
{
	size_t number = r->passed + r->failed + r->skipped;

	fprintf(r->out, "%s %zu - ", t->state == TEST_FAILED ? "not ok" : "ok",
		number);
	put_text(r->out, t->name, put_tap);
	if (t->state == TEST_SKIPPED) {
		fputs(" # SKIP ", r->out);
		put_text(r->out, t->why, put_plain);
	}
	fputc('\n', r->out);
	if (t->state != TEST_FAILED)
		return;
	fputs("  ---\n  message: \"", r->out);
	put_text(r->out, t->why, put_yaml);
	fprintf(r->out, "\"\n  duration_ms: %lld\n  log: \"",
		(long long)t->took_ms);
	put_text(r->out, t->log_path, put_yaml);
	fputs("\"\n  ...\n", r->out);
	print_tail(r->out, t, "# | ", put_plain);
}

static void plain_test(struct test_report *r, const struct test *t)
{
	const char *word = t->state == TEST_PASSED    ? "PASS"
			   : t->state == TEST_SKIPPED ? "SKIP"
						      : "FAIL";

	clear_progress(r);
	fprintf(r->out, "%s  ", word);
	put_text(r->out, t->name, put_plain);
	if (t->state != TEST_SKIPPED)
		fprintf(r->out, " (%lld.%01lld s)",
			(long long)t->took_ms / 1000,
			(long long)t->took_ms % 1000 / 100);
	if (t->state != TEST_PASSED) {
		fputs(": ", r->out);
		put_text(r->out, t->why, put_plain);
	}
	fputc('\n', r->out);
	if (t->state == TEST_FAILED && !access(t->log_path, F_OK)) {
		print_tail(r->out, t, "      | ", put_plain);
		fputs("      all of it: ", r->out);
		put_text(r->out, t->log_path, put_plain);
		fputc('\n', r->out);
	}
}

void report_test(struct test_report *r, const struct test *t)
{
	r->passed += t->state == TEST_PASSED;
	r->failed += t->state == TEST_FAILED;
	r->skipped += t->state == TEST_SKIPPED;
	if (r->tap)
		tap_test(r, t);
	else
		plain_test(r, t);
	fflush(r->out);
}

void report_progress(struct test_report *r, const struct test *tests,
		     size_t count)
{
	char line[sizeof(r->shown)], name[40];
	int64_t now = util_now_ms();
	size_t n;

	if (!r->progress)
		return;
	n = (size_t)snprintf(line, sizeof(line), "%zu of %zu done, running:",
			     r->passed + r->failed + r->skipped, r->total);
	for (size_t i = 0; i < count && n < sizeof(line); i++) {
		const struct test *t = &tests[i];

		if (t->state != TEST_RUNNING && t->state != TEST_STOPPING)
			continue;
		expect_printable(name, sizeof(name), t->name, strlen(t->name));
		n += (size_t)snprintf(line + n, sizeof(line) - n,
				      " %s (%lld s)", name,
				      (long long)(now - t->started_ms) / 1000);
	}
	if (!strcmp(line, r->shown))
		return;
	clear_progress(r);
	fputs(line, r->out);
	fflush(r->out);
	memcpy(r->shown, line, strlen(line) + 1);
}

void report_end(struct test_report *r)
{
	clear_progress(r);
	fprintf(r->out, "%s%zu passed, %zu failed, %zu skipped\n",
		r->tap ? "# " : "", r->passed, r->failed, r->skipped);
	fflush(r->out);
}

static void junit_test(FILE *out, const struct test *t)
{
	fputs("<testcase classname=\"cvmm\" name=\"", out);
	put_text(out, t->name, put_xml);
	fprintf(out, "\" time=\"%lld.%03lld\">", (long long)t->took_ms / 1000,
		(long long)t->took_ms % 1000);
	if (t->state == TEST_SKIPPED) {
		fputs("<skipped message=\"", out);
		put_text(out, t->why, put_xml);
		fputs("\"/>", out);
	}
	if (t->state == TEST_FAILED) {
		fputs("<failure message=\"", out);
		put_text(out, t->why, put_xml);
		fputs("\">\n", out);
		print_tail(out, t, "", put_xml);
		fputs("</failure>", out);
	}
	fputs("</testcase>\n", out);
}

void report_junit(FILE *out, const struct test *tests, size_t count)
{
	size_t failed = 0, skipped = 0;
	int64_t ms = 0;

	for (size_t i = 0; i < count; i++) {
		failed += tests[i].state == TEST_FAILED;
		skipped += tests[i].state == TEST_SKIPPED;
		ms += tests[i].took_ms;
	}
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<testsuite name=\"cvmm\" tests=\"%zu\" failures=\"%zu\" "
		"errors=\"0\" skipped=\"%zu\" time=\"%lld.%03lld\">\n",
		count, failed, skipped, (long long)ms / 1000,
		(long long)ms % 1000);
	for (size_t i = 0; i < count; i++)
		junit_test(out, &tests[i]);
	fputs("</testsuite>\n", out);
}
