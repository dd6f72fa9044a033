/* SPDX-License-Identifier: Apache-2.0 */
/* What thread.h declares. */
#include "vmm/base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"

/* Room for bus handlers and log lines; a default 8 MiB times 255 is waste. */
#define STACK (128 * KIB)

int thread_start(pthread_t *thread, const char *name, int sig,
		 void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t mask, old;
	char comm[16];
	int rc;

	rc = pthread_attr_init(&attr);
	if (rc)
		return err_set(-rc, "%s: its thread: %s", name, strerror(rc));
	pthread_attr_setstacksize(&attr, STACK);
	sigfillset(&mask);
	if (sig)
		sigdelset(&mask, sig);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	rc = pthread_create(thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return err_set(-rc, "%s: cannot start its thread: %s%s", name,
			       strerror(rc),
			       rc == EAGAIN ? ": raise the limit on processes "
					      "(ulimit -u, or pids.max of the "
					      "cgroup)"
					    : "");
	snprintf(comm, sizeof(comm), "%s", name);
	pthread_setname_np(*thread, comm);
	return 0;
}
