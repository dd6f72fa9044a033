/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/terminal.c: pipes, files, terminals and job control. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "suites.h"
#include "vmm/terminal.h"

/* What the guest has received, and how much more it takes. */
static struct {
	pthread_mutex_t lock;
	uint8_t data[100000];
	size_t len, room;
	atomic_int quit;
	atomic_uint size; /* cols and rows, 16 bits each */
	atomic_uint resizes;
} guest;

static struct event_loop loop;
static struct terminal *terminal;
static pthread_t looper;

static size_t take(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	pthread_mutex_lock(&guest.lock);
	len = min_of(len, guest.room);
	memcpy(guest.data + guest.len, data, len);
	guest.len += len;
	guest.room -= len;
	pthread_mutex_unlock(&guest.lock);
	return len;
}

static void quit(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&guest.lock);
	guest.quit++;
	pthread_mutex_unlock(&guest.lock);
}

static void resized(void *ctx, uint16_t cols, uint16_t rows)
{
	(void)ctx;
	guest.size = (unsigned int)cols << 16 | rows;
	guest.resizes++;
}

static void *run_loop(void *arg)
{
	event_loop_run(arg);
	return NULL;
}

static void start(int fd, size_t room)
{
	const struct terminal_user user = { .input = take,
					    .quit = quit,
					    .resized = resized };

	memset(&guest, 0, sizeof(guest));
	guest.room = room;
	ck_assert_int_eq(event_loop_init(&loop), 0);
	ck_assert_int_eq(terminal_create(&terminal, &loop, fd, &user), 0);
	ck_assert_int_eq(pthread_create(&looper, NULL, run_loop, &loop), 0);
}

static void stop(void)
{
	event_loop_stop(&loop);
	pthread_join(looper, NULL);
	terminal_destroy(terminal);
	event_loop_destroy(&loop);
}

static size_t received(void)
{
	size_t len;

	pthread_mutex_lock(&guest.lock);
	len = guest.len;
	pthread_mutex_unlock(&guest.lock);
	return len;
}

static int await_quit(int wanted)
{
	int is = 0;

	for (int i = 0; i < 3000 && is != wanted; i++) {
		pthread_mutex_lock(&guest.lock);
		is = guest.quit;
		pthread_mutex_unlock(&guest.lock);
		usleep(1000);
	}
	return is;
}

static size_t await_len(size_t len)
{
	for (int i = 0; i < 3000 && received() < len; i++)
		usleep(1000);
	return received();
}

static void give_room(size_t room)
{
	pthread_mutex_lock(&guest.lock);
	guest.room = room;
	pthread_mutex_unlock(&guest.lock);
	terminal_room(terminal);
}

static const struct {
	const char *typed, *sent;
	size_t len;
	int quit;
} keys[] = {
	{ "ls\n", "ls\n", 3, 0 },
	{ "a\001ab", "a\001b", 3, 0 },
	{ "a\001\001b", "a\001b", 3, 0 },
	{ "\001h", "\001h", 2, 0 },
	{ "\001\001x", "\001x", 2, 0 },
	{ "\001\001\001xy", "", 0, 1 },
	{ "\001xy", "", 0, 1 },
	{ "\001b\001b\001b", "\001b\001b\001b", 6, 0 },
};

START_TEST(ctrl_a_is_the_only_special_key)
{
	size_t len = strlen(keys[_i].typed);
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	/* In one piece, and one byte at a time. */
	start(p[0], 100);
	ck_assert_int_eq(write(p[1], keys[_i].typed, len), len);
	await_len(keys[_i].len);
	ck_assert_int_eq(await_quit(keys[_i].quit), keys[_i].quit);
	stop();
	if (!keys[_i].quit) {
		start(p[0], 100);
		for (size_t i = 0; i < len; i++) {
			ck_assert_int_eq(write(p[1], keys[_i].typed + i, 1), 1);
			usleep(2000);
		}
		await_len(keys[_i].len);
		stop();
		ck_assert_uint_eq(guest.len, keys[_i].len);
		ck_assert_mem_eq(guest.data, keys[_i].sent, keys[_i].len);
	}
	close(p[0]);
	close(p[1]);
}
END_TEST

static int plain_pipe(int fds[2])
{
	return pipe(fds);
}

