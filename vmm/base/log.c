/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What log.h declares: one write() per line, so lines of threads never mix,
 * and none that waits for ever: who logs may hold a device's lock.
 */
#include "vmm/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/util.h"

enum { GUEST_LOG_FREE = 3, PATIENCE_MS = 1000 };

static _Atomic(enum log_level) level_max = LOG_WARN;
static atomic_int raw_terminal;

void log_set_level(enum log_level level)
{
	level_max = level;
}

enum log_level log_get_level(void)
{
	return level_max;
}

void log_set_raw(int raw)
{
	raw_terminal = raw;
}

/* A pipe that nobody reads is waited for once; then lines are lost. */
static bool stderr_ready(void)
{
	static atomic_bool stuck;
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	int n;

	do
		n = poll(&p, 1, stuck ? 0 : PATIENCE_MS);
	while (n < 0 && errno == EINTR);
	stuck = !n;
	return n;
}

static void vlog(enum log_level level, const char *tail, const char *fmt,
		 va_list ap)
{
	static const char *const names[] = { "", "warn: ", "", "debug: " };
	char line[768];
	size_t n, room = sizeof(line) - 2;

	n = (size_t)snprintf(line, room, "cvmm: %s", names[level]);
	vsnprintf(line + n, room - n, fmt, ap);
	n = strlen(line);
	snprintf(line + n, room - n, "%s", tail);
	n = strlen(line);
	if (raw_terminal)
		line[n++] = '\r';
	line[n++] = '\n';
	/* Nothing can be done about a broken stderr. */
	if (!stderr_ready() || write(STDERR_FILENO, line, n) < 0)
		return;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > level_max)
		return;
	va_start(ap, fmt);
	vlog(level, "", fmt, ap);
	va_end(ap);
}

void log_guest(struct guest_log *site, const char *fmt, ...)
{
	unsigned int n = atomic_fetch_add(&site->count, 1) + 1;
	char tail[32] = "";
	va_list ap;

	if (LOG_WARN > level_max || (n > GUEST_LOG_FREE && !is_pow2(n)))
		return;
	if (n > GUEST_LOG_FREE)
		snprintf(tail, sizeof(tail), " (%u times)", n);
	va_start(ap, fmt);
	vlog(LOG_WARN, tail, fmt, ap);
	va_end(ap);
}
