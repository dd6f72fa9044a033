/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tap interface of the host's kernel as a network (Linux
 * Documentation/networking/tuntap.rst).  Checksums and segmentation are left
 * to it.
 */
#pragma once

#include "devices/net_host.h"

struct tap_params {
	/* An existing tap interface or a name for a new one; NULL: tap%d. */
	const char *ifname;
	unsigned int nr_pairs;
};

int tap_create(struct net_host **out, const struct tap_params *params);

/*
 * One that is open already, for tests: packets are messages of fd, which is
 * taken over.
 */
int tap_from_fds(struct net_host **out, const int *fds, unsigned int nr_pairs);
