/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sits at a console, for tests in the lab.
 *
 *	console_peer socket PATH MIB COMMAND...
 *		runs COMMAND, connects to PATH, has that much echoed by a
 *		shell there, goes, comes back and switches the guest off
 *	console_peer tty COMMAND...
 *		runs COMMAND on a terminal of 100 columns and 30 rows, asks a
 *		shell there for the size, changes it, asks again, and switches
 *		the guest off
 *
 * All that comes is printed, but for what is echoed.  The exit status is
 * COMMAND's, or 1 for what did not come.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 200000
#define CHUNK 4096

static void die(const char *what)
{
	printf("console_peer: %s\n", what);
	exit(1);
}

static void say(int fd, const char *text)
{
	size_t len = strlen(text);

	if (write(fd, text, len) != (ssize_t)len)
		die("cannot write");
}

/* Prints what comes until text has come. */
static void await(int fd, const char *text)
{
	static char seen[65536];
	size_t len = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (len == sizeof(seen) - 1)
			len = 0;
		if (poll(&p, 1, WAIT_MS) <= 0)
			die("waited in vain");
		n = read(fd, seen + len, sizeof(seen) - 1 - len);
		if (n <= 0) {
			printf("\nconsole_peer: no '%s' before the end\n",
			       text);
			exit(1);
		}
		fwrite(seen + len, 1, (size_t)n, stdout);
		fflush(stdout);
		len += (size_t)n;
		seen[len] = '\0';
		if (strstr(seen, text))
			return;
	}
}

static pid_t run(char **command, int tty)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (tty >= 0) {
		setsid();
		ioctl(tty, TIOCSCTTY, 0);
		for (int fd = 0; fd < 3; fd++)
			dup2(tty, fd);
	}
	execvp(command[0], command);
	die("cannot run it");
	return -1;
}

static int status_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("lost it");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* --- socket --- */

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	for (int i = 0; i < WAIT_MS / 100; i++, usleep(100000))
		if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
			return fd;
	die("nobody listens");
	return -1;
}

/* No byte is one that a terminal in raw mode could swallow or change. */
static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 253 + i / 65537);
}

static size_t send_some(int fd, size_t from, size_t len)
{
	uint8_t buf[CHUNK];
	ssize_t n;

	if (len > sizeof(buf))
		len = sizeof(buf);
	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(from + i);
	n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		die("cannot send");
	return n < 0 ? 0 : (size_t)n;
}

static size_t compare_some(int fd, size_t from, size_t most)
{
	uint8_t buf[CHUNK];
	ssize_t n = read(fd, buf, most < sizeof(buf) ? most : sizeof(buf));

	if (n <= 0)
		die("it ended in the middle");
	for (size_t i = 0; i < (size_t)n; i++)
		if (buf[i] != byte_at(from + i)) {
			printf("console_peer: byte %zu is %#x, not %#x\n",
			       from + i, buf[i], byte_at(from + i));
			exit(1);
		}
	return (size_t)n;
}

static void echo(int fd, size_t len)
{
	size_t sent = 0, got = 0;

	while (got < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (sent < len)
			p.events |= POLLOUT;
		if (poll(&p, 1, WAIT_MS) <= 0) {
			printf("console_peer: %zu of %zu came back\n", got,
			       len);
			exit(1);
		}
		if (p.revents & POLLOUT)
			sent += send_some(fd, sent, len - sent);
		if (p.revents & ~POLLOUT)
			got += compare_some(fd, got, len - got);
	}
}

static int at_socket(const char *path, size_t mib, char **command)
{
	pid_t pid = run(command, -1);
	int fd = connect_to(path);
	struct timespec t, u;
	char line[128];

	await(fd, "cvmm-hvc: a shell");
	snprintf(line, sizeof(line),
		 "stty raw -echo; echo g''o; head -c %zu; stty sane; "
		 "echo do''ne\n",
		 mib << 20);
	say(fd, line);
	await(fd, "go\n");
	clock_gettime(CLOCK_MONOTONIC, &t);
	echo(fd, mib << 20);
	clock_gettime(CLOCK_MONOTONIC, &u);
	printf("console_peer: %zu MiB echoed in %ld ms\n", mib,
	       (u.tv_sec - t.tv_sec) * 1000 +
		       (u.tv_nsec - t.tv_nsec) / 1000000);
	await(fd, "done");
	close(fd);
	fd = connect_to(path);
	say(fd, "echo ag''ain; poweroff -f\n");
	await(fd, "again");
	close(fd);
	return status_of(pid);
}

/* --- tty --- */

static void set_size(int fd, unsigned short cols, unsigned short rows)
{
	const struct winsize size = { .ws_col = cols, .ws_row = rows };

	if (ioctl(fd, TIOCSWINSZ, &size))
		die("cannot set the terminal's size");
}

static int at_tty(char **command)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), tty;
	pid_t pid;

	if (master < 0 || grantpt(master) || unlockpt(master))
		die("no terminal");
	tty = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	set_size(master, 100, 30);
	pid = run(command, tty);
	await(master, "cvmm-hvc: a shell");
	say(master, "stty size\n");
	await(master, "30 100");
	set_size(master, 132, 43);
	sleep(2);
	say(master, "stty size\n");
	await(master, "43 132");
	say(master, "poweroff -f\n");
	await(master, "Power down");
	return status_of(pid);
}

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "socket"))
		return at_socket(argv[2], (size_t)atoi(argv[3]), argv + 4);
	if (argc > 2 && !strcmp(argv[1], "tty"))
		return at_tty(argv + 2);
	die("console_peer socket PATH MIB COMMAND... | tty COMMAND...");
}
