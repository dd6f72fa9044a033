/* SPDX-License-Identifier: Apache-2.0 */
/* Values as people write them: what config_key.h declares. */
#include "vmm/config_key.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/endpoint.h"
#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/suggest.h"

#define SHOWN "'%.60s'" /* what was written, in a message */

static int out_of_memory(void)
{
	return err_set(-ENOMEM, "out of memory");
}

/*
 * Decimal digits only: no sign, no blanks, no octal by surprise.  What is too
 * much for 64 bits is UINT64_MAX, which no key takes.
 */
static bool read_digits(const char *text, uint64_t *value, const char **end)
{
	const char *c = text;

	for (*value = 0; isdigit((unsigned char)*c); c++)
		if (__builtin_mul_overflow(*value, 10u, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*c - '0'), value))
			*value = UINT64_MAX;
	*end = c;
	return c > text;
}

int config_set_number(const struct config_setting *s, void *field)
{
	const struct config_key *key = s->key;
	const char *end;
	uint64_t n;

	if (!read_digits(s->text, &n, &end) || *end || n < key->min ||
	    n > key->max)
		return err_set(-EINVAL,
			       SHOWN " is not a number from %" PRIu64
				     " to %" PRIu64,
			       s->text, key->min, key->max);
	*(uint64_t *)field = n;
	return 0;
}

/* Bytes for people: the largest unit that divides n. */
static const char *size_text(uint64_t n, char *buf, size_t len)
{
	static const char units[] = "KMGT";
	char unit[2] = "";

	for (const char *u = units; *u && n && n % KIB == 0; u++) {
		n /= KIB;
		unit[0] = *u;
	}
	snprintf(buf, len, "%" PRIu64 "%s", n, unit);
	return buf;
}

static int check_size(const struct config_setting *s, uint64_t n, bool unit)
{
	const struct config_key *key = s->key;
	char min[24], max[24], multiple[24];

	if (n < key->min && !unit)
		return err_set(-ERANGE,
			       SHOWN " is a number of bytes: add a unit, as "
				     "in %.60sM",
			       s->text, s->text);
	if (n < key->min || n > key->max)
		return err_set(-ERANGE, SHOWN " is not from %s to %s", s->text,
			       size_text(key->min, min, sizeof(min)),
			       size_text(key->max, max, sizeof(max)));
	if (n % key->multiple)
		return err_set(-EINVAL, SHOWN " is not a multiple of %s",
			       s->text,
			       size_text(key->multiple, multiple,
					 sizeof(multiple)));
	return 0;
}

int config_set_size(const struct config_setting *s, void *field)
{
	static const char units[] = "KMGT";
	const char *unit = NULL, *end;
	int rc;
	uint64_t n;

	if (!read_digits(s->text, &n, &end))
		end = "?";
	if (*end)
		unit = strchr(units, toupper((unsigned char)*end));
	if (*end && (!unit || end[1]))
		return err_set(-EINVAL,
			       SHOWN " is not a size: a number and K, M, G "
				     "or T, as in 512M",
			       s->text);
	for (const char *u = units; unit && u <= unit; u++)
		if (__builtin_mul_overflow(n, KIB, &n))
			n = UINT64_MAX;
	rc = check_size(s, n, unit);
	if (!rc)
		*(uint64_t *)field = n;
	return rc;
}

int config_set_pool(const struct config_setting *s, void *field)
{
	int rc;

	if (!strcmp(s->text, "auto")) {
		*(uint64_t *)field = 0;
		return 0;
	}
	rc = config_set_size(s, field);
	if (!rc && !is_pow2(*(uint64_t *)field))
		return err_set(-EINVAL, SHOWN " is not a power of two",
			       s->text);
	return rc;
}

int config_set_duration(const struct config_setting *s, void *field)
{
	static const struct {
		const char *name;
		unsigned int ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 } };
	const char *end;
	uint64_t n;
	bool good = false;

	if (!read_digits(s->text, &n, &end))
		end = "?";
	for (size_t i = 0; !good && i < ARRAY_SIZE(units); i++)
		good = !strcmp(end, units[i].name) &&
		       !__builtin_mul_overflow(n, units[i].ms, &n);
	if (!good || n < s->key->min || n > s->key->max)
		return err_set(-EINVAL,
			       SHOWN " is not a time: a number and ms, s or m, "
				     "as in 90s, at most %" PRIu64 "m",
			       s->text, s->key->max / 60000);
	*(uint64_t *)field = n;
	return 0;
}

/* The number of the choice that s->text is. */
static int find_choice(const struct config_setting *s)
{
	struct suggestion near = { .word = s->text };
	char all[160] = "";
	const char *name;

	for (int i = 0; (name = s->key->choice((unsigned int)i)); i++) {
		size_t used = strlen(all);

		if (!strcmp(name, s->text))
			return i;
		suggest(&near, name);
		snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "",
			 name);
	}
	return err_set(-EINVAL, SHOWN " is not one of %s%s", s->text, all,
		       suggest_text(&near));
}

