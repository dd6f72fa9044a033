/* SPDX-License-Identifier: Apache-2.0 */
/* What config_list.h declares. */
#include "vmm/config_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/config.h"
#include "vmm/config_key.h"

void *config_list_find(const struct config_list *list, const char *name)
{
	for (unsigned int i = 0; i < list->count; i++)
		if (!strcmp(list->items[i], name))
			return list->items[i];
	return NULL;
}

int config_list_add(struct config_list *list, const char *name, size_t size,
		    void **item)
{
	if (strlen(name) >= CONFIG_ITEM_NAME)
		return err_set(-EINVAL, "the name '%.40s' is longer than %d",
			       name, CONFIG_ITEM_NAME - 1);
	if (list->count == CONFIG_MAX_ITEMS)
		return err_set(-ENOSPC, "more than %d of them",
			       CONFIG_MAX_ITEMS);
	*item = calloc(1, size);
	if (!*item)
		return err_set(-ENOMEM, "out of memory");
	snprintf(*item, CONFIG_ITEM_NAME, "%s", name);
	list->items[list->count++] = *item;
	return 0;
}

/* A name that nothing in the list has. */
static void make_name(const struct config_list *list, const char *section,
		      char *name, size_t size)
{
	unsigned int i = 0;

	do
		snprintf(name, size, "%s%u", section, i++);
	while (config_list_find(list, name));
}

/* "word" or "word=value", of item `item` in section. */
static int set_part(struct config *config, const char *section,
		    const char *item, const char *part)
{
	const char *equals = strchrnul(part, '=');
	char name[128];

	if (equals == part)
		return err_set(-EINVAL, "'%.60s' is not a key, nor key=value",
			       part);
	snprintf(name, sizeof(name), "%s.%s.%.*s", section, item,
		 (int)min_of(equals - part, 60), part);
	return config_set_key(config, name, *equals ? equals + 1 : "yes");
}

static int add_item(struct config *config, const char *key, char *parts)
{
	const struct config_key *k = config_keys;
	char section[CONFIG_ITEM_NAME], name[CONFIG_ITEM_NAME * 2];
	char first[128], *part;
	int rc;

	while (strcmp(k->name, key) != 0)
		k++; /* our own table of options has named it */
	snprintf(section, sizeof(section), "%.*s", (int)strcspn(key, "."), key);
	make_name((void *)((char *)config + k->field), section, name,
		  sizeof(name));
	snprintf(first, sizeof(first), "%s.%s%s", section, name,
		 strrchr(key, '.'));
	rc = config_set_key(config, first, strsep(&parts, ","));
	while (!rc && (part = strsep(&parts, ",")))
		rc = set_part(config, section, name, part);
	return rc;
}

int config_add_item(struct config *config, const char *key, const char *text)
{
	char *copy = strdup(text);
	int rc;

	if (!copy)
		return err_set(-ENOMEM, "out of memory");
	rc = add_item(config, key, copy);
	free(copy);
	return rc;
}
