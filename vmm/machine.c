/* SPDX-License-Identifier: Apache-2.0 */
/* What machine.h declares.  One function per step, called in order. */
#include "vmm/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "boot/boot.h"
#include "devices/balloon.h"
#include "devices/pci.h"
#include "devices/power.h"
#include "devices/rng.h"
#include "vmm/base/event.h"
#include "vmm/base/layout_x86.h"
#include "vmm/base/log.h"
#include "vmm/cvm/cvm.h"
#include "vmm/device_set.h"
#include "vmm/kvm/huge.h"
#include "vmm/kvm/posted.h"
#include "vmm/kvm/sweep.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/machine_console.h"
#include "vmm/machine_control.h"
#include "vmm/machine_disk.h"
#include "vmm/machine_net.h"
#include "vmm/machine_vhost.h"
#include "vmm/status.h"

#define STATS_MS 2000 /* between figures of the guest's memory, with -v */

struct machine {
	const struct config *config;
	struct event_loop loop;
	struct event_source signals;
	struct machine_console console;
	struct posted posted; /* what its serial port will print */
	struct power power;
	struct pci_bus pci;
	struct device_set devices;
	struct sweep sweep;
	struct vm vm;
	struct machine_control control;
	/* The console said so: */
	atomic_bool panicked, pool_full;
	int signal; /* that stopped the VM; 0: none */
};

static void on_ended(void *ctx)
{
	struct machine *m = ctx;

	event_loop_stop(&m->loop);
}

static void on_prefaulted(void *ctx, unsigned int percent)
{
	const struct machine *m = ctx;

	log_info("%s: prefault: %u %% of %" PRIu64 " MiB", m->config->name,
		 percent, m->config->memory / (uint64_t)MIB);
}

static void on_power(void *ctx, enum power_request what)
{
	struct machine *m = ctx;

	if (what == POWER_OFF)
		vm_end(&m->vm, VM_POWEROFF, "guest powered off");
	else
		vm_end(&m->vm, VM_RESET, "guest rebooted");
}

static void on_quit(void *ctx)
{
	struct machine *m = ctx;

	m->signal = SIGINT;
	vm_end(&m->vm, VM_STOPPED, "stopped by Ctrl-a x");
}

static void on_stop(void *ctx)
{
	struct machine *m = ctx;

	m->signal = SIGTERM;
	vm_end(&m->vm, VM_STOPPED, "stopped by 'cvmm stop'");
}

static void on_signal(struct event_source *s, uint32_t events)
{
	struct machine *m = container_of(s, struct machine, signals);
	struct signalfd_siginfo info;
	int sig;

	(void)events;
	if (read(s->fd, &info, sizeof(info)) != sizeof(info))
		return;
	sig = (int)info.ssi_signo;
	if (!m->signal) /* the first one is the reason, and the status */
		m->signal = sig;
	vm_end(&m->vm, VM_STOPPED, "stopped by SIG%s", sigabbrev_np(sig));
}

/* A Linux that panics says so and then resets or hangs. */
static void on_console_line(void *ctx, const uint8_t *line, size_t len)
{
	static const char panic[] = "Kernel panic - not syncing";
	static const char full[] = "swiotlb buffer is full";
	struct machine *m = ctx;

	if (memmem(line, len, panic, sizeof(panic) - 1) &&
	    !atomic_exchange(&m->panicked, true))
		log_warn("%s: the guest's console reports a kernel panic",
			 m->config->name);
	if (memmem(line, len, full, sizeof(full) - 1) &&
	    !atomic_exchange(&m->pool_full, true))
		log_warn("%s: the guest's console says that its SWIOTLB pool "
			 "is full: set memory.swiotlb",
			 m->config->name);
}

static int watch_signals(struct machine *m)
{
	struct sigaction hangup;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* Who started us with nohup means it. */
	if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signals.fd < 0)
		return err_set(-errno, "signalfd: %s", strerror(errno));
	m->signals.ready = on_signal;
	return event_add(&m->loop, &m->signals, EPOLLIN);
}

static int create_vm(struct machine *m, struct kvm_sys *sys,
		     const struct memmap *map)
{
	const struct config *c = m->config;
	struct memory_range ranges[ARRAY_SIZE(map->ram)];
	struct vm_params p = {
		.cvm = cvm_find(c->cvm),
		.store = c->backing == CONFIG_BACKING_MEMFD
				 ? &store_memfd
				 : &store_guest_memfd,
		.ranges = ranges,
		.nr_ranges = map->nr_ram,
		.nr_vcpus = (unsigned int)c->cpus,
		.prefault = c->prefault,
		.window = c->window,
	};
	int rc;

	for (unsigned int i = 0; i < map->nr_ram; i++)
		ranges[i] = (struct memory_range){ map->ram[i].gpa,
						   map->ram[i].len };
	if (p.cvm->warning)
		log_warn("%s: %s", c->name, p.cvm->warning);
	rc = vm_create(&m->vm, sys, &p);
	m->vm.ended = on_ended;
	m->vm.prefaulted = on_prefaulted;
	m->vm.ctx = m;
	return rc;
}

