/* SPDX-License-Identifier: Apache-2.0 */
/* The networks of a machine, as configured: part of machine.c. */
#pragma once

#include "vmm/config.h"
#include "vmm/device_set.h"

/* Adds a device for each [net.NAME]. */
int machine_add_nets(struct device_set *s, const struct config *config);

/*
 * The address of network `net` of VM `vm`: a hash of both, among those for
 * local use.
 */
void machine_make_mac(uint8_t mac[6], const char *vm, const char *net);
