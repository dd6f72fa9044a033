/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of devices/net.c: drivers that break the rules; the control queue. */
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net.h"
#include "suites.h"
#include "support/net_rig.h"

#define CTRL 4 /* behind two pairs */
#define ALL (~0ULL)
#define BIT(n) (1ULL << (n))
#define HDR NET_HEADER_LEN

static struct net_rig r;
static struct fake_driver *d;
static uint8_t sent[NET_PACKET_MAX + 64], got[NET_PACKET_MAX];

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

static const struct {
	const char *what;
	unsigned int queue, nr;
	struct fake_buf bufs[2]; /* gpa: 0, it is allocated */
} broken[] = {
	{ "a header cut short", 1, 1, { { 0, 11, false } } },
	{ "a packet the device is to write", 1, 1, { { 0, 100, true } } },
	{ "a packet with room behind it",
	  1,
	  2,
	  { { 0, 100, false }, { 0, 8, true } } },
	{ "a buffer smaller than a header", 0, 1, { { 0, 11, true } } },
	{ "a buffer nobody may write", 0, 1, { { 0, 2000, false } } },
	{ "a buffer with something before it",
	  0,
	  2,
	  { { 0, 12, false }, { 0, 2000, true } } },
	{ "a command without room for the answer",
	  CTRL,
	  1,
	  { { 0, 4, false } } },
	{ "an answer without a command", CTRL, 1, { { 0, 1, true } } },
	{ "the same on the second pair", 3, 1, { { 0, 11, false } } },
};

START_TEST(stops_at_a_driver_that_breaks_the_rules)
{
	struct fake_buf bufs[2];
	uint32_t head;

	for (unsigned int i = 0; i < broken[_i].nr; i++) {
		bufs[i] = broken[_i].bufs[i];
		bufs[i].gpa = fake_alloc(&d->guest, bufs[i].len, 1);
	}
	if (broken[_i].queue == 3) { /* make it used at all */
		const uint8_t two[] = { VIRTIO_NET_CTRL_MQ, 0, 2, 0 };
		struct fake_buf command[] = {
			{ fake_alloc_data(&d->guest, two, 4), 4, false },
			{ fake_alloc(&d->guest, 1, 1), 1, true },
		};

		fake_driver_request(d, CTRL, command, 2);
	}
	net_rig_add(&r, broken[_i].queue, bufs, broken[_i].nr);
	fake_driver_wait_status(d, VIRTIO_CONFIG_S_NEEDS_RESET, true);
	ck_assert(net_rig_quiet(&r, 0));
	/* And only it: the next driver finds a working device. */
	net_rig_start(&r, ALL);
	net_rig_packet(sent, 60, 1);
	net_rig_send(&r, 1, sent, 60);
	ck_assert_uint_eq(net_rig_take(&r, 0, got, sizeof(got)), 60);
	net_rig_post(&r, 0, 100);
	net_rig_bring(&r, 0, sent, 60);
	ck_assert_uint_eq(fake_driver_used(d, 0, &head), 60);
}
END_TEST

#define CSUM VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TSO4 VIRTIO_NET_HDR_GSO_TCPV4
#define TSO6 VIRTIO_NET_HDR_GSO_TCPV6
#define ECN VIRTIO_NET_HDR_GSO_ECN
static const struct {
	uint64_t without; /* features the driver has not taken */
	uint8_t flags, gso_type;
	size_t len;
} lost[] = {
	{ 0, 0, 0, HDR },
	{ 0, 0, 0, HDR + 13 },
	{ 0, 0, 0, NET_PACKET_MAX + 1 },
	{ BIT(VIRTIO_NET_F_CSUM), CSUM, 0, 100 },
	{ BIT(VIRTIO_NET_F_HOST_TSO4), CSUM, TSO4, 3000 },
	{ BIT(VIRTIO_NET_F_HOST_TSO6), CSUM, TSO6, 3000 },
	{ BIT(VIRTIO_NET_F_HOST_ECN), CSUM, TSO4 | ECN, 3000 },
	{ BIT(NET_F_HOST_USO), CSUM, NET_HDR_GSO_UDP_L4, 3000 },
	{ 0, 0, TSO4, 3000 },
	{ 0, 0, NET_HDR_GSO_UDP_L4, 3000 },
	{ 0, CSUM, VIRTIO_NET_HDR_GSO_UDP, 3000 }, /* never offered */
	{ 0, CSUM, 2, 3000 },
	{ 0, CSUM, ECN, 3000 },
	{ 0, CSUM, 0x7f, 3000 },
};

