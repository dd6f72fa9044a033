/* SPDX-License-Identifier: Apache-2.0 */
/* What thread.h declares. */
#include "vmm/base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"

/* Room for bus handlers and log lines; a default 8 MiB times 255 is waste. */
#define STACK (128 * KIB)

#define NS_PER_S 1000000000
#define PATIENCE_NS 100000000 /* with a thread that is to end */

static void on_signal(int sig)
{
	(void)sig; /* only interrupts what is waited for, as KVM_RUN */
}

int thread_start(pthread_t *thread, const char *name, int sig,
		 void *(*run)(void *arg), void *arg)
{
	const struct sigaction sa = { .sa_handler = on_signal };
	pthread_attr_t attr;
	sigset_t mask, old;
	char comm[16];
	int rc;

	rc = pthread_attr_init(&attr);
	if (rc)
		return err_set(-rc, "%s: its thread: %s", name, strerror(rc));
	pthread_attr_setstacksize(&attr, STACK);
	sigaction(sig, &sa, NULL);
	sigfillset(&mask);
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

void thread_end(pthread_t thread, int sig)
{
	struct timespec soon;

	for (;;) {
		clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_nsec += PATIENCE_NS;
		soon.tv_sec += soon.tv_nsec / NS_PER_S;
		soon.tv_nsec %= NS_PER_S;
		if (pthread_timedjoin_np(thread, NULL, &soon) != ETIMEDOUT)
			return;
		pthread_kill(thread, sig);
	}
}
