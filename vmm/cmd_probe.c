/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm probe: what this host can run; status 1 if that is nothing. */
#include <errno.h>

#include "version.h"
#include "vmm/base/err.h"
#include "vmm/commands.h"
#include "vmm/options.h"
#include "vmm/probe.h"
#include "vmm/status.h"

const struct option probe_option_table[] = {
	{ .name = "json", .help = "print JSON, for programs" },
	{ .name = NULL },
};

int cmd_probe(int argc, char **argv)
{
	struct option_scan scan = { .command = "probe",
				    .options = probe_option_table,
				    .argc = argc,
				    .argv = argv };
	const struct option *option;
	const char *value;
	struct probe probe;
	bool json = false;
	int rc;

	while ((rc = option_next(&scan, &option, &value)) > 0) {
		if (!option)
			return err_set(-EINVAL,
				       "probe takes no argument, not '%s'",
				       value);
		json = true;
	}
	if (rc < 0)
		return rc;
	probe_gather(&probe, &kvm_linux);
	probe.version = CVMM_VERSION;
	if (json)
		probe_print_json(&probe, stdout);
	else
		probe_print(&probe, stdout);
	return probe_usable(&probe) ? 0 : STATUS_ERROR;
}
