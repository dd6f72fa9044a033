/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel as the one who carries packets between a network's queues and its
 * tap interface (vhost-net), without coming by here.
 */
#pragma once

#include "devices/net_host.h"
#include "devices/vhost.h"

struct net_vhost;

/*
 * Makes one for the pairs of h, which is a tap and outlives it, and of d, which
 * then offers what the kernel can do.
 */
int net_vhost_open(struct net_vhost **out, struct vhost_sys *sys,
		   struct virtio *d, const struct net_host *h);
void net_vhost_close(struct net_vhost *n); /* NULL is fine */

/*
 * Has the kernel serve queue q, which is handed over; and no more, when it
 * leaves guest memory alone.
 */
int net_vhost_start(struct net_vhost *n, unsigned int q);
void net_vhost_stop(struct net_vhost *n, unsigned int q);
void net_vhost_set_signal(struct net_vhost *n, unsigned int q);
