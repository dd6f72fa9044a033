/* SPDX-License-Identifier: Apache-2.0 */
/* What restart.h declares. */
#include "vmm/restart.h"

bool restart_allowed(struct restart_limit *l, int64_t now_ms)
{
	if (!l->count || (uint64_t)(now_ms - l->since_ms) >= l->interval_ms) {
		l->since_ms = now_ms;
		l->count = 0;
	}
	if (l->count >= l->burst)
		return false;
	l->count++;
	return true;
}
