/* SPDX-License-Identifier: Apache-2.0 */
/* cvmm test: its options, where logs go, and the exit status. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"
#include "vmm/commands.h"
#include "vmm/options.h"
#include "vmm/status.h"
#include "vmm/testrun.h"

/* clang-format off */
const struct option test_option_table[] = {
	{ 'j', "jobs", "N", "run N tests at a time (default: one per CPU)",
	  NULL },
	{ 0, "tap", NULL, "print TAP 13", NULL },
	{ 0, "junit", "FILE", "write the results to FILE, as JUnit XML", NULL },
	{ 0, "log-dir", "DIR", "keep all logs in DIR (default: a new "
	  "directory in /tmp, kept if a test fails)", NULL },
	{ 0, "fail-fast", NULL, "begin no more tests after a failure", NULL },
	{ 0, NULL, NULL, NULL, NULL },
};
/* clang-format on */

struct request {
	struct testrun run;
	const char *log_dir, *junit;
	char made[32]; /* a log directory of ours, or "" */
	FILE *junit_file;
};

static int parse_jobs(const char *text, unsigned int *jobs)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !n || n > TESTRUN_MAX_JOBS)
		return err_set(-EINVAL,
			       "--jobs: '%.20s' is not a number from 1 to %d",
			       text, TESTRUN_MAX_JOBS);
	*jobs = (unsigned int)n;
	return 0;
}

static int apply(struct request *q, const struct option *o, const char *value)
{
	if (!strcmp(o->name, "jobs"))
		return parse_jobs(value, &q->run.jobs);
	if (!strcmp(o->name, "tap"))
		q->run.report.tap = true;
	else if (!strcmp(o->name, "junit"))
		q->junit = value;
	else if (!strcmp(o->name, "log-dir"))
		q->log_dir = value;
	else
		q->run.fail_fast = true;
	return 0;
}

static struct option_scan scan(int argc, char **argv)
{
	return (struct option_scan){ .command = "test",
				     .options = test_option_table,
				     .argc = argc,
				     .argv = argv };
}

static int parse_options(struct request *q, int argc, char **argv)
{
	struct option_scan s = scan(argc, argv);
	const struct option *o;
	const char *value;
	int rc;

	while ((rc = option_next(&s, &o, &value)) > 0) {
		rc = o ? apply(q, o, value) : 0;
		if (rc)
			return rc;
	}
	return rc;
}

/* Each directory in path that is not there yet. */
static int make_directories(const char *path)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return err_set(-ENAMETOOLONG, "--log-dir is too long");
	for (char *c = part + 1;; c++) {
		char kept = *c;

		if (kept && kept != '/')
			continue;
		*c = '\0';
		if (mkdir(part, 0777) && errno != EEXIST)
			return err_set(-errno, "%s: %s", part, strerror(errno));
		*c = kept;
		if (!kept)
			return 0;
	}
}

static int open_outputs(struct request *q)
{
	int rc = 0;

	if (q->junit) {
		q->junit_file = fopen(q->junit, "we");
		if (!q->junit_file)
			return err_set(-errno, "%s: %s", q->junit,
				       strerror(errno));
	}
	if (q->log_dir && *q->log_dir) {
		rc = make_directories(q->log_dir);
	} else {
		strcpy(q->made, "/tmp/cvmm-test-XXXXXX");
		q->log_dir = mkdtemp(q->made);
		if (!q->log_dir)
			return err_set(-errno, "%s: %s", q->made,
				       strerror(errno));
	}
	q->run.log_dir = q->log_dir;
	return rc;
}

static int add_tests(struct request *q, int argc, char **argv)
{
	struct option_scan s = scan(argc, argv);
	const struct option *o;
	const char *value;
	int rc;

	while ((rc = option_next(&s, &o, &value)) > 0) {
		rc = o ? 0 : testrun_add(&q->run, value);
		if (rc)
			return rc;
	}
	if (!rc && !q->run.count)
		rc = err_set(-EINVAL, "nothing to test: name VM definitions "
				      "or directories");
	return rc;
}

static int write_junit(struct request *q)
{
	FILE *f = q->junit_file;
	int rc = 0;

	if (!f)
		return 0;
	report_junit(f, q->run.tests, q->run.count);
	if (fflush(f) || ferror(f))
		rc = err_set(-EIO, "%s: %s", q->junit, strerror(errno));
	return rc;
}

/* Logs of nothing but success in a directory of ours are of no use. */
static void remove_logs(struct request *q)
{
	if (!q->made[0])
		return;
	for (size_t i = 0; i < q->run.count && !q->run.report.failed; i++)
		unlink(q->run.tests[i].log_path);
	rmdir(q->made); /* if nothing is in it */
}

int cmd_test(int argc, char **argv)
{
	static const char *const program[] = { "/proc/self/exe", "run", NULL };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct request q = { .run.program = program };
	struct testrun *run = &q.run;
	int rc;

	run->jobs = (unsigned int)max_of(min_of(cpus, TESTRUN_MAX_JOBS), 1);
	run->report.out = stdout;
	rc = parse_options(&q, argc, argv);
	run->report.progress = !run->report.tap && isatty(STDOUT_FILENO);
	if (!rc)
		rc = open_outputs(&q);
	if (!rc)
		rc = add_tests(&q, argc, argv);
	if (!rc)
		rc = testrun(run);
	if (!rc)
		rc = write_junit(&q);
	if (!rc && run->report.failed)
		rc = STATUS_ERROR;
	if (rc >= 0 && run->interrupted)
		rc = STATUS_INTERRUPTED;
	remove_logs(&q);
	if (q.junit_file)
		fclose(q.junit_file);
	testrun_destroy(run);
	return rc;
}
