/* SPDX-License-Identifier: Apache-2.0 */
/* What net.h declares.  Section numbers are those of virtio 1.2. */
#include "devices/net.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/iov.h"
#include "devices/net_rx.h"
#include "devices/net_vhost.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"

#define BIT(n) (1ULL << (n))
#define QUEUE_SIZE 256
/* Packets in one direction of a pair before the others have their turn. */
#define BURST 64
#define STALE_MAX 8192              /* more than an interface's queue holds */
#define RX_QUEUE(pair) (2 * (pair)) /* 5.1.2 */
#define TX_QUEUE(pair) (2 * (pair) + 1)

#define ALWAYS                                              \
	(BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) | \
	 BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ))

struct net_pair { /* a receive and a transmit queue, and an fd for both */
	struct net *net;
	unsigned int index;
	struct event_source source;
	uint32_t watched; /* what the loop looks for, or 0 */
	bool starved;     /* no buffers: the driver will ring */
	bool stuck;       /* the host took no packet: wait for EPOLLOUT */
	struct net_rx rx;
};

struct net {
	struct virtio dev;
	struct net_host *host;
	struct net_vhost *vhost; /* who serves the pairs; NULL: we do */
	unsigned int active;     /* pairs in use, the first ones */
	bool gone;               /* the host's end is: nothing comes or goes */
	struct net_pair pairs[];
};

static struct net *of(struct virtio *d)
{
	return container_of(d, struct net, dev);
}

static bool in_use(const struct virtio *d, unsigned int q)
{
	return d->queues[q].ring.mem && !d->queues[q].stopping && !d->broken;
}

/* Has the loop look for what the pair waits for, and nothing else. */
static void watch(struct net_pair *p)
{
	struct net *n = p->net;
	struct event_loop *loop = &n->dev.thread->loop;
	bool use = !n->gone && !n->vhost && p->index < n->active;
	uint32_t events = 0;

	if (use && !p->starved && in_use(&n->dev, RX_QUEUE(p->index)))
		events |= EPOLLIN;
	if (use && p->stuck)
		events |= EPOLLOUT;
	if (events == p->watched)
		return;
	if (!events)
		event_remove(loop, &p->source);
	else if (p->watched)
		event_modify(loop, &p->source, events);
	else
		event_add(loop, &p->source, events);
	p->watched = events;
}

/* The interface was deleted, the program has ended: the cable is out. */
static void lose_host(struct net *n)
{
	const uint16_t status = 0;

	if (n->gone)
		return;
	n->gone = true;
	log_warn("%s: %s is gone: the guest has no network any more",
		 n->dev.name, n->host->what);
	virtio_set_config(&n->dev, offsetof(struct virtio_net_config, status),
			  &status, sizeof(status));
	for (unsigned int i = 0; i < n->host->nr_pairs; i++) {
		n->pairs[i].stuck = false; /* what waits is lost */
		virtio_kick(&n->dev, TX_QUEUE(i));
		watch(&n->pairs[i]);
	}
}

/* --- to the guest --- */

/*
 * The room to look for: for the largest packet, unless segmentation keeps
 * them small.  A larger one than that is received too, only slower.
 */
static size_t wanted(const struct net *n)
{
	const uint64_t large = BIT(VIRTIO_NET_F_GUEST_TSO4) |
			       BIT(VIRTIO_NET_F_GUEST_TSO6) |
			       BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6);

	/* passt makes as large packets as the guest's MTU allows. */
	if (n->dev.features & large || !(n->host->features & large))
		return NET_PACKET_MAX;
	return NET_HEADER_LEN + ETH_FRAME_LEN;
}

