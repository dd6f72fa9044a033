/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/net.c: what a driver and a host do that keep the rules. */
#include "devices/net.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suites.h"
#include "support/net_rig.h"

#define RX0 0
#define TX0 1
#define MERGE (1ULL << VIRTIO_NET_F_MRG_RXBUF)
#define ALL (~0ULL)
#define HDR NET_HEADER_LEN

static struct net_rig r;
static struct fake_driver *d;
static uint8_t sent[NET_PACKET_MAX], got[NET_PACKET_MAX];

static void setup(void)
{
	net_rig_make(&r, 2);
	d = r.driver;
	net_rig_start(&r, ALL);
}

static void teardown(void)
{
	net_rig_free(&r);
}

static uint16_t num_buffers(gpa_t gpa)
{
	const struct virtio_net_hdr_v1 *hdr = fake_at(&d->guest, gpa);

	return hdr->num_buffers;
}

START_TEST(shows_the_driver_what_it_is)
{
	const uint8_t mac[] = { 2, 1, 2, 3, 4, 5 };

	ck_assert_uint_eq(fake_config_in(d, 2, 2), 0x1040 + VIRTIO_ID_NET);
	ck_assert_uint_eq(d->nr_queues, 5);
	for (unsigned int i = 0; i < sizeof(mac); i++)
		ck_assert_uint_eq(fake_in(d, d->device + i, 1), mac[i]);
	ck_assert_uint_eq(fake_in(d, d->device + 6, 2), VIRTIO_NET_S_LINK_UP);
	ck_assert_uint_eq(fake_in(d, d->device + 8, 2), 2);
	ck_assert_uint_eq(fake_in(d, d->device + 10, 2), 1400);
}
END_TEST

/* Where the driver cuts a packet of 100 bytes is its own affair. */
static const unsigned int cuts[][3] = {
	{ 100 }, { 12, 88 }, { 5, 95 }, { 11, 2, 87 }, { 1, 1, 98 }, { 99, 1 },
};

START_TEST(sends_a_packet_wherever_the_driver_cuts_it)
{
	struct fake_buf bufs[3];
	unsigned int nr = 0, off = 0;
	uint32_t head;
	gpa_t gpa;

	net_rig_packet(sent, 100, 1);
	gpa = fake_alloc_data(&d->guest, sent, 100);
	for (; nr < 3 && cuts[_i][nr]; off += cuts[_i][nr++])
		bufs[nr] = (struct fake_buf){ gpa + off, cuts[_i][nr], false };
	net_rig_add(&r, TX0, bufs, nr);
	ck_assert_uint_eq(net_rig_take(&r, 0, got, sizeof(got)), 100);
	ck_assert_mem_eq(got, sent, 100);
	ck_assert_uint_eq(fake_driver_used(d, TX0, &head), 0);
	ck_assert_uint_ge(fake_driver_interrupts(d, TX0, FAKE_WAIT_MS), 1);
}
END_TEST

START_TEST(passes_on_a_header_that_was_agreed_on)
{
	struct virtio_net_hdr_v1 hdr = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM | 0x80,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1460,
		.csum_start = 34,
		.csum_offset = 16,
		.num_buffers = 77,
	};

	net_rig_packet(sent, 3000, 1);
	memcpy(sent, &hdr, sizeof(hdr));
	net_rig_send(&r, TX0, sent, 3000);
	ck_assert_uint_eq(net_rig_take(&r, 0, got, sizeof(got)), 3000);
	hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM; /* 5.1.6.2.2 */
	hdr.num_buffers = 0;
	memcpy(sent, &hdr, sizeof(hdr));
	ck_assert_mem_eq(got, sent, 3000);
}
END_TEST

START_TEST(receives_into_a_buffer)
{
	gpa_t gpa = net_rig_post(&r, RX0, 1526);
	uint32_t head;

	net_rig_packet(sent, 90, 7);
	net_rig_bring(&r, 0, sent, 90);
	ck_assert_uint_eq(fake_driver_used(d, RX0, &head), 90);
	ck_assert_uint_eq(num_buffers(gpa), 1);
	ck_assert_mem_eq((uint8_t *)fake_at(&d->guest, gpa) + HDR, sent + HDR,
			 90 - HDR);
	ck_assert_uint_ge(fake_driver_interrupts(d, RX0, FAKE_WAIT_MS), 1);
}
END_TEST

/* Lengths of the used entries of a packet; its bytes are compared. */
static void expect_merged(const gpa_t *gpa, const uint32_t *room,
			  unsigned int nr, size_t len)
{
	size_t done = 0;
	uint32_t head;

	for (unsigned int i = 0; i < nr; i++) {
		size_t n = min_of(room[i], len - done);

		ck_assert_uint_eq(fake_driver_used(d, RX0, &head), n);
		memcpy(got + done, fake_at(&d->guest, gpa[i]), n);
		done += n;
	}
	ck_assert_uint_eq(done, len);
	ck_assert_uint_eq(num_buffers(gpa[0]), nr);
	ck_assert_mem_eq(got + HDR, sent + HDR, len - HDR);
}