START_TEST(loses_only_the_packet_that_asks_for_what_was_not_agreed_on)
{
	uint32_t head;

	net_rig_start(&r, ALL & ~lost[_i].without);
	net_rig_packet(sent, lost[_i].len, 1);
	sent[0] = lost[_i].flags;
	sent[1] = lost[_i].gso_type;
	net_rig_send(&r, 1, sent, lost[_i].len);
	net_rig_packet(sent, 77, 2);
	net_rig_send(&r, 1, sent, 77);
	ck_assert_uint_eq(net_rig_take(&r, 0, got, sizeof(got)), 77);
	fake_driver_used(d, 1, &head);
	fake_driver_used(d, 1, &head);
	ck_assert(net_rig_quiet(&r, 0));
}
END_TEST

/* What the device answers; MERGED: in one buffer with nothing to say. */
static const struct {
	uint8_t command[6];
	unsigned int len, answer, pairs; /* in use afterwards */
} commands[] = {
	{ { VIRTIO_NET_CTRL_MQ, 0, 2, 0 }, 4, VIRTIO_NET_OK, 2 },
	{ { VIRTIO_NET_CTRL_MQ, 0, 1, 0 }, 4, VIRTIO_NET_OK, 1 },
	{ { VIRTIO_NET_CTRL_MQ, 0, 2, 0, 9 }, 5, VIRTIO_NET_OK, 2 },
	{ { VIRTIO_NET_CTRL_MQ, 0, 0, 0 }, 4, VIRTIO_NET_ERR, 1 },
	{ { VIRTIO_NET_CTRL_MQ, 0, 3, 0 }, 4, VIRTIO_NET_ERR, 1 },
	{ { VIRTIO_NET_CTRL_MQ, 0, 2, 1 }, 4, VIRTIO_NET_ERR, 1 },
	{ { VIRTIO_NET_CTRL_MQ, 0, 0, 0x80 }, 4, VIRTIO_NET_ERR, 1 },
	{ { VIRTIO_NET_CTRL_MQ, 1, 2, 0 }, 4, VIRTIO_NET_ERR, 1 },
	{ { VIRTIO_NET_CTRL_MQ, 0, 2 }, 3, VIRTIO_NET_ERR, 1 },
	{ { VIRTIO_NET_CTRL_MQ }, 1, VIRTIO_NET_ERR, 1 },
	{ { VIRTIO_NET_CTRL_RX, 0, 1 }, 3, VIRTIO_NET_ERR, 1 },
	{ { VIRTIO_NET_CTRL_MAC, 1, 2, 0, 0, 0 }, 6, VIRTIO_NET_ERR, 1 },
	{ { 0xff, 0xff, 0xff, 0xff }, 4, VIRTIO_NET_ERR, 1 },
};

static uint8_t command(unsigned int queue, const void *bytes, uint32_t len)
{
	struct fake_buf bufs[] = {
		{ fake_alloc_data(&d->guest, bytes, len), len, false },
		{ fake_alloc_data(&d->guest, "\x55\x55", 2), 2, true },
	};

	ck_assert_uint_eq(fake_driver_request(d, queue, bufs, 2), 1);
	return *(uint8_t *)fake_at(&d->guest, bufs[1].gpa);
}

/* A pair that is not in use neither sends nor receives. */
static bool second_pair_works(void)
{
	uint32_t head, len;
	bool works;

	net_rig_packet(sent, 60, 1);
	net_rig_send(&r, 3, sent, 60);
	net_rig_post(&r, 2, 100);
	net_rig_bring(&r, 1, sent, 60);
	works = !net_rig_quiet(&r, 1);
	if (works) {
		net_rig_take(&r, 1, got, sizeof(got));
		ck_assert_uint_eq(fake_driver_used(d, 2, &head), 60);
	} else {
		ck_assert(!fake_queue_used(&d->queues[2], &head, &len));
		ck_assert(!fake_queue_used(&d->queues[3], &head, &len));
	}
	return works;
}

START_TEST(answers_commands)
{
	ck_assert_uint_eq(command(CTRL, commands[_i].command, commands[_i].len),
			  commands[_i].answer);
	ck_assert_int_eq(second_pair_works(), commands[_i].pairs == 2);
}
END_TEST

START_TEST(goes_on_with_a_pair_that_is_used_again)
{
	const uint8_t one[] = { VIRTIO_NET_CTRL_MQ, 0, 1, 0 };
	const uint8_t two[] = { VIRTIO_NET_CTRL_MQ, 0, 2, 0 };
	uint32_t head;

	ck_assert_uint_eq(command(CTRL, two, 4), VIRTIO_NET_OK);
	ck_assert(second_pair_works());
	fake_driver_used(d, 3, &head);
	ck_assert_uint_eq(command(CTRL, one, 4), VIRTIO_NET_OK);
	ck_assert(!second_pair_works());
	ck_assert_uint_eq(command(CTRL, two, 4), VIRTIO_NET_OK);
	ck_assert_uint_eq(net_rig_take(&r, 1, got, sizeof(got)), 60);
	ck_assert_uint_eq(fake_driver_used(d, 2, &head), 60);
	/* A reset is back at one pair. */
	net_rig_start(&r, ALL);
	ck_assert(!second_pair_works());
}
END_TEST

