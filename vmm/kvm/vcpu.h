/* SPDX-License-Identifier: Apache-2.0 */
/* One vCPU: its kernel object, its thread, its run loop. */
#pragma once

#include "vmm/kvm/vm.h"

/* vcpu->vm and index are set; the rest is made here. */
int vcpu_create(struct vcpu *vcpu);
void vcpu_destroy(struct vcpu *vcpu); /* its thread has ended; twice is fine */

/* Starts the thread that runs it until the VM ends. */
int vcpu_start(struct vcpu *vcpu);
/* Makes it leave the guest and look at vm->end.  Any thread. */
void vcpu_kick(struct vcpu *vcpu);
void vcpu_join(struct vcpu *vcpu);

/*
 * Where a vCPU that is not running is: ", RIP ..., CR2 ...", or "" where its
 * registers cannot be read.  Returns buf, of VCPU_DESCRIPTION bytes.
 */
#define VCPU_DESCRIPTION 80
const char *vcpu_describe(const struct vcpu *vcpu, char *buf, size_t len);
