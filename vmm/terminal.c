/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What terminal.h declares.  Job control: a process in the background must
 * neither read the terminal nor change its mode.  Shells send SIGCONT with
 * fg, so that is when the question is asked again.
 */
#include "vmm/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"

#define CTRL_A 0x01
#define READ_LEN 512

struct terminal {
	struct event_loop *loop;
	struct terminal_user user;
	struct event_source input; /* .fd -1: no more input */
	struct event_source wake;  /* eventfd: room, a signal, read a file */
	bool tty;
	bool file;     /* always ready, so the loop cannot watch it */
	bool watching; /* the loop knows input */
	bool escape;   /* Ctrl-a came, the next byte decides */
	uint16_t cols, rows;
	size_t len; /* pending: read but not yet taken */
	uint8_t pending[READ_LEN + 1];
};

/* For signal handlers and terminal_restore(). */
static struct termios saved;
static atomic_int raw_fd = -1, wake_fd = -1; /* raw_fd: saved is valid */

/* Is another process group in the terminal's foreground? */
static bool in_background(int fd)
{
	pid_t foreground = tcgetpgrp(fd);

	return foreground > 0 && foreground != getpgrp();
}

void terminal_restore(void)
{
	int saved_errno = errno, fd = raw_fd;

	if (fd >= 0) {
		if (!in_background(fd))
			tcsetattr(fd, TCSANOW, &saved);
		log_set_raw(0);
		raw_fd = -1;
	}
	errno = saved_errno;
}

static void make_raw(int fd)
{
	struct termios raw;

	/* Still ours after SIGSTOP: what was saved first is what counts. */
	if (raw_fd < 0 && tcgetattr(fd, &saved) < 0)
		return;
	raw = saved;
	cfmakeraw(&raw);
	raw_fd = fd;
	tcsetattr(fd, TCSANOW, &raw);
	log_set_raw(1);
}

/* SIGCONT, SIGWINCH: the loop looks what has changed. */
static void on_change(int signal)
{
	int saved_errno = errno;

	(void)signal;
	if (wake_fd >= 0)
		eventfd_write(wake_fd, 1);
	errno = saved_errno;
}

static void on_tstp(int signal)
{
	(void)signal;
	terminal_restore();
	kill(getpid(), SIGSTOP);
}

/* SIGTTIN and SIGTTOU would stop a VM that the shell has put behind it. */
static void handle_signals(bool on)
{
	const struct {
		int number;
		void (*handler)(int signal);
	} handlers[] = { { SIGCONT, on_change },
			 { SIGWINCH, on_change },
			 { SIGTSTP, on_tstp },
			 { SIGTTIN, SIG_IGN },
			 { SIGTTOU, SIG_IGN } };

	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		struct sigaction sa = { .sa_flags = SA_RESTART };

		sa.sa_handler = on ? handlers[i].handler : SIG_DFL;
		sigaction(handlers[i].number, &sa, NULL);
	}
}

static void watch(struct terminal *t, bool on)
{
	if (t->watching && !on)
		event_remove(t->loop, &t->input);
	if (!t->watching && on) {
		int rc = event_add(t->loop, &t->input, EPOLLIN);

		t->file = rc == -EPERM;
		on = !rc;
	}
	t->watching = on;
}

static void end_of_input(struct terminal *t)
{
	watch(t, false);
	t->input.fd = -1;
}

/* Sorts len bytes of data into pending.  true: Ctrl-a x was among them. */
static bool filter(struct terminal *t, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = data[i];

		if (!t->escape && c == CTRL_A) {
			t->escape = true;
			continue;
		}
		if (t->escape && c == 'x')
			return true;
		if (t->escape)
			t->pending[t->len++] = CTRL_A;
		if (!t->escape || (c != 'a' && c != CTRL_A))
			t->pending[t->len++] = c;
		t->escape = false;
	}
	return false;
}

