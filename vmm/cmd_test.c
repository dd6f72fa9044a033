/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm test. */
#include <errno.h>

#include "vmm/base/err.h"
#include "vmm/commands.h"
#include "vmm/options.h"

const struct option test_option_table[] = {
	{ .name = NULL },
};

int cmd_test(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return err_set(-ENOSYS, "test: not yet");
}
