/* SPDX-License-Identifier: Apache-2.0 */
/* What net_rig.h declares. */
#include "support/net_rig.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/tap.h"

#define QUIET_MS 30

void net_rig_make(struct net_rig *r, unsigned int nr)
{
	struct net_params p = { .mac = { 2, 1, 2, 3, 4, 5 }, .mtu = 1400 };
	int fds[NET_MAX_PAIRS];

	for (unsigned int i = 0; i < nr; i++) {
		int pair[2];

		ck_assert_int_eq(socketpair(AF_UNIX,
					    SOCK_SEQPACKET | SOCK_NONBLOCK |
						    SOCK_CLOEXEC,
					    0, pair),
				 0);
		r->host[i] = pair[0];
		fds[i] = pair[1];
	}
	for (unsigned int i = nr; i < NET_MAX_PAIRS; i++)
		r->host[i] = -1;
	ck_assert_int_eq(tap_from_fds(&p.host, fds, nr), 0);
	r->driver = fake_driver_new(net_create, &p);
	r->dev = r->driver->dev;
}

void net_rig_start(struct net_rig *r, uint64_t features)
{
	uint8_t packet[NET_HEADER_LEN + 14] = { 0 };
	uint32_t head;

	fake_driver_start(r->driver, features, NET_RIG_SIZE);
	if (r->host[0] < 0)
		return;
	net_rig_send(r, 1, packet, sizeof(packet));
	net_rig_take(r, 0, packet, sizeof(packet));
	fake_driver_used(r->driver, 1, &head);
}

void net_rig_free(struct net_rig *r)
{
	fake_driver_free(r->driver);
	for (unsigned int i = 0; i < NET_MAX_PAIRS; i++)
		if (r->host[i] >= 0)
			close(r->host[i]);
}

void net_rig_packet(uint8_t *packet, size_t len, uint8_t tag)
{
	for (size_t i = 0; i < len; i++)
		packet[i] = i < NET_HEADER_LEN ? 0 : (uint8_t)(tag + i % 251);
}

uint16_t net_rig_add(struct net_rig *r, unsigned int q,
		     const struct fake_buf *bufs, unsigned int nr)
{
	uint16_t head = fake_queue_add(&r->driver->queues[q], bufs, nr);

	fake_driver_kick(r->driver, q);
	return head;
}

gpa_t net_rig_post(struct net_rig *r, unsigned int q, uint32_t len)
{
	struct fake_buf buf = { fake_alloc(&r->driver->guest, len, 1), len,
				true };

	net_rig_add(r, q, &buf, 1);
	return buf.gpa;
}

void net_rig_send(struct net_rig *r, unsigned int q, const void *packet,
		  size_t len)
{
	struct fake_buf buf = { fake_alloc_data(&r->driver->guest, packet, len),
				(uint32_t)len, false };

	net_rig_add(r, q, &buf, 1);
}

void net_rig_bring(struct net_rig *r, unsigned int pair, const void *packet,
		   size_t len)
{
	ck_assert_int_eq(write(r->host[pair], packet, len), len);
}

size_t net_rig_take(struct net_rig *r, unsigned int pair, void *packet,
		    size_t len)
{
	struct pollfd p = { r->host[pair], POLLIN, 0 };
	ssize_t n;

	ck_assert_int_eq(poll(&p, 1, FAKE_WAIT_MS), 1);
	n = read(r->host[pair], packet, len);
	ck_assert_int_ge(n, 0);
	return (size_t)n;
}

bool net_rig_quiet(struct net_rig *r, unsigned int pair)
{
	struct pollfd p = { r->host[pair], POLLIN, 0 };

	return poll(&p, 1, QUIET_MS) == 0;
}
