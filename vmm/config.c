/* SPDX-License-Identifier: Apache-2.0 */
/* What config.h declares.  The keys are in config_keys.c. */
#include "vmm/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/config_key.h"
#include "vmm/cvm/cvm.h"
#include "vmm/ini.h"
#include "vmm/kvm/store.h"
#include "vmm/suggest.h"

/* Does name fit pattern, in which one '*' stands for a name without dots? */
static bool fits(const char *pattern, const char *name, char *star, size_t size)
{
	size_t before = strcspn(pattern, "*"), n;

	*star = '\0';
	if (!pattern[before])
		return !strcmp(pattern, name);
	if (strncmp(pattern, name, before) != 0)
		return false;
	n = strcspn(name + before, ".");
	if (!n || n >= size ||
	    strcmp(pattern + before + 1, name + before + n) != 0)
		return false;
	memcpy(star, name + before, n);
	star[n] = '\0';
	return true;
}

static int unknown_key(const char *name)
{
	struct suggestion near = { .word = name };

	for (const struct config_key *key = config_keys; key->name; key++)
		suggest(&near, key->name);
	return err_set(-EINVAL, "unknown key%s",
		       near.best ? suggest_text(&near)
				 : ", see 'cvmm help keys'");
}

/* The item that s is about, made with its defaults when it is new. */
static int find_item(const struct config_setting *s, struct config_list *list,
		     void **item)
{
	int rc;

	*item = config_list_find(list, s->star);
	if (*item)
		return 0;
	rc = config_list_add(list, s->star, s->key->item_size, item);
	for (const struct config_key *k = config_keys; !rc && k->name; k++) {
		struct config_setting d = { .key = k, .text = k->value };

		if (k->item_size && k->field == s->key->field && k->value)
			rc = k->set(&d, (char *)*item + k->item_field);
	}
	return rc;
}

static int set_field(struct config *config, const struct config_setting *s)
{
	void *field = (char *)config + s->key->field;
	int rc;

	if (s->key->item_size) {
		rc = find_item(s, field, &field);
		if (rc)
			return rc;
		field = (char *)field + s->key->item_field;
	}
	return s->key->set(s, field);
}

static int set_key(struct config *config, const char *name, const char *text,
		   const char *dir)
{
	char star[64];
	struct config_setting s = { .text = text, .star = star, .dir = dir };

	for (s.key = config_keys; s.key->name; s.key++)
		if (fits(s.key->name, name, star, sizeof(star)))
			return set_field(config, &s);
	return unknown_key(name);
}

int config_set_key(struct config *config, const char *name, const char *value)
{
	int rc = set_key(config, name, value, NULL);

	return rc ? err_in(rc, "%.80s", name) : 0;
}

int config_set(struct config *config, const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	char name[128];

	if (!equals || equals == assignment ||
	    (size_t)(equals - assignment) >= sizeof(name))
		return err_set(-EINVAL, "'%.60s' is not section.key=value",
			       assignment);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - assignment),
		 assignment);
	return config_set_key(config, name, equals + 1);
}

int config_init(struct config *config)
{
	int rc;

	*config = (struct config){ 0 };
	for (const struct config_key *key = config_keys; key->name; key++) {
		rc = 0;
		if (key->value && !key->item_size)
			rc = config_set_key(config, key->name, key->value);
		if (rc) {
			config_destroy(config);
			return rc;
		}
	}
	return config_set_key(config, "vm.name", "vm");
}

/* The name of the file at path without ".ini", unless nothing is left. */
static int name_after(struct config *config, const char *path)
{
	const char *base = strrchr(path, '/');
	char name[64];
	char *dot;

	snprintf(name, sizeof(name), "%s", base ? base + 1 : path);
	dot = strrchr(name, '.');
	if (dot && !strcmp(dot, ".ini"))
		*dot = '\0';
	return *name ? config_set_key(config, "vm.name", name) : 0;
}

static int set_entry(struct config *config, const struct ini_entry *e,
		     const char *dir, const char *path)
{
	int rc = set_key(config, e->name, e->value, dir);

	if (rc)
		return err_in(rc, "%s: line %u: %s", path, e->line, e->name);
	return 0;
}

