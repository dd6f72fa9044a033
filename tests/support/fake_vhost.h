/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's vhost, as far as its rules go: it serves no queue, it keeps
 * what it was told and refuses what the kernel refuses (drivers/vhost).  A
 * test rings and signals for it with the eventfds that it was given.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/vhost.h"

#define FAKE_VHOST_RINGS 2

struct fake_ring {
	uint32_t num, base;
	uint64_t desc, used, avail; /* 0: not set */
	int kick, call, err;        /* -1: none; ours, not owned */
	atomic_int backend;         /* of VHOST_NET_SET_BACKEND; -1: none */
};

struct fake_vhost {
	struct vhost_sys sys; /* hand it to the device */
	uint64_t features;    /* what it can do */
	int open_error;
	int error_at, error; /* call number (from 1) that fails, and how */

	unsigned int calls; /* of ioctl so far */
	bool owned, running;
	bool complains; /* at the last moment, when it is stopped */
	uint64_t acked, cid;
	unsigned int nr_regions;
	atomic_uint starts, stops; /* of SET_RUNNING */
	struct {
		uint64_t gpa, len, user;
	} regions[4];
	struct fake_ring rings[FAKE_VHOST_RINGS];
	unsigned int misuse; /* what a correct user never does: keep 0 */
};

void fake_vhost_init(struct fake_vhost *v);
