/* SPDX-License-Identifier: Apache-2.0 */
/* passt (https://passt.top) as a child: a network without privileges. */
#pragma once

#include <sys/types.h>

/*
 * Starts it.  Returns our end of its stream socket, and who it is: passt ends
 * when that end is closed, and with the calling thread.
 */
int passt_start(pid_t *child);

/* Ends it, if it has not, and forgets it. */
void passt_stop(pid_t child);
