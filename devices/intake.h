/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was typed and the guest has not yet asked for: a ring that says when
 * there is room again.  Embedded in a device and guarded by its mutex.
 */
#pragma once

#include <stdbool.h>

#include "vmm/base/util.h"

#define INTAKE_LEN 4096

struct intake {
	unsigned int head, tail; /* run freely */
	bool starved;            /* something was refused */
	uint8_t data[INTAKE_LEN];
};

static inline unsigned int intake_len(const struct intake *in)
{
	return in->head - in->tail;
}

/* Returns how many of len bytes there was room for. */
size_t intake_put(struct intake *in, const uint8_t *data, size_t len);

/*
 * Takes at most len bytes out.  *room becomes true if something was refused
 * and half of the ring is free now.
 */
size_t intake_take(struct intake *in, uint8_t *buf, size_t len, bool *room);
