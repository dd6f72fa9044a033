/* SPDX-License-Identifier: Apache-2.0 */
/* What ini.h declares: read once, check each line, let iniparser split. */
#include "vmm/ini.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <iniparser/iniparser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"

enum { NAME_LEN = 128, SHOWN = 60 /* of what was written, in a message */ };

struct scan { /* where the check of the lines is */
	struct ini *ini;
	char section[NAME_LEN / 2];
	unsigned int line;
};

static int read_all(int fd, char *buf, size_t size, size_t *len)
{
	for (*len = 0; *len < size;) {
		ssize_t n = read(fd, buf + *len, size - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(-errno, "%s", strerror(errno));
		if (!n)
			return 0;
		*len += (size_t)n;
	}
	return err_set(-EFBIG,
		       "longer than %d KiB: not a VM definition (a "
		       "kernel is given with --kernel)",
		       INI_MAX_FILE / 1024);
}

/* The length of the name at s: letters, digits, '_', '-' and '.'. */
static size_t name_len(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || (s[n] && strchr("_-.", s[n])))
		n++;
	return n;
}

static char *skip_blanks(const char *s)
{
	return (char *)s + strspn(s, " \t");
}

static int check_section(struct scan *s, const char *text)
{
	size_t n = name_len(text + 1);

	if (!n || n >= sizeof(s->section) || strcmp(text + 1 + n, "]") != 0)
		return err_set(-EINVAL,
			       "'%.*s' is not a section: write [name], "
			       "comments on a line of their own",
			       SHOWN, text);
	for (size_t i = 0; i <= n; i++)
		s->section[i] = (char)tolower((unsigned char)text[1 + i]);
	s->section[n] = '\0';
	return 0;
}

/* Only what iniparser will not cut or misread. */
static int check_value(const char *value)
{
	const char *end;

	if (*value == '"' || *value == '\'') {
		end = strchr(value + 1, *value);
		if (!end)
			return err_set(-EINVAL, "the quote %c is never closed",
				       *value);
		end = skip_blanks(end + 1);
		if (*end && !strchr(";#", *end))
			return err_set(-EINVAL,
				       "'%.*s' follows the closing quote: "
				       "remove it or quote all of the value",
				       SHOWN, end);
		return 0;
	}
	end = value + strcspn(value, ";#");
	if (*end && end > value && !isblank((unsigned char)end[-1]))
		return err_set(-EINVAL,
			       "'%c' starts a comment: put the value in "
			       "quotes, or a space before the comment",
			       *end);
	return 0;
}

static int add_entry(struct scan *s, const char *name)
{
	struct ini *ini = s->ini;
	struct ini_entry *entries;

	for (size_t i = 0; i < ini->count; i++)
		if (!strcmp(ini->entries[i].name, name))
			return err_set(-EEXIST,
				       "given again (first in line %u): "
				       "remove one",
				       ini->entries[i].line);
	if (ini->count == INI_MAX_KEYS)
		return err_set(-E2BIG, "more than %d keys", INI_MAX_KEYS);
	entries = realloc(ini->entries, (ini->count + 1) * sizeof(*entries));
	if (!entries)
		return err_set(-ENOMEM, "out of memory");
	ini->entries = entries;
	entries += ini->count++;
	*entries = (struct ini_entry){ .name = strdup(name), .line = s->line };
	return entries->name ? 0 : err_set(-ENOMEM, "out of memory");
}

static int check_key(struct scan *s, const char *text)
{
	size_t n = name_len(text);
	const char *equals = skip_blanks(text + n);
	char name[NAME_LEN];
	int rc;

	if (!n || *equals != '=')
		return err_set(-EINVAL,
			       "'%.*s' is neither [section] nor key = value",
			       SHOWN, text);
	if (!s->section[0])
		return err_set(-EINVAL,
			       "%.*s is outside of any section: put it under "
			       "[vm], [boot] or another",
			       (int)min_of(n, (size_t)SHOWN), text);
	if (n >= NAME_LEN - sizeof(s->section))
		return err_set(-EINVAL, "%.*s...: the name is too long", SHOWN,
			       text);
	snprintf(name, sizeof(name), "%s.%.*s", s->section, (int)n, text);
	for (char *c = name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	rc = add_entry(s, name);
	if (!rc)
		rc = check_value(skip_blanks(equals + 1));
	return rc ? err_in(rc, "%s", name) : 0;
}

static int check_line(struct scan *s, char *text, size_t len)
{
	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	if (len > INI_MAX_LINE)
		return err_set(-EINVAL, "longer than %d bytes: shorten it",
			       INI_MAX_LINE);
	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)text[i]) && text[i] != '\t')
			return err_set(-EINVAL,
				       "control character 0x%02x: remove it "
				       "(the file must be plain text)",
				       (unsigned char)text[i]);
	if (len && text[len - 1] == '\\')
		return err_set(-EINVAL, "ends in '\\': lines cannot be "
					"continued, put the value in quotes");
	text = skip_blanks(text);
	if (!*text || strchr(";#", *text))
		return 0;
	return *text == '[' ? check_section(s, text) : check_key(s, text);
}

