/* SPDX-License-Identifier: Apache-2.0 */
/* What passt.h declares. */
#include "devices/passt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"

/*
 * In the child, where only what is safe after fork() in a process with
 * threads is allowed.  Comes back with errno if passt cannot be run.
 */
static void become_passt(int fd, pid_t parent)
{
	static char name[] = "passt", foreground[] = "-f", quiet[] = "-q",
		    option[] = "--fd";
	char number[16];
	char *argv[] = { name, foreground, quiet, option, number, NULL };
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The terminal's signals are not for it; the console is not its. */
	setsid();
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
	    fcntl(fd, F_SETFD, 0) < 0 || getppid() != parent)
		return;
	snprintf(number, sizeof(number), "%d", fd);
	execvp(name, argv);
}

/* Waits until the child is passt; 0, or why it is not. */
static int await_exec(int fd)
{
	int error = 0;
	ssize_t n;

	do
		n = read(fd, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	return n == sizeof(error) ? error : 0;
}

static int start_error(int error)
{
	if (error == ENOENT)
		return err_set(-error,
			       "passt is not installed (Debian's package "
			       "passt), and mode user needs it");
	return err_set(-error, "cannot start passt: %s", strerror(error));
}

int passt_start(pid_t *child)
{
	int sockets[2], report[2], error;
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return start_error(errno);
	if (pipe2(report, O_CLOEXEC) < 0) {
		error = errno;
		close(sockets[0]);
		close(sockets[1]);
		return start_error(error);
	}
	*child = fork();
	if (*child == 0) {
		become_passt(sockets[1], parent);
		error = errno;
		if (write(report[1], &error, sizeof(error)) < 0)
			_exit(126);
		_exit(127);
	}
	error = *child < 0 ? errno : 0;
	close(sockets[1]);
	close(report[1]);
	if (!error)
		error = await_exec(report[0]);
	close(report[0]);
	if (!error)
		return sockets[0];
	close(sockets[0]);
	if (*child > 0)
		passt_stop(*child);
	return start_error(error);
}

void passt_stop(pid_t child)
{
	/* It has nothing to save, and its sandbox may not see a signal. */
	kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}
