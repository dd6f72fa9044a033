/* SPDX-License-Identifier: Apache-2.0 */
/* What child.h declares. */
#include "vmm/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/err.h"

/*
 * In the child: only what is safe after a fork of a process with threads.
 * Comes back, with errno, when the program cannot be run.
 */
static void become(const char *const *argv, int fd, int out, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	/* The terminal's signals are for us. */
	setsid();
	/* We may have died before this took effect: look. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		return;
	/* Some of ours we have inherited ourselves, without close-on-exec. */
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 ||
	    fcntl(fd, F_SETFD, 0) < 0)
		return;
	execv(argv[0], (char *const *)argv);
}

int child_start(struct child *c, const char *const *argv, int fd)
{
	pid_t parent = getpid();
	int out[2], rc = 0;

	*c = (struct child){ .out_fd = -1 };
	if (pipe2(out, O_CLOEXEC))
		return err_set(-errno, "pipe: %s", strerror(errno));
	c->pid = fork();
	if (!c->pid) {
		become(argv, fd, out[1], parent);
		dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	if (c->pid < 0)
		rc = err_set(-errno, "fork: %s", strerror(errno));
	close(out[1]);
	if (rc) {
		close(out[0]);
		c->pid = 0;
		return rc;
	}
	c->out_fd = out[0];
	fcntl(c->out_fd, F_SETFL, O_NONBLOCK);
	return 0;
}

void child_stop(struct child *c, int grace_ms)
{
	struct pollfd ended = { .events = POLLIN };

	if (!c->pid)
		return;
	ended.fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (grace_ms <= 0 || ended.fd < 0 || poll(&ended, 1, grace_ms) != 1)
		kill(c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (ended.fd >= 0)
		close(ended.fd);
	close(c->out_fd);
	*c = (struct child){ .out_fd = -1 };
}

void child_last_line(const struct child *c, char *line, size_t size)
{
	char text[4096], *start;
	size_t len = 0;
	ssize_t n = 1;

	/* The end of what is there; no more than a full pipe of it. */
	for (int i = 0; n > 0 && i < 32; i++) {
		if (len > sizeof(text) / 2) {
			memmove(text, text + len / 2, len - len / 2);
			len -= len / 2;
		}
		n = read(c->out_fd, text + len, sizeof(text) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	while (len && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	start = strrchr(text, '\n');
	snprintf(line, size, "%s", start ? start + 1 : text);
}
