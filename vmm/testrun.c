/* SPDX-License-Identifier: Apache-2.0 */
/* What testrun.h declares: collecting tests and one poll loop for all. */
#include "vmm/testrun.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"

static int out_of_memory(void)
{
	return err_set(-ENOMEM, "out of memory");
}

static bool is_ini(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && name[0] != '.' && !strcmp(name + len - 4, ".ini");
}

static bool name_taken(const struct testrun *run, const char *name)
{
	for (size_t i = 0; i < run->count; i++)
		if (run->tests[i].name && !strcmp(run->tests[i].name, name))
			return true;
	return false;
}

/* The file's name without .ini, with a number if another has that. */
static char *make_name(const struct testrun *run, const char *path)
{
	const char *slash = strrchr(path, '/'),
		   *base = slash ? slash + 1 : path;
	int len = (int)strlen(base) - (is_ini(base) ? 4 : 0);
	char *name = NULL;

	for (unsigned int i = 1; i <= run->count + 1; i++) {
		int rc = i == 1 ? asprintf(&name, "%.*s", len, base)
				: asprintf(&name, "%.*s-%u", len, base, i);

		if (rc < 0)
			return NULL;
		if (!name_taken(run, name))
			return name;
		free(name);
	}
	return NULL;
}

static int add_file(struct testrun *run, const char *path)
{
	struct test *tests =
		realloc(run->tests, (run->count + 1) * sizeof(*tests));
	struct test t = { .path = strdup(path) };

	if (tests) {
		run->tests = tests;
		t.name = make_name(run, path);
	}
	if (!t.name || !t.path ||
	    asprintf(&t.log_path, "%s/%s.log", run->log_dir, t.name) < 0) {
		t.log_path = NULL;
		test_destroy(&t);
		return out_of_memory();
	}
	run->tests[run->count++] = t; /* testrun_destroy() owns it */
	return 0;
}

static int choose(const struct dirent *entry)
{
	return is_ini(entry->d_name);
}

/* Not the locale's order. */
static int compare(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_directory(struct testrun *run, const char *path)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, choose, compare), rc = 0;
	size_t len = strlen(path);

	if (n < 0)
		return err_set(-errno, "%s: %s", path, strerror(errno));
	if (!n)
		rc = err_set(-ENOENT, "%s: no .ini file in it", path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	for (int i = 0; i < n; i++) {
		char *file = NULL;

		if (!rc && asprintf(&file, "%.*s/%s", (int)len, path,
				    entries[i]->d_name) < 0)
			rc = out_of_memory();
		if (!rc)
			rc = add_file(run, file);
		if (file)
			free(file);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

int testrun_add(struct testrun *run, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return err_set(-errno, "%s: %s", path, strerror(errno));
	return S_ISDIR(st.st_mode) ? add_directory(run, path)
				   : add_file(run, path);
}

struct loop { /* while tests run */
	struct testrun *run;
	size_t next; /* test to begin */
	unsigned int nr_running;
	int signal_fd;
	struct test **running;
	struct pollfd *fds; /* TEST_FDS for each job, then signal_fd */
};

/* Begins what may begin now, in order. */
static void begin(struct loop *l)
{
	struct testrun *run = l->run;

	while (l->nr_running < run->jobs && l->next < run->count) {
		struct test *t = &run->tests[l->next++];

		if (run->interrupted)
			test_skip(t, "interrupted");
		else if (run->fail_fast && run->report.failed)
			test_skip(t, "an earlier test failed");
		else
			test_start(t, run->program);
		if (test_ended(t))
			report_test(&run->report, t);
		else
			l->running[l->nr_running++] = t;
	}
}

/* Until something has to be looked at: an end of time, the progress line. */
static int wait_ms(const struct loop *l)
{
	int64_t ms = l->run->report.progress ? 1000 : 60000;
	int64_t now = util_now_ms();

	for (unsigned int i = 0; i < l->nr_running; i++)
		ms = min_of(ms, l->running[i]->deadline_ms - now);
	return (int)max_of(ms, 0);
}

static void interrupt(struct loop *l)
{
	struct signalfd_siginfo info;

	if (read(l->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	for (unsigned int i = 0; i < l->nr_running; i++) {
		test_stop(l->running[i], "interrupted");
		if (l->run->interrupted) /* again: no more patience */
			l->running[i]->deadline_ms = 0;
	}
	l->run->interrupted = true;
}

static int step(struct loop *l)
{
	struct pollfd *signal = &l->fds[l->nr_running * TEST_FDS];
	unsigned int kept = 0;

	for (unsigned int i = 0; i < l->nr_running; i++)
		test_poll_fds(l->running[i], &l->fds[i * TEST_FDS]);
	*signal = (struct pollfd){ .fd = l->signal_fd, .events = POLLIN };
	if (poll(l->fds, l->nr_running * TEST_FDS + 1, wait_ms(l)) < 0 &&
	    errno != EINTR)
		return err_set(-errno, "poll: %s", strerror(errno));
	if (signal->revents)
		interrupt(l);
	for (unsigned int i = 0; i < l->nr_running; i++) {
		struct test *t = l->running[i];

		test_step(t, &l->fds[i * TEST_FDS]);
		if (test_ended(t))
			report_test(&l->run->report, t);
		else
			l->running[kept++] = t;
	}
	l->nr_running = kept;
	return 0;
}

static int run_all(struct loop *l)
{
	struct testrun *run = l->run;
	int rc = 0;

	l->running = calloc(run->jobs, sizeof(struct test *));
	l->fds = calloc(run->jobs * TEST_FDS + 1, sizeof(*l->fds));
	if (!l->running || !l->fds) {
		free((void *)l->running);
		free(l->fds);
		return out_of_memory();
	}
	run->report.total = run->count;
	report_begin(&run->report);
	while (!rc) {
		begin(l);
		if (!l->nr_running)
			break; /* nothing left to begin either */
		report_progress(&run->report, run->tests, run->count);
		rc = step(l);
	}
	free((void *)l->running);
	free(l->fds);
	report_end(&run->report);
	return rc;
}

int testrun(struct testrun *run)
{
	struct loop l = { .run = run };
	sigset_t wanted, before;
	void (*pipe_before)(int);
	int rc;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGHUP);
	sigprocmask(SIG_BLOCK, &wanted, &before);
	pipe_before = signal(SIGPIPE, SIG_IGN);
	l.signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l.signal_fd < 0)
		rc = err_set(-errno, "signalfd: %s", strerror(errno));
	else
		rc = run_all(&l);
	if (l.signal_fd >= 0)
		close(l.signal_fd);
	signal(SIGPIPE, pipe_before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return rc;
}

void testrun_destroy(struct testrun *run)
{
	for (size_t i = 0; i < run->count; i++)
		test_destroy(&run->tests[i]);
	free(run->tests);
	run->tests = NULL;
	run->count = 0;
}