/* Hands over what is pending.  true: all of it was taken. */
static bool hand_over(struct terminal *t)
{
	size_t taken = 0;

	if (t->len)
		taken = t->user.input(t->user.ctx, t->pending, t->len);
	t->len -= taken;
	memmove(t->pending, t->pending + taken, t->len);
	return !t->len;
}

static void read_some(struct terminal *t)
{
	uint8_t data[READ_LEN];
	ssize_t n = read(t->input.fd, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0 && errno == EIO && t->tty && in_background(t->input.fd)) {
		watch(t, false); /* until SIGCONT */
		return;
	}
	if (n <= 0) {
		end_of_input(t);
		return;
	}
	if (filter(t, data, (size_t)n)) {
		end_of_input(t);
		t->user.quit(t->user.ctx);
	} else if (!hand_over(t)) {
		watch(t, false); /* until terminal_room() */
	}
}

static void on_input(struct event_source *source, uint32_t events)
{
	(void)events;
	read_some(container_of(source, struct terminal, input));
}

bool terminal_size(int fd, uint16_t *cols, uint16_t *rows)
{
	struct winsize size = { 0 };
	bool known = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row;

	*cols = known ? size.ws_col : 0;
	*rows = known ? size.ws_row : 0;
	return known;
}

static void check_size(struct terminal *t)
{
	uint16_t cols, rows;

	if (!t->tty || !t->user.resized ||
	    !terminal_size(t->input.fd, &cols, &rows) ||
	    (cols == t->cols && rows == t->rows))
		return;
	t->cols = cols;
	t->rows = rows;
	t->user.resized(t->user.ctx, cols, rows);
}

static void on_wake(struct event_source *source, uint32_t events)
{
	struct terminal *t = container_of(source, struct terminal, wake);
	bool background;
	eventfd_t count;

	(void)events;
	eventfd_read(source->fd, &count);
	check_size(t);
	if (t->input.fd < 0 || !hand_over(t))
		return;
	background = t->tty && in_background(t->input.fd);
	if (t->tty && !background)
		make_raw(t->input.fd);
	watch(t, !background);
	if (t->file) {
		/* By turns with the other events. */
		eventfd_write(source->fd, 1);
		read_some(t);
	}
}

static int start(struct terminal *t, int fd)
{
	t->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->wake.fd < 0)
		return err_set(-errno, "terminal: eventfd: %s",
			       strerror(errno));
	if (fcntl(fd, F_GETFD) < 0)
		return 0; /* nobody will type anything */
	t->input.fd = fd;
	t->tty = isatty(fd);
	if (t->tty) {
		wake_fd = t->wake.fd;
		handle_signals(true);
		if (!in_background(fd))
			make_raw(fd);
	}
	/* The rest happens on the loop's thread. */
	eventfd_write(t->wake.fd, 1);
	return event_add(t->loop, &t->wake, EPOLLIN);
}

int terminal_create(struct terminal **out, struct event_loop *loop, int fd,
		    const struct terminal_user *user)
{
	struct terminal *t = calloc(1, sizeof(*t));
	int rc;

	*out = NULL;
	if (!t)
		return err_set(-ENOMEM, "terminal: out of memory");
	t->loop = loop;
	t->user = *user;
	t->input = (struct event_source){ -1, on_input };
	t->wake = (struct event_source){ -1, on_wake };
	rc = start(t, fd);
	if (rc)
		terminal_destroy(t);
	else
		*out = t;
	return rc;
}

void terminal_destroy(struct terminal *t)
{
	terminal_restore();
	if (!t)
		return;
	if (t->tty) {
		handle_signals(false);
		wake_fd = -1;
	}
	watch(t, false);
	if (t->wake.fd >= 0) {
		event_remove(t->loop, &t->wake);
		close(t->wake.fd);
	}
	free(t);
}

void terminal_room(struct terminal *t)
{
	eventfd_write(t->wake.fd, 1);
}