static int set_entries(struct config *config, const struct ini *ini,
		       const char *dir, const char *path, const char *section)
{
	size_t len = strlen(section);
	int rc = 0;

	for (size_t i = 0; !rc && i < ini->count; i++)
		if (!strncmp(ini->entries[i].name, section, len))
			rc = set_entry(config, &ini->entries[i], dir, path);
	if (!rc) {
		rc = expect_check(&config->expect);
		if (rc)
			return err_in(rc, "%s", path);
	}
	return rc;
}

/* Sets the keys whose names begin with section. */
static int load(struct config *config, const char *path, const char *section)
{
	const char *slash = strrchr(path, '/');
	struct ini ini;
	int rc = ini_load(&ini, path);
	char *dir;

	if (rc)
		return rc;
	dir = strndup(path, slash ? (size_t)(slash + 1 - path) : 0);
	if (dir)
		rc = set_entries(config, &ini, dir, path, section);
	else
		rc = err_set(-ENOMEM, "out of memory");
	free(dir);
	ini_destroy(&ini);
	return rc;
}

int config_load(struct config *config, const char *path)
{
	int rc = name_after(config, path);

	return rc ? rc : load(config, path, "");
}

int config_load_expect(struct config *config, const char *path)
{
	return load(config, path, "expect.");
}

static int check_disks(const struct config_list *disks)
{
	for (unsigned int i = 0; i < disks->count; i++) {
		const struct config_disk *d = disks->items[i];

		if (!d->path)
			return err_set(-EINVAL,
				       "disk.%s.path is not set: add path to "
				       "[disk.%s]",
				       d->name, d->name);
	}
	return 0;
}

const char *config_back_end(const struct config *config)
{
	for (unsigned int i = 0; i < config->nets.count; i++) {
		const struct config_net *n = config->nets.items[i];

		if (n->vhost)
			return "networks with vhost";
	}
	return config->vsock_cid      ? "vsock"
	       : config->shares.count ? "shares"
				      : NULL;
}

/* Nobody looks at the buffers of what others serve. */
static int check_window_devices(const struct config *config)
{
	const char *what = config_back_end(config);

	return what ? err_set(-EINVAL,
			      "memory.window = strict does not go with %s, "
			      "whose buffers cvmm does not see: leave that "
			      "out, or set memory.window = report",
			      what)
		    : 0;
}

static int check_window(const struct config *config)
{
	const struct cvm_ops *cvm = cvm_find(config->cvm);

	if (config->window != WINDOW_STRICT)
		return 0;
	/* One that cannot be launched is refused for that. */
	if (cvm->import && !(cvm->store && cvm->store->has_private))
		return err_set(-EINVAL,
			       "memory.window = strict is for private memory, "
			       "and vm.cvm = %s has none: set another vm.cvm, "
			       "or memory.window = report",
			       cvm->name);
	return check_window_devices(config);
}

int config_check(const struct config *config)
{
	int rc;

	if (config->initrd && !config->kernel)
		return err_set(-EINVAL, "boot.initrd is set but boot.kernel is "
					"not: add --kernel, or the key");
	rc = check_disks(&config->disks);
	if (rc)
		return rc;
	if (config->balloon_size && !config->balloon)
		return err_set(-EINVAL, "balloon.size is set but there is no "
					"balloon: add devices.balloon = yes");
	if (config->balloon_size && config->balloon_size >= config->memory)
		return err_set(-EINVAL, "balloon.size leaves nothing of "
					"vm.memory: make it smaller");
	rc = check_window(config);
	return rc ? rc : expect_check(&config->expect);
}

/* What the items of a list own: the strings that keys have set. */
static void free_lists(struct config *config)
{
	struct config_list *const lists[] = { &config->disks, &config->nets,
					      &config->shares };

	for (const struct config_key *key = config_keys; key->name; key++) {
		const struct config_list *list =
			(void *)((char *)config + key->field);

		for (unsigned int i = 0;
		     key->item_size && key->kind && i < list->count; i++)
			if (key->set == config_set_text ||
			    key->set == config_set_path)
				free(*(char **)((char *)list->items[i] +
						key->item_field));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(lists); i++)
		for (unsigned int j = 0; j < lists[i]->count; j++)
			free(lists[i]->items[j]);
}

void config_destroy(struct config *config)
{
	free_lists(config);
	free(config->name);
	free(config->cvm);
	free(config->kernel);
	free(config->initrd);
	free(config->cmdline);
	free(config->console_to);
	expect_destroy(&config->expect);
	*config = (struct config){ 0 };
}
