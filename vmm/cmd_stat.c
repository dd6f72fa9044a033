/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm stat, cvmm stop: questions to a VM that runs. */
#include <errno.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/commands.h"
#include "vmm/control.h"

const struct option stat_option_table[] = {
	{ .name = "json", .help = "print JSON, for programs" },
	{ .name = NULL },
};

const struct option stop_option_table[] = { { .name = NULL } };

/* Takes "NAME [--json]" and asks. */
static int ask(struct option_scan *scan, const char *line, const char *json)
{
	const struct option *option;
	const char *value, *name = NULL;
	int rc;

	while ((rc = option_next(scan, &option, &value)) > 0) {
		if (option)
			line = json;
		else if (name)
			return err_set(-EINVAL,
				       "one VM at a time: '%s' or '%s'?", name,
				       value);
		else
			name = value;
	}
	if (rc < 0)
		return rc;
	if (!name || !*name)
		return err_set(-EINVAL, "which VM? cvmm %s NAME",
			       scan->command);
	return control_ask(name, line, stdout);
}

int cmd_stat(int argc, char **argv)
{
	struct option_scan scan = { .command = "stat",
				    .options = stat_option_table,
				    .argc = argc,
				    .argv = argv };

	return ask(&scan, "stat", "stat --json");
}

int cmd_stop(int argc, char **argv)
{
	struct option_scan scan = { .command = "stop",
				    .options = stop_option_table,
				    .argc = argc,
				    .argv = argv };

	return ask(&scan, "stop", "stop");
}
