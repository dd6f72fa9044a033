/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/base/thread.c and iothread.c. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "suites.h"
#include "vmm/base/iothread.h"
#include "vmm/base/util.h"

#define FULL 0xfffffffffffffffeULL /* eventfd(2): no more fits */

static struct iothread thread;
static struct event_source source;
static int begun;

/* Rings somebody who does not want to be rung, and three times. */
static void on_ready(struct event_source *s, uint32_t events)
{
	(void)events;
	event_remove(&thread.loop, s);
	eventfd_write(begun, 1);
	for (unsigned int i = 0; i < 3; i++)
		eventfd_write(s->fd, 1);
}

/* A back end that has a queue's eventfd can make it wait for ever. */
START_TEST(ends_though_an_eventfd_keeps_it_waiting)
{
	eventfd_t n;

	begun = eventfd(0, EFD_CLOEXEC);
	source = (struct event_source){ eventfd(0, EFD_CLOEXEC), on_ready };
	ck_assert_int_eq(eventfd_write(source.fd, FULL), 0);
	ck_assert_int_eq(iothread_init(&thread), 0);
	ck_assert_int_eq(event_add(&thread.loop, &source, EPOLLIN), 0);
	ck_assert_int_eq(iothread_start(&thread, "waits"), 0);
	ck_assert_int_eq(eventfd_read(begun, &n), 0);
	iothread_stop(&thread);
	iothread_stop(&thread); /* twice is fine */
	ck_assert_int_eq(eventfd_read(source.fd, &n), 0);
	ck_assert_uint_eq(n, FULL);
	iothread_destroy(&thread);
	close(source.fd);
	close(begun);
}
END_TEST

Suite *thread_suite(void)
{
	Suite *s = suite_create("thread");
	TCase *tc = tcase_create("thread");

	tcase_add_test(tc, ends_though_an_eventfd_keeps_it_waiting);
	suite_add_tcase(s, tc);
	return s;
}
