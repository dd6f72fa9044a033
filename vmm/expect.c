/* SPDX-License-Identifier: Apache-2.0 */
/* What is expected, as [expect] has it: the parsing half of expect.h. */
#include "vmm/expect.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"

enum { MAX_NUMBER = 9999 };

static int parse_number(const char *text, unsigned int *number)
{
	const char *c = text;

	for (*number = 0; isdigit((unsigned char)*c) && *number <= MAX_NUMBER;
	     c++)
		*number = *number * 10 + (unsigned int)(*c - '0');
	if (c == text || *c || *text == '0' || *number > MAX_NUMBER)
		return err_set(-EINVAL, "'%.20s' is not a number from 1 to %d",
			       text, MAX_NUMBER);
	return 0;
}

static void destroy_item(struct expect_item *item)
{
	if (item->regex)
		regfree(item->regex);
	free(item->regex);
	free(item->text);
	*item = (struct expect_item){ 0 };
}

/* Owns what item holds from here on, also when it fails. */
static int add_item(struct expect_list *list, struct expect_item *item)
{
	struct expect_item *items = list->items;
	size_t at = 0;

	while (at < list->count && items[at].number < item->number)
		at++;
	if (at < list->count && items[at].number == item->number) {
		destroy_item(&items[at]);
		items[at] = *item;
		return 0;
	}
	if (list->count < EXPECT_MAX_ITEMS)
		items = realloc(items, (list->count + 1) * sizeof(*items));
	else
		items = NULL;
	if (!items) {
		destroy_item(item);
		return err_set(-E2BIG, "no room for more than %d",
			       EXPECT_MAX_ITEMS);
	}
	list->items = items;
	memmove(items + at + 1, items + at,
		(list->count - at) * sizeof(*items));
	items[at] = *item;
	list->count++;
	return 0;
}

/* The bracket expression, escape or character at c: what follows it. */
static const char *skip_atom(const char *c)
{
	const char *end = c + 1;

	if (*c == '\\' && c[1])
		return c + 2;
	if (*c != '[')
		return end;
	end += *end == '^';
	end = *end ? strchr(end + 1, ']') : NULL;
	return end ? end + 1 : c + strlen(c);
}

/*
 * How much regcomp() makes of a pattern, about: it copies what is repeated,
 * so a few characters can ask for all memory there is.
 */
static uint64_t weigh(const char **at, bool group)
{
	uint64_t sum = 0, last = 0;

	while (**at && !(group && **at == ')')) {
		const char *c = *at;
		char *end = NULL;
		uint64_t times = 2;

		*at = skip_atom(c);
		if (*c == '{') {
			times = strtoul(c + 1, &end, 10);
			if (*end == ',' && isdigit((unsigned char)end[1]))
				times = strtoul(end + 1, &end, 10);
			end += *end == ',';
			times = min_of(times, (uint64_t)EXPECT_MAX_WEIGHT) + 1;
			*at = end + (*end == '}');
		}
		if (*c == '+' || end) {
			sum += last * (times - 1);
			last *= times;
		} else {
			last = *c == '(' ? weigh(at, true) + 1 : 1;
			sum += last;
		}
		sum = min_of(sum, (uint64_t)EXPECT_MAX_WEIGHT + 1);
		last = min_of(last, (uint64_t)EXPECT_MAX_WEIGHT + 1);
	}
	*at += **at == ')';
	return sum;
}

static int compile(struct expect_item *item, const char *pattern)
{
	const char *at = pattern;
	char why[128];
	int rc;

	if (strlen(pattern) > EXPECT_MAX_REGEX)
		return err_set(-EINVAL,
			       "the regular expression is longer than %d",
			       EXPECT_MAX_REGEX);
	if (weigh(&at, false) > EXPECT_MAX_WEIGHT)
		return err_set(-EINVAL,
			       "'%.60s' repeats too much: use smaller numbers "
			       "in {}, and fewer of them in each other",
			       pattern);
	item->regex = malloc(sizeof(*item->regex));
	if (!item->regex)
		return err_set(-ENOMEM, "out of memory");
	rc = regcomp(item->regex, pattern, REG_EXTENDED);
	if (!rc)
		return 0;
	regerror(rc, item->regex, why, sizeof(why));
	free(item->regex);
	item->regex = NULL;
	return err_set(-EINVAL, "'%.60s' is not a regular expression: %s",
		       pattern, why);
}

