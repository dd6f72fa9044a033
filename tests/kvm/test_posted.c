/* SPDX-License-Identifier: Apache-2.0 */
/* Posted writes: their order, that none is lost, and that none waits long. */
#include "vmm/kvm/posted.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "suites.h"
#include "support/fake_kvm.h"
#include "support/fault_kvm.h"
#include "support/temp.h"
#include "vmm/base/err.h"

#define PORT 0x3f8
#define RING_LEN ((unsigned int)KVM_COALESCED_MMIO_MAX)
#define LOG_LEN 65536

static struct fake_kvm fake;
static struct kvm kvm;
static struct kvm_run *run;
static int vcpu;
static struct event_loop loop;
static pthread_t looper;
static struct bus bus;
static struct posted posted;

/* Written bytes as they are, other writes as '!', reads as '?'. */
static struct {
	struct bus_window window;
	char log[LOG_LEN];
	size_t len;
} device;
static unsigned int exits;

static void note(char c)
{
	ck_assert_uint_lt(device.len, LOG_LEN - 1);
	device.log[device.len++] = c;
	device.log[device.len] = '\0';
}

static void device_read(struct bus_window *w, uint64_t off, void *data,
			unsigned int len)
{
	(void)w;
	(void)off;
	memset(data, 0, len);
	note('?');
}

static void device_write(struct bus_window *w, uint64_t off, const void *data,
			 unsigned int len)
{
	char c = *(const char *)data;

	(void)w;
	note(off || len != 1 ? '!' : c);
}

static const struct bus_ops ops = { .read = device_read,
				    .write = device_write };

static void *run_loop(void *arg)
{
	event_loop_run(arg);
	return NULL;
}

static void set_up(void)
{
	fake_kvm_init(&fake);
	memset(&device, 0, sizeof(device));
	device.window = (struct bus_window){
		.name = "device", .base = PORT, .len = 8, .ops = &ops
	};
	bus = (struct bus){ 0 };
	posted = (struct posted){ 0 };
	exits = 0;
	ck_assert_int_eq(bus_add(&bus, &device.window), 0);
	ck_assert_int_eq(event_loop_init(&loop), 0);
	ck_assert_int_eq(kvm_open(&kvm, &fake.sys), 0);
	ck_assert_int_eq(kvm_create_vm(&kvm, KVM_X86_DEFAULT_VM), 0);
	vcpu = kvm_create_vcpu(&kvm, 0);
	run = kvm_map(&kvm, vcpu, kvm.run_size, "run area");
	ck_assert_ptr_nonnull(run);
}

static int init(void)
{
	return posted_init(&posted, &kvm, run, &loop, &device.window, PORT);
}

static void start(void)
{
	ck_assert_int_eq(init(), 0);
	ck_assert_ptr_nonnull(device.window.posted);
	ck_assert_int_eq(pthread_create(&looper, NULL, run_loop, &loop), 0);
}

static void stop(void)
{
	event_loop_stop(&loop);
	pthread_join(looper, NULL);
	posted_finish(&posted);
}

static void tear_down(void)
{
	posted_destroy(&posted);
	posted_destroy(&posted);
	event_loop_destroy(&loop);
	kvm_unmap(&kvm, run, kvm.run_size);
	kvm_close_fd(&kvm, vcpu);
	kvm_close(&kvm);
	ck_assert_int_eq(fake.open_fds, 0);
	ck_assert_int_eq(fake.misuse, 0);
}

/* What a guest does; only what exits comes to the bus. */
static bool out(char byte)
{
	if (fake_post(&fake, PORT, (uint8_t)byte))
		return false;
	__atomic_fetch_add(&exits, 1, __ATOMIC_RELAXED);
	bus_write(&bus, PORT, &byte, 1);
	return true;
}

static void out_other(uint16_t off)
{
	bus_write(&bus, PORT + off, "x", 1);
}

static void in(void)
{
	uint8_t value;

	bus_read(&bus, PORT + 5, &value, 1);
}

static bool log_is(const char *want)
{
	bool same;

	pthread_mutex_lock(&device.window.lock);
	same = !strcmp(device.log, want);
	pthread_mutex_unlock(&device.window.lock);
	return same;
}

static bool quiet(void)
{
	bool armed;

	pthread_mutex_lock(&device.window.lock);
	armed = posted.armed;
	pthread_mutex_unlock(&device.window.lock);
	return !armed;
}