/*
 * Checks all lines and leaves the text as iniparser shall see it, without
 * blanks at the end of lines; there is room for one byte more than *len.
 */
static int check_lines(struct ini *ini, char *text, size_t *len)
{
	struct scan s = { .ini = ini };
	char *start = text, *out = text, *end = text + *len;

	while (text < end) {
		char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t n;
		int rc;

		nl = nl ? nl : end;
		*nl = '\0';
		s.line++;
		rc = check_line(&s, text, (size_t)(nl - text));
		if (rc)
			return err_in(rc, "line %u", s.line);
		n = strlen(text);
		memmove(out, text, n);
		out += n;
		*out++ = '\n';
		text = nl + 1;
	}
	*len = (size_t)(out - start);
	return 0;
}

/* iniparser prints to stderr unless it is given somewhere else to talk to. */
static int silent(const char *fmt, ...)
{
	(void)fmt;
	return 0;
}

/* iniparser 4.1 reads nothing but named files. */
static dictionary *parse(const char *text, size_t len)
{
	auto_close int fd = memfd_create("cvmm-config", MFD_CLOEXEC);
	char path[32];

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		return NULL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	iniparser_set_error_callback(silent);
	return iniparser_load(path);
}

static int read_values(struct ini *ini, const char *text, size_t len)
{
	dictionary *dict = parse(text, len);

	if (!dict)
		return err_set(-EIO, "iniparser cannot read it: is /proc "
				     "mounted?");
	for (size_t i = 0; i < ini->count; i++) {
		struct ini_entry *e = &ini->entries[i];
		char name[NAME_LEN];
		const char *value = NULL;

		/* The first dot may belong to the section: try each. */
		for (char *dot = e->name; !value && (dot = strchr(dot, '.'));
		     dot++) {
			snprintf(name, sizeof(name), "%s", e->name);
			name[dot - e->name] = ':';
			value = iniparser_getstring(dict, name, NULL);
		}
		e->value = value ? strdup(value) : NULL;
		if (!e->value) {
			iniparser_freedict(dict);
			return err_set(-EINVAL, "line %u: cannot be parsed",
				       e->line);
		}
	}
	iniparser_freedict(dict);
	return 0;
}

/* Opens path, whatever it is, but no directory. */
static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc;
	struct stat st;

	if (fd < 0)
		return err_set(-errno, "%s", strerror(errno));
	rc = fstat(fd, &st) ? -errno : 0;
	if (!rc && S_ISDIR(st.st_mode))
		rc = -EISDIR;
	if (!rc)
		return fd;
	close(fd);
	return rc == -EISDIR
		       ? err_set(rc, "is a directory, not a VM definition")
		       : err_set(rc, "%s", strerror(-rc));
}

static int parse_all(struct ini *ini, char *text, size_t len)
{
	int rc;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* UTF-8's mark */
		text += 3;
		len -= 3;
	}
	rc = check_lines(ini, text, &len);
	return rc ? rc : read_values(ini, text, len);
}

static int load(struct ini *ini, const char *path)
{
	auto_close int fd = open_file(path);
	char *text;
	size_t len;
	int rc;

	if (fd < 0)
		return fd;
	text = malloc(INI_MAX_FILE + 1);
	if (!text)
		return err_set(-ENOMEM, "out of memory");
	rc = read_all(fd, text, INI_MAX_FILE, &len);
	if (!rc)
		rc = parse_all(ini, text, len);
	free(text);
	return rc;
}

int ini_load(struct ini *ini, const char *path)
{
	int rc;

	*ini = (struct ini){ 0 };
	rc = load(ini, path);
	if (rc) {
		ini_destroy(ini);
		return err_in(rc, "%s", *path ? path : "''");
	}
	return 0;
}

void ini_destroy(struct ini *ini)
{
	for (size_t i = 0; i < ini->count; i++) {
		free(ini->entries[i].name);
		free(ini->entries[i].value);
	}
	free(ini->entries);
	*ini = (struct ini){ 0 };
}
