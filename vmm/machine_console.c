/* SPDX-License-Identifier: Apache-2.0 */
/* What machine_console.h declares. */
#include "vmm/machine_console.h"

#include <string.h>
#include <unistd.h>

#include "devices/console.h"
#include "vmm/base/err.h"

#define FLUSH_MS 2000 /* for console output when the VM has ended */

static bool elsewhere(const struct machine_console *c)
{
	return strcmp(c->config->console_to, "stdio") != 0;
}

static bool is_virtio(const struct machine_console *c)
{
	return c->config->console_mode == CONFIG_CONSOLE_VIRTIO;
}

/* Where what is typed goes to, if not to the serial port. */
static struct virtio *typed_to(const struct machine_console *c)
{
	return elsewhere(c) ? NULL : c->hvc;
}

static size_t on_input(void *ctx, const uint8_t *data, size_t len)
{
	struct machine_console *c = ctx;

	if (typed_to(c))
		return console_input(typed_to(c), data, len);
	return serial_input(c->serial, data, len);
}

static void on_room(void *ctx)
{
	struct machine_console *c = ctx;

	if (c->endpoint)
		endpoint_room(c->endpoint);
	else
		terminal_room(c->terminal);
}

static void on_line(void *ctx, const uint8_t *text, size_t len)
{
	struct machine_console *c = ctx;

	c->line(c->ctx, text, len);
}

static void on_quit(void *ctx)
{
	struct machine_console *c = ctx;

	c->quit(c->ctx);
}

static void on_resized(void *ctx, uint16_t cols, uint16_t rows)
{
	struct machine_console *c = ctx;

	if (typed_to(c))
		console_resize(typed_to(c), cols, rows);
}

static void on_attached(void *ctx, int fd)
{
	struct machine_console *c = ctx;

	serial_attach(c->serial, fd);
}

int machine_console_create(struct machine_console *c)
{
	const struct endpoint_user user = { .input = on_input,
					    .attached = on_attached,
					    .ctx = c };
	bool away = elsewhere(c) && !is_virtio(c);
	int rc = serial_create(&c->serial, c->loop, away ? -1 : STDOUT_FILENO);

	if (rc)
		return rc;
	serial_on_line(c->serial, on_line, c);
	serial_on_room(c->serial, on_room, c);
	if (!away)
		return 0;
	return endpoint_create(&c->endpoint, c->loop, "console",
			       c->config->console_to, &user);
}

int machine_console_add(struct machine_console *c, struct device_set *s)
{
	struct console_params p = {
		.where = c->config->console_to,
		.out_fd = STDOUT_FILENO,
		.line = on_line,
		.room = on_room,
		.ctx = c,
	};
	int rc;

	if (!is_virtio(c))
		return 0;
	if (!elsewhere(c))
		terminal_size(STDIN_FILENO, &p.cols, &p.rows);
	rc = device_set_add(s, "console", console_create, &p);
	if (!rc)
		c->hvc = s->devices[s->count - 1]->virtio;
	return rc;
}

int machine_console_start(struct machine_console *c)
{
	const struct terminal_user user = { .input = on_input,
					    .quit = on_quit,
					    .resized = on_resized,
					    .ctx = c };

	/* Standard input is nobody's: the terminal stays as it is. */
	if (c->endpoint)
		return 0;
	return terminal_create(&c->terminal, c->loop, STDIN_FILENO, &user);
}

void machine_console_stop(struct machine_console *c)
{
	c->hvc = NULL;
	serial_flush(c->serial, FLUSH_MS);
	terminal_destroy(c->terminal);
	c->terminal = NULL;
}

void machine_console_destroy(struct machine_console *c)
{
	c->hvc = NULL;
	terminal_destroy(c->terminal);
	c->terminal = NULL;
	serial_destroy(c->serial);
	c->serial = NULL;
	endpoint_destroy(c->endpoint);
	c->endpoint = NULL;
}
