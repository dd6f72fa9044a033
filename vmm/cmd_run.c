/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm run: reads what is asked for; there is no machine to run it yet. */
#include <errno.h>

#include "vmm/base/err.h"
#include "vmm/commands.h"
#include "vmm/config.h"
#include "vmm/options.h"

int cmd_run(int argc, char **argv)
{
	struct config config;
	struct run_options options;
	int rc = run_options_parse(argc, argv, &config, &options);

	if (rc)
		return rc;
	config_destroy(&config);
	return err_set(-ENOSYS, "run: this build has no machine");
}
