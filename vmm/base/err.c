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

static void append(const char *s)
{
	size_t used = strlen(text), n = strlen(s),
	       room = sizeof(text) - 1 - used;

	if (n > room)
		n = room;
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
