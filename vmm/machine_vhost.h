/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of the configuration that the kernel or a helper serves. */
#pragma once

#include "vmm/config.h"
#include "vmm/device_set.h"

/* Adds vsock and the shares, as far as there are any. */
int machine_add_vhost(struct device_set *s, const struct config *config);
