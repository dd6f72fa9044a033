/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/base/event.c. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "suites.h"
#include "vmm/base/event.h"
#include "vmm/base/util.h"

struct counter {
	struct event_source source;
	struct event_loop *loop;
	struct counter *victim; /* removed when this one fires */
	int fired, stop_after;
	uint32_t events;
};

static void on_ready(struct event_source *s, uint32_t events)
{
	struct counter *c = container_of(s, struct counter, source);

	c->fired++;
	c->events = events;
	if (c->victim)
		event_remove(c->loop, &c->victim->source);
	if (c->fired == c->stop_after)
		event_loop_stop(c->loop);
}

static void counter_init(struct counter *c, struct event_loop *loop)
{
	*c = (struct counter){
		.source = { eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), on_ready },
		.loop = loop,
	};
	ck_assert_int_ge(c->source.fd, 0);
}

static void *stop_later(void *loop)
{
	usleep(20000);
	event_loop_stop(loop);
	return NULL;
}

START_TEST(dispatches_until_stopped_from_a_callback)
{
	struct event_loop loop;
	struct counter c;

	ck_assert_int_eq(event_loop_init(&loop), 0);
	counter_init(&c, &loop);
	c.stop_after = 3;
	ck_assert_int_eq(event_add(&loop, &c.source, EPOLLIN), 0);
	eventfd_write(c.source.fd, 1); /* never read: stays ready */
	ck_assert_int_eq(event_loop_run(&loop), 0);
	ck_assert_int_eq(c.fired, 3);
	ck_assert_uint_eq(c.events, EPOLLIN);
	close(c.source.fd);
	event_loop_destroy(&loop);
	event_loop_destroy(&loop);
}
END_TEST

START_TEST(another_thread_stops_an_idle_loop)
{
	struct event_loop loop;
	pthread_t thread;

	ck_assert_int_eq(event_loop_init(&loop), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, stop_later, &loop), 0);
	ck_assert_int_eq(event_loop_run(&loop), 0);
	pthread_join(thread, NULL);
	/* A stop before the run is not forgotten. */
	ck_assert_int_eq(event_loop_run(&loop), 0);
	event_loop_destroy(&loop);
}
END_TEST

static void *make_ready(void *counter)
{
	struct counter *c = counter;

	usleep(20000);
	eventfd_write(c->source.fd, 1);
	ck_assert_int_eq(event_add(c->loop, &c->source, EPOLLIN), 0);
	return NULL;
}

START_TEST(another_thread_adds_a_source_to_a_waiting_loop)
{
	struct event_loop loop;
	struct counter c;
	pthread_t thread;

	ck_assert_int_eq(event_loop_init(&loop), 0);
	counter_init(&c, &loop);
	c.stop_after = 1;
	ck_assert_int_eq(pthread_create(&thread, NULL, make_ready, &c), 0);
	ck_assert_int_eq(event_loop_run(&loop), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(c.fired, 1);
	close(c.source.fd);
	event_loop_destroy(&loop);
}
END_TEST

START_TEST(modify_changes_what_is_waited_for)
{
	struct event_loop loop;
	struct counter c;

	ck_assert_int_eq(event_loop_init(&loop), 0);
	counter_init(&c, &loop);
	c.stop_after = 1;
	ck_assert_int_eq(event_modify(&loop, &c.source, EPOLLIN), -ENOENT);
	ck_assert_int_eq(event_add(&loop, &c.source, EPOLLIN), 0);
	ck_assert_int_eq(event_add(&loop, &c.source, EPOLLIN), -EEXIST);
	/* Nothing to read, but room to write. */
	ck_assert_int_eq(event_modify(&loop, &c.source, EPOLLOUT), 0);
	ck_assert_int_eq(event_loop_run(&loop), 0);
	ck_assert_uint_eq(c.events, EPOLLOUT);
	close(c.source.fd);
	event_loop_destroy(&loop);
}
END_TEST

START_TEST(callback_may_remove_a_source_that_is_ready)
{
	struct event_loop loop;
	struct counter a, b;

	ck_assert_int_eq(event_loop_init(&loop), 0);
	counter_init(&a, &loop);
	counter_init(&b, &loop);
	a.victim = &b;
	b.victim = &a;
	a.stop_after = b.stop_after = 5;
	ck_assert_int_eq(event_add(&loop, &a.source, EPOLLIN), 0);
	ck_assert_int_eq(event_add(&loop, &b.source, EPOLLIN), 0);
	eventfd_write(a.source.fd, 1);
	eventfd_write(b.source.fd, 1);
	ck_assert_int_eq(event_loop_run(&loop), 0);
	/* Whichever came first silenced the other. */
	ck_assert_int_eq(a.fired + b.fired, 5);
	ck_assert_int_eq(a.fired * b.fired, 0);
	close(a.source.fd);
	close(b.source.fd);
	event_loop_destroy(&loop);
}
END_TEST

START_TEST(says_which_fds_cannot_be_watched)
{
	struct event_source file = { -1, on_ready };
	struct event_source bad = { -1, on_ready };
	struct event_loop loop;

	file.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(event_loop_init(&loop), 0);
	ck_assert_int_eq(event_add(&loop, &file, EPOLLIN), -EPERM);
	ck_assert_int_eq(event_add(&loop, &bad, EPOLLIN), -EBADF);
	event_remove(&loop, &bad);
	close(file.fd);
	event_loop_destroy(&loop);
}
END_TEST

Suite *event_suite(void)
{
	Suite *s = suite_create("event");
	TCase *tc = tcase_create("event");

	tcase_add_test(tc, dispatches_until_stopped_from_a_callback);
	tcase_add_test(tc, another_thread_stops_an_idle_loop);
	tcase_add_test(tc, another_thread_adds_a_source_to_a_waiting_loop);
	tcase_add_test(tc, modify_changes_what_is_waited_for);
	tcase_add_test(tc, callback_may_remove_a_source_that_is_ready);
	tcase_add_test(tc, says_which_fds_cannot_be_watched);
	suite_add_tcase(s, tc);
	return s;
}