/* What waits for the host to take it is lost with the host, not kept. */
START_TEST(gives_back_what_waits_when_the_host_is_gone)
{
	const uint8_t two[] = { VIRTIO_NET_CTRL_MQ, 0, 2, 0 };
	static uint8_t large[30000];
	uint32_t head;

	ck_assert_uint_eq(command(CTRL, two, 4), VIRTIO_NET_OK);
	net_rig_packet(large, sizeof(large), 1);
	for (unsigned int i = 0; i < NET_RIG_SIZE; i++)
		net_rig_send(&r, 3, large, sizeof(large));
	/* It rang last, so the device has come to the end of what it can. */
	net_rig_post(&r, 2, 100);
	net_rig_bring(&r, 1, large, 60);
	fake_driver_used(d, 2, &head);
	net_rig_post(&r, 0, 100);
	close(r.host[0]);
	r.host[0] = -1;
	for (unsigned int i = 0; i < NET_RIG_SIZE; i++)
		fake_driver_used(d, 3, &head);
}
END_TEST

START_TEST(has_its_control_queue_third_for_a_driver_of_one_pair)
{
	const uint8_t two[] = { VIRTIO_NET_CTRL_MQ, 0, 2, 0 };

	net_rig_start(&r, ALL & ~BIT(VIRTIO_NET_F_MQ));
	ck_assert_uint_eq(command(2, two, 4), VIRTIO_NET_ERR);
}
END_TEST

START_TEST(answers_many_commands_in_one_go)
{
	const uint8_t one[] = { VIRTIO_NET_CTRL_MQ, 0, 1, 0 };
	struct fake_buf bufs[] = {
		{ fake_alloc_data(&d->guest, one, 4), 4, false },
		{ fake_alloc(&d->guest, 1, 1), 1, true },
	};
	uint32_t head;

	for (unsigned int i = 0; i < NET_RIG_SIZE / 2; i++)
		fake_queue_add(&d->queues[CTRL], bufs, 2);
	fake_driver_kick(d, CTRL);
	for (unsigned int i = 0; i < NET_RIG_SIZE / 2; i++)
		ck_assert_uint_eq(fake_driver_used(d, CTRL, &head), 1);
}
END_TEST

/* Buffers as small as can be, in as many parts as can be. */
START_TEST(holds_no_more_parts_than_there_is_room_for)
{
	struct fake_buf parts[NET_RIG_SIZE];
	gpa_t gpa = fake_alloc(&d->guest, 4096, 1);
	struct fake_queue *q = &d->queues[0];
	uint32_t head;

	for (unsigned int i = 0; i < NET_RIG_SIZE; i++)
		parts[i] = (struct fake_buf){ gpa + i, 1, true };
	net_rig_packet(sent, 16, 1);
	for (unsigned int i = 0; i < 100; i++) {
		fake_queue_add_indirect(q, parts, NET_RIG_SIZE);
		fake_driver_kick(d, 0);
		net_rig_bring(&r, 0, sent, 16);
		ck_assert_uint_eq(fake_driver_used(d, 0, &head), 16);
	}
}
END_TEST

START_TEST(takes_no_notice_of_queues_it_does_not_have)
{
	for (unsigned int q = 5; q < 64; q++)
		fake_driver_kick(d, q % 8);
	net_rig_packet(sent, 60, 1);
	net_rig_send(&r, 1, sent, 60);
	ck_assert_uint_eq(net_rig_take(&r, 0, got, sizeof(got)), 60);
}
END_TEST

Suite *net_hostile_suite(void)
{
	Suite *s = suite_create("net_hostile");
	TCase *tc = tcase_create("net_hostile");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, stops_at_a_driver_that_breaks_the_rules, 0,
			    ARRAY_SIZE(broken));
	tcase_add_loop_test(
		tc, loses_only_the_packet_that_asks_for_what_was_not_agreed_on,
		0, ARRAY_SIZE(lost));
	tcase_add_loop_test(tc, answers_commands, 0, ARRAY_SIZE(commands));
	tcase_add_test(tc, goes_on_with_a_pair_that_is_used_again);
	tcase_add_test(tc, gives_back_what_waits_when_the_host_is_gone);
	tcase_add_test(tc,
		       has_its_control_queue_third_for_a_driver_of_one_pair);
	tcase_add_test(tc, answers_many_commands_in_one_go);
	tcase_add_test(tc, holds_no_more_parts_than_there_is_room_for);
	tcase_add_test(tc, takes_no_notice_of_queues_it_does_not_have);
	suite_add_tcase(s, tc);
	return s;
}
