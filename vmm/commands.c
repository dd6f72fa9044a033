/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands. */
#include "vmm/commands.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/options.h"
#include "vmm/suggest.h"

static const struct option no_options[] = { { .name = NULL } };

/* clang-format off */
const struct command commands[] = {
	{ "run", cmd_run, "[VM.ini] [options]",
	  "run a VM until it ends", run_option_table },
	{ "test", cmd_test, "FILE.ini|DIR... [options]",
	  "run VMs and check what they print", test_option_table },
	{ "probe", cmd_probe, "[options]",
	  "say what this host can run, and why not", probe_option_table },
	{ "stat", cmd_stat, "NAME [options]",
	  "print the figures of a VM that runs", stat_option_table },
	{ "stop", cmd_stop, "NAME",
	  "end a VM that runs, as SIGTERM does, and wait for it",
	  stop_option_table },
	{ "version", cmd_version, "",
	  "print the version", no_options },
	{ "help", cmd_help, "[COMMAND|keys|status] [options]",
	  "explain a command, the keys or exit statuses", help_option_table },
	{ .name = NULL },
};
/* clang-format on */

const struct command *command_find(const char *name)
{
	struct suggestion near = { .word = name };

	for (const struct command *c = commands; c->name; c++) {
		if (!strcmp(c->name, name))
			return c;
		suggest(&near, c->name);
	}
	err_set(-EINVAL, "unknown command '%.40s'%s", name,
		near.best ? suggest_text(&near) : ", see 'cvmm help'");
	return NULL;
}
