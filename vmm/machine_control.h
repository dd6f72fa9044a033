/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine answers on its control socket: stat, stop. */
#pragma once

#include "vmm/config.h"
#include "vmm/control.h"
#include "vmm/device_set.h"
#include "vmm/kvm/vm.h"

struct machine_control {
	const struct config *config;
	const struct vm *vm;
	const struct device_set *devices;
	void (*stop)(void *ctx); /* the VM is to end */
	void *ctx;
	int64_t since; /* milliseconds, of util_now_ms() */
	struct control control;
};

/*
 * With config, vm, devices, stop and ctx set.  A machine that nobody can ask
 * runs all the same; it says why at level debug.
 */
void machine_control_open(struct machine_control *c, struct event_loop *loop);
void machine_control_close(struct machine_control *c); /* twice is fine */