int config_set_enum(const struct config_setting *s, void *field)
{
	int i = find_choice(s);

	if (i < 0)
		return i;
	*(unsigned int *)field = (unsigned int)i;
	return 0;
}

static int set_string(char **field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return out_of_memory();
	free(*field);
	*field = copy;
	return 0;
}

int config_set_choice(const struct config_setting *s, void *field)
{
	int i = find_choice(s);

	return i < 0 ? i : set_string(field, s->text);
}

int config_set_text(const struct config_setting *s, void *field)
{
	if (!*s->text && s->key->min)
		return err_set(-EINVAL, "must not be empty");
	if (s->key->max && strlen(s->text) > s->key->max)
		return err_set(-EINVAL,
			       SHOWN " is longer than %" PRIu64 " characters",
			       s->text, s->key->max);
	return set_string(field, s->text);
}

int config_set_mac(const struct config_setting *s, void *field)
{
	uint8_t mac[6], any = 0;
	const char *c = s->text;
	size_t i = 0;

	while (i < sizeof(mac) && isxdigit((unsigned char)c[0]) &&
	       isxdigit((unsigned char)c[1]) &&
	       c[2] == (i < sizeof(mac) - 1 ? ':' : '\0')) {
		const char pair[] = { c[0], c[1], '\0' };

		mac[i] = (uint8_t)strtoul(pair, NULL, 16);
		any |= mac[i++];
		c += 3;
	}
	if (i < sizeof(mac))
		return err_set(-EINVAL,
			       SHOWN " is not an Ethernet address, as in "
				     "52:54:00:12:34:56",
			       s->text);
	if (!any || mac[0] & 1)
		return err_set(-EINVAL,
			       SHOWN " is no address of one station: the first "
				     "byte must be even, not all may be 0",
			       s->text);
	memcpy(field, mac, sizeof(mac));
	return 0;
}

/* One $NAME or ${NAME} at text: its length, 0 when it is no variable. */
static size_t variable(const char *text, const char **name, size_t *name_len)
{
	bool braces = text[1] == '{';
	size_t n = 0;

	*name = text + 1 + braces;
	if (isdigit((unsigned char)**name))
		return 0;
	while (isalnum((unsigned char)(*name)[n]) || (*name)[n] == '_')
		n++;
	*name_len = n;
	if (!n || (braces && (*name)[n] != '}'))
		return 0;
	return 1 + n + (braces ? 2 : 0);
}

static int put_variable(FILE *out, const char *name, size_t len)
{
	char copy[64];
	const char *value;

	snprintf(copy, sizeof(copy), "%.*s", (int)min_of(len, sizeof(copy)),
		 name);
	value = len < sizeof(copy) ? getenv(copy) : NULL;
	if (!value || !*value)
		return err_set(
			-ENOENT,
			"the environment variable %s is not set: set it, "
			"or write the path itself",
			copy);
	fputs(value, out);
	return 0;
}

int config_expand(char **out, const char *text)
{
	size_t size, len, name_len;
	const char *name;
	FILE *f = open_memstream(out, &size);
	int rc = 0;

	if (!f)
		return out_of_memory();
	while (!rc && *text) {
		len = *text == '$' ? variable(text, &name, &name_len) : 0;
		if (len)
			rc = put_variable(f, name, name_len);
		else
			fputc(*text, f);
		text += len ? len : 1;
	}
	if (fclose(f) && !rc)
		rc = out_of_memory();
	if (rc) {
		free(*out);
		*out = NULL;
	}
	return rc;
}

int config_relative(char **out, const char *dir, const char *path)
{
	if (!dir || *path == '/')
		*out = strdup(path);
	else if (asprintf(out, "%s%s", dir, path) < 0)
		*out = NULL;
	return *out ? 0 : out_of_memory();
}

/* A new string in *path; NULL for an empty text. */
static int resolve(const struct config_setting *s, const char *text,
		   char **path)
{
	auto_free char *expanded = NULL;
	int rc = 0;

	*path = NULL;
	if (s->dir && strchr(text, '$')) {
		rc = config_expand(&expanded, text);
		text = expanded;
	}
	if (!rc && *text)
		rc = config_relative(path, s->dir, text);
	return rc;
}

int config_set_path(const struct config_setting *s, void *field)
{
	char *path;
	int rc = resolve(s, s->text, &path);

	if (rc)
		return rc;
	free(*(char **)field);
	*(char **)field = path;
	return 0;
}

int config_set_endpoint(const struct config_setting *s, void *field)
{
	char *path, *all = NULL;
	const char *text;
	int rc = endpoint_parse(s->text, &text);

	if (rc < 0)
		return rc;
	if (!text)
		return set_string(field, s->text);
	rc = resolve(s, text, &path);
	if (rc)
		return rc;
	rc = asprintf(&all, "%.*s%s", (int)(text - s->text), s->text,
		      path ? path : "");
	free(path);
	if (rc < 0)
		return out_of_memory();
	free(*(char **)field);
	*(char **)field = all;
	return 0;
}
