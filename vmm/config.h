/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user asked for, as plain values.  Only machine.c and the commands
 * look at it; everything below receives the few values it needs.
 */
#pragma once

#include <stdint.h>

#include "vmm/base/window.h"
#include "vmm/config_list.h"
#include "vmm/expect.h"

enum config_reboot { CONFIG_REBOOT_EXIT, CONFIG_REBOOT_RESTART };
enum config_decompress { CONFIG_DECOMPRESS_AUTO, CONFIG_DECOMPRESS_GUEST };
enum config_backing { CONFIG_BACKING_GUEST_MEMFD, CONFIG_BACKING_MEMFD };
enum config_switch { CONFIG_NO, CONFIG_YES };
enum config_console { CONFIG_CONSOLE_SERIAL, CONFIG_CONSOLE_VIRTIO };
enum config_net_mode { CONFIG_NET_TAP, CONFIG_NET_USER };

#define CONFIG_MAX_CPUS 255 /* x2APIC is what more of them would need */

struct config_disk { /* section [disk.NAME] */
	char name[CONFIG_ITEM_NAME];
	char *path;
	enum config_switch ro, direct;
	uint64_t queues;
	char *serial; /* NULL: the name */
};

struct config_net { /* section [net.NAME] */
	char name[CONFIG_ITEM_NAME];
	enum config_net_mode mode;
	char *ifname;   /* NULL: a new one */
	char *socket;   /* NULL: none */
	uint8_t mac[6]; /* zero: made of the names */
	uint64_t queues, mtu;
	enum config_switch vhost;
};

struct config_share { /* section [share.NAME] */
	char name[CONFIG_ITEM_NAME];
	char *path, *tag, *socket, *daemon; /* NULL: none */
};

/* Strings are owned; a zeroed config is a valid empty one. */
struct config {
	char *name;
	uint64_t cpus;   /* 1 to CONFIG_MAX_CPUS */
	uint64_t memory; /* bytes, a multiple of 4 KiB */
	char *cvm;       /* a name that cvm_find() knows */
	enum config_reboot on_reboot;
	uint64_t restart_burst, restart_interval_ms; /* restart.h */
	char *kernel; /* NULL: the embedded guest */
	char *initrd; /* NULL: none */
	char *cmdline;
	enum config_decompress decompress;
	enum config_backing backing;
	uint64_t swiotlb; /* bytes; 0: auto */
	enum config_switch prefault;
	enum window_mode window;
	enum config_switch rng;
	uint64_t vsock_cid; /* 0: no vsock */
	enum config_switch balloon;
	uint64_t balloon_size; /* bytes to take from the guest */
	enum config_console console_mode;
	char *console_to;          /* an endpoint's, or "stdio" */
	struct config_list disks;  /* struct config_disk */
	struct config_list nets;   /* struct config_net */
	struct config_list shares; /* struct config_share */
	struct expect expect;      /* what cvmm test looks for */
};

/* Gives every key its default. */
int config_init(struct config *config);

/*
 * Reads the INI file at path over what config holds; vm.name becomes the
 * file's name unless it says one.  Paths in a file are relative to the file,
 * and $NAME or ${NAME} in them is replaced from the environment.  One line
 * names file, line, key and fix.
 */
int config_load(struct config *config, const char *path);

/* The same, but only [expect]: all that the test runner needs to know. */
int config_load_expect(struct config *config, const char *path);

/* Sets one key, "section.key=value", as --set does. */
int config_set(struct config *config, const char *assignment);

/* Sets the key called name, as config_set(). */
int config_set_key(struct config *config, const char *name, const char *value);

/* Checks what one key alone cannot: call once, after everything is set. */
int config_check(const struct config *config);

/* Devices whose queues others serve than cvmm, in words; NULL: there are none.
 */
const char *config_back_end(const struct config *config);

void config_destroy(struct config *config); /* twice is fine */