START_TEST(spreads_a_packet_over_as_many_buffers_as_it_takes)
{
	const uint32_t room[] = { 100, 12, 300 };
	gpa_t gpa[3];

	for (unsigned int i = 0; i < 3; i++)
		gpa[i] = net_rig_post(&r, RX0, room[i]);
	net_rig_packet(sent, 212, 3);
	net_rig_bring(&r, 0, sent, 212);
	expect_merged(gpa, room, 3, 212);
}
END_TEST

START_TEST(keeps_a_packet_until_there_are_buffers_for_all_of_it)
{
	const uint32_t room[] = { 40, 40, 1000 };
	uint32_t head, len;
	gpa_t gpa[3];

	gpa[0] = net_rig_post(&r, RX0, room[0]);
	net_rig_packet(sent, 900, 3);
	net_rig_bring(&r, 0, sent, 900);
	gpa[1] = net_rig_post(&r, RX0, room[1]);
	ck_assert(net_rig_quiet(&r, 0));
	ck_assert(!fake_queue_used(&d->queues[RX0], &head, &len));
	gpa[2] = net_rig_post(&r, RX0, room[2]);
	expect_merged(gpa, room, 3, 900);
}
END_TEST

START_TEST(receives_what_came_before_the_buffers_did)
{
	uint32_t head;

	net_rig_packet(sent, 60, 5);
	for (unsigned int i = 0; i < 20; i++)
		net_rig_bring(&r, 0, sent, 60 + i);
	for (unsigned int i = 0; i < 20; i++) {
		net_rig_post(&r, RX0, 128);
		ck_assert_uint_eq(fake_driver_used(d, RX0, &head), 60 + i);
	}
}
END_TEST

START_TEST(drops_a_packet_that_all_buffers_together_cannot_hold)
{
	uint32_t head;

	for (unsigned int i = 0; i < NET_RIG_SIZE; i++)
		net_rig_post(&r, RX0, 20);
	net_rig_packet(sent, 400, 5);
	net_rig_bring(&r, 0, sent, 400);
	net_rig_packet(sent, 40, 6);
	net_rig_bring(&r, 0, sent, 40);
	ck_assert_uint_eq(fake_driver_used(d, RX0, &head), 20);
	ck_assert_uint_eq(fake_driver_used(d, RX0, &head), 20);
}
END_TEST

START_TEST(drops_what_one_buffer_cannot_hold_when_they_are_not_merged)
{
	uint32_t head;

	net_rig_start(&r, ALL & ~MERGE);
	net_rig_post(&r, RX0, 100);
	net_rig_post(&r, RX0, 100);
	net_rig_packet(sent, 101, 5);
	net_rig_bring(&r, 0, sent, 101);
	net_rig_bring(&r, 0, sent, 99);
	net_rig_bring(&r, 0, sent, 100);
	ck_assert_uint_eq(fake_driver_used(d, RX0, &head), 99);
	ck_assert_uint_eq(fake_driver_used(d, RX0, &head), 100);
}
END_TEST

START_TEST(tells_nothing_of_offloads_to_who_knows_none)
{
	gpa_t gpa;
	uint32_t head;

	net_rig_start(&r, ALL & ~(1ULL << VIRTIO_NET_F_GUEST_CSUM));
	gpa = net_rig_post(&r, RX0, 100);
	net_rig_packet(sent, 60, 5);
	sent[0] = VIRTIO_NET_HDR_F_DATA_VALID;
	net_rig_bring(&r, 0, sent, 60);
	ck_assert_uint_eq(fake_driver_used(d, RX0, &head), 60);
	ck_assert_uint_eq(*(uint8_t *)fake_at(&d->guest, gpa), 0);
}
END_TEST

START_TEST(drops_what_came_for_the_driver_before)
{
	uint32_t head;

	net_rig_packet(sent, 60, 5);
	for (unsigned int i = 0; i < 20; i++)
		net_rig_bring(&r, 0, sent, 60);
	net_rig_start(&r, ALL);
	net_rig_post(&r, RX0, 100);
	net_rig_bring(&r, 0, sent, 62);
	ck_assert_uint_eq(fake_driver_used(d, RX0, &head), 62);
}
END_TEST

START_TEST(waits_for_a_host_that_takes_nothing_and_receives_meanwhile)
{
	const size_t len = 30000;
	unsigned int taken = 0;
	uint32_t head, n;

	for (unsigned int i = 0; i < NET_RIG_SIZE; i++) {
		net_rig_packet(sent, len, (uint8_t)i);
		net_rig_send(&r, TX0, sent, len);
	}
	while (taken < NET_RIG_SIZE) { /* until it is stuck */
		net_rig_post(&r, RX0, 100);
		net_rig_bring(&r, 0, sent, 60);
		ck_assert_uint_eq(fake_driver_used(d, RX0, &head), 60);
		if (!fake_queue_used(&d->queues[TX0], &head, &n))
			break;
		taken++;
	}
	ck_assert_uint_lt(taken, NET_RIG_SIZE);
	for (unsigned int i = 0; i < NET_RIG_SIZE; i++) {
		net_rig_packet(sent, len, (uint8_t)i);
		ck_assert_uint_eq(net_rig_take(&r, 0, got, sizeof(got)), len);
		ck_assert_mem_eq(got, sent, len);
	}
	for (; taken < NET_RIG_SIZE; taken++)
		fake_driver_used(d, TX0, &head);
}
END_TEST

