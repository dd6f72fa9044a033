/* SPDX-License-Identifier: Apache-2.0 */
/* How every thread of ours is started: a VM may have hundreds. */
#pragma once

#include <pthread.h>

/*
 * Starts run(arg) in a thread called name (for people; 15 characters show)
 * with a small stack.  It takes no signal but sig, which does nothing but
 * interrupt; the main thread handles the others.  -errno with text that says
 * what to do.
 */
int thread_start(pthread_t *thread, const char *name, int sig,
		 void *(*run)(void *arg), void *arg);

/*
 * Waits for the end of a thread that has been told to end, and interrupts with
 * sig, which it takes, whatever it waits for in the kernel: as often as that
 * is needed.
 */
void thread_end(pthread_t thread, int sig);
