/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A struct wiring that only keeps a record: which line is connected with
 * which message to which eventfd, and where the bells hang.  As KVM does, a
 * write to a bell goes to its eventfd and to nobody else, and a connected
 * line swallows the signals of its eventfd.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "vmm/base/wiring.h"

#define FAKE_WIRING_LINES 1024
#define FAKE_WIRING_BELLS 1024

struct fake_line {
	bool connected;
	int fd;
	struct msi msi; /* of the last connection */
	unsigned int connects, disconnects;
};

struct fake_bell {
	gpa_t gpa;
	int fd; /* -1: free */
};

struct fake_wiring {
	struct wiring wiring; /* hand it to the device */
	int connect_error, bell_error;
	unsigned int max_lines; /* then -ENOSPC */

	pthread_mutex_t lock;
	unsigned int nr_lines, nr_bells; /* bells that hang now */
	struct fake_line lines[FAKE_WIRING_LINES];
	struct fake_bell bells[FAKE_WIRING_BELLS];
	unsigned int misuse; /* connected twice, not there, ... : keep 0 */
};

void fake_wiring_init(struct fake_wiring *w);

/* A guest's write to gpa: true if a bell took it. */
bool fake_wiring_ring(struct fake_wiring *w, gpa_t gpa);

/*
 * Signals that reached the guest by a connected line since the last call:
 * waits up to ms milliseconds for the first.
 */
unsigned int fake_wiring_interrupts(struct fake_wiring *w, unsigned int line,
				    int ms);
