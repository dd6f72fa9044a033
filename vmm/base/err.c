/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text[512];

int err_set(int code, const char *fmt, ...)
{
	va_list ap;

	assert(code < 0);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return code;
}

/* The reason says more than the end of a long path. */
static void append(const char *s)
{
	static const char cut[] = "...: ";
	size_t used = strlen(text), n = strlen(s);

	if (used + n < sizeof(text)) {
		memcpy(text + used, s, n + 1);
		return;
	}
	if (n > sizeof(text) - sizeof(cut))
		n = sizeof(text) - sizeof(cut);
	used = sizeof(text) - 1 - n;
	memcpy(text + used + 1 - sizeof(cut), cut, sizeof(cut) - 1);
	memcpy(text + used, s, n);
	text[used + n] = '\0';
}

int err_in(int code, const char *fmt, ...)
{
	char inner[sizeof(text)];
	va_list ap;

	assert(code < 0);
	memcpy(inner, text, sizeof(inner));
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	append(": ");
	append(inner);
	return code;
}

const char *err_text(void)
{
	return text;
}
