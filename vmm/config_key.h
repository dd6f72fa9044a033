/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row per key: parser, default, limits and manual.  config_keys.c has the
 * rows, config_value.c the parsers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct config_key;

struct config_setting { /* one value on its way into struct config */
	const struct config_key *key;
	const char *text;
	const char *star; /* what '*' in the key's name stands for, or "" */
	const char *dir;  /* of the file it is from; NULL: command line */
};

struct config_key {
	/* "section.key"; one '*' stands for any name without a dot. */
	const char *name;
	/* Reads s->text into field.  -errno with what is wrong with it. */
	int (*set)(const struct config_setting *s, void *field);
	size_t field;      /* offset in struct config */
	const char *value; /* the default, as one would write it; NULL: none */
	const char *kind;  /* what a value is, for the manual */
	uint64_t min, max, multiple;
	const char *(*choice)(unsigned int i); /* NULL after the last */
	const char *help;
	/* For "disk.*.path": field is a config_list, and this is its item. */
	size_t item_size, item_field;
};

extern const struct config_key config_keys[]; /* ends with name NULL */

/* A field is uint64_t: number, size in bytes, milliseconds. */
int config_set_number(const struct config_setting *s, void *field);
int config_set_size(const struct config_setting *s, void *field);
/* ... a power of two, or 0 for "auto". */
int config_set_pool(const struct config_setting *s, void *field);
int config_set_duration(const struct config_setting *s, void *field);
/* ... an enum that numbers the choices, or the choice as char *. */
int config_set_enum(const struct config_setting *s, void *field);
int config_set_choice(const struct config_setting *s, void *field);
/* ... uint8_t[6]: aa:bb:cc:dd:ee:ff, of one station. */
int config_set_mac(const struct config_setting *s, void *field);
/* ... char *; an empty text is an error, or NULL for a path. */
int config_set_text(const struct config_setting *s, void *field);
int config_set_path(const struct config_setting *s, void *field);
/* ... char *; what endpoint_parse() takes, with the path resolved. */
int config_set_endpoint(const struct config_setting *s, void *field);

/*
 * Stores a new string in *out: text with $NAME and ${NAME} replaced from the
 * environment.  -ENOENT names what is not set.
 */
int config_expand(char **out, const char *text);

/* Stores a new string in *out: path as seen from dir (NULL: as it is). */
int config_relative(char **out, const char *dir, const char *path);
