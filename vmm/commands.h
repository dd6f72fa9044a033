/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands, one file each.  A command returns its exit status (see
 * status.h), or -errno with err_text() for main() to print, with status 1.
 */
#pragma once

#include <stdio.h>

#include "vmm/options.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the name */
	const char *args;                  /* what follows the name */
	const char *help;                  /* one line */
	const struct option *options;      /* ends with name NULL */
};

extern const struct command commands[]; /* ends with name NULL */

/* NULL: err_text() says that there is none and what is near. */
const struct command *command_find(const char *name);

int cmd_run(int argc, char **argv);
int cmd_test(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_help(int argc, char **argv);

extern const struct option test_option_table[], probe_option_table[],
	stat_option_table[], stop_option_table[], help_option_table[];

/* The manual page, in mdoc. */
void help_man(FILE *out);

/* The keys for completion: a line each, "key choice choice ...". */
void help_keys(FILE *out);
