/* SPDX-License-Identifier: Apache-2.0 */
/* What this host can run, and why not: gathered once, printed two ways. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "vmm/kvm/kvm.h"

#define PROBE_MAX_TYPES 8
#define PROBE_MAX_MODULES 8

struct probe_type {
	const char *name, *help;
	bool available;   /* the host can */
	bool launchable;  /* this version of cvmm can as well */
	char reason[384]; /* why not; "" if launchable */
	/* Of a VM of this type; 0 unless available. */
	unsigned int memfd_flags; /* GUEST_MEMFD_FLAG_* */
	unsigned int attributes;  /* KVM_MEMORY_ATTRIBUTE_* */
};

struct probe {
	const char *version; /* of cvmm; the caller may set it */
	char kernel[80];     /* release */
	unsigned int nr_modules;
	char modules[PROBE_MAX_MODULES][32]; /* kvm* in /sys/module, sorted */
	bool kvm;                            /* /dev/kvm can be used */
	char kvm_reason[384];                /* why not */
	int api_version;
	/* KVM_CAP_*; 0 if not known or not there */
	int vm_types, nr_vcpus, max_vcpus, nr_memslots, tsc_deadline;
	int guest_memfd, pre_fault;
	unsigned int nr_types;
	struct probe_type types[PROBE_MAX_TYPES];
};

/* Asks the kernel sys; never fails: what is missing is the answer. */
void probe_gather(struct probe *probe, struct kvm_sys *sys);

/* For people. */
void probe_print(const struct probe *probe, FILE *out);

/*
 * For programs: one JSON object, keys as follows and none renamed later.
 *
 *	cvmm                version of this program
 *	kernel              release of the running kernel
 *	modules             names of loaded kvm modules
 *	kvm                 { available, reason, api_version }
 *	types               a list, in order of cvm_at():
 *	    name, description
 *	    available       the host can run it
 *	    launchable      this version of cvmm can, too
 *	    reason          null, or why not and what to do
 *	    guest_memfd_flags, memory_attributes
 *	                    of a VM of this type, lists of names
 *	vm_types            KVM_CAP_VM_TYPES, a bit for each type
 *	guest_memfd         KVM_CAP_GUEST_MEMFD: true or false
 *	pre_fault_memory    KVM_CAP_PRE_FAULT_MEMORY: true or false
 *	tsc_deadline_timer  KVM_CAP_TSC_DEADLINE_TIMER: true or false
 *	limits              { vcpus, vcpus_recommended, vcpus_cvmm, memslots }
 */
void probe_print_json(const struct probe *probe, FILE *out);

/* Is there a type, the unprotected one, that can be launched? */
bool probe_usable(const struct probe *probe);
