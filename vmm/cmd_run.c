/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm run: one VM, again for as long as it reboots and is to. */
#include <inttypes.h>
#include <signal.h>

#include "vmm/base/log.h"
#include "vmm/commands.h"
#include "vmm/config.h"
#include "vmm/kvm/trace.h"
#include "vmm/machine.h"
#include "vmm/options.h"
#include "vmm/restart.h"

static void print_call(void *ctx, const char *line)
{
	(void)ctx;
	log_line("kvm: %s", line);
}

static bool may_restart(const struct config *c, struct restart_limit *limit)
{
	if (restart_allowed(limit, util_now_ms()))
		return true;
	log_err("%s: not restarted again: %" PRIu64 " restarts within %g s are "
		"the limit (vm.restart_burst, vm.restart_interval)",
		c->name, c->restart_burst,
		(double)c->restart_interval_ms / 1000);
	return false;
}

int cmd_run(int argc, char **argv)
{
	struct run_options options = { 0 };
	struct config config;
	struct kvm_trace trace;
	struct kvm_sys *sys = &kvm_linux;
	struct restart_limit limit = { 0 };
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
	limit.burst = config.restart_burst;
	limit.interval_ms = config.restart_interval_ms;
	do {
		rc = machine_run(&config, sys, &restart);
	} while (rc >= 0 && restart && may_restart(&config, &limit));
	config_destroy(&config);
	return rc;
}
