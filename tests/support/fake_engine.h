/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine of disks that does what a host may do: some bytes only, errors,
 * and nothing at all for a while.  One at a time.
 */
#pragma once

#include "devices/disk.h"

#define FAKE_ENGINE_STEPS 256

struct fake_engine {
	/*
	 * What becomes of the first steps, in their order: 0 is done as it is,
	 * less is this -errno, more is done up to so many bytes.
	 */
	int64_t results[FAKE_ENGINE_STEPS];
	/* What the steps were. */
	unsigned int nr_steps;
	struct disk_request steps[FAKE_ENGINE_STEPS];
	int create_error;
};

extern struct fake_engine fake_engine;
extern const struct disk_engine disk_fake;

/* Back to an engine that just works. */
void fake_engine_reset(void);

/* Holds what is pushed, up to the release; waits until n steps are held. */
void fake_engine_hold(void);
void fake_engine_wait_held(unsigned int n);
void fake_engine_release(void);
