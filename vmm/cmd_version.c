/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm version. */
#include <errno.h>
#include <stdio.h>

#include "version.h" /* from git, by way of the Makefile */
#include "vmm/base/err.h"
#include "vmm/commands.h"

int cmd_version(int argc, char **argv)
{
	if (argc > 1)
		return err_set(-EINVAL, "version takes no arguments, not '%s'",
			       argv[1]);
	puts("cvmm " CVMM_VERSION);
	return 0;
}
