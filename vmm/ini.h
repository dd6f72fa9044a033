/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INI files as names and values.  iniparser splits the lines; it also lets
 * pass much that is surely a mistake (a repeated key, a quote that is never
 * closed, a value cut at '#'), so every line is checked first and only those
 * that can be read in one way get to it.  What keys mean is for config.c.
 */
#pragma once

#include <stddef.h>

#define INI_MAX_FILE (256 * 1024)
#define INI_MAX_LINE 1000 /* iniparser's own end is at 1024 */
#define INI_MAX_KEYS 1000

struct ini_entry {
	char *name; /* "section.key", lower case */
	char *value;
	unsigned int line;
};

struct ini { /* entries in the order of the file */
	struct ini_entry *entries;
	size_t count;
};

/*
 * Reads path: a file, a pipe, ... but once.  Errors name path, line and fix;
 * ini is empty then.
 */
int ini_load(struct ini *ini, const char *path);
void ini_destroy(struct ini *ini); /* twice is fine */