static int add_balloon(struct machine *m)
{
	const struct balloon_params p = {
		.size = m->config->balloon_size,
		/* Only then somebody sees the figures. */
		.poll_ms = log_get_level() >= LOG_DEBUG ? STATS_MS : 0,
	};

	return m->config->balloon ? device_set_add(&m->devices, "balloon",
						   balloon_create, &p)
				  : 0;
}

/* What the configuration asks for, in the order of its slots. */
static int add_pci_devices(struct machine *m)
{
	const struct config *c = m->config;
	struct device_set *s = &m->devices;
	int rc = 0;

	device_set_init(s, &m->pci, &m->vm.kvm, &m->vm.memory.guest);
	rc = machine_add_disks(s, c);
	if (!rc)
		rc = machine_add_nets(s, c);
	if (!rc && c->rng)
		rc = device_set_add(s, "rng", rng_create, NULL);
	if (!rc)
		rc = machine_add_vhost(s, c);
	if (!rc)
		rc = add_balloon(m);
	if (!rc)
		rc = machine_console_add(&m->console, s);
	return rc;
}

static int add_consoles(struct machine *m)
{
	struct bus_window *serial;
	int rc;

	m->console.config = m->config;
	m->console.loop = &m->loop;
	m->console.line = on_console_line;
	m->console.quit = on_quit;
	m->console.ctx = m;
	rc = machine_console_create(&m->console);
	if (rc)
		return rc;
	serial = serial_window(m->console.serial);
	rc = bus_add(&m->vm.pio, serial);
	if (!rc && !m->vm.cvm->opaque_vcpus)
		rc = posted_init(&m->posted, &m->vm.kvm, m->vm.vcpus[0].run,
				 &m->loop, serial, X86_SERIAL);
	return rc;
}

static int add_devices(struct machine *m)
{
	int rc = add_consoles(m);

	power_init(&m->power, on_power, m);
	if (!rc)
		rc = bus_add(&m->vm.pio, &m->power.window);
	pci_bus_init(&m->pci);
	if (!rc)
		rc = bus_add(&m->vm.mmio, &m->pci.window);
	for (unsigned int i = 0; !rc && i < ARRAY_SIZE(m->pci.bars); i++)
		rc = bus_add(&m->vm.mmio, &m->pci.bars[i]);
	if (!rc)
		rc = add_pci_devices(m);
	return rc ? rc
		  : sweep_init(&m->sweep, &m->vm.memory, &m->loop,
			       config_back_end(m->config));
}

static int build_image(const struct machine *m, struct image *image)
{
	const struct config *c = m->config;
	const struct cvm_ops *cvm = cvm_find(c->cvm);
	struct boot_request req = {
		.kernel = c->kernel,
		.initrd = c->initrd,
		.cmdline = c->cmdline,
		.decompress = c->decompress == CONFIG_DECOMPRESS_GUEST
				      ? BOOT_DECOMPRESS_GUEST
				      : BOOT_DECOMPRESS_AUTO,
		.memory = c->memory,
		.nr_cpus = (unsigned int)c->cpus,
		.private_bit = cvm->private_bit,
		.swiotlb = c->swiotlb,
		.swiotlb_guess = !c->swiotlb,
	};
	int rc;

	if (!c->swiotlb && cvm->store && cvm->store->has_private)
		req.swiotlb = memmap_default_pool(c->memory);

	if (getrandom(&req.seed, sizeof(req.seed), 0) != sizeof(req.seed))
		return err_set(-EIO, "no random numbers from the kernel");
	rc = boot_build(image, &req);
	if (!rc && image->note[0])
		log_at(image->note_warns ? LOG_WARN : LOG_DEBUG, "%s: %s",
		       c->name, image->note);
	return rc;
}

/* Everything up to the moment before the first instruction. */
static int build(struct machine *m, struct kvm_sys *sys)
{
	struct image image = { 0 };
	struct memmap map;
	int rc = memmap_build(&map, m->config->memory);

	if (!rc)
		rc = event_loop_init(&m->loop);
	if (!rc)
		rc = watch_signals(m);
	if (!rc)
		rc = build_image(m, &image);
	if (!rc)
		rc = create_vm(m, sys, &map);
	if (!rc)
		rc = add_devices(m);
	if (!rc)
		rc = vm_launch(&m->vm, &image);
	image_destroy(&image);
	return rc;
}

