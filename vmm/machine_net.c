/* SPDX-License-Identifier: Apache-2.0 */
/* What machine_net.h declares. */
#include "vmm/machine_net.h"

#include <errno.h>
#include <string.h>

#include "devices/net.h"
#include "devices/net_stream.h"
#include "devices/tap.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"

/* FNV-1a, 64 bits, of a string and its terminator. */
#define FNV_BASIS 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL
#define MIX 0x9e3779b97f4a7c15ULL /* 2^64 over the golden ratio */

static uint64_t hash(uint64_t h, const char *text)
{
	do {
		h = (h ^ (uint8_t)*text) * FNV_PRIME;
	} while (*text++);
	return h;
}

void machine_make_mac(uint8_t mac[6], const char *vm, const char *net)
{
	uint64_t h = hash(hash(FNV_BASIS, vm), net);

	/* Names that differ in the last letter differ in the middle so far. */
	h = (h ^ h >> 32) * MIX;
	h ^= h >> 32;
	for (unsigned int i = 0; i < 6; i++)
		mac[i] = (uint8_t)(h >> 8 * i);
	/* IEEE 802: for local use, of one station. */
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
}

static int check(const struct config_net *net)
{
	if (net->mode == CONFIG_NET_TAP && net->socket)
		return err_set(-EINVAL, "socket is for mode user");
	if (net->mode == CONFIG_NET_USER && net->ifname)
		return err_set(-EINVAL, "ifname is for mode tap");
	if (net->mode == CONFIG_NET_USER && net->queues > 1)
		return err_set(-EINVAL, "several queues are for mode tap");
	if (net->mode == CONFIG_NET_USER && net->vhost)
		return err_set(-EINVAL, "vhost is for mode tap");
	if (net->mtu && net->mtu < 68) /* virtio 1.2, 5.1.4.1 */
		return err_set(-EINVAL, "mtu is from 68 to 65535, or 0");
	return 0;
}

static int make_host(struct net_host **host, const struct config_net *net)
{
	const struct tap_params tap = {
		.ifname = net->ifname,
		.nr_pairs = (unsigned int)net->queues,
	};

	if (net->mode == CONFIG_NET_TAP)
		return tap_create(host, &tap);
	return net->socket ? net_stream_connect(host, net->socket)
			   : net_stream_passt(host);
}

static int add(struct device_set *s, const struct config *config,
	       const struct config_net *net)
{
	static const uint8_t none[6];
	struct net_params params = { .mtu = (uint16_t)net->mtu,
				     .vhost = net->vhost == CONFIG_YES };
	int rc = check(net);

	if (!rc)
		rc = make_host(&params.host, net);
	if (rc)
		return err_in(rc, "%s", net->name);
	memcpy(params.mac, net->mac, sizeof(params.mac));
	if (!memcmp(params.mac, none, sizeof(none)))
		machine_make_mac(params.mac, config->name, net->name);
	log_info("%s: %s: %02x:%02x:%02x:%02x:%02x:%02x on %s", config->name,
		 net->name, params.mac[0], params.mac[1], params.mac[2],
		 params.mac[3], params.mac[4], params.mac[5],
		 params.host->what);
	return device_set_add(s, net->name, net_create, &params);
}

int machine_add_nets(struct device_set *s, const struct config *config)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < config->nets.count; i++)
		rc = add(s, config, config->nets.items[i]);
	return rc;
}
