/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as console output, watched in two ways: all at once and in
 * pieces.  What is found must be the same.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/expect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const patterns[] = { "a",      "ab", "~^b+$", "aa",
					"~[0-9]", "b",  "~.*",   "c" };

static void watch(const struct expect *e, const char *data, size_t len,
		  size_t piece, struct expect_watch *w)
{
	if (expect_watch_init(w, &e->lines, &e->never))
		abort();
	for (size_t at = 0; at < len; at += piece) {
		expect_watch_feed(w, data + at,
				  len - at < piece ? len - at : piece);
		if (w->len >= EXPECT_MAX_LINE)
			abort();
	}
	expect_watch_end(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t piece = len ? data[0] % 16 + 1 : 1;
	struct expect e = { 0 };
	struct expect_watch a, b;
	char number[] = "1";

	for (; *number <= '8'; ++*number)
		if (expect_add_pattern(&e.lines, number,
				       patterns[*number - '1']))
			abort();
	if (expect_add_pattern(&e.never, "1", "no") ||
	    expect_add_pattern(&e.never, "2", "~^n"))
		abort();
	watch(&e, (const char *)data, len, len + 1, &a);
	watch(&e, (const char *)data, len, piece, &b);
	if (a.next != b.next || a.nr != b.nr || !a.broken != !b.broken ||
	    a.last_nr != b.last_nr || strcmp(a.last, b.last) != 0)
		abort();
	expect_watch_destroy(&a);
	expect_watch_destroy(&b);
	expect_destroy(&e);
	return 0;
}