/* Waits for it, at most 10 s. */
#define ck_assert_soon(condition)                               \
	do {                                                    \
		const struct timespec ms = { 0, 1000000 };      \
                                                                \
		for (int i = 0; i < 10000 && !(condition); i++) \
			nanosleep(&ms, NULL);                   \
		ck_assert(condition);                           \
	} while (0)

/* The loop does not run, so the ring stays as it is. */
START_TEST(the_device_sees_all_accesses_in_order)
{
	ck_assert_int_eq(init(), 0);
	ck_assert(out('a'));
	ck_assert(!out('b'));
	ck_assert(!out('c'));
	ck_assert_str_eq(device.log, "a");
	in();
	ck_assert_str_eq(device.log, "abc?");
	ck_assert(!out('d'));
	out_other(3);
	ck_assert_str_eq(device.log, "abc?d!");
	ck_assert(!out('e'));
	posted_finish(&posted);
	ck_assert_str_eq(device.log, "abc?d!e");
	in();
	ck_assert_str_eq(device.log, "abc?d!e?");
}
END_TEST

START_TEST(a_write_exits_after_a_rest)
{
	start();
	in();
	ck_assert(quiet());
	ck_assert(out('a')); /* reading opens nothing */
	ck_assert_soon(quiet());
	ck_assert(out('b'));
	ck_assert_soon(quiet());
	stop();
	ck_assert_str_eq(device.log, "?ab");
}
END_TEST

START_TEST(the_last_write_is_seen_without_another_exit)
{
	start();
	out('a');
	out('b');
	ck_assert_soon(log_is("ab"));
	ck_assert_soon(quiet());
	ck_assert(out('c'));
	stop();
}
END_TEST

/* KVM adds an entry though the ring is closed: it had looked before. */
static void slip_in(uint8_t byte)
{
	struct kvm_coalesced_mmio_ring *ring = fake.vm.ring;
	struct kvm_coalesced_mmio *e = &ring->coalesced_mmio[ring->last];

	*e = (struct kvm_coalesced_mmio){ .phys_addr = PORT, .len = 1 };
	e->pio = 1;
	e->data[0] = byte;
	ring->last = (ring->last + 1) % RING_LEN;
}

/* The timer's turn, without an event loop; false: it is not set. */
static bool fire(void)
{
	struct pollfd p = { .fd = posted.timer.fd, .events = POLLIN };

	if (!posted.armed || poll(&p, 1, 10000) != 1)
		return false;
	posted.timer.ready(&posted.timer, EPOLLIN);
	return true;
}

START_TEST(an_entry_that_comes_while_the_ring_closes_is_seen)
{
	ck_assert_int_eq(init(), 0);
	ck_assert(out('a'));
	ck_assert(fire());
	slip_in('b');
	ck_assert(fire());
	ck_assert_str_eq(device.log, "ab");
	slip_in('c');
	ck_assert(fire());
	ck_assert_str_eq(device.log, "abc");
	ck_assert(fire());
	ck_assert(!fire());
	ck_assert(out('d'));
}
END_TEST

START_TEST(a_full_ring_loses_nothing)
{
	char want[4 * RING_LEN + 1];

	ck_assert_int_eq(init(), 0);
	for (unsigned int i = 0; i < sizeof(want) - 1; i++) {
		want[i] = (char)('A' + i % 50);
		out(want[i]);
	}
	want[sizeof(want) - 1] = '\0';
	posted_finish(&posted);
	ck_assert_str_eq(device.log, want);
	/* The ring has one place less than entries; then one exits. */
	ck_assert_uint_eq(exits, sizeof(want) / RING_LEN);
}
END_TEST

/* One that slips in leaves room for as many as there are places. */
START_TEST(a_ring_without_any_free_place_is_not_empty)
{
	char want[2 * RING_LEN + 1];

	ck_assert_int_eq(init(), 0);
	memset(want, 'a', sizeof(want) - 1);
	want[sizeof(want) - 1] = '\0';
	ck_assert(out('a'));
	ck_assert(fire());
	slip_in('a');
	for (unsigned int i = 2; i <= RING_LEN; i++)
		ck_assert(!out('a'));
	ck_assert_str_eq(device.log, "a");
	for (unsigned int i = RING_LEN + 1; i < 2 * RING_LEN; i++)
		out('a');
	posted_finish(&posted);
	ck_assert_str_eq(device.log, want);
	posted_finish(&posted);
	ck_assert_str_eq(device.log, want);
}
END_TEST

/* Bytes of thread 0 and 1 have bit 6 clear and set. */
static void *guest(void *arg)
{
	int bit = arg ? 0x40 : 0;

	for (int i = 0; i < 20000; i++) {
		out((char)(bit | 0x80 | (i & 0x1f)));
		if (i % 1000 == 999)
			in();
	}
	return NULL;
}

