/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys: one table is parser, defaults, limits and manual.  A new key is a
 * row here and a field in struct config.
 */
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
#include "vmm/suggest.h"

static const char *const reboot_names[] = { "exit", "restart" };
static const char *const decompress_names[] = { "auto", "guest" };
static const char *const switch_names[] = { "no", "yes" };
static const char *const net_mode_names[] = { "tap", "user" };
static const char *const console_names[] = { "serial", "virtio" };
static const char *const backing_names[] = { "guest_memfd", "memfd" };

#define CHOICES(names)                                            \
	static const char *names##_choice(unsigned int i)         \
	{                                                         \
		return i < ARRAY_SIZE(names) ? (names)[i] : NULL; \
	}
CHOICES(reboot_names)
CHOICES(decompress_names)
CHOICES(backing_names)
CHOICES(switch_names)
CHOICES(net_mode_names)
CHOICES(console_names)

static int set_pattern(const struct config_setting *s, void *field)
{
	return expect_add_pattern(field, s->star, s->text);
}

static int set_input(const struct config_setting *s, void *field)
{
	return expect_add_input(field, s->star, s->text);
}

/* Paths in it are looked for later: keep what they are relative to. */
static int set_requires(const struct config_setting *s, void *field)
{
	struct expect *e = container_of(field, struct expect, requires);
	int rc = config_set_text(s, field);

	free(e->dir);
	e->dir = NULL;
	return rc || !s->dir ? rc : config_relative(&e->dir, NULL, s->dir);
}

#define FIELD(f) .field = offsetof(struct config, f)
#define ITEM(list, type, f)                                                \
	.field = offsetof(struct config, list), .item_size = sizeof(type), \
	.item_field = offsetof(type, f)

