/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test expects of a VM's output, and watching for it while it comes.
 * The output is hostile: any bytes, any amount, lines without end.
 */
#pragma once

#include <regex.h>
#include <stddef.h>
#include <stdint.h>

#define EXPECT_MAX_ITEMS 256
#define EXPECT_MAX_LINE (64 * 1024) /* a longer line counts as several */
#define EXPECT_MAX_REGEX 512
#define EXPECT_MAX_WEIGHT 2048 /* characters, with each repeat written out */
/* A regular expression sees no more of a line: matching may be quadratic. */
#define EXPECT_REGEX_SEES 4096

struct expect_item {
	unsigned int number;
	char *text; /* as in the file; of an input: the bytes to type */
	size_t len;
	regex_t *regex; /* NULL: text is a fixed string */
};

struct expect_list { /* sorted by number */
	struct expect_item *items;
	size_t count;
};

struct expect { /* [expect] */
	struct expect_list lines, never, inputs, messages;
	char *requires; /* paths without which there is no point; or NULL */
	char *dir;      /* what relative paths in requires are relative to */
	uint64_t status, timeout_ms;
};

/*
 * Adds or replaces line or never number ("1" to "9999"): a fixed string, or
 * after '~' a POSIX extended regular expression.  -EINVAL: what is wrong.
 */
int expect_add_pattern(struct expect_list *list, const char *number,
		       const char *text);

/* Adds or replaces input number, with \n \r \t \e \\ \xNN decoded. */
int expect_add_input(struct expect_list *list, const char *number,
		     const char *text);

/* Every input needs the line that it follows. */
int expect_check(const struct expect *expect);

const struct expect_item *expect_find(const struct expect_list *list,
				      unsigned int number);

void expect_destroy(struct expect *expect); /* twice is fine */

/*
 * Watches one stream of output.  Fixed strings are seen as soon as they have
 * come, also in a prompt; regular expressions are tried on whole lines.
 */
struct expect_watch {
	const struct expect_list *lines, *never; /* never may be NULL */
	size_t next;                             /* lines[next] is waited for */
	size_t from; /* ... in the current line from here on */
	char *line;  /* the current line so far, without NULs */
	size_t len;
	unsigned long nr;      /* of the current line, from 1 */
	unsigned long last_nr; /* line in which lines[next - 1] was */
	char last[160];        /* ... and what it said */
	const struct expect_item *broken; /* of never; set once */
	unsigned long broken_nr;
	char broken_line[160];
};

int expect_watch_init(struct expect_watch *w, const struct expect_list *lines,
		      const struct expect_list *never);
void expect_watch_feed(struct expect_watch *w, const char *data, size_t len);
void expect_watch_end(struct expect_watch *w);     /* the last line is whole */
void expect_watch_destroy(struct expect_watch *w); /* twice is fine */

/*
 * Copies text for people: no escape sequences, no control characters and
 * nothing but ASCII; cut to size - 1.  Returns out.
 */
char *expect_printable(char *out, size_t size, const char *text, size_t len);