static int regular_file(int fds[2])
{
	char path[] = "/tmp/cvmm-terminal-XXXXXX";

	fds[1] = mkstemp(path);
	fds[0] = open(path, O_RDONLY);
	unlink(path);
	return fds[0] < 0 || fds[1] < 0 ? -1 : 0;
}

static int (*const sources[])(int fds[2]) = { plain_pipe, regular_file };

START_TEST(nothing_is_read_without_room_and_nothing_lost)
{
	static uint8_t sent[40000];
	size_t n;
	int fds[2];

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(2 + (i * 3 + i / 241) % 250);
	ck_assert_int_eq(sources[_i](fds), 0);
	ck_assert_int_eq(write(fds[1], sent, sizeof(sent)), sizeof(sent));
	close(fds[1]);
	start(fds[0], 1000);
	for (n = 1000; n < sizeof(sent); n += 3000) {
		ck_assert_uint_eq(await_len(n), n);
		usleep(2000);
		ck_assert_uint_eq(received(), n);
		give_room(3000);
	}
	ck_assert_uint_eq(await_len(sizeof(sent)), sizeof(sent));
	ck_assert_mem_eq(guest.data, sent, sizeof(sent));
	terminal_room(terminal); /* after the end: nothing happens */
	usleep(5000);
	stop();
	ck_assert_int_eq(guest.quit, 0);
	close(fds[0]);
}
END_TEST

static const char *const empties[] = { "/dev/null", "/", "closed" };

START_TEST(does_without_input)
{
	int fd = open(empties[_i], O_RDONLY);

	start(fd, 100);
	usleep(10000);
	terminal_room(terminal);
	usleep(5000);
	ck_assert_uint_eq(received(), 0);
	stop();
	if (fd >= 0)
		close(fd);
}
END_TEST

static void open_pty(int *master, int *slave)
{
	*master = posix_openpt(O_RDWR | O_NOCTTY);
	ck_assert_int_ge(*master, 0);
	ck_assert_int_eq(grantpt(*master), 0);
	ck_assert_int_eq(unlockpt(*master), 0);
	*slave = open(ptsname(*master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(*slave, 0);
}

static int is_raw(int fd)
{
	struct termios t;

	return tcgetattr(fd, &t) == 0 && !(t.c_lflag & (ICANON | ECHO | ISIG));
}

static int await_raw(int fd, int raw)
{
	for (int i = 0; i < 3000 && is_raw(fd) != raw; i++)
		usleep(1000);
	return is_raw(fd);
}

START_TEST(terminal_is_raw_while_running_and_restored_once)
{
	struct termios before, after;
	int master, slave;

	open_pty(&master, &slave);
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	start(slave, 100);
	ck_assert(is_raw(slave));
	ck_assert_int_eq(write(master, "\003\032", 2), 2); /* ^C ^Z */
	ck_assert_uint_eq(await_len(2), 2);
	ck_assert_mem_eq(guest.data, "\003\032", 2);
	terminal_restore();
	ck_assert(!is_raw(slave));
	terminal_restore();
	ck_assert_int_eq(kill(getpid(), SIGCONT), 0); /* as after fg */
	ck_assert(await_raw(slave, 1));
	stop();
	ck_assert_int_eq(tcgetattr(slave, &after), 0);
	ck_assert_uint_eq(after.c_iflag, before.c_iflag);
	ck_assert_uint_eq(after.c_oflag, before.c_oflag);
	ck_assert_uint_eq(after.c_lflag, before.c_lflag);
	ck_assert_uint_eq(after.c_cc[VMIN], before.c_cc[VMIN]);
	close(master);
	close(slave);
}
END_TEST

static unsigned int await_size(unsigned int cols, unsigned int rows)
{
	unsigned int want = cols << 16 | rows;

	for (int i = 0; i < 3000 && guest.size != want; i++)
		usleep(1000);
	return guest.size == want;
}

START_TEST(size_is_told_at_first_and_when_it_changes)
{
	struct winsize size = { .ws_col = 132, .ws_row = 43 };
	uint16_t cols, rows;
	int master, slave;

	open_pty(&master, &slave);
	ck_assert(!terminal_size(slave, &cols, &rows)); /* not yet known */
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &size), 0);
	ck_assert(terminal_size(slave, &cols, &rows));
	ck_assert_uint_eq(cols, 132);
	ck_assert_uint_eq(rows, 43);
	start(slave, 100);
	ck_assert(await_size(132, 43));
	/* No controlling terminal of ours, so the signal is on us. */
	size.ws_row = 24;
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &size), 0);
	ck_assert_int_eq(kill(getpid(), SIGWINCH), 0);
	ck_assert(await_size(132, 24));
	ck_assert_int_eq(kill(getpid(), SIGWINCH), 0);
	usleep(10000);
	ck_assert_uint_eq(guest.resizes, 2); /* nothing new was no news */
	stop();
	close(master);
	close(slave);
	ck_assert(!terminal_size(master, &cols, &rows));
	ck_assert_uint_eq(cols, 0);
}
END_TEST

