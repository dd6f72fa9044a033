/* SPDX-License-Identifier: Apache-2.0 */
/* What testvm.h declares: the process, its pipes and its clock. */
#include "vmm/testvm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/config_key.h"
#include "vmm/status.h"

enum { GRACE_MS = 2000, MAX_ARGS = 8, CHUNK = 16 * 1024 };
#define MAX_LOG (16 * MIB)

bool test_ended(const struct test *t)
{
	return t->state >= TEST_PASSED;
}

/* The first reason stays. */
__attribute__((format(printf, 2, 3))) static void because(struct test *t,
							  const char *fmt, ...)
{
	va_list ap;

	if (t->why)
		return;
	va_start(ap, fmt);
	if (vasprintf(&t->why, fmt, ap) < 0)
		t->why = NULL;
	va_end(ap);
}

static void end(struct test *t, enum test_state state)
{
	t->state = state;
	t->took_ms = util_now_ms() - t->started_ms;
}

void test_skip(struct test *t, const char *why)
{
	because(t, "%s", why);
	t->state = TEST_SKIPPED;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void release(struct test *t)
{
	for (unsigned int i = 0; i < TEST_FDS; i++)
		close_fd(&t->fds[i]);
	close_fd(&t->log_fd);
	expect_watch_destroy(&t->console);
	expect_watch_destroy(&t->messages);
}

static void signal_group(const struct test *t, int sig)
{
	kill(-t->pid, sig);
}

/* Asks the child to end; finish() says what was wrong, if nobody did. */
static void stop(struct test *t)
{
	if (t->state != TEST_RUNNING)
		return;
	t->state = TEST_STOPPING;
	t->deadline_ms = util_now_ms() + GRACE_MS;
	signal_group(t, SIGTERM);
}

void test_stop(struct test *t, const char *why)
{
	because(t, "%s", why);
	stop(t);
}

/* false: the test must be skipped, t->why says why. */
static bool has_what_it_requires(struct test *t)
{
	const struct expect *e = &t->config.expect;
	char words[1024], *state = NULL;

	snprintf(words, sizeof(words), "%s", e->requires ? e->requires : "");
	for (char *word = strtok_r(words, " \t", &state); word;
	     word = strtok_r(NULL, " \t", &state)) {
		auto_free char *expanded = NULL, *path = NULL;

		if (config_expand(&expanded, word)) {
			because(t, "requires %s: %s", word, err_text());
			return false;
		}
		if (config_relative(&path, e->dir, expanded) ||
		    access(path, F_OK)) {
			because(t, "requires %s: %s", expanded,
				strerror(errno));
			return false;
		}
	}
	return true;
}

static void write_log(struct test *t, const char *data, size_t len)
{
	static const char cut[] = "\n[the log ends here: 16 MiB]\n";

	if (t->log_len >= MAX_LOG)
		return;
	if (t->log_len + len >= MAX_LOG) {
		data = cut;
		len = sizeof(cut) - 1;
		t->log_len = MAX_LOG;
	}
	t->log_len += len;
	if (write(t->log_fd, data, len) != (ssize_t)len)
		test_stop(t, "the log cannot be written");
	t->log_mid_line = len && data[len - 1] != '\n';
}

/* Appends what follows line number to what is to be typed. */
static void type_after(struct test *t, unsigned int number)
{
	const struct expect_item *input =
		expect_find(&t->config.expect.inputs, number);
	char *more;

	if (!input || !input->len)
		return;
	more = realloc(t->typing, t->typing_len + input->len);
	if (!more) {
		test_stop(t, "out of memory");
		return;
	}
	t->typing = more;
	memcpy(more + t->typing_len, input->text, input->len);
	t->typing_len += input->len;
}

static void watch_console(struct test *t, const char *data, size_t len)
{
	struct expect_watch *w = &t->console;
	size_t next = w->next;

	if (data)
		expect_watch_feed(w, data, len);
	else
		expect_watch_end(w);
	for (; next < w->next; next++)
		type_after(t, w->lines->items[next].number);
	if (w->broken)
		stop(t);
}

/* Reads once.  false: there is nothing more now. */
static bool read_output(struct test *t, unsigned int which)
{
	char buf[CHUNK];
	ssize_t n = read(t->fds[which], buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		close_fd(&t->fds[which]);
		return false;
	}
	/* A message does not begin in the middle of a console line. */
	if (which == TEST_ERR && t->log_mid_line)
		write_log(t, "\n", 1);
	write_log(t, buf, (size_t)n);
	if (which == TEST_OUT)
		watch_console(t, buf, (size_t)n);
	else
		expect_watch_feed(&t->messages, buf, (size_t)n);
	return true;
}

static void type(struct test *t)
{
	ssize_t n = write(t->fds[TEST_IN], t->typing, t->typing_len);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		close_fd(&t->fds[TEST_IN]); /* nobody listens any more */
	if (n <= 0)
		return;
	t->typing_len -= (size_t)n;
	memmove(t->typing, t->typing + n, t->typing_len);
}

/* "; line.2 "login:" did not come, after line.1 in console line 7: ..." */
static void missing(const struct expect_watch *w, const char *key, char *out,
		    size_t size)
{
	const struct expect_item *item;
	char text[80];
	int n;

	*out = '\0';
	if (w->next >= w->lines->count)
		return;
	item = &w->lines->items[w->next];
	expect_printable(text, sizeof(text), item->text, item->len);
	n = snprintf(out, size, "%s.%u \"%s\" did not come", key, item->number,
		     text);
	if (w->next && n > 0 && (size_t)n < size)
		snprintf(out + n, size - (size_t)n,
			 ", after %s.%u in line %lu: %s", key, item[-1].number,
			 w->last_nr, w->last);
}

static void time_out(struct test *t)
{
	const uint64_t ms = t->config.expect.timeout_ms;
	char line[512];

	missing(&t->console, "line", line, sizeof(line));
	because(t, "timed out after %" PRIu64 "%s; %s",
		ms % 1000 ? ms : ms / 1000, ms % 1000 ? "ms" : "s",
		*line ? line : "every line came, but the VM did not end");
	stop(t);
}

/* How the child ended: NULL is as expected. */
static const char *judge_status(const struct test *t, int status, char *out,
				size_t size)
{
	int wanted = (int)t->config.expect.status;

	if (WIFSIGNALED(status))
		snprintf(out, size, "cvmm was killed by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != wanted)
		snprintf(out, size, "exit status %d (%s) instead of %d",
			 WEXITSTATUS(status), status_text(WEXITSTATUS(status)),
			 wanted);
	else
		return NULL;
	return out;
}

/* The reason that is not there yet, once all output was seen. */
static void conclude(struct test *t, int status)
{
	const struct expect_watch *w = &t->console;
	char line[512], message[512], text[128];
	const char *what;

	if (w->broken) {
		expect_printable(text, sizeof(text), w->broken->text,
				 w->broken->len);
		because(t, "never.%u \"%s\" came in console line %lu: %s",
			w->broken->number, text, w->broken_nr, w->broken_line);
	}
	missing(w, "line", line, sizeof(line));
	missing(&t->messages, "message", message, sizeof(message));
	what = judge_status(t, status, text, sizeof(text));
	if (what || *line || *message)
		because(t, "%s%s%s%s%s", what ? what : "",
			what && *line ? "; " : "", line,
			(what || *line) && *message ? "; " : "", message);
}

static void finish(struct test *t)
{
	int status = 0;

	signal_group(t, SIGKILL); /* what the child left behind, if anything */
	for (unsigned int which = TEST_OUT; which <= TEST_ERR; which++)
		for (int i = 0; i < 64 && t->fds[which] >= 0; i++)
			if (!read_output(t, which))
				break;
	watch_console(t, NULL, 0);
	expect_watch_end(&t->messages);
	while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR)
		;
	t->pid = 0;
	conclude(t, status);
	end(t, t->why || t->state == TEST_STOPPING ? TEST_FAILED : TEST_PASSED);
	release(t);
}

/* In the child: becomes program.  All that is open else closes on exec. */
static void become(const struct test *t, const char *const *program,
		   const int *ends, pid_t parent)
{
	const char *argv[MAX_ARGS + 3];
	size_t n = 0;
	sigset_t none;

	for (; n < MAX_ARGS && program[n]; n++)
		argv[n] = program[n];
	argv[n++] = t->path;
	argv[n++] = "-v";
	argv[n] = NULL;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	/* The runner may have died before this took effect: look. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(127);
	if (dup2(ends[TEST_IN], STDIN_FILENO) >= 0 &&
	    dup2(ends[TEST_OUT], STDOUT_FILENO) >= 0 &&
	    dup2(ends[TEST_ERR], STDERR_FILENO) >= 0)
		execv(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "cvmm: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* A pipe of which one end is for the child; ours never blocks. */
static int make_pipe(int *ours, int *childs, bool child_reads)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	*ours = fds[child_reads ? 1 : 0];
	*childs = fds[child_reads ? 0 : 1];
	return fcntl(*ours, F_SETFL, O_NONBLOCK) ? -errno : 0;
}

static int spawn(struct test *t, const char *const *program, int *ends)
{
	pid_t parent = getpid();
	int rc = make_pipe(&t->fds[TEST_IN], &ends[TEST_IN], true);

	if (!rc)
		rc = make_pipe(&t->fds[TEST_OUT], &ends[TEST_OUT], false);
	if (!rc)
		rc = make_pipe(&t->fds[TEST_ERR], &ends[TEST_ERR], false);
	if (rc)
		return rc;
	t->pid = fork();
	if (!t->pid)
		become(t, program, ends, parent);
	if (t->pid < 0)
		return -errno;
	setpgid(t->pid, t->pid); /* whoever is first; both is fine */
	t->fds[TEST_EXIT] = (int)syscall(SYS_pidfd_open, t->pid, 0);
	return t->fds[TEST_EXIT] < 0 ? -errno : 0;
}

static int start(struct test *t, const char *const *program)
{
	const struct expect *e = &t->config.expect;
	int ends[TEST_FDS] = { -1, -1, -1, -1 };
	int rc = expect_watch_init(&t->console, &e->lines, &e->never);

	if (!rc)
		rc = expect_watch_init(&t->messages, &e->messages, NULL);
	if (rc)
		return rc;
	t->log_fd = open(t->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			 0644);
	if (t->log_fd < 0)
		return err_set(-errno, "%s: %s", t->log_path, strerror(errno));
	rc = spawn(t, program, ends);
	for (unsigned int i = 0; i < TEST_FDS; i++)
		close_fd(&ends[i]);
	return rc ? err_set(rc, "cannot start: %s", strerror(-rc)) : 0;
}

static void kill_child(struct test *t)
{
	if (t->state != TEST_RUNNING && t->state != TEST_STOPPING)
		return;
	if (t->pid > 0) {
		signal_group(t, SIGKILL);
		waitpid(t->pid, NULL, 0);
		t->pid = 0;
	}
	release(t);
	t->state = TEST_FAILED;
}

/* The child reads the file too; and a FIFO could block us for ever. */
static int check_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return 0; /* or what loading it says is better */
	return err_set(-EINVAL, "%s: not a regular file, which a test is",
		       path);
}

