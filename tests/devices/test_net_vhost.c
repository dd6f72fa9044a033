/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/net_vhost.c, and of devices/net.c with it. */
#include "devices/net_vhost.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net.h"
#include "devices/tap.h"
#include "suites.h"
#include "support/fake_driver.h"
#include "support/fake_vhost.h"
#include "vmm/base/log.h"

#define COMMON(f) offsetof(struct virtio_pci_common_cfg, f)
#define QUEUE_RESET 58 /* virtio 1.2, 4.1.4.3 */
#define BIT(n) (1ULL << (n))
enum { RX, TX, CONTROL };

static struct fake_vhost kernel;
static struct fake_driver *d;
static int ends[2]; /* the tap's, ours */

static void setup(void)
{
	log_set_level(LOG_ERR);
	fake_vhost_init(&kernel);
	kernel.features |= BIT(VIRTIO_NET_F_MRG_RXBUF);
	d = NULL;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
				    ends),
			 0);
}

static void teardown(void)
{
	if (d)
		fake_driver_free(d);
	close(ends[1]);
	ck_assert_uint_eq(kernel.misuse, 0);
}

static void start(void)
{
	struct net_params p = { .mac = { 2 },
				.vhost = true,
				.sys = &kernel.sys };

	ck_assert_int_eq(tap_from_fds(&p.host, ends, 1), 0);
	d = fake_driver_new(net_create, &p);
	fake_driver_start(d, ~0ULL, 64);
}

static void wait_for(unsigned int ring, int backend)
{
	for (unsigned int ms = 0;
	     ms < FAKE_WAIT_MS && kernel.rings[ring].backend != backend; ms++)
		fake_driver_interrupts(d, FAKE_CONFIG, 1);
	ck_assert_int_eq(kernel.rings[ring].backend, backend);
}

static void wait_until_served(void)
{
	wait_for(RX, ends[0]);
	wait_for(TX, ends[0]);
}

START_TEST(gives_the_kernel_the_tap_and_takes_it_back)
{
	start();
	for (unsigned int i = 0; i < 3; i++) {
		wait_until_served();
		fake_driver_reset(d);
		ck_assert_int_eq(kernel.rings[RX].backend, -1);
		ck_assert_int_eq(kernel.rings[TX].backend, -1);
		ck_assert_int_eq(kernel.rings[RX].kick, -1);
		fake_driver_start(d, ~0ULL, 64);
	}
	wait_until_served();
}
END_TEST

START_TEST(lets_the_kernel_hear_the_driver_and_the_driver_the_kernel)
{
	eventfd_t count;

	start();
	wait_until_served();
	for (unsigned int q = RX; q <= TX; q++) {
		/* One of ours: what came before, the core may have taken. */
		fake_driver_kick(d, q);
		usleep(20000); /* nobody else may take it */
		ck_assert_int_eq(eventfd_read(kernel.rings[q].kick, &count), 0);
		ck_assert_uint_eq(count, 2);
		eventfd_write(kernel.rings[q].call, 1);
		ck_assert_uint_eq(fake_driver_interrupts(d, q, 1000), 1);
	}
}
END_TEST

START_TEST(leaves_the_packets_of_the_tap_to_the_kernel)
{
	static const char packet[80];
	char got[80];

	start();
	wait_until_served();
	ck_assert_int_eq(send(ends[1], packet, sizeof(packet), 0), 80);
	usleep(20000);
	ck_assert_int_eq(recv(ends[0], got, sizeof(got), 0), 80);
}
END_TEST

START_TEST(answers_the_control_queue_itself)
{
	struct fake_buf bufs[2];
	const uint8_t command[4] = { VIRTIO_NET_CTRL_MQ, 0, 1, 0 };

	start();
	wait_until_served();
	bufs[0] = (struct fake_buf){ fake_alloc_data(&d->guest, command, 4), 4,
				     false };
	bufs[1] = (struct fake_buf){ fake_alloc(&d->guest, 1, 1), 1, true };
	ck_assert_uint_eq(fake_driver_request(d, CONTROL, bufs, 2), 1);
	/* There is one pair, and no MQ to set it with. */
	ck_assert_uint_eq(*(uint8_t *)fake_at(&d->guest, bufs[1].gpa),
			  VIRTIO_NET_ERR);
}
END_TEST