START_TEST(hangup_ends_input_only)
{
	int master, slave;

	open_pty(&master, &slave);
	start(slave, 100);
	close(master);
	usleep(20000);
	stop();
	ck_assert_int_eq(guest.quit, 0);
	close(slave);
}
END_TEST

/*
 * The VM's side of the job control test; an exit status, as assertions would
 * be lost in a child.  The parent is the shell.
 */
static int background_vm(int slave, int ready)
{
	setpgid(0, 0);
	start(slave, 100);
	usleep(20000);
	if (is_raw(slave) || received())
		return 1;
	if (write(ready, "b", 1) != 1)
		return 2;
	if (await_len(2) != 2 || memcmp(guest.data, "x\n", 2) || !is_raw(slave))
		return 3;
	if (write(ready, "f", 1) != 1)
		return 4;
	/* Stopped and continued here. */
	if (await_len(3) != 3)
		return 5;
	stop();
	return is_raw(slave) ? 6 : 0;
}

static int shell(const char *name, int master)
{
	int slave = -1, ready[2], status;
	char c;
	pid_t vm;

	signal(SIGTTOU, SIG_IGN);
	if (setsid() < 0 || pipe(ready) || (slave = open(name, O_RDWR)) < 0)
		return 10;
	vm = fork();
	if (!vm)
		_exit(background_vm(slave, ready[1]));
	setpgid(vm, vm);
	/* Typed for us, not for the VM in the background. */
	if (write(master, "x\n", 2) != 2 || read(ready[0], &c, 1) != 1)
		return 11;
	/* fg */
	if (tcsetpgrp(slave, vm) || kill(vm, SIGCONT) ||
	    read(ready[0], &c, 1) != 1)
		return 12;
	/* kill -TSTP, then fg again */
	if (kill(vm, SIGTSTP) || waitpid(vm, &status, WUNTRACED) != vm ||
	    !WIFSTOPPED(status) || is_raw(slave))
		return 13;
	if (kill(vm, SIGCONT) || !await_raw(slave, 1) ||
	    write(master, "y", 1) != 1)
		return 14;
	if (waitpid(vm, &status, 0) != vm || !WIFEXITED(status))
		return 15;
	return WEXITSTATUS(status);
}

START_TEST(background_job_leaves_the_terminal_alone_until_fg)
{
	int master, slave, status;
	char name[64];
	pid_t child;

	open_pty(&master, &slave);
	ck_assert_int_eq(ptsname_r(master, name, sizeof(name)), 0);
	child = fork();
	if (!child) {
		close(slave);
		_exit(shell(name, master));
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	close(master);
	close(slave);
}
END_TEST

Suite *terminal_suite(void)
{
	Suite *s = suite_create("terminal");
	TCase *tc = tcase_create("terminal");

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, ctrl_a_is_the_only_special_key, 0,
			    ARRAY_SIZE(keys));
	tcase_add_loop_test(tc, nothing_is_read_without_room_and_nothing_lost,
			    0, ARRAY_SIZE(sources));
	tcase_add_loop_test(tc, does_without_input, 0, ARRAY_SIZE(empties));
	tcase_add_test(tc, terminal_is_raw_while_running_and_restored_once);
	tcase_add_test(tc, size_is_told_at_first_and_when_it_changes);
	tcase_add_test(tc, hangup_ends_input_only);
	tcase_add_test(tc, background_job_leaves_the_terminal_alone_until_fg);
	suite_add_tcase(s, tc);
	return s;
}
