/* SPDX-License-Identifier: Apache-2.0 */
/* "did you mean ...?" for names that a person typed. */
#pragma once

struct suggestion {
	const char *word; /* what was typed */
	const char *best; /* the nearest candidate so far; NULL: none is near */
	unsigned int distance;
	char text[96];
};

/* Keeps candidate (not copied) if it is near to s->word and the nearest. */
void suggest(struct suggestion *s, const char *candidate);

/* ", did you mean X?" or "".  Valid as long as s. */
const char *suggest_text(struct suggestion *s);
