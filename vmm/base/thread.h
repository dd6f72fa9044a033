/* SPDX-License-Identifier: Apache-2.0 */
/* How every thread of ours is started: a VM may have hundreds. */
#pragma once

#include <pthread.h>

/*
 * Starts run(arg) in a thread called name (for people; 15 characters show)
 * with a small stack.  It takes no signal but sig, 0: none at all; the main
 * thread handles them.  -errno with text that says what to do.
 */
int thread_start(pthread_t *thread, const char *name, int sig,
		 void *(*run)(void *arg), void *arg);
