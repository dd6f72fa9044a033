/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases of kernel behaviour, each a function that ends with the call whose
 * result counts.  They run on the fake kernel and, where the host can, on
 * /dev/kvm too, so that the fake cannot drift from what it imitates.
 */
#pragma once

#include <check.h>
#include <errno.h>

#include "support/fake_kvm.h"

/* A kernel, fake or real, with a default VM on it and nothing else. */
struct world {
	struct kvm_sys *sys;
	int kvm, vm;
	int fds[16]; /* closed in the end */
	unsigned int nr_fds;
};

struct world_case {
	const char *name;
	int (*run)(struct world *w);
	int want;
	int older; /* what other kernels, before 7.2, say too; 0: the same */
};
#define CASE(want, fn)           \
	{                        \
#fn, fn, want, 0 \
	}
#define CASE_OLDER(want, older, fn)  \
	{                            \
#fn, fn, want, older \
	}

int world_call(struct world *w, int fd, unsigned long req, void *arg);
int world_number(struct world *w, int fd, unsigned long req, unsigned long n);
int world_keep(struct world *w, int fd); /* has it closed; returns it */
int world_vcpu(struct world *w, unsigned long id);
int world_split_irqchip(struct world *w, uint64_t pins, uint32_t flags);

/*
 * Adds two tests of each case: one on the fake, and one on /dev/kvm if there
 * is one that can all the fake can.
 */
void world_add(TCase *tc, const struct world_case *cases, unsigned int count);
