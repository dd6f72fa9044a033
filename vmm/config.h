/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user asked for, as plain values.  Only machine.c and the commands
 * look at it; everything below receives the few values it needs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum config_reboot { CONFIG_REBOOT_EXIT, CONFIG_REBOOT_RESTART };
enum config_decompress { CONFIG_DECOMPRESS_AUTO, CONFIG_DECOMPRESS_GUEST };
enum config_backing { CONFIG_BACKING_GUEST_MEMFD, CONFIG_BACKING_MEMFD };

struct config_expect; /* [expect]; see expect.h */

struct config {
	char *name;
	uint64_t cpus;   /* 1 to 255 */
	uint64_t memory; /* bytes */
	char *cvm;       /* a name that cvm_find() knows */
	enum config_reboot on_reboot;
	char *kernel; /* NULL: the embedded guest */
	char *initrd; /* NULL: none */
	char *cmdline;
	enum config_decompress decompress;
	enum config_backing backing;
	struct config_expect *expect; /* NULL: none given */
};

/* Gives every key its default. */
int config_init(struct config *config);

/*
 * Reads the INI file at path over what config holds.  Relative paths in a
 * file are relative to the file.  One line names file, line or key and fix.
 */
int config_load(struct config *config, const char *path);

/* Sets one key, "section.key=value", as --set does. */
int config_set(struct config *config, const char *assignment);

/* Checks what one key alone cannot: call once, after everything is set. */
int config_check(const struct config *config);

void config_destroy(struct config *config); /* twice is fine */
