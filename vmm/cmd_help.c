/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm help: everything it says comes from the tables. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/commands.h"
#include "vmm/config_key.h"
#include "vmm/options.h"
#include "vmm/status.h"

enum { WIDTH = 78 };

/* clang-format off */
const struct option help_option_table[] = {
	{ 0, "man", NULL, "print the manual page (mdoc)", NULL },
	{ 0, "commands", NULL, "list the commands, for completion", NULL },
	{ 0, "options", "COMMAND", "list its options, for completion", NULL },
	{ 0, "keys", NULL, "list the keys, for completion", NULL },
	{ 0, NULL, NULL, NULL, NULL },
};
/* clang-format on */

/* Prints text in lines that begin after indent blanks. */
static void print_wrapped(FILE *out, const char *text, int indent)
{
	int column = 0;

	while (*text) {
		int n = (int)strcspn(text, " ");

		if (!column || column + 1 + n > WIDTH)
			column = fprintf(out, "%s%*s%.*s", column ? "\n" : "",
					 indent, "", n, text);
		else
			column += fprintf(out, " %.*s", n, text);
		text += n + (int)strspn(text + n, " ");
	}
	fputc('\n', out);
}

static void print_options(FILE *out, const struct option *o)
{
	for (; o->name; o++) {
		char left[40], letter[] = { '-', o->letter, ',', ' ', '\0' };

		snprintf(left, sizeof(left), "%s--%s%s%s",
			 o->letter ? letter : "    ", o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
		fprintf(out, "  %-26s %s\n", left, o->help);
	}
}

static int print_command(FILE *out, const char *name)
{
	const struct command *c = command_find(name);

	if (!c)
		return -EINVAL;
	fprintf(out, "usage: cvmm %s %s\n\n%s%s\n", c->name, c->args, c->help,
		c->options->name ? "\n" : "");
	print_options(out, c->options);
	if (!strcmp(name, "run"))
		fputs("\nKeys of the file and --set: cvmm help keys.  "
		      "Exit status: cvmm help status.\n",
		      out);
	if (!strcmp(name, "test"))
		fputs("\nWhat is expected is said in [expect]: "
		      "cvmm help keys.\n",
		      out);
	return 0;
}

static void print_overview(FILE *out)
{
	fputs("cvmm runs virtual machines, confidential ones too, on Linux "
	      "KVM.\n\nusage: cvmm COMMAND ...\n\n",
	      out);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  %-10s %s\n", c->name, c->help);
	fputs("\n'cvmm help COMMAND' lists its options, 'cvmm help keys' what "
	      "a VM definition\ncan say; the manual is cvmm(1).  Try: "
	      "cvmm run\n",
	      out);
}

static void print_keys(FILE *out)
{
	for (const struct config_key *key = config_keys; key->name; key++) {
		fprintf(out, "%s = ", key->name);
		if (key->choice)
			for (unsigned int i = 0; key->choice(i); i++)
				fprintf(out, "%s%s", i ? "|" : "",
					key->choice(i));
		else
			fputs(key->kind, out);
		if (key->value)
			fprintf(out, "  (default: %s)", key->value);
		fputc('\n', out);
		print_wrapped(out, key->help, 4);
	}
}

static void print_statuses(FILE *out)
{
	for (const struct status_row *row = status_table; row->text; row++)
		fprintf(out, "%4d  %s\n", row->status, row->text);
}

void help_keys(FILE *out)
{
	for (const struct config_key *key = config_keys; key->name; key++) {
		fputs(key->name, out);
		for (unsigned int i = 0; key->choice && key->choice(i); i++)
			fprintf(out, " %s", key->choice(i));
		fputc('\n', out);
	}
}

static int list_options(FILE *out, const char *name)
{
	const struct command *c = command_find(name);

	if (!c)
		return -EINVAL;
	for (const struct option *o = c->options; o->name; o++) {
		fprintf(out, "--%s\n", o->name);
		if (o->letter)
			fprintf(out, "-%c\n", o->letter);
	}
	return 0;
}

static int print_topic(FILE *out, const char *topic)
{
	if (!topic)
		print_overview(out);
	else if (!strcmp(topic, "keys"))
		print_keys(out);
	else if (!strcmp(topic, "status"))
		print_statuses(out);
	else
		return print_command(out, topic);
	return 0;
}

static int print_list(FILE *out, const struct option *o, const char *value)
{
	if (!strcmp(o->name, "man"))
		help_man(out);
	else if (!strcmp(o->name, "keys"))
		help_keys(out);
	else if (!strcmp(o->name, "options"))
		return list_options(out, value);
	else
		for (const struct command *c = commands; c->name; c++)
			fprintf(out, "%s\n", c->name);
	return 0;
}

int cmd_help(int argc, char **argv)
{
	struct option_scan s = { .command = "help",
				 .options = help_option_table,
				 .argc = argc,
				 .argv = argv };
	const struct option *o;
	const char *value, *topic = NULL;
	bool listed = false;
	int rc;

	while ((rc = option_next(&s, &o, &value)) > 0) {
		if (o)
			rc = print_list(stdout, o, value);
		else
			topic = value;
		if (rc < 0)
			return rc;
		listed |= o != NULL;
	}
	if (rc || (listed && !topic))
		return rc;
	return print_topic(stdout, topic);
}
