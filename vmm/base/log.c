/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What log.h declares.  Lines of threads never mix, and none waits for ever:
 * who logs may hold a device's lock.
 */
#include "vmm/base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/outlet.h"
#include "vmm/base/util.h"

enum { GUEST_LOG_FREE = 3, PATIENCE_MS = 1000 };
enum { LINE_LEN = 768, LINE_END = 2 }; /* \r\n; the 0 is vsnprintf()'s */

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

/* Writes all of it within so many ms.  false: nobody takes it. */
static bool put(const char *text, size_t len, int patience)
{
	int64_t left, end = util_now_ms() + patience;
	struct pollfd p = { .events = POLLOUT };
	struct outlet out;

	outlet_open(&out, STDERR_FILENO);
	p.fd = out.fd;
	for (left = 1; len && left > 0;) {
		ssize_t n = outlet_write(&out, text, len);

		if (n < 0 && n != -EAGAIN)
			break; /* nothing can be done about a broken stderr */
		if (n < 0) {
			left = end - util_now_ms();
			poll(&p, 1, (int)max_of(left, 0));
			continue;
		}
		text += n;
		len -= (size_t)n;
	}
	outlet_close(&out);
	return left > 0;
}

/* Names may have anything in them: neither another line nor an escape. */
static void make_one_line(char *line)
{
	for (; *line; line++)
		if ((unsigned char)*line < ' ' || *line == '\x7f')
			*line = '?';
}

/* Ends the line, for which there must be room, and writes it. */
static void put_line(char line[LINE_LEN])
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	static unsigned int lost;
	size_t n = strlen(line);
	char note[80];

	make_one_line(line);
	snprintf(line + n, LINE_LEN - n, raw_terminal ? "\r\n" : "\n");
	pthread_mutex_lock(&turn);
	snprintf(note, sizeof(note),
		 "cvmm: warn: %u lines lost: nobody read standard error%s\n",
		 lost, raw_terminal ? "\r" : "");
	if (lost && !put(note, strlen(note), 0))
		lost++;
	else if (put(line, strlen(line), PATIENCE_MS))
		lost = 0;
	else
		lost = 1;
	pthread_mutex_unlock(&turn);
}

static void vlog(enum log_level level, const char *tail, const char *fmt,
		 va_list ap)
{
	static const char *const names[] = { "", "warn: ", "", "debug: " };
	char line[LINE_LEN];
	size_t n, room = sizeof(line) - LINE_END;

	n = (size_t)snprintf(line, room, "cvmm: %s", names[level]);
	vsnprintf(line + n, room - n, fmt, ap);
	n = strlen(line);
	snprintf(line + n, room - n, "%s", tail);
	put_line(line);
}

void log_line(const char *fmt, ...)
{
	char line[LINE_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line) - LINE_END, fmt, ap);
	va_end(ap);
	put_line(line);
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
