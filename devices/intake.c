/* SPDX-License-Identifier: Apache-2.0 */
/* What intake.h declares. */
#include "devices/intake.h"

size_t intake_put(struct intake *in, const uint8_t *data, size_t len)
{
	size_t taken = 0;

	while (taken < len && intake_len(in) < INTAKE_LEN)
		in->data[in->head++ % INTAKE_LEN] = data[taken++];
	in->starved = taken < len;
	return taken;
}

size_t intake_take(struct intake *in, uint8_t *buf, size_t len, bool *room)
{
	size_t taken = 0;

	while (taken < len && intake_len(in))
		buf[taken++] = in->data[in->tail++ % INTAKE_LEN];
	if (in->starved && intake_len(in) <= INTAKE_LEN / 2) {
		in->starved = false;
		*room = true;
	}
	return taken;
}
