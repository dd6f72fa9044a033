/* SPDX-License-Identifier: Apache-2.0 */
/* What liner.h declares. */
#include "devices/liner.h"

void liner_put(struct liner *l, uint8_t byte)
{
	if (!l->line)
		return;
	if (byte == '\n') {
		if (l->len && l->text[l->len - 1] == '\r')
			l->len--;
		l->line(l->ctx, l->text, l->len);
		l->len = 0;
	} else if (l->len < sizeof(l->text)) {
		l->text[l->len++] = byte;
	}
}
