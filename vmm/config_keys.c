/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys: one table is parser, defaults, limits and manual.  A new key is a
 * row here and a field in struct config.
 */
#include <stdlib.h>

#include "vmm/base/util.h"
#include "vmm/config.h"
#include "vmm/config_key.h"
#include "vmm/cvm/cvm.h"

static const char *const reboot_names[] = { "exit", "restart" };
static const char *const decompress_names[] = { "auto", "guest" };
static const char *const switch_names[] = { "no", "yes" };
static const char *const net_mode_names[] = { "tap", "user" };
static const char *const console_names[] = { "serial", "virtio" };
static const char *const window_names[] = { "off", "report", "strict" };
static const char *const backing_names[] = { "guest_memfd", "memfd" };

#define CHOICES(names)                                            \
	static const char *names##_choice(unsigned int i)         \
	{                                                         \
		return i < ARRAY_SIZE(names) ? (names)[i] : NULL; \
	}
CHOICES(reboot_names)
CHOICES(decompress_names)
CHOICES(backing_names)
CHOICES(window_names)
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
	{ "memory.prefault", config_set_enum, FIELD(prefault), "no",
	  .choice = switch_names_choice,
	  .help = "Whether all of guest memory is allocated before the guest "
		  "starts, by the threads of its CPUs.  A host that cannot "
		  "does not start it." },
	{ "memory.window", config_set_enum, FIELD(window), "report",
	  .choice = window_names_choice,
	  .help = "That pool, the shared window, is recognised (report), "
		  "shown by 'cvmm stat' and, if the host has some for shared "
		  "memory, backed by huge pages; with strict devices take no "
		  "buffers from elsewhere, which is for devices that cvmm "
		  "serves itself: no vsock, shares, or networks with vhost." },
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
