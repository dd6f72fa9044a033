/* SPDX-License-Identifier: Apache-2.0 */
/* The manual page: prose here, every list from the table that it lists. */
#include <stdio.h>
#include <string.h>

#include "version.h"
#include "vmm/commands.h"
#include "vmm/config_key.h"
#include "vmm/options.h"
#include "vmm/status.h"

enum { WIDTH = 72 };

/* Text as roff takes it literally, a new sentence on a new line. */
static void text(FILE *out, const char *s)
{
	int column = 0;

	while (*s) {
		int n = (int)strcspn(s, " "), blanks;

		if (column && column + n > WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (!column && strchr(".'", *s))
			fputs("\\&", out); /* no request, as at "./file" */
		column += n + 1;
		for (; n; n--, s++)
			if (*s == '\\')
				fputs("\\e", out);
			else if (*s == '-')
				fputs("\\-", out);
			else
				fputc(*s, out);
		blanks = (int)strspn(s, " ");
		if (blanks > 1)
			column = WIDTH + 1;
		else if (blanks && column + (int)strcspn(s + 1, " ") <= WIDTH)
			fputc(' ', out);
		s += blanks;
	}
	fputc('\n', out);
}

/* The same as one argument of a macro. */
static void argument(FILE *out, const char *s)
{
	fputs(" \"", out);
	for (; *s; s++)
		if (*s == '"')
			fputs("\"\"", out);
		else if (*s == '\\')
			fputs("\\e", out);
		else
			fputc(*s, out);
	fputc('"', out);
}

static void write_options(FILE *out, const struct command *c)
{
	if (!c->options->name)
		return;
	fputs(".Bl -tag -width Ds\n", out);
	for (const struct option *o = c->options; o->name; o++) {
		fputs(".It", out);
		if (o->letter)
			fprintf(out, " Fl %c ,", o->letter);
		fprintf(out, " Fl Fl %s", o->name);
		if (o->arg) {
			fputs(" Ar", out);
			argument(out, o->arg);
		}
		fputc('\n', out);
		text(out, o->help);
		if (o->key)
			fprintf(out, ".Pq Cm %s\n", o->key);
	}
	fputs(".El\n", out);
}

static void write_commands(FILE *out)
{
	for (const struct command *c = commands; c->name; c++) {
		fprintf(out, ".Ss cvmm %s\n", c->name);
		text(out, c->help);
		write_options(out, c);
	}
}

static void write_keys(FILE *out)
{
	fputs(".Bl -tag -width Ds\n", out);
	for (const struct config_key *key = config_keys; key->name; key++) {
		fprintf(out, ".It Cm %s No =", key->name);
		if (key->kind)
			fprintf(out, " Ar %s", key->kind);
		for (unsigned int i = 0; key->choice && key->choice(i); i++)
			fprintf(out, "%s Cm %s", i ? " |" : "", key->choice(i));
		fputc('\n', out);
		text(out, key->help);
		if (key->value) {
			fputs("The default is\n.Ql", out);
			argument(out, key->value);
			fputs(" .\n", out);
		}
	}
	fputs(".El\n", out);
}

static void write_statuses(FILE *out)
{
	fputs(".Bl -tag -width 3n\n", out);
	for (const struct status_row *row = status_table; row->text; row++) {
		fprintf(out, ".It %d\n", row->status);
		text(out, row->text);
	}
	fputs(".El\n", out);
}

static const char head[] =
	".\\\" SPDX-License-Identifier: Apache-2.0\n"
	".\\\" Written by 'cvmm help --man' from cvmm's own tables.\n"
	".Dd " CVMM_DATE "\n"
	".Dt CVMM 1\n"
	".Os\n"
	".Sh NAME\n"
	".Nm cvmm\n"
	".Nd run virtual machines, confidential ones too, on Linux KVM\n"
	".Sh SYNOPSIS\n";

static const char description[] =
	".Sh DESCRIPTION\n"
	".Nm\n"
	"runs one virtual machine on\n"
	".Pa /dev/kvm\n"
	"with all of its memory in guest_memfd,\n"
	"and protects it with the technology that is asked for, or does not\n"
	"start it.\n"
	"The serial console of the guest is standard input and output;\n"
	"on a terminal, Ctrl\\-a x ends the VM.\n"
	".Pp\n"
	"Without a kernel,\n"
	".Nm cvmm run\n"
	"boots a small guest of its own that checks the machine and reports.\n"
	".Sh COMMANDS\n"
	"Each prints at most one line about an error, on standard error.\n";

static const char file[] =
	".Sh VM DEFINITIONS\n"
	"A VM definition is an INI file: lines that are\n"
	".Ql [section]\n"
	"or\n"
	".Ql key = value .\n"
	"A comment begins with\n"
	".Ql \\&;\n"
	"or\n"
	".Ql #\n"
	"at the start of a line or after a blank;\n"
	"a value that has one of these in it, or blanks around it, is put in\n"
	"single or double quotes.\n"
	"A key that is unknown or comes twice is an error.\n"
	"Defaults are read first, then the file, then the options in their\n"
	"order.\n"
	"Paths are relative to the file, and\n"
	".Ev $NAME\n"
	"or\n"
	".Ev ${NAME}\n"
	"in them is replaced from the environment.\n"
	".Pp\n"
	"The keys, as\n"
	".Ql section.key :\n";

static const char testing[] =
	".Sh TESTS\n"
	".Nm cvmm test\n"
	"runs VM definitions side by side and compares what they do with\n"
	"what their section\n"
	".Ql [expect]\n"
	"says; in a directory it takes all files that end in\n"
	".Pa .ini .\n"
	"A test passes when every\n"
	".Cm line\n"
	"came in order, no\n"
	".Cm never\n"
	"came, and the VM ended in time with the right status.\n"
	"Numbers need not be consecutive.\n"
	"For example:\n"
	".Bd -literal -offset indent\n"
	"[boot]\n"
	"kernel = $KERNEL\n"
	"initrd = shell.cpio\n"
	"\n"
	"[expect]\n"
	"requires = $KERNEL\n"
	"line.1 = \"/ # \"\n"
	"type.1 = uname -r; poweroff -f\\en\n"
	"line.2 = ~^6\\e.[0-9]+\n"
	"never.1 = BUG:\n"
	"timeout = 30s\n"
	".Ed\n"
	".Pp\n"
	"The status of\n"
	".Nm cvmm test\n"
	"is 0 if no test failed, else 1.\n"
	"Logs are kept for tests that fail.\n"
	".Sh FILES\n"
	".Bl -tag -width 3n\n"
	".It Pa /run/cvmm/NAME.sock\n"
	"Where a VM of root's is asked; of other users,\n"
	".Pa $XDG_RUNTIME_DIR/cvmm/NAME.sock .\n"
	"NAME\\-PID if the name is taken.\n"
	".El\n"
	".Sh EXIT STATUS\n";

static const char tail[] = ".Sh EXAMPLES\n"
			   "Check this host, then boot a kernel to a shell:\n"
			   ".Bd -literal -offset indent\n"
			   "cvmm run\n"
			   "cvmm run -k vmlinuz -i initrd.img -m 1G -c 2\n"
			   ".Ed\n"
			   ".Sh SEE ALSO\n"
			   ".Lk https://docs.kernel.org/virt/kvm/api.html\n";

void help_man(FILE *out)
{
	fputs(head, out);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, ".Nm\n.Cm %s\n%s%s%s", c->name,
			*c->args ? ".Ar " : "", c->args, *c->args ? "\n" : "");
	fputs(description, out);
	write_commands(out);
	fputs(file, out);
	write_keys(out);
	fputs(testing, out);
	write_statuses(out);
	fputs(tail, out);
}