START_TEST(offers_what_tap_and_kernel_can_do_together)
{
	if (_i)
		kernel.features &= ~BIT(VIRTIO_NET_F_MRG_RXBUF);
	start();
	wait_until_served();
	ck_assert(d->features & BIT(VIRTIO_NET_F_CSUM));
	ck_assert(d->features & BIT(VIRTIO_NET_F_GUEST_TSO4));
	ck_assert(d->features & BIT(VIRTIO_NET_F_MAC));
	ck_assert_int_eq(d->features >> VIRTIO_NET_F_MRG_RXBUF & 1, !_i);
	/* The kernel is told what is its business. */
	ck_assert_uint_eq(kernel.acked,
			  kernel.features & ~BIT(VIRTIO_F_ACCESS_PLATFORM));
}
END_TEST

START_TEST(starts_and_stops_one_queue)
{
	unsigned int other = !_i;

	start();
	wait_until_served();
	fake_out(d, d->common + COMMON(queue_select), (uint64_t)_i, 2);
	fake_out(d, d->common + QUEUE_RESET, 1, 2);
	wait_for((unsigned int)_i, -1);
	ck_assert_int_eq(kernel.rings[other].backend, ends[0]);
	while (fake_in(d, d->common + QUEUE_RESET, 2))
		fake_driver_interrupts(d, FAKE_CONFIG, 1);
	fake_driver_queue(d, (unsigned int)_i, 16);
	wait_until_served();
	ck_assert_uint_eq(kernel.rings[_i].num, 16);
}
END_TEST

START_TEST(has_the_kernel_signal_the_vector_that_the_driver_moves_to)
{
	start();
	wait_until_served();
	fake_out(d, d->common + COMMON(queue_select), RX, 2);
	fake_out(d, d->common + COMMON(queue_msix_vector), CONTROL, 2);
	ck_assert_uint_eq(fake_driver_interrupts(d, CONTROL, 1000), 1);
	eventfd_write(kernel.rings[RX].call, 1);
	ck_assert_uint_eq(fake_driver_interrupts(d, CONTROL, 1000), 1);
}
END_TEST

START_TEST(breaks_when_the_kernel_finds_the_rules_broken)
{
	start();
	wait_until_served();
	eventfd_write(kernel.rings[TX].err, 1);
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	fake_driver_start(d, ~0ULL, 64);
	wait_until_served();
}
END_TEST

/* After the three calls of creation: 8 for each queue. */
START_TEST(breaks_when_any_call_to_start_it_fails)
{
	kernel.error_at = 4 + _i;
	kernel.error = -ENOMEM;
	start();
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	fake_driver_start(d, ~0ULL, 64);
	wait_until_served();
}
END_TEST

START_TEST(says_what_is_missing)
{
	struct net_params p = { .vhost = true, .sys = &kernel.sys };
	struct guest_mem mem = { 0 };
	struct iothread thread;
	struct virtio_host host = { "net", &mem, &thread };
	struct virtio *made = NULL;

	kernel.open_error = _i ? 0 : -ENOENT;
	kernel.error_at = _i;
	kernel.error = -ENOMEM;
	ck_assert_int_eq(iothread_init(&thread), 0);
	ck_assert_int_eq(tap_from_fds(&p.host, ends, 1), 0);
	ck_assert_int_eq(net_create(&host, &p, &made), _i ? -ENOMEM : -ENOENT);
	ck_assert_msg(strstr(err_text(), _i ? "/dev/vhost-net: Cannot allocate"
					    : "load the kernel module "
					      "vhost_net"),
		      "%s", err_text());
	iothread_destroy(&thread);
}
END_TEST

Suite *net_vhost_suite(void)
{
	Suite *s = suite_create("net_vhost");
	TCase *tc = tcase_create("net_vhost");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, gives_the_kernel_the_tap_and_takes_it_back);
	tcase_add_test(
		tc, lets_the_kernel_hear_the_driver_and_the_driver_the_kernel);
	tcase_add_test(tc, leaves_the_packets_of_the_tap_to_the_kernel);
	tcase_add_test(tc, answers_the_control_queue_itself);
	tcase_add_loop_test(tc, offers_what_tap_and_kernel_can_do_together, 0,
			    2);
	tcase_add_loop_test(tc, starts_and_stops_one_queue, 0, 2);
	tcase_add_test(
		tc, has_the_kernel_signal_the_vector_that_the_driver_moves_to);
	tcase_add_test(tc, breaks_when_the_kernel_finds_the_rules_broken);
	tcase_add_loop_test(tc, breaks_when_any_call_to_start_it_fails, 0, 16);
	tcase_add_loop_test(tc, says_what_is_missing, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}
