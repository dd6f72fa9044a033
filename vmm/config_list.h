/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM can have several of: disks, networks, ...  A section [disk.NAME]
 * is one; so is "-d PATH,key=value,word" on the command line, where a word
 * alone stands for word=yes and the name is made up (disk0, disk1, ...).
 */
#pragma once

#include <stddef.h>

#define CONFIG_MAX_ITEMS 31
#define CONFIG_ITEM_NAME 24

/* Items begin with char name[CONFIG_ITEM_NAME]; zero is no value yet. */
struct config_list {
	unsigned int count;
	void *items[CONFIG_MAX_ITEMS]; /* in the order they were named */
};

/* The item called name, or NULL. */
void *config_list_find(const struct config_list *list, const char *name);

/* Adds a zeroed item of size bytes.  -EINVAL, -ENOSPC or -ENOMEM with text. */
int config_list_add(struct config_list *list, const char *name, size_t size,
		    void **item);

struct config;

/*
 * Adds an item as the command line has it: key is that of the first part, as
 * in "disk.*.path".
 */
int config_add_item(struct config *config, const char *key, const char *text);
