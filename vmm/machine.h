/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE assembly: from what the user asked for to a running VM and its exit
 * status.  What a VM is made of can be read in machine.c, in order.
 */
#pragma once

#include <stdbool.h>

#include "vmm/config.h"
#include "vmm/kvm/kvm.h"

/*
 * Builds the VM that config describes, on the kernel sys, runs it until it
 * ends and frees it.  Returns an enum status, or -errno with text if it did
 * not start.  *restart says that the guest rebooted and wants to go on.
 */
int machine_run(const struct config *config, struct kvm_sys *sys,
		bool *restart);
