/* SPDX-License-Identifier: Apache-2.0 */
/* The disks that a configuration asks for, as virtio devices. */
#pragma once

#include "vmm/config.h"
#include "vmm/device_set.h"

/* Adds them in their order.  On failure the set keeps what it has. */
int machine_add_disks(struct device_set *s, const struct config *config);