/* One packet.  False: no more for now. */
static bool receive_one(struct net_pair *p)
{
	struct net *n = p->net;
	const struct iovec *parts;
	unsigned int nr;
	ssize_t len;

	parts = net_rx_parts(&p->rx, wanted(n), &nr);
	p->starved = !parts;
	if (!parts)
		return false;
	len = n->host->ops->receive(n->host, p->index, parts, nr);
	if (len < 0)
		lose_host(n);
	if (len <= 0)
		return false;
	net_rx_packet(&p->rx, (size_t)len);
	return true;
}

static void run_rx(struct net_pair *p)
{
	struct net *n = p->net;
	unsigned int q = RX_QUEUE(p->index), count = 0;

	if (!n->gone && p->index < n->active && in_use(&n->dev, q)) {
		while (count < BURST && receive_one(p))
			count++;
		virtio_notify(&n->dev, q);
		if (count == BURST)
			virtio_kick(&n->dev, q); /* the rest, later */
	}
	watch(p);
}

/* --- from the guest --- */

/* 5.1.6.2: what a header may ask for is what has been agreed on. */
static bool is_allowed(const struct virtio *d,
		       const struct virtio_net_hdr_v1 *hdr)
{
	bool checksum = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	if (checksum && !virtio_has(d, VIRTIO_NET_F_CSUM))
		return false;
	if (hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if ((hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN) &&
	    !virtio_has(d, VIRTIO_NET_F_HOST_ECN))
		return false;
	switch (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return checksum && virtio_has(d, VIRTIO_NET_F_HOST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return checksum && virtio_has(d, VIRTIO_NET_F_HOST_TSO6);
	case NET_HDR_GSO_UDP_L4:
		return checksum && virtio_has(d, NET_F_HOST_USO);
	}
	return false;
}

/*
 * One packet: 0 when it is sent or lost, 1: the host has a part of it to
 * send, -EAGAIN: later, other -errno: never.
 */
static int send_one(struct net_pair *p, const struct virtq_chain *c)
{
	struct net *n = p->net;
	struct iovec iov[1 + VIRTQ_MAX_SEGMENTS];
	struct virtio_net_hdr_v1 hdr;
	unsigned int nr;

	/* A copy: the guest can change its own at any time. */
	if (virtq_read(c, 0, &hdr, sizeof(hdr)) != sizeof(hdr) || c->nr_in) {
		virtio_break(&n->dev);
		return 0;
	}
	if (c->out_len < sizeof(hdr) + ETH_HLEN ||
	    c->out_len - sizeof(hdr) > NET_FRAME_MAX ||
	    !is_allowed(&n->dev, &hdr))
		return 0;
	hdr.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr.num_buffers = 0;
	iov[0] = (struct iovec){ &hdr, sizeof(hdr) };
	nr = iov_from(iov + 1, c->iov, c->nr_out, sizeof(hdr));
	return n->host->ops->send(n->host, p->index, iov, nr + 1);
}

static void run_tx(struct net_pair *p)
{
	struct net *n = p->net;
	unsigned int q = TX_QUEUE(p->index), count = 0;
	struct virtq_chain c;
	int rc = 0;

	if (p->stuck || p->index >= n->active || !in_use(&n->dev, q))
		return;
	while (count < BURST && !rc && virtio_take(&n->dev, q, &c)) {
		if (!n->gone)
			rc = send_one(p, &c);
		if (rc == -EAGAIN)
			virtq_unpop(&n->dev.queues[q].ring, c.head);
		else
			virtq_push(&n->dev.queues[q].ring, c.head, 0);
		if (rc < 0 && rc != -EAGAIN) {
			lose_host(n);
			rc = 0; /* the rest is lost too */
		}
		count++;
	}
	p->stuck = rc != 0;
	virtio_notify(&n->dev, q);
	if (count == BURST && !rc)
		virtio_kick(&n->dev, q);
	watch(p);
}

static void on_host(struct event_source *s, uint32_t events)
{
	struct net_pair *p = container_of(s, struct net_pair, source);
	struct net *n = p->net;
	int rc = 0;

	if (p->stuck && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
		rc = n->host->ops->send(n->host, p->index, NULL, 0);
		if (rc < 0 && rc != -EAGAIN)
			lose_host(n);
		p->stuck = rc == -EAGAIN;
		run_tx(p);
	}
	run_rx(p);
}

/* --- the control queue --- */

static int set_pairs(struct net *n, unsigned int nr)
{
	int rc = 0;

	if (n->host->ops->set_pairs)
		rc = n->host->ops->set_pairs(n->host, nr);
	if (rc)
		return rc;
	n->active = nr;
	for (unsigned int i = 0; i < n->host->nr_pairs; i++) {
		watch(&n->pairs[i]);
		virtio_kick(&n->dev, RX_QUEUE(i));
		virtio_kick(&n->dev, TX_QUEUE(i));
	}
	return 0;
}

/* 5.1.6.5: the answer to one command. */
static uint8_t command(struct net *n, const struct virtq_chain *c)
{
	struct {
		uint8_t class, command;
		uint16_t pairs;
	} m;

	/* 5.1.6.5.5, the only one whose feature is offered. */
	if (virtq_read(c, 0, &m, sizeof(m)) != sizeof(m) ||
	    m.class != VIRTIO_NET_CTRL_MQ ||
	    m.command != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    !virtio_has(&n->dev, VIRTIO_NET_F_MQ) || !m.pairs ||
	    m.pairs > n->host->nr_pairs)
		return VIRTIO_NET_ERR;
	return set_pairs(n, m.pairs) ? VIRTIO_NET_ERR : VIRTIO_NET_OK;
}

static void run_control(struct net *n, unsigned int q)
{
	unsigned int count = 0;
	struct virtq_chain c;

	while (count < BURST && virtio_take(&n->dev, q, &c)) {
		uint8_t answer;

		if (!c.in_len || !c.out_len) {
			virtio_break(&n->dev);
			return;
		}
		answer = command(n, &c);
		virtq_push(&n->dev.queues[q].ring, c.head,
			   (uint32_t)virtq_write(&c, 0, &answer, 1));
		count++;
	}
	virtio_notify(&n->dev, q);
	if (count == BURST)
		virtio_kick(&n->dev, q);
}

/* --- what every device has --- */

/* 5.1.2: behind the pairs the driver knows of. */
static unsigned int control_queue(const struct net *n)
{
	return virtio_has(&n->dev, VIRTIO_NET_F_MQ) ? 2 * n->host->nr_pairs : 2;
}

static void net_kick(struct virtio *d, unsigned int q)
{
	struct net *n = of(d);

	if (q == control_queue(n)) {
		if (virtio_has(d, VIRTIO_NET_F_CTRL_VQ))
			run_control(n, q);
	} else if (q / 2 < n->host->nr_pairs && !n->vhost) {
		struct net_pair *p = &n->pairs[q / 2];

		if (q % 2)
			run_tx(p);
		else
			run_rx(p);
	}
}

/* What has come before there was a driver, or for the one before. */
static void drop_stale(struct net_pair *p)
{
	struct iovec iov = { p->rx.spill, sizeof(p->rx.spill) };
	struct net *n = p->net;
	ssize_t len = 1;

	for (unsigned int i = 0; i < STALE_MAX && len > 0 && !n->gone; i++)
		len = n->host->ops->receive(n->host, p->index, &iov, 1);
	if (len < 0)
		lose_host(n);
}

/* Before the first packet can come. */
static void start_rx(struct net *n, struct net_pair *p)
{
	struct virtio *d = &n->dev;

	net_rx_clear(&p->rx);
	p->rx.merge = virtio_has(d, VIRTIO_NET_F_MRG_RXBUF);
	p->rx.no_offload = !virtio_has(d, VIRTIO_NET_F_GUEST_CSUM);
	if (n->host->ops->accept)
		n->host->ops->accept(n->host, d->features);
	if (p->index < n->active)
		drop_stale(p);
}

static int net_start_queue(struct virtio *d, unsigned int q)
{
	struct net *n = of(d);

	if (q / 2 >= n->host->nr_pairs || q == control_queue(n))
		return 0;
	if (q % 2 == 0)
		start_rx(n, &n->pairs[q / 2]);
	return n->vhost ? net_vhost_start(n->vhost, q) : 0;
}

static void net_stop_queue(struct virtio *d, unsigned int q)
{
	struct net *n = of(d);

	if (q / 2 < n->host->nr_pairs) {
		struct net_pair *p = &n->pairs[q / 2];

		if (q % 2)
			p->stuck = false;
		else
			net_rx_clear(&p->rx);
		watch(p);
	}
	if (n->vhost && d->queues[q].handed_over)
		net_vhost_stop(n->vhost, q);
	virtio_queue_stopped(d, q);
}

static void net_signal_changed(struct virtio *d, unsigned int q)
{
	if (d->queues[q].handed_over)
		net_vhost_set_signal(of(d)->vhost, q);
}

static void net_reset(struct virtio *d)
{
	set_pairs(of(d), 1);
}

static void net_destroy(struct virtio *d)
{
	struct net *n = of(d);

	net_vhost_close(n->vhost);
	if (n->host)
		n->host->ops->destroy(n->host);
	virtio_destroy(d);
	free(n);
}

static const struct virtio_ops net_ops = {
	.type = "net",
	.id = VIRTIO_ID_NET,
	.pci_class = 0x02,
	.start_queue = net_start_queue,
	.kick = net_kick,
	.stop_queue = net_stop_queue,
	.signal_changed = net_signal_changed,
	.reset = net_reset,
	.destroy = net_destroy,
};

static void init_pairs(struct net *n)
{
	for (unsigned int i = 0; i < n->host->nr_pairs; i++) {
		struct net_pair *p = &n->pairs[i];

		p->net = n;
		p->index = i;
		p->source = (struct event_source){ n->host->fds[i], on_host };
		p->rx.dev = &n->dev;
		p->rx.queue = RX_QUEUE(i);
	}
}

static int init(struct net *n, const struct virtio_host *host,
		const struct net_params *p)
{
	struct virtio_net_config config = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = (uint16_t)p->host->nr_pairs,
		.mtu = p->mtu,
	};
	struct virtio_params params = {
		.ops = &net_ops,
		.nr_queues = 2 * p->host->nr_pairs + 1,
		.queue_size = QUEUE_SIZE,
		.features = ALWAYS | p->host->features,
		.config = &config,
		.config_len = offsetof(struct virtio_net_config, speed),
	};
	int rc;

	memcpy(config.mac, p->mac, sizeof(config.mac));
	if (p->mtu)
		params.features |= BIT(VIRTIO_NET_F_MTU);
	if (p->host->nr_pairs > 1)
		params.features |= BIT(VIRTIO_NET_F_MQ);
	rc = virtio_init(&n->dev, host, &params);
	if (rc)
		return rc;
	n->host = p->host;
	init_pairs(n);
	rc = set_pairs(n, 1);
	if (rc)
		rc = err_set(rc, "%s: cannot set its queues: %s", n->host->what,
			     strerror(-rc));
	if (!rc && p->vhost)
		rc = net_vhost_open(&n->vhost, p->sys, &n->dev, n->host);
	if (rc)
		virtio_destroy(&n->dev);
	return rc;
}

int net_create(const struct virtio_host *host, const void *params,
	       struct virtio **out)
{
	const struct net_params *p = params;
	struct net *n =
		calloc(1, sizeof(*n) + p->host->nr_pairs * sizeof(n->pairs[0]));
	int rc = n ? init(n, host, p) : err_set(-ENOMEM, "out of memory");

	if (rc) {
		p->host->ops->destroy(p->host);
		free(n);
	} else {
		*out = &n->dev;
	}
	return rc;
}
