/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named figures in groups, written for people ("memory.ram 536870912", a line
 * each) or for programs (JSON, RFC 8259).
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

struct figures {
	FILE *out;
	bool json;
	/* Inside: */
	unsigned int depth;
	bool more;      /* not the first of its group */
	char path[128]; /* "memory.", for people */
};

/* Begins and ends everything. */
void figures_begin(struct figures *f, FILE *out, bool json);
void figures_end(struct figures *f);

/* A group within the one that is open; names are ASCII. */
void figures_group(struct figures *f, const char *name);
void figures_group_end(struct figures *f);

void figures_number(struct figures *f, const char *name, uint64_t value);
void figures_text(struct figures *f, const char *name, const char *value);

/* s as a JSON string. */
void json_string(FILE *out, const char *s);