START_TEST(lets_neither_direction_wait_for_the_other)
{
	unsigned int rx = 0, tx = 0;
	struct fake_buf in, out;
	uint32_t head, len;

	in = (struct fake_buf){ fake_alloc(&d->guest, 100, 1), 100, true };
	net_rig_packet(sent, 60, 5);
	out = (struct fake_buf){ fake_alloc_data(&d->guest, sent, 60), 60,
				 false };
	for (unsigned int i = 0; i < NET_RIG_SIZE; i++) {
		fake_queue_add(&d->queues[RX0], &in, 1);
		fake_queue_add(&d->queues[TX0], &out, 1);
	}
	fake_driver_kick(d, RX0);
	fake_driver_kick(d, TX0);
	while (rx < 2000 || tx < 2000) { /* full queues, all the time */
		while (write(r.host[0], sent, 60) > 0)
			;
		while (read(r.host[0], got, sizeof(got)) > 0)
			;
		for (; fake_queue_used(&d->queues[RX0], &head, &len); rx++)
			net_rig_add(&r, RX0, &in, 1);
		for (; fake_queue_used(&d->queues[TX0], &head, &len); tx++)
			net_rig_add(&r, TX0, &out, 1);
	}
	ck_assert_uint_lt(rx, 200000);
}
END_TEST

START_TEST(takes_the_link_down_when_the_host_is_gone)
{
	uint32_t head;

	net_rig_post(&r, RX0, 100);
	close(r.host[0]);
	r.host[0] = -1;
	ck_assert_uint_ge(fake_driver_interrupts(d, FAKE_CONFIG, FAKE_WAIT_MS),
			  1);
	ck_assert_uint_eq(fake_in(d, d->device + 6, 2), 0);
	net_rig_packet(sent, 60, 5);
	for (unsigned int i = 0; i < 3 * NET_RIG_SIZE; i++) {
		net_rig_send(&r, TX0, sent, 60);
		fake_driver_used(d, TX0, &head);
	}
	/* A new driver is no reason to look again. */
	net_rig_start(&r, ALL);
	net_rig_send(&r, TX0, sent, 60);
	fake_driver_used(d, TX0, &head);
}
END_TEST

START_TEST(starts_anew_at_any_moment)
{
	const size_t before = (size_t)d->guest.next;
	uint32_t head;

	net_rig_packet(sent, 60, 5);
	for (unsigned int i = 0; i < 200; i++) {
		for (unsigned int j = 0; j < i % 5; j++) {
			net_rig_post(&r, RX0, 30);
			net_rig_send(&r, TX0, sent, 60);
			net_rig_bring(&r, 0, sent, 60);
		}
		fake_driver_reset(d);
		d->guest.next = before;
		memset(fake_at(&d->guest, before), 0, 64 * KIB);
		net_rig_start(&r, i % 2 ? ALL : ALL & ~MERGE);
		while (read(r.host[0], got, sizeof(got)) > 0)
			;
	}
	net_rig_send(&r, TX0, sent, 60);
	fake_driver_used(d, TX0, &head);
}
END_TEST

Suite *net_suite(void)
{
	Suite *s = suite_create("net");
	TCase *tc = tcase_create("net");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, shows_the_driver_what_it_is);
	tcase_add_loop_test(tc, sends_a_packet_wherever_the_driver_cuts_it, 0,
			    ARRAY_SIZE(cuts));
	tcase_add_test(tc, passes_on_a_header_that_was_agreed_on);
	tcase_add_test(tc, receives_into_a_buffer);
	tcase_add_test(tc, spreads_a_packet_over_as_many_buffers_as_it_takes);
	tcase_add_test(tc,
		       keeps_a_packet_until_there_are_buffers_for_all_of_it);
	tcase_add_test(tc, receives_what_came_before_the_buffers_did);
	tcase_add_test(tc,
		       drops_a_packet_that_all_buffers_together_cannot_hold);
	tcase_add_test(
		tc, drops_what_one_buffer_cannot_hold_when_they_are_not_merged);
	tcase_add_test(tc, tells_nothing_of_offloads_to_who_knows_none);
	tcase_add_test(tc, drops_what_came_for_the_driver_before);
	tcase_add_test(
		tc, waits_for_a_host_that_takes_nothing_and_receives_meanwhile);
	tcase_add_test(tc, lets_neither_direction_wait_for_the_other);
	tcase_add_test(tc, takes_the_link_down_when_the_host_is_gone);
	tcase_add_test(tc, starts_anew_at_any_moment);
	suite_add_tcase(s, tc);
	return s;
}
