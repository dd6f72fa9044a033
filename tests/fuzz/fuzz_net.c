/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver of virtio-net: its queues and their memory are the input,
 * while the host sends packets.  The first 8 bytes choose features and
 * lengths of packets, the rest is guest memory: descriptors of the receive,
 * transmit and control queue at 0, 0x400 and 0x800, what is available at
 * 0xc00, 0xd00 and 0xe00, all else behind.
 */
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/net.h"
#include "devices/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SIZE 64 /* of the queues */
#define BASE 0x10000
#define USED 0x8000 /* where no input lies */
#define TRANSPORT \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM)

static uint8_t memory[0x10000];
static const struct guest_mem mem = {
	.count = 1,
	.regions = { { .base = BASE, .len = sizeof(memory), .host = memory } },
};
static struct iothread thread;
static struct virtio *d;
static int host[2];

static void make(void)
{
	struct virtio_host on = { "fuzz", &mem, &thread };
	struct net_params p = { .mac = { 2 } };
	int fds[2], pair[2];

	for (unsigned int i = 0; i < 2; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
			       pair))
			abort();
		fds[i] = pair[0];
		host[i] = pair[1];
	}
	if (iothread_init(&thread) || tap_from_fds(&p.host, fds, 2) ||
	    net_create(&on, &p, &d))
		abort();
}

static void settle(void)
{
	d->woken.ready(&d->woken, EPOLLIN);
}

static void start(uint32_t choice)
{
	static const unsigned int queues[] = { 0, 1, 4 };
	uint64_t features =
		(d->offered & ~(choice * 0x100000001ULL)) | TRANSPORT;

	virtio_accept(d, 0, (uint32_t)features);
	virtio_accept(d, 1, (uint32_t)(features >> 32));
	for (unsigned int i = 0; i < 3; i++) {
		const struct virtq_layout l = { SIZE, BASE + 0x400 * i,
						BASE + 0xc00 + 0x100 * i,
						BASE + USED + 0x400 * i };

		/* Without MQ the third is the control queue. */
		if (i == 2 && !(features & 1ULL << VIRTIO_NET_F_MQ)) {
			virtio_set_layout(d, 2, &l);
			virtio_enable_queue(d, 2);
		}
		virtio_set_layout(d, queues[i], &l);
		virtio_enable_queue(d, queues[i]);
	}
	virtio_write_status(d, 0xf);
	settle();
}

static void bring(size_t len)
{
	static uint8_t packet[4096 + 12];

	if (len && write(host[0], packet, len) < 0)
		return;
}

static void kick(unsigned int q)
{
	virtio_kick(d, q);
	d->queues[q].kicked.ready(&d->queues[q].kicked, EPOLLIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t drain[0x20000];
	uint32_t choice;
	uint16_t lens[2];

	if (len < 8 || len - 8 > USED)
		return 0;
	if (!d)
		make();
	memcpy(&choice, data, sizeof(choice));
	memcpy(lens, data + 4, sizeof(lens));
	memset(memory, 0, sizeof(memory));
	memcpy(memory, data + 8, len - 8);
	start(choice);
	for (unsigned int i = 0; i < 4; i++) {
		bring(lens[i % 2] % 4096);
		kick(0);
		kick(1);
		kick(2);
		kick(4);
		for (unsigned int j = 0; j < 2; j++)
			while (read(host[j], drain, sizeof(drain)) > 0)
				;
	}
	virtio_write_status(d, 0);
	settle();
	settle(); /* the first has stopped the queues */
	if (virtio_read_status(d))
		abort();
	return 0;
}
