/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a guest that reboots is started again.  A guest that cannot even
 * start would otherwise try for ever, and take a CPU for it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct restart_limit {
	uint64_t burst;       /* restarts ... */
	uint64_t interval_ms; /* ... within this time; 0: no limit */
	int64_t since_ms;     /* when the first of them was */
	uint64_t count;       /* zero to start with */
};

/*
 * May it be started once more, now?  Counts it if so.  The time begins with
 * a restart and, when it is over, anew with the next: systemd's start limit.
 */
bool restart_allowed(struct restart_limit *limit, int64_t now_ms);
