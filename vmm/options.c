/* SPDX-License-Identifier: Apache-2.0 */
/* What options.h declares. */
#include "vmm/options.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/config.h"
#include "vmm/config_list.h"
#include "vmm/suggest.h"

static int unknown(const struct option_scan *s, const char *text, size_t len)
{
	struct suggestion near = { 0 };
	char word[48];

	snprintf(word, sizeof(word), "%.*s", (int)len, text);
	near.word = word;
	for (const struct option *o = s->options; o->name && len > 2; o++) {
		char name[48];

		snprintf(name, sizeof(name), "--%s", o->name);
		suggest(&near, name);
		if (near.best == name) /* keep what will not go away */
			near.best = o->name;
	}
	if (near.best)
		return err_set(-EINVAL,
			       "unknown option %s, did you mean --%s? (see "
			       "'cvmm help %s')",
			       word, near.best, s->command);
	return err_set(-EINVAL, "unknown option %s, see 'cvmm help %s'", word,
		       s->command);
}

/* The value: what is attached, or else the next argument. */
static int take_value(struct option_scan *s, const struct option *o,
		      const char *attached, const char **value)
{
	*value = attached;
	if (!o->arg && attached)
		return err_set(-EINVAL, "--%s takes no value", o->name);
	if (!o->arg || attached)
		return 1;
	if (s->at >= s->argc)
		return err_set(-EINVAL, "--%s needs a value: --%s %s", o->name,
			       o->name, o->arg);
	*value = s->argv[s->at++];
	return 1;
}

static int next_long(struct option_scan *s, const char *arg,
		     const struct option **opt, const char **value)
{
	size_t len = strcspn(arg, "=");

	for (const struct option *o = s->options; o->name; o++) {
		if (strlen(o->name) != len - 2 ||
		    strncmp(arg + 2, o->name, len - 2) != 0)
			continue;
		*opt = o;
		return take_value(s, o, arg[len] ? arg + len + 1 : NULL, value);
	}
	return unknown(s, arg, len);
}

/* One letter of "-v", "-vv", "-m512". */
static int next_short(struct option_scan *s, const struct option **opt,
		      const char **value)
{
	const char *letter = s->cluster, word[] = { '-', *letter };

	for (const struct option *o = s->options; o->name; o++) {
		if (o->letter != *letter)
			continue;
		*opt = o;
		s->cluster = !o->arg && letter[1] ? letter + 1 : NULL;
		return take_value(s, o, o->arg && letter[1] ? letter + 1 : NULL,
				  value);
	}
	return unknown(s, word, sizeof(word));
}

int option_next(struct option_scan *s, const struct option **opt,
		const char **value)
{
	const char *arg;

	*opt = NULL;
	*value = NULL;
	if (s->cluster)
		return next_short(s, opt, value);
	if (!s->at)
		s->at = 1;
	if (s->at >= s->argc)
		return 0;
	arg = s->argv[s->at++];
	if (s->operands_only || arg[0] != '-' || !arg[1]) {
		*value = arg;
		return 1;
	}
	if (!strcmp(arg, "--")) {
		s->operands_only = true;
		return option_next(s, opt, value);
	}
	if (arg[1] == '-')
		return next_long(s, arg, opt, value);
	s->cluster = arg + 1;
	return next_short(s, opt, value);
}

