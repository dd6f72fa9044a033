/* SPDX-License-Identifier: Apache-2.0 */
/* What suggest.h declares: Levenshtein's distance over short names. */
#include "vmm/suggest.h"

#include <stdio.h>
#include <string.h>

#include "vmm/base/util.h"

enum { NAME_MAX_LEN = 40 };

/* Insertions, deletions and replacements from a to b, one row at a time. */
static unsigned int edits(const char *a, const char *b)
{
	unsigned int row[NAME_MAX_LEN + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > NAME_MAX_LEN || nb > NAME_MAX_LEN)
		return NAME_MAX_LEN;
	for (unsigned int j = 0; j <= nb; j++)
		row[j] = j;
	for (unsigned int i = 1; i <= na; i++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (unsigned int j = 1; j <= nb; j++) {
			unsigned int replace =
				diagonal + (a[i - 1] != b[j - 1]);
			unsigned int other = min_of(row[j], row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = min_of(replace, other);
		}
	}
	return row[nb];
}

void suggest(struct suggestion *s, const char *candidate)
{
	const char *tail = strrchr(s->word, '.'), *other;
	unsigned int distance = edits(s->word, candidate);
	size_t allowed = min_of(strlen(s->word) / 3 + 1, 3u);

	/* The right key in the wrong section. */
	other = strrchr(candidate, '.');
	if (tail && other && tail[1] && !strcmp(tail, other))
		distance = min_of(distance, 1u);
	/* The beginning of it. */
	if (strlen(s->word) >= 3 &&
	    !strncmp(candidate, s->word, strlen(s->word)))
		distance = min_of(distance, 1u);
	if (distance > allowed || (s->best && distance >= s->distance))
		return;
	s->best = candidate;
	s->distance = distance;
}

const char *suggest_text(struct suggestion *s)
{
	if (!s->best)
		return "";
	snprintf(s->text, sizeof(s->text), ", did you mean %s?", s->best);
	return s->text;
}
