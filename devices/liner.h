/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's console output as lines, for who watches what it says. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define LINER_MAX 1024

struct liner {
	/* A complete line without its end, cut at LINER_MAX; may be NULL. */
	void (*line)(void *ctx, const uint8_t *text, size_t len);
	void *ctx;
	size_t len;
	uint8_t text[LINER_MAX];
};

void liner_put(struct liner *l, uint8_t byte);
