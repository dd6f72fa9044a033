/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the person who runs the VM: one line each on stderr, prefixed
 * "cvmm: ".  The guest's console is stdout and nothing else goes there.
 * Never log guest memory, keys or secrets.  A line that stderr does not take
 * within a second is dropped, and then each that it does not take at once;
 * how many is said when it takes lines again.
 */
#pragma once

#include <stdatomic.h>

#include "vmm/base/err.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Messages above this level are dropped.  Default LOG_WARN. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/*
 * While the terminal is raw a line must end in CR LF; terminal.c says so.
 * Safe to call from any thread.
 */
void log_set_raw(int raw);

void log_at(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
#define log_err(...) log_at(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* A line that is no message: without the prefix, at any level. */
void log_line(const char *fmt, ...) PRINTF(1, 2);

/*
 * For whatever a guest can cause: the first few are printed as warnings, then
 * every power of two with the count.  One static struct guest_log a call site.
 */
struct guest_log {
	atomic_uint count;
};
void log_guest(struct guest_log *site, const char *fmt, ...) PRINTF(2, 3);