void test_start(struct test *t, const char *const *program)
{
	int rc = check_file(t->path);

	t->log_fd = -1;
	for (unsigned int i = 0; i < TEST_FDS; i++)
		t->fds[i] = -1;
	t->started_ms = util_now_ms();
	if (!rc)
		rc = config_init(&t->config);
	if (!rc)
		rc = config_load_expect(&t->config, t->path);
	if (!rc && !has_what_it_requires(t)) {
		end(t, TEST_SKIPPED);
		return;
	}
	if (!rc)
		rc = start(t, program);
	t->deadline_ms = t->started_ms + (int64_t)t->config.expect.timeout_ms;
	t->state = TEST_RUNNING;
	if (rc) {
		because(t, "%s", err_text());
		kill_child(t);
		end(t, TEST_FAILED);
	}
}

void test_poll_fds(const struct test *t, struct pollfd *fds)
{
	bool running = t->state == TEST_RUNNING || t->state == TEST_STOPPING;

	for (unsigned int i = 0; i < TEST_FDS; i++)
		fds[i] = (struct pollfd){ .fd = running ? t->fds[i] : -1,
					  .events = POLLIN };
	fds[TEST_IN].events = POLLOUT;
	if (!t->typing_len)
		fds[TEST_IN].fd = -1;
}

void test_step(struct test *t, const struct pollfd *fds)
{
	if (test_ended(t) || t->state == TEST_WAITING)
		return;
	for (unsigned int which = TEST_OUT; which <= TEST_ERR; which++)
		if (fds[which].revents && t->fds[which] >= 0)
			read_output(t, which);
	if (fds[TEST_IN].revents && t->fds[TEST_IN] >= 0)
		type(t);
	if (fds[TEST_EXIT].revents) {
		finish(t);
		return;
	}
	if (util_now_ms() < t->deadline_ms)
		return;
	if (t->state == TEST_RUNNING)
		time_out(t);
	else
		signal_group(t, SIGKILL);
	t->deadline_ms = util_now_ms() + GRACE_MS;
}

void test_destroy(struct test *t)
{
	kill_child(t);
	free(t->path);
	free(t->name);
	free(t->log_path);
	free(t->why);
	free(t->typing);
	config_destroy(&t->config);
	*t = (struct test){ .state = TEST_FAILED };
}