/* clang-format off */
const struct config_key config_keys[] = {
	{ "vm.name", config_set_text, FIELD(name), .kind = "text", .min = 1,
	  .max = 64, .help = "Name of the VM in messages.  Without it, the "
			     "name of the file without .ini." },
	{ "vm.cpus", config_set_number, FIELD(cpus), "1", "number",
	  .min = 1, .max = CONFIG_MAX_CPUS, .help = "Virtual CPUs." },
	{ "vm.memory", config_set_size, FIELD(memory), "512M", "size",
	  .min = 16 * MIB, .max = KIB * GIB, .multiple = PAGE_SIZE,
	  .help = "Guest memory.  Nothing of it is allocated before the guest "
		  "touches it." },
	{ "vm.cvm", config_set_choice, FIELD(cvm), "none",
	  .choice = cvm_name,
	  .help = "The technology that protects the guest.  What is asked for "
		  "is applied, or the VM does not start." },
	{ "vm.on_reboot", config_set_enum, FIELD(on_reboot), "exit",
	  .choice = reboot_names_choice,
	  .help = "What a reboot of the guest does: end cvmm with status 3, or "
		  "start the guest again." },
	{ "vm.restart_burst", config_set_number, FIELD(restart_burst), "5",
	  "number", .min = 1, .max = 1000000,
	  .help = "How often a guest that reboots is started again within "
		  "vm.restart_interval.  The next time cvmm ends after all, "
		  "so that a guest that cannot start does not try for ever." },
	{ "vm.restart_interval", config_set_duration,
	  FIELD(restart_interval_ms), "10s", "time", .max = 24 * 60 * 60000,
	  .help = "The time for vm.restart_burst; 0s: no limit." },
	{ "boot.kernel", config_set_path, FIELD(kernel), .kind = "path",
	  .help = "Linux kernel, bzImage or ELF vmlinux.  Without it, a small "
		  "guest that is part of cvmm checks the machine." },
	{ "boot.initrd", config_set_path, FIELD(initrd), .kind = "path",
	  .help = "Initial RAM disk for the kernel." },
	{ "boot.cmdline", config_set_text, FIELD(cmdline),
	  "console=ttyS0,115200 panic=-1", "text",
	  .help = "Command line of the kernel." },
	{ "boot.decompress", config_set_enum, FIELD(decompress), "auto",
	  .choice = decompress_names_choice,
	  .help = "Who unpacks a compressed kernel: auto is the host where "
		  "that is not measured, which is faster, if it has the "
		  "library for it; guest is always the kernel itself." },
	{ "memory.backing", config_set_enum, FIELD(backing), "guest_memfd",
	  .choice = backing_names_choice,
	  .help = "What holds guest memory.  memfd is for hosts whose KVM has "
		  "no mappable guest_memfd (before Linux 6.18); the host can "
		  "then map all of the guest." },
	{ "memory.swiotlb", config_set_pool, FIELD(swiotlb), "auto",
	  "auto or size", .min = 4 * MIB, .max = GIB, .multiple = 4 * MIB,
	  .help = "Linux' pool for I/O when memory is private." },
	{ "disk.*.path", config_set_path, ITEM(disks, struct config_disk, path),
	  .kind = "path",
	  .help = "A raw disk image or block device, as a virtio disk." },
	{ "disk.*.ro", config_set_enum, ITEM(disks, struct config_disk, ro),
	  .value = "no", .choice = switch_names_choice,
	  .help = "Whether the guest can only read the disk.  Only then can "
		  "others read it, too." },
	{ "disk.*.direct", config_set_enum,
	  ITEM(disks, struct config_disk, direct), .value = "no",
	  .choice = switch_names_choice,
	  .help = "Whether data goes past the host's page cache (O_DIRECT)." },
	{ "disk.*.queues", config_set_number,
	  ITEM(disks, struct config_disk, queues), .value = "1",
	  .kind = "number", .min = 1, .max = 16,
	  .help = "Request queues: as many as the guest has CPUs that use the "
		  "disk at the same time." },
	{ "disk.*.serial", config_set_text,
	  ITEM(disks, struct config_disk, serial), .kind = "text", .min = 1,
	  .max = 20,
	  .help = "Serial number, up to 20 characters, by which the guest "
		  "finds the disk: /dev/disk/by-id/virtio-SERIAL in Linux.  "
		  "Without it, the NAME in [disk.NAME]." },
	{ "net.*.mode", config_set_enum, ITEM(nets, struct config_net, mode),
	  .value = "tap", .choice = net_mode_names_choice,
	  .help = "A virtio network: tap is an interface of the host, to be "
		  "given addresses or a bridge there; user is passt, which "
		  "needs no privileges and gives the guest the host's "
		  "network." },
	{ "net.*.ifname", config_set_text,
	  ITEM(nets, struct config_net, ifname), .kind = "text", .min = 1,
	  .help = "mode tap: a tap interface that exists, or the name of a "
		  "new one, which lasts as long as the VM.  Without it a new "
		  "one named tap0, tap1, ..." },
	{ "net.*.socket", config_set_path,
	  ITEM(nets, struct config_net, socket), .kind = "path",
	  .help = "mode user: the socket of a passt that runs already.  "
		  "Without it cvmm starts one." },
	{ "net.*.mac", config_set_mac, ITEM(nets, struct config_net, mac),
	  .kind = "address",
	  .help = "The guest's Ethernet address.  Without it, one of those "
		  "for local use, made of vm.name and the network's name by "
		  "a hash (FNV-1a): the same at every start, different "
		  "for VMs of different names." },
	{ "net.*.queues", config_set_number,
	  ITEM(nets, struct config_net, queues), .value = "1",
	  .kind = "number", .min = 1,
	  .max = 8, .help = "mode tap: pairs of queues, which a guest with "
			    "as many vCPUs uses at the same time." },
	{ "net.*.vhost", config_set_enum,
	  ITEM(nets, struct config_net, vhost), .value = "no",
	  .choice = switch_names_choice,
	  .help = "mode tap: whether the host's kernel carries the packets "
		  "(vhost_net), with cvmm only looking on." },
	{ "net.*.mtu", config_set_number,
	  ITEM(nets, struct config_net, mtu), .value = "0",
	  .kind = "number", .max = 65535,
	  .help = "The largest packet, in bytes, that the guest's driver is "
		  "told to use; it does not change the host's interface.  0 "
		  "leaves it to the guest, which means 1500." },
	{ "devices.rng", config_set_enum, FIELD(rng), "no",
	  .choice = switch_names_choice,
	  .help = "A source of random numbers from the host (virtio-rng)." },
	{ "share.*.path", config_set_path,
	  ITEM(shares, struct config_share, path), .kind = "path",
	  .help = "A directory of the host for the guest to mount "
		  "(virtio-fs).  cvmm starts a virtiofsd for it, which sees "
		  "all memory that the guest shares with the host." },
	{ "share.*.tag", config_set_text,
	  ITEM(shares, struct config_share, tag), .kind = "text", .min = 1,
	  .help = "What the guest knows it by, as in 'mount -t virtiofs TAG "
		  "DIRECTORY': 36 bytes at most.  Without it, NAME." },
	{ "share.*.virtiofsd", config_set_path,
	  ITEM(shares, struct config_share, daemon), .kind = "path",
	  .help = "The virtiofsd to start.  Without it, that in PATH, "
		  "/usr/libexec or /usr/lib/qemu." },
	{ "share.*.socket", config_set_path,
	  ITEM(shares, struct config_share, socket), .kind = "path",
	  .help = "The socket of a virtiofsd that runs already, instead of "
		  "path." },
	{ "vsock.cid", config_set_number, FIELD(vsock_cid), .kind = "number",
	  .min = 3, .max = 0xfffffffe,
	  .help = "The guest's address for sockets between it and the host, "
		  "which no other VM may have (virtio-vsock, with the host's "
		  "vhost_vsock)." },
	{ "devices.balloon", config_set_enum, FIELD(balloon), "no",
	  .choice = switch_names_choice,
	  .help = "A balloon (virtio-balloon): the guest gives memory back "
		  "that it does not use, and can be told to do with less." },
	{ "balloon.size", config_set_size, FIELD(balloon_size), "0", "size",
	  .max = KIB * GIB, .multiple = MIB,
	  .help = "How much memory the balloon takes from the guest when it "
		  "starts.  The guest has it back rather than run out of "
		  "memory." },
	{ "console.mode", config_set_enum, FIELD(console_mode), "serial",
	  .choice = console_names_choice,
	  .help = "Where one types: at the serial port, or at a virtio "
		  "console, which is hvc0 in Linux and much faster.  The "
		  "serial port still prints what comes early; for the rest, "
		  "and a login there, add console=hvc0 to boot.cmdline." },
	{ "console.to", config_set_endpoint, FIELD(console_to), "stdio",
	  .kind = "place",
	  .help = "What that console is connected to: stdio; pty, a new "
		  "pseudo-terminal whose name is printed; file:PATH, which "
		  "is added to; unix:PATH, a socket for one peer at a time, "
		  "who may leave and come back.  The serial port keeps "
		  "standard input and output if they are not the virtio "
		  "console's.  Nobody is waited for: what is not read is "
		  "dropped in the end." },
	{ "expect.line.*", set_pattern, FIELD(expect.lines), .kind = "pattern",
	  .help = "Must come on the console, in the order of the numbers: a "
		  "fixed string, or ~ and a POSIX extended regular "
		  "expression, which is tried on whole lines." },
	{ "expect.type.*", set_input, FIELD(expect.inputs), .kind = "text",
	  .help = "Typed on the console when the line of the same number has "
		  "come; \\n \\r \\t \\e \\\\ and \\xNN are escapes." },
	{ "expect.never.*", set_pattern, FIELD(expect.never),
	  .kind = "pattern", .help = "Must not come on the console." },
	{ "expect.message.*", set_pattern, FIELD(expect.messages),
	  .kind = "pattern",
	  .help = "Must come among cvmm's own messages (standard error), in "
		  "the order of the numbers." },
	{ "expect.status", config_set_number, FIELD(expect.status), "0",
	  "number", .max = 255, .help = "Exit status of cvmm run." },
	{ "expect.timeout", config_set_duration, FIELD(expect.timeout_ms),
	  "60s", "time", .min = 1, .max = 24 * 60 * 60000,
	  .help = "How long the VM may take to end." },
	{ "expect.requires", set_requires, FIELD(expect.requires),
	  .kind = "paths",
	  .help = "Paths, separated by blanks; the test is skipped where one "
		  "does not exist or names a variable that is not set." },
	{ .name = NULL },
};
/* clang-format on */

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
	return expect_check(&config->expect);
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