static void report_window(const struct machine *m)
{
	/* The VM has stopped; only its lock is taken. */
	struct memory *mem = (struct memory *)&m->vm.memory;
	const struct window_run run = window_get(&mem->window);

	log_debug("%s: shared window: %" PRIu64 " KiB at %#" PRIx64
		  " in %u of %" PRIu64 " calls to share; %" PRIu64
		  " KiB in huge pages, at most %" PRIu64 " KiB in use, %" PRIu64
		  " descriptors refused",
		  m->config->name, run.len / (uint64_t)KIB, run.base, run.calls,
		  mem->counts.calls[false][CONVERT_ASKED],
		  huge_mapped(mem) / (uint64_t)KIB,
		  mem->window.high_water / (uint64_t)KIB, mem->window.refused);
}

static void report(const struct machine *m)
{
	const struct vm *vm = &m->vm;
	char state[VCPU_DESCRIPTION];

	for (unsigned int i = 0; vm->end == VM_STOPPED && i < vm->nr_vcpus; i++)
		log_debug("%s: vCPU %u stopped%s", m->config->name, i,
			  vcpu_describe(&vm->vcpus[i], state, sizeof(state)));

	log_debug("%s: guest RAM: %" PRIu64 " bytes, %" PRIu64
		  " private and %" PRIu64 " shared allocated in %s",
		  m->config->name, vm->memory.len,
		  memory_allocated(&vm->memory, true),
		  memory_allocated(&vm->memory, false), vm->memory.store->name);
	if (vm->memory.guest.window)
		report_window(m);
	log_debug("%s: exits: %" PRIu64 " pio, %" PRIu64 " mmio, %" PRIu64
		  " interrupted; accesses to nothing: %lu pio, %lu mmio",
		  m->config->name, vm_exits(vm, EXIT_PIO),
		  vm_exits(vm, EXIT_MMIO), vm_exits(vm, EXIT_INTERRUPTED),
		  atomic_load(&vm->pio.unclaimed),
		  atomic_load(&vm->mmio.unclaimed));
}

/* Says how the VM ended and picks the exit status. */
static int conclude(struct machine *m, bool *restart)
{
	const char *name = m->config->name, *text = m->vm.end_text;
	unsigned int failures = m->power.status;

	switch (atomic_load(&m->vm.end)) {
	case VM_POWEROFF:
		if (failures) {
			log_err("%s: %u checks of the guest failed", name,
				failures);
			return STATUS_CHECKS_FAILED;
		}
		log_info("%s: %s", name, text);
		return STATUS_OK;
	case VM_RESET:
		if (m->signal &&
		    m->config->on_reboot == CONFIG_REBOOT_RESTART) {
			log_info("%s: %s, not restarted: SIG%s", name, text,
				 sigabbrev_np(m->signal));
			return 128 + m->signal;
		}
		*restart = m->config->on_reboot == CONFIG_REBOOT_RESTART;
		log_info("%s: %s%s", name, text,
			 m->panicked ? " after a kernel panic" : "");
		return m->panicked ? STATUS_PANIC : STATUS_REBOOT;
	case VM_TRIPLE_FAULT:
		log_err("%s: %s", name, text);
		return STATUS_TRIPLE_FAULT;
	case VM_STOPPED:
		log_info("%s: %s", name, text);
		return 128 + m->signal;
	case VM_FAILED:
	case VM_RUNNING:
		break;
	}
	log_err("%s: %s", name, text);
	return STATUS_VM_FAILED;
}

static void open_control(struct machine *m)
{
	m->control.config = m->config;
	m->control.vm = &m->vm;
	m->control.devices = &m->devices;
	m->control.stop = on_stop;
	m->control.ctx = m;
	machine_control_open(&m->control, &m->loop);
}

static int run(struct machine *m)
{
	int rc = machine_console_start(&m->console);

	open_control(m);
	if (!rc)
		rc = device_set_start(&m->devices);
	if (!rc)
		rc = vm_start(&m->vm);
	if (!rc)
		rc = event_loop_run(&m->loop);
	if (rc)
		return rc;
	vm_stop(&m->vm);
	on_signal(&m->signals, 0); /* it may have come when the VM had ended */
	/* Devices first: what a console still has to say comes before us. */
	device_set_destroy(&m->devices);
	posted_finish(&m->posted);
	machine_console_stop(&m->console);
	return 0;
}

static void destroy(struct machine *m)
{
	vm_stop(&m->vm);
	device_set_destroy(&m->devices);
	posted_destroy(&m->posted);
	sweep_destroy(&m->sweep);
	vm_destroy(&m->vm);
	machine_console_destroy(&m->console);
	machine_control_close(&m->control);
	if (m->signals.fd >= 0)
		close(m->signals.fd);
	event_loop_destroy(&m->loop);
}

int machine_run(const struct config *config, struct kvm_sys *sys, bool *restart)
{
	struct machine m = {
		.config = config,
		.signals.fd = -1,
		.loop = { .epoll_fd = -1, .stop_fd = -1 },
	};
	int rc = build(&m, sys);

	*restart = false;
	if (!rc)
		rc = run(&m);
	if (!rc) {
		report(&m);
		rc = conclude(&m, restart);
	}
	destroy(&m);
	return rc;
}
