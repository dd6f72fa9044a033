/* SPDX-License-Identifier: Apache-2.0 */
/* Watching output for what is expected: the other half of expect.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/expect.h"

int expect_watch_init(struct expect_watch *w, const struct expect_list *lines,
		      const struct expect_list *never)
{
	*w = (struct expect_watch){ .lines = lines, .never = never, .nr = 1 };
	w->line = malloc(EXPECT_MAX_LINE + 1);
	if (!w->line)
		return err_set(-ENOMEM, "out of memory");
	return 0;
}

void expect_watch_destroy(struct expect_watch *w)
{
	free(w->line);
	*w = (struct expect_watch){ 0 };
}

/* The current line as a string, its end and what a regex must not see cut. */
static ssize_t find_regex(const struct expect_watch *w,
			  const struct expect_item *item, size_t from)
{
	size_t len = min_of(w->len, (size_t)EXPECT_REGEX_SEES);
	regmatch_t match;
	char kept;
	int rc;

	while (len && w->line[len - 1] == '\r')
		len--;
	if (from > len)
		return -1;
	kept = w->line[len];
	w->line[len] = '\0';
	rc = regexec(item->regex, w->line + from, 1, &match,
		     from ? REG_NOTBOL : 0);
	w->line[len] = kept;
	return rc ? -1 : (ssize_t)from + match.rm_eo;
}

/*
 * Where a match of item that begins at from or later ends, or -1.  fresh:
 * everything that ends before was searched already.
 */
static ssize_t find(const struct expect_watch *w,
		    const struct expect_item *item, size_t from, size_t fresh,
		    bool whole)
{
	const char *at;

	if (item->regex)
		return whole ? find_regex(w, item, from) : -1;
	if (fresh >= item->len)
		from = max_of(from, fresh - item->len + 1);
	at = memmem(w->line + from, w->len - from, item->text, item->len);
	return at ? at - w->line + (ssize_t)item->len : -1;
}

static void look(struct expect_watch *w, size_t fresh, bool whole)
{
	const struct expect_list *never = w->never;

	for (size_t i = 0; never && !w->broken && i < never->count; i++) {
		if (find(w, &never->items[i], 0, fresh, whole) < 0)
			continue;
		w->broken = &never->items[i];
		w->broken_nr = w->nr;
	}
	if (w->broken && w->broken_nr == w->nr) /* more of it may have come */
		expect_printable(w->broken_line, sizeof(w->broken_line),
				 w->line, w->len);
	while (w->next < w->lines->count) {
		ssize_t end = find(w, &w->lines->items[w->next], w->from, fresh,
				   whole);

		if (end < 0)
			break;
		w->next++;
		w->from = (size_t)end;
		fresh = 0; /* the next one was not yet looked for */
		w->last_nr = w->nr;
	}
	if (w->next && w->last_nr == w->nr)
		expect_printable(w->last, sizeof(w->last), w->line, w->len);
}

static void end_line(struct expect_watch *w)
{
	w->len = 0;
	w->from = 0;
	w->nr++;
}

void expect_watch_feed(struct expect_watch *w, const char *data, size_t len)
{
	while (len) {
		size_t n = min_of(len, EXPECT_MAX_LINE - w->len);
		const char *newline = memchr(data, '\n', n);
		size_t fresh = w->len;
		bool whole;

		if (newline)
			n = (size_t)(newline - data);
		for (size_t i = 0; i < n; i++)
			if (data[i])
				w->line[w->len++] = data[i];
		whole = newline || w->len == EXPECT_MAX_LINE;
		look(w, fresh, whole);
		if (whole)
			end_line(w);
		n += newline ? 1 : 0;
		data += n;
		len -= n;
	}
}

void expect_watch_end(struct expect_watch *w)
{
	if (w->len) {
		look(w, w->len, true);
		end_line(w);
	}
}
