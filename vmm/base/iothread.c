/* SPDX-License-Identifier: Apache-2.0 */
/* What iothread.h declares. */
#include "vmm/base/iothread.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/util.h"

#define IOTHREAD_STACK (128 * KIB)

static void *run(void *arg)
{
	struct iothread *t = arg;

	if (event_loop_run(&t->loop))
		log_err("%s", err_text());
	return NULL;
}

int iothread_init(struct iothread *t)
{
	*t = (struct iothread){ 0 };
	return event_loop_init(&t->loop);
}

int iothread_start(struct iothread *t, const char *name)
{
	pthread_attr_t attr;
	sigset_t all, old;
	char comm[16];
	int rc;

	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, IOTHREAD_STACK);
	rc = pthread_create(&t->thread, &attr, run, t);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_set(-rc, "%s: cannot start its thread: %s", name,
			       strerror(rc));
	t->started = true;
	snprintf(comm, sizeof(comm), "%s", name);
	pthread_setname_np(t->thread, comm);
	return 0;
}

void iothread_stop(struct iothread *t)
{
	if (!t->started)
		return;
	event_loop_stop(&t->loop);
	pthread_join(t->thread, NULL);
	t->started = false;
}

void iothread_destroy(struct iothread *t)
{
	iothread_stop(t);
	event_loop_destroy(&t->loop);
}