/* clang-format off */
const struct option run_option_table[] = {
	{ 'k', "kernel", "FILE", "Linux kernel to boot", "boot.kernel" },
	{ 'i', "initrd", "FILE", "initial RAM disk", "boot.initrd" },
	{ 'p', "params", "TEXT", "add TEXT to the kernel command line",
	  "boot.cmdline" },
	{ 'm', "mem", "SIZE", "guest memory; a plain number is MiB",
	  "vm.memory" },
	{ 'c', "cpus", "N", "virtual CPUs", "vm.cpus" },
	{ 'd', "disk", "PATH[,..]",
	  "add a disk; .. is ro, direct, queues=N, serial=TEXT",
	  "disk.*.path" },
	{ 'n', "network", "tap|user[,..]", "add a network", "net.*.mode" },
	{ 0, "share", "PATH[,tag=T]", "add a directory of the host's",
	  "share.*.path" },
	{ 0, "vsock", "CID", "sockets between host and guest", "vsock.cid" },
	{ 0, "console", "MODE", "where one types: serial or virtio",
	  "console.mode" },
	{ 0, "rng", NULL, "add a source of random numbers", "devices.rng" },
	{ 0, "name", "NAME", "name of the VM in messages", "vm.name" },
	{ 0, "cvm", "TYPE", "technology that protects the guest", "vm.cvm" },
	{ 0, "set", "KEY=VALUE", "set any key, as in the file", NULL },
	{ 0, "no-reboot", NULL, "end when the guest reboots", "vm.on_reboot" },
	{ 'v', "verbose", NULL, "say more; twice: say much more", NULL },
	{ 0, "quiet", NULL, "say nothing but errors", NULL },
	{ 0, "trace-kvm", NULL, "print every call to KVM", NULL },
	{ 0, NULL, NULL, NULL, NULL },
};
/* clang-format on */

static int append_params(struct config *config, const char *value)
{
	auto_free char *all = NULL;
	bool first = !config->cmdline || !*config->cmdline;

	if (asprintf(&all, "%s%s%s", first ? "" : config->cmdline,
		     first ? "" : " ", value) < 0) {
		all = NULL;
		return err_set(-ENOMEM, "out of memory");
	}
	return config_set_key(config, "boot.cmdline", all);
}

/* A plain number is MiB, as kvmtool has it. */
static int set_memory(struct config *config, const char *value)
{
	char size[32];

	assert(value); /* the option takes one */
	if (!*value || value[strspn(value, "0123456789")] ||
	    strlen(value) > sizeof(size) - 2)
		return config_set_key(config, "vm.memory", value);
	snprintf(size, sizeof(size), "%sM", value);
	return config_set_key(config, "vm.memory", size);
}

static int apply(struct config *config, struct run_options *run,
		 const struct option *o, const char *value)
{
	const char *name = o->name;

	if (!strcmp(name, "set"))
		return config_set(config, value);
	if (!strcmp(name, "params"))
		return append_params(config, value);
	if (!strcmp(name, "mem"))
		return set_memory(config, value);
	if (o->key && o->arg && value && !*value)
		return err_set(-EINVAL,
			       "its %s is empty: say which, or leave "
			       "the option out",
			       o->arg);
	if (o->key && strchr(o->key, '*'))
		return config_add_item(config, o->key, value);
	if (!strcmp(name, "no-reboot"))
		return config_set_key(config, o->key, "exit");
	if (o->key)
		return config_set_key(config, o->key, o->arg ? value : "yes");
	if (!strcmp(name, "verbose"))
		run->verbose++;
	else if (!strcmp(name, "quiet"))
		run->quiet = true;
	else
		run->trace_kvm = true;
	return 0;
}

/* Loads the file that is named, if one is: it comes before any option. */
static int load_file(struct option_scan s, struct config *config)
{
	const struct option *o;
	const char *value, *file = NULL;
	int rc;

	while ((rc = option_next(&s, &o, &value)) > 0) {
		if (!o && file)
			return err_set(-EINVAL,
				       "'%s' and '%s': only one VM definition "
				       "can be given",
				       file, value);
		if (!o)
			file = value;
	}
	return rc || !file ? rc : config_load(config, file);
}

int run_options_parse(int argc, char **argv, struct config *config,
		      struct run_options *run)
{
	struct option_scan s = { .command = "run",
				 .options = run_option_table,
				 .argc = argc,
				 .argv = argv };
	const struct option *o;
	const char *value;
	int rc = config_init(config);

	*run = (struct run_options){ 0 };
	if (!rc)
		rc = load_file(s, config);
	while (!rc && (rc = option_next(&s, &o, &value)) > 0) {
		rc = o ? apply(config, run, o, value) : 0;
		if (rc)
			rc = err_in(rc, "--%s", o->name);
	}
	if (!rc)
		rc = config_check(config);
	if (rc)
		config_destroy(config);
	return rc;
}
