/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm probe: the table of its options; there is no KVM to ask yet. */
#include <errno.h>

#include "vmm/base/err.h"
#include "vmm/commands.h"
#include "vmm/options.h"

const struct option probe_option_table[] = {
	{ .name = "json", .help = "print JSON, for programs" },
	{ .name = NULL },
};

int cmd_probe(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return err_set(-ENOSYS, "probe: this build has no KVM");
}
