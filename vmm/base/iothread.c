/* SPDX-License-Identifier: Apache-2.0 */
/* What iothread.h declares. */
#include "vmm/base/iothread.h"

#include <signal.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"

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
	int rc = thread_start(&t->thread, name, SIGRTMIN, run, t);

	t->started = !rc;
	return rc;
}

void iothread_stop(struct iothread *t)
{
	if (!t->started)
		return;
	event_loop_stop(&t->loop);
	thread_end(t->thread, SIGRTMIN);
	t->started = false;
}

void iothread_destroy(struct iothread *t)
{
	iothread_stop(t);
	event_loop_destroy(&t->loop);
}