int expect_add_pattern(struct expect_list *list, const char *number,
		       const char *text)
{
	struct expect_item item = { .len = strlen(text) };
	int rc = parse_number(number, &item.number);

	if (!rc && (!*text || !strcmp(text, "~")))
		rc = err_set(-EINVAL, "is empty: say what to look for");
	if (!rc && *text == '~')
		rc = compile(&item, text + 1);
	if (!rc) {
		item.text = strdup(text);
		if (!item.text)
			rc = err_set(-ENOMEM, "out of memory");
	}
	if (rc) {
		destroy_item(&item);
		return rc;
	}
	return add_item(list, &item);
}

static int hex(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The byte that the escape at *text (after '\') stands for; < 0: none. */
static int unescape(const char **text)
{
	static const char names[] = "nrte\\", bytes[] = "\n\r\t\x1b\\";
	const char *c = *text, *at = *c ? strchr(names, *c) : NULL;

	*text = c + 1;
	if (at)
		return bytes[at - names];
	if (*c != 'x' || hex(c[1]) < 0 || hex(c[2]) < 0)
		return -1;
	*text = c + 3;
	return hex(c[1]) * 16 + hex(c[2]);
}

int expect_add_input(struct expect_list *list, const char *number,
		     const char *text)
{
	struct expect_item item = { 0 };
	int rc = parse_number(number, &item.number);

	if (rc)
		return rc;
	item.text = malloc(strlen(text) + 1);
	if (!item.text)
		return err_set(-ENOMEM, "out of memory");
	while (*text) {
		const char *escape = text;
		int byte = (unsigned char)*text++;

		if (byte == '\\')
			byte = unescape(&text);
		if (byte < 0) {
			destroy_item(&item);
			return err_set(-EINVAL,
				       "'%.2s' is no escape: there are \\n "
				       "\\r \\t \\e \\\\ and \\xNN",
				       escape);
		}
		item.text[item.len++] = (char)byte;
	}
	return add_item(list, &item);
}

const struct expect_item *expect_find(const struct expect_list *list,
				      unsigned int number)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].number == number)
			return &list->items[i];
	return NULL;
}

int expect_check(const struct expect *expect)
{
	for (size_t i = 0; i < expect->inputs.count; i++) {
		unsigned int number = expect->inputs.items[i].number;

		if (!expect_find(&expect->lines, number))
			return err_set(-EINVAL,
				       "expect.type.%u: there is no "
				       "expect.line.%u to type it after",
				       number, number);
	}
	return 0;
}

static void destroy_list(struct expect_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		destroy_item(&list->items[i]);
	free(list->items);
	*list = (struct expect_list){ 0 };
}

void expect_destroy(struct expect *expect)
{
	destroy_list(&expect->lines);
	destroy_list(&expect->never);
	destroy_list(&expect->inputs);
	destroy_list(&expect->messages);
	free(expect->requires);
	free(expect->dir);
	*expect = (struct expect){ 0 };
}

char *expect_printable(char *out, size_t size, const char *text, size_t len)
{
	const char *end = text + len;
	size_t n = 0;

	while (text < end && n + 1 < size) {
		char c = *text++;

		/* ECMA-48 5.4: CSI parameters end with one of @ to ~. */
		if (c == '\x1b' && text < end && *text == '[') {
			do
				text++;
			while (text < end && (*text < '@' || *text > '~'));
			text += text < end;
			continue;
		}
		if (c == '\t')
			c = ' ';
		if (c != '\r')
			out[n++] = c >= ' ' && c <= '~' ? c : '?';
	}
	out[n] = '\0';
	return out;
}
