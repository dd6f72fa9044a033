/* SPDX-License-Identifier: Apache-2.0 */
/* What tap.h declares. */
#include "devices/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/err.h"

#define BIT(n) (1ULL << (n))
#define TUN_PATH "/dev/net/tun"
/* Linux 6.2; newer than Debian 12's header. */
#define TUN_USO4 0x20
#define TUN_USO6 0x40

/* Debian 12's header of virtio_net has no name for all of these together. */
#define ALWAYS                                                         \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |       \
	 BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_HOST_TSO4) |   \
	 BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN))
#define WITH_USO \
	(BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6) | BIT(NET_F_HOST_USO))

struct tap {
	struct net_host host;
	char ifname[IFNAMSIZ];
	unsigned int attached; /* of the pairs, the first ones */
	unsigned int offloads;
	bool is_tap; /* not a test's sockets */
};

static struct tap *of(struct net_host *h)
{
	return container_of(h, struct tap, host);
}

/* --- packets --- */

/* EBADFD, ENODEV: the interface is gone; a message of 0 bytes: a socket is. */
static bool is_gone(int error)
{
	return error == EBADFD || error == ENODEV || error == ECONNRESET ||
	       error == EPIPE || error == ENOTCONN;
}

static ssize_t tap_receive(struct net_host *h, unsigned int pair,
			   const struct iovec *iov, unsigned int n)
{
	ssize_t len = readv(h->fds[pair], iov, (int)n);

	if (len < 0)
		return is_gone(errno) ? -errno : 0;
	return len ? len : -ENODEV;
}

/*
 * The kernel copies the packet once and checks the header; a packet it does
 * not like is lost, as all are while the interface is down.
 */
static int tap_send(struct net_host *h, unsigned int pair, struct iovec *iov,
		    unsigned int n)
{
	if (!n || writev(h->fds[pair], iov, (int)n) >= 0)
		return 0;
	return errno == EAGAIN || is_gone(errno) ? -errno : 0;
}

/* --- what the guest has agreed to --- */

static void tap_accept(struct net_host *h, uint64_t features)
{
	static const struct {
		unsigned int feature, offload;
	} table[] = {
		{ VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 },
		{ VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN },
		{ NET_F_GUEST_USO4, TUN_USO4 },
		{ NET_F_GUEST_USO6, TUN_USO6 },
	};
	struct tap *t = of(h);
	unsigned int offloads = 0;

	/* 5.1.3.1: the others need GUEST_CSUM. */
	if (features & BIT(VIRTIO_NET_F_GUEST_CSUM))
		offloads = TUN_F_CSUM;
	for (size_t i = 0; offloads && i < ARRAY_SIZE(table); i++)
		if (features & BIT(table[i].feature))
			offloads |= table[i].offload;
	/* The kernel knows segmentation of UDP for both versions of IP. */
	if ((offloads & TUN_USO4) == 0 || (offloads & TUN_USO6) == 0)
		offloads &= ~(unsigned int)(TUN_USO4 | TUN_USO6);
	if (!t->is_tap || offloads == t->offloads)
		return;
	if (!ioctl(h->fds[0], TUNSETOFFLOAD, (unsigned long)offloads))
		t->offloads = offloads;
}

static int tap_set_pairs(struct net_host *h, unsigned int nr)
{
	struct tap *t = of(h);
	struct ifreq req = { 0 };

	while (t->is_tap && h->nr_pairs > 1 && t->attached != nr) {
		bool more = t->attached < nr;
		int fd = h->fds[more ? t->attached : t->attached - 1];

		req.ifr_flags = more ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
		if (ioctl(fd, TUNSETQUEUE, &req))
			return -errno;
		t->attached += more ? 1u : -1u;
	}
	return 0;
}

/* --- life --- */

static void tap_destroy(struct net_host *h)
{
	for (unsigned int i = 0; i < h->nr_pairs; i++)
		if (h->fds[i] >= 0)
			close(h->fds[i]);
	free(of(h));
}

static const struct net_host_ops tap_ops = {
	.receive = tap_receive,
	.send = tap_send,
	.accept = tap_accept,
	.set_pairs = tap_set_pairs,
	.destroy = tap_destroy,
};

