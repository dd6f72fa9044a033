/* SPDX-License-Identifier: Apache-2.0 */
/* What machine_control.h declares. */
#include "vmm/machine_control.h"

#include <string.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/cvm/cvm.h"
#include "vmm/figures.h"
#include "vmm/kvm/huge.h"
#include "vmm/kvm/proof.h"

static void stat_memory(struct figures *f, struct memory *mem)
{
	struct memory_use use;

	memory_measure(mem, &use);
	figures_group(f, "memory");
	figures_text(f, "store", mem->store->name);
	figures_number(f, "ram", mem->len);
	figures_number(f, "private", use.private);
	figures_number(f, "shared", use.shared);
	figures_number(f, "double_backed", use.twice);
	figures_number(f, "double_backed_in_flight", use.in_flight);
	figures_text(f, "double_backed_is", use.whole ? "all" : "a part");
	figures_group_end(f);
}

static void stat_direction(struct figures *f, const struct convert_count *c,
			   bool to_private)
{
	static const char *const origins[] = { [CONVERT_LAUNCH] = "by_launch",
					       [CONVERT_ASKED] = "by_hypercall",
					       [CONVERT_FAULT] = "by_fault" };

	figures_group(f, to_private ? "to_private" : "to_shared");
	for (unsigned int i = 0; i < CONVERT_ORIGINS; i++)
		figures_number(f, origins[i], c->calls[to_private][i]);
	figures_number(f, "not_whole_2m_blocks", c->unaligned[to_private]);
	figures_number(f, "bytes", c->bytes[to_private]);
	figures_number(f, "punched", c->punched[!to_private]);
	figures_group_end(f);
}

static void stat_conversions(struct figures *f, const struct convert_count *c)
{
	figures_group(f, "conversions");
	stat_direction(f, c, true);
	stat_direction(f, c, false);
	figures_number(f, "refused", c->refused);
	figures_number(f, "failures", c->failures);
	figures_group_end(f);
}

/* Where Linux does its I/O through: see window.h. */
static void stat_window(struct figures *f, const struct memory *mem)
{
	static struct window none;
	struct window *w = mem->guest.window ? mem->guest.window : &none;
	const struct window_run run = window_get(w);

	figures_group(f, "window");
	figures_text(f, "mode",
		     w == &none  ? "off"
		     : w->strict ? "strict"
				 : "report");
	figures_number(f, "base", run.base);
	figures_number(f, "size", run.len);
	figures_number(f, "calls", run.calls);
	figures_number(f, "aligned", (run.base | run.len) % PAGES_BLOCK == 0);
	figures_number(f, "huge", huge_mapped(mem));
	figures_number(f, "in_use", w->in_use);
	figures_number(f, "high_water", w->high_water);
	figures_number(f, "refused", w->refused);
	figures_group_end(f);
}

static void stat_exits(struct figures *f, const struct vm *vm)
{
	static const char *const names[EXIT_KINDS] = {
		[EXIT_PIO] = "pio",
		[EXIT_MMIO] = "mmio",
		[EXIT_INTERRUPTED] = "interrupted",
		[EXIT_MSR] = "msr",
		[EXIT_HYPERCALL] = "hypercall",
		[EXIT_MEMORY_FAULT] = "memory_fault",
	};

	figures_group(f, "exits");
	for (unsigned int i = 0; i < EXIT_KINDS; i++)
		if (names[i])
			figures_number(f, names[i],
				       vm_exits(vm, (enum exit_kind)i));
	figures_number(f, "pio_to_nothing", atomic_load(&vm->pio.unclaimed));
	figures_number(f, "mmio_to_nothing", atomic_load(&vm->mmio.unclaimed));
	figures_group_end(f);
}

static void stat_devices(struct figures *f, const struct device_set *s)
{
	figures_group(f, "devices");
	for (unsigned int i = 0; i < s->count; i++) {
		const struct device *d = s->devices[i];

		figures_group(f, d->name);
		figures_number(f, "requests", d->virtio->count.requests);
		figures_number(f, "interrupts", d->virtio->count.interrupts);
		figures_number(f, "bells", d->virtio->count.bells);
		figures_number(f, "bytes_read", d->virtio->count.read);
		figures_number(f, "bytes_written", d->virtio->count.written);
		figures_group_end(f);
	}
	figures_group_end(f);
}

static void print_stat(const struct machine_control *c, FILE *out, bool json)
{
	struct figures f;
	/* Only its locks are taken. */
	struct memory *mem = (struct memory *)&c->vm->memory;

	figures_begin(&f, out, json);
	figures_text(&f, "name", c->config->name);
	figures_number(&f, "pid", (uint64_t)getpid());
	figures_text(&f, "cvm", c->vm->cvm->name);
	figures_number(&f, "vcpus", c->vm->nr_vcpus);
	figures_number(&f, "milliseconds",
		       (uint64_t)(util_now_ms() - c->since));
	stat_memory(&f, mem);
	stat_conversions(&f, &mem->counts);
	stat_window(&f, mem);
	stat_exits(&f, c->vm);
	stat_devices(&f, c->devices);
	figures_end(&f);
}

static const char *command(void *ctx, const char *line, FILE *out, bool *hold)
{
	struct machine_control *c = ctx;

	if (!strcmp(line, "stat") || !strcmp(line, "stat --json")) {
		print_stat(c, out, line[4]);
	} else if (!strcmp(line, "stop")) {
		c->stop(c->ctx);
		*hold = true;
	} else {
		return "unknown command; there are: stat, stat --json, stop";
	}
	return NULL;
}

void machine_control_open(struct machine_control *c, struct event_loop *loop)
{
	c->since = util_now_ms();
	c->control.command = command;
	c->control.ctx = c;
	if (control_open(&c->control, loop, c->config->name))
		log_debug("%s: no control socket: %s", c->config->name,
			  err_text());
	else
		log_debug("%s: control socket %s", c->config->name,
			  c->control.place.path);
}

void machine_control_close(struct machine_control *c)
{
	control_close(&c->control);
}
