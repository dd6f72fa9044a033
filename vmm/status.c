/* SPDX-License-Identifier: Apache-2.0 */
/* What status.h declares. */
#include "vmm/status.h"

#include <stddef.h>

const struct status_row status_table[] = {
	{ STATUS_OK, "the guest powered off (embedded guest: "
		     "all of its checks passed)" },
	{ STATUS_ERROR, "bad input, or the host failed before the guest ran" },
	{ STATUS_CHECKS_FAILED, "the guest's own checks failed" },
	{ STATUS_REBOOT, "the guest rebooted (too often, if on_reboot = "
			 "restart)" },
	{ STATUS_PANIC, "the guest's kernel panicked" },
	{ STATUS_TRIPLE_FAULT, "the guest ended in a triple fault" },
	{ STATUS_VM_FAILED, "the VM failed while it ran (KVM or host error)" },
	{ STATUS_HUNG_UP, "stopped by SIGHUP" },
	{ STATUS_INTERRUPTED, "stopped by SIGINT or Ctrl-a x" },
	{ STATUS_QUIT, "stopped by SIGQUIT" },
	{ STATUS_TERMINATED, "stopped by SIGTERM or cvmm stop" },
	{ 0, NULL },
};

const char *status_text(int status)
{
	for (const struct status_row *row = status_table; row->text; row++)
		if (row->status == status)
			return row->text;
	return "not a status of cvmm";
}