static int attach_error(const struct tap *t, int error)
{
	switch (error) {
	case EPERM:
		return err_set(-error,
			       "%s: not permitted: make it for this user ('ip "
			       "tuntap add dev NAME mode tap user USER') and "
			       "name it with ifname",
			       t->ifname);
	case EBUSY:
		return err_set(-error, "%s: the interface is in use already",
			       t->ifname);
	case EINVAL:
		return err_set(-error,
			       t->host.nr_pairs > 1
				       ? "%s: no tap interface with several "
					 "queues: add multi_queue when it is "
					 "made, or leave queues out"
				       : "%s: not a tap interface",
			       t->ifname);
	}
	return err_set(-error, "%s: cannot use the tap interface: %s",
		       t->ifname, strerror(error));
}

/* One more fd of the interface; the first decides its name. */
static int attach(struct tap *t, int fd)
{
	short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct ifreq req = { 0 };
	int rc;

	memcpy(req.ifr_name, t->ifname, IFNAMSIZ);
	req.ifr_flags = flags;
	if (t->host.nr_pairs > 1)
		req.ifr_flags |= IFF_MULTI_QUEUE;
	rc = ioctl(fd, TUNSETIFF, &req);
	/* One that exists may have been made for several. */
	if (rc && errno == EINVAL && t->host.nr_pairs == 1) {
		req.ifr_flags = (short)(flags | IFF_MULTI_QUEUE);
		rc = ioctl(fd, TUNSETIFF, &req);
	}
	if (rc)
		return attach_error(t, errno);
	memcpy(t->ifname, req.ifr_name, IFNAMSIZ);
	return 0;
}

static int open_error(int error)
{
	if (error == EACCES || error == EPERM)
		return err_set(-error,
			       TUN_PATH ": no permission: give this user "
					"access, or use mode user");
	return err_set(-error,
		       TUN_PATH ": %s: load the kernel module tun, or use "
				"mode user",
		       strerror(error));
}

static int open_queue(struct tap *t, unsigned int i)
{
	int *fd = &t->host.fds[i];

	*fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	return *fd < 0 ? open_error(errno) : attach(t, *fd);
}

/* What is the same for all queues: the header's length, the offloads. */
static int configure(struct tap *t)
{
	int len = NET_HEADER_LEN, fd = t->host.fds[0];
	unsigned long uso = TUN_F_CSUM | TUN_USO4 | TUN_USO6;

	if (ioctl(fd, TUNSETVNETHDRSZ, &len))
		return err_set(-errno, "%s: cannot set its header length: %s",
			       t->ifname, strerror(errno));
	t->host.features = ALWAYS;
	if (!ioctl(fd, TUNSETOFFLOAD, uso))
		t->host.features |= WITH_USO;
	if (ioctl(fd, TUNSETOFFLOAD, 0UL))
		return err_set(-errno, "%s: cannot set its offloads: %s",
			       t->ifname, strerror(errno));
	return 0;
}

static struct tap *new_tap(unsigned int nr_pairs)
{
	struct tap *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->host.ops = &tap_ops;
	t->host.what = t->ifname;
	t->host.nr_pairs = nr_pairs;
	t->attached = nr_pairs;
	for (unsigned int i = 0; i < nr_pairs; i++)
		t->host.fds[i] = -1;
	return t;
}

int tap_create(struct net_host **out, const struct tap_params *params)
{
	const char *ifname = params->ifname ? params->ifname : "tap%d";
	struct tap *t;
	int rc = 0;

	if (strlen(ifname) >= IFNAMSIZ)
		return err_set(-EINVAL,
			       "'%.40s': the name of an interface has at most "
			       "%d characters",
			       ifname, IFNAMSIZ - 1);
	t = new_tap(params->nr_pairs);
	if (!t)
		return err_set(-ENOMEM, "out of memory");
	t->is_tap = true;
	snprintf(t->ifname, sizeof(t->ifname), "%s", ifname);
	for (unsigned int i = 0; !rc && i < params->nr_pairs; i++)
		rc = open_queue(t, i);
	if (!rc)
		rc = configure(t);
	if (rc)
		tap_destroy(&t->host);
	else
		*out = &t->host;
	return rc;
}

int tap_from_fds(struct net_host **out, const int *fds, unsigned int nr_pairs)
{
	struct tap *t = new_tap(nr_pairs);

	if (!t)
		return err_set(-ENOMEM, "out of memory");
	memcpy(t->host.fds, fds, nr_pairs * sizeof(*fds));
	t->host.features = ALWAYS | WITH_USO;
	snprintf(t->ifname, sizeof(t->ifname), "sockets");
	*out = &t->host;
	return 0;
}