START_TEST(two_vcpus_and_the_timer_keep_the_order)
{
	unsigned int next[2] = { 0, 0 };
	pthread_t other;

	start();
	ck_assert_int_eq(pthread_create(&other, NULL, guest, next), 0);
	guest(NULL);
	pthread_join(other, NULL);
	stop();
	for (size_t i = 0; i < device.len; i++) {
		unsigned int c = (uint8_t)device.log[i], who = c >> 6 & 1;

		if (c == '?')
			continue;
		ck_assert_uint_eq(c & 0x1f, next[who]++ & 0x1f);
	}
	ck_assert_uint_eq(next[0], 20000);
	ck_assert_uint_eq(next[1], 20000);
	ck_assert_uint_lt(exits, 40000);
}
END_TEST

static const struct kvm_coalesced_mmio strange[] = {
	{ .phys_addr = PORT, .len = 1, { .pio = 0 }, { 'x' } },
	{ .phys_addr = PORT + 1, .len = 1, { .pio = 1 }, { 'x' } },
	{ .phys_addr = PORT, .len = 2, { .pio = 1 }, { 'x' } },
	{ .phys_addr = PORT, .len = 0, { .pio = 1 }, { 'x' } },
	{ .phys_addr = PORT, .len = ~0U, { .pio = 1 }, { 'x' } },
};

START_TEST(believes_no_strange_entry)
{
	struct kvm_coalesced_mmio_ring *ring;

	ck_assert_int_eq(init(), 0);
	ring = fake.vm.ring;
	memcpy(ring->coalesced_mmio, strange, sizeof(strange));
	ring->last = ARRAY_SIZE(strange);
	bus_write(&bus, PORT, "a", 1);
	ck_assert_str_eq(device.log, "a");
	ring->last = RING_LEN;
	out('b');
	in();
	ring->last = ~0U;
	out('c');
	ck_assert_str_eq(device.log, "ab?c");
}
END_TEST

/* No such capability, or no ring in the run area. */
START_TEST(posts_nothing_where_kvm_cannot)
{
	fake_kvm_set_cap(&fake, KVM_CAP_COALESCED_PIO, _i != 0);
	if (_i == 1)
		fake_kvm_set_cap(&fake, KVM_CAP_COALESCED_MMIO, 0);
	if (_i == 2)
		fake_kvm_set_cap(&fake, KVM_CAP_COALESCED_MMIO, 3);
	ck_assert_int_eq(init(), 0);
	ck_assert_uint_eq(fake.vm.zone.size, 0);
	ck_assert(out('a'));
	ck_assert(out('b'));
	posted_finish(&posted);
	ck_assert_str_eq(device.log, "ab");
}
END_TEST

START_TEST(leaves_nothing_when_kvm_refuses)
{
	int fds = count_entries("/proc/self/fd"), rc = -1;
	unsigned int n;

	for (n = 1; rc; n++) {
		struct fault_kvm fault;

		fault_kvm_init(&fault, &fake.sys, n, -ENOMEM);
		kvm.sys = &fault.sys;
		rc = init();
		kvm.sys = &fake.sys;
		ck_assert(rc == -ENOMEM || n > 3);
		if (!rc)
			break;
		ck_assert_ptr_null(device.window.posted);
		ck_assert_int_eq(count_entries("/proc/self/fd"), fds);
		ck_assert(out('a'));
	}
	ck_assert_uint_eq(n, 4);
}
END_TEST

Suite *posted_suite(void)
{
	Suite *s = suite_create("posted");
	TCase *tc = tcase_create("posted");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, the_device_sees_all_accesses_in_order);
	tcase_add_test(tc, a_write_exits_after_a_rest);
	tcase_add_test(tc, the_last_write_is_seen_without_another_exit);
	tcase_add_test(tc, an_entry_that_comes_while_the_ring_closes_is_seen);
	tcase_add_test(tc, a_full_ring_loses_nothing);
	tcase_add_test(tc, a_ring_without_any_free_place_is_not_empty);
	tcase_add_test(tc, two_vcpus_and_the_timer_keep_the_order);
	tcase_add_test(tc, believes_no_strange_entry);
	tcase_add_loop_test(tc, posts_nothing_where_kvm_cannot, 0, 3);
	tcase_add_test(tc, leaves_nothing_when_kvm_refuses);
	suite_add_tcase(s, tc);
	return s;
}
