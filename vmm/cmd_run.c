/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm run: one VM, again for as long as it reboots and is to. */
#include <signal.h>
#include <stdio.h>

#include "vmm/base/log.h"
#include "vmm/commands.h"
#include "vmm/config.h"
#include "vmm/kvm/trace.h"
#include "vmm/machine.h"
#include "vmm/options.h"

static void print_call(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "kvm: %s\n", line);
}

int cmd_run(int argc, char **argv)
{
	struct run_options options = { 0 };
	struct config config;
	struct kvm_trace trace;
	struct kvm_sys *sys = &kvm_linux;
	bool restart;
	int rc = run_options_parse(argc, argv, &config, &options);

	if (rc < 0)
		return rc;
	log_set_level(options.quiet     ? LOG_ERR
		      : options.verbose ? LOG_DEBUG
					: LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	if (options.trace_kvm) {
		kvm_trace_init(&trace, sys, print_call, NULL);
		sys = &trace.sys;
	}
	do {
		rc = machine_run(&config, sys, &restart);
	} while (rc >= 0 && restart);
	config_destroy(&config);
	return rc;
}
