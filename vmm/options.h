/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines: a table of options per command is parser, help, manual and
 * completion.  -k FILE, -kFILE, --kernel FILE and --kernel=FILE are the same;
 * options and operands may be mixed; after "--" all are operands.
 */
#pragma once

#include <stdbool.h>

struct option {
	char letter;      /* of the short form; 0: none */
	const char *name; /* of the long form */
	const char *arg;  /* what its value is, for help; NULL: takes none */
	const char *help;
	const char *key; /* the configuration key it sets, or NULL */
};

struct option_scan {                  /* zero but for the first four */
	const char *command;          /* for "see cvmm help COMMAND" */
	const struct option *options; /* ends with name NULL */
	int argc;
	char **argv; /* argv[0] is the command */
	int at;
	const char *cluster; /* rest of "-vv" */
	bool operands_only;
};

/*
 * The next option with its value, or an operand: *opt is NULL then.  Returns
 * 1, 0 at the end, -EINVAL for what the table does not have.
 */
int option_next(struct option_scan *s, const struct option **opt,
		const char **value);

struct config;

struct run_options { /* of cvmm run, beside the configuration */
	unsigned int verbose;
	bool quiet, trace_kvm;
};

extern const struct option run_option_table[];

/*
 * Fills config for cvmm run: defaults, then the file named, then the options,
 * then all checks.  config is destroyed on failure.
 */
int run_options_parse(int argc, char **argv, struct config *config,
		      struct run_options *run);
