/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vmm/machine.c: whole runs on the fake kernel. */
#include "vmm/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"
#include "support/fake_kernel.h"
#include "support/fake_kvm.h"
#include "support/fault_kvm.h"
#include "support/temp.h"
#include "vmm/base/err.h"
#include "vmm/base/layout_x86.h"
#include "vmm/base/log.h"
#include "vmm/status.h"

#define UNUSED_UID 1234567

static struct fake_kvm *fake;
static struct config config;
static sigset_t old_mask;
static struct sigaction old_hangup;
static int old_stdin;
static enum log_level old_level;

static void set_up(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	sigprocmask(SIG_SETMASK, NULL, &old_mask);
	/* Under nohup it is ignored, which is respected. */
	sigaction(SIGHUP, &(struct sigaction){ .sa_handler = SIG_DFL },
		  &old_hangup);
	old_stdin = dup(STDIN_FILENO);
	ck_assert_int_eq(dup2(null, STDIN_FILENO), STDIN_FILENO);
	close(null);
	old_level = log_get_level();
	log_set_level(LOG_ERR);
	fake = calloc(1, sizeof(*fake));
	ck_assert_ptr_nonnull(fake);
	fake_kvm_init(fake);
	ck_assert_int_eq(config_init(&config), 0);
}

static void tear_down(void)
{
	config_destroy(&config);
	free(fake);
	log_set_level(old_level);
	dup2(old_stdin, STDIN_FILENO);
	close(old_stdin);
	sigaction(SIGHUP, &old_hangup, NULL);
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
}

static int power(struct kvm_run *run, unsigned int reg, uint8_t value)
{
	return fake_exit_pio(run, KVM_EXIT_IO_OUT, (uint16_t)(X86_POWER + reg),
			     1, 1, &value);
}

static int script_off(struct fake_kvm *f, unsigned int id, unsigned int n,
		      struct kvm_run *run)
{
	(void)f;
	(void)id;
	(void)n;
	return power(run, X86_POWER_SLEEP_CONTROL,
		     0x20 | X86_POWER_SLP_TYP_S5 << 2);
}

static int script_reset(struct fake_kvm *f, unsigned int id, unsigned int n,
			struct kvm_run *run)
{
	(void)f;
	(void)id;
	(void)n;
	return power(run, X86_POWER_RESET, X86_POWER_RESET_VALUE);
}

/* Asked to stop, from outside, at the moment of the reset. */
static int script_reset_and_signal(struct fake_kvm *f, unsigned int id,
				   unsigned int n, struct kvm_run *run)
{
	kill(getpid(), SIGTERM);
	return script_reset(f, id, n, run);
}

START_TEST(a_reset_restarts_if_so_configured)
{
	bool restart;

	fake->run = script_reset;
	ck_assert_int_eq(machine_run(&config, &fake->sys, &restart),
			 STATUS_REBOOT);
	ck_assert(!restart);
	config.on_reboot = CONFIG_REBOOT_RESTART;
	machine_run(&config, &fake->sys, &restart);
	ck_assert(restart);
}
END_TEST

START_TEST(a_signal_is_not_lost_when_the_guest_resets)
{
	bool restart;

	fake->run = script_reset_and_signal;
	config.on_reboot = CONFIG_REBOOT_RESTART;
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(machine_run(&config, &fake->sys, &restart),
				 STATUS_TERMINATED);
		ck_assert(!restart);
	}
}
END_TEST

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static int script_signal(struct fake_kvm *f, unsigned int id, unsigned int n,
			 struct kvm_run *run)
{
	(void)id;
	(void)run;
	if (!n)
		kill(getpid(), *(const int *)f->ctx);
	return FAKE_BLOCK;
}

START_TEST(a_signal_stops_the_vm_and_is_its_status)
{
	int sig = signals[_i];
	bool restart;

	fake->run = script_signal;
	fake->ctx = &sig;
	ck_assert_int_eq(machine_run(&config, &fake->sys, &restart), 128 + sig);
	ck_assert_str_ne(status_text(128 + sig), status_text(-1));
}
END_TEST

static int script_two_signals(struct fake_kvm *f, unsigned int id,
			      unsigned int n, struct kvm_run *run)
{
	(void)id;
	(void)run;
	if (!n) {
		kill(getpid(), *(const int *)f->ctx);
		kill(getpid(), SIGTERM);
	}
	return FAKE_BLOCK;
}

START_TEST(the_first_signal_is_the_status)
{
	int sig = SIGINT;
	bool restart;

	fake->run = script_two_signals;
	fake->ctx = &sig;
	ck_assert_int_eq(machine_run(&config, &fake->sys, &restart),
			 128 + SIGINT);
}
END_TEST

/* As nohup has it. */
START_TEST(a_hangup_that_is_ignored_stays_ignored)
{
	int sig = SIGHUP;
	sigset_t hangup;
	bool restart;

	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	sigprocmask(SIG_UNBLOCK, &hangup, NULL);
	signal(SIGHUP, SIG_IGN);
	fake->run = script_two_signals;
	fake->ctx = &sig;
	ck_assert_int_eq(machine_run(&config, &fake->sys, &restart),
			 128 + SIGTERM);
	signal(SIGHUP, SIG_DFL);
}
END_TEST

/* The first byte exits; if the host is quick, KVM keeps the others. */
static int script_print_and_off(struct fake_kvm *f, unsigned int id,
				unsigned int n, struct kvm_run *run)
{
	static const char *next;

	if (!n)
		next = "guest";
	for (; *next; next++)
		if (!fake_post(f, X86_SERIAL, (uint8_t)*next))
			return fake_exit_pio(run, KVM_EXIT_IO_OUT, X86_SERIAL,
					     1, 1, next++);
	return script_off(f, id, n, run);
}

START_TEST(what_is_printed_last_is_seen)
{
	int pipes[2], old_stdout = dup(STDOUT_FILENO);
	char said[8] = "";
	bool restart;

	fake->run = script_print_and_off;
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(dup2(pipes[1], STDOUT_FILENO), STDOUT_FILENO);
	ck_assert_int_eq(machine_run(&config, &fake->sys, &restart), STATUS_OK);
	dup2(old_stdout, STDOUT_FILENO);
	close(old_stdout);
	close(pipes[1]);
	ck_assert_int_eq(read(pipes[0], said, sizeof(said)), 5);
	ck_assert_str_eq(said, "guest");
	close(pipes[0]);
}
END_TEST

START_TEST(every_failure_of_the_kernel_leaves_nothing_behind)
{
	int fds = count_entries("/proc/self/fd"), rc = -1;
	bool restart;

	config.cpus = 2;
	fake->run = script_off;
	for (unsigned int n = 1; rc; n++) {
		struct fault_kvm fault;

		ck_assert_uint_lt(n, 200);
		fault_kvm_init(&fault, &fake->sys, n, -ENOSPC);
		err_set(-1, "%s", "");
		rc = machine_run(&config, &fault.sys, &restart);
		ck_assert(rc >= 0 || *err_text());
		ck_assert_int_eq(fake->open_fds, 0);
		ck_assert_int_eq(fake->maps, 0);
		ck_assert_int_eq(fake->misuse, 0);
		ck_assert_int_eq(count_entries("/proc/self/fd"), fds);
	}
}
END_TEST

static int script_off_or_wait(struct fake_kvm *f, unsigned int id,
			      unsigned int n, struct kvm_run *run)
{
	return id ? FAKE_BLOCK : script_off(f, id, n, run);
}

/* In a process of its own, whose user has no other if we may choose it. */
static void run_with_threads(unsigned int count)
{
	const struct rlimit limit = { 1 + count, 1 + count };
	bool restart;
	int rc;

	if (!geteuid() && setuid(UNUSED_UID))
		_exit(1);
	setrlimit(RLIMIT_NPROC, &limit);
	fake->run = script_off_or_wait;
	config.cpus = 3;
	rc = machine_run(&config, &fake->sys, &restart);
	if (rc != -EAGAIN || restart || fake->vm.vcpus[0].runs ||
	    fake->open_fds || fake->maps || fake->misuse ||
	    !strstr(err_text(), ": cannot start its thread: Resource "
				"temporarily unavailable: raise the limit on "
				"processes (ulimit -u, or pids.max of the "
				"cgroup)")) {
		dprintf(STDERR_FILENO, "%d, %s\n", rc, err_text());
		_exit(2);
	}
	_exit(0);
}

START_TEST(a_thread_too_many_is_an_error_before_the_guest_runs)
{
	pid_t child = fork();
	int status;

	if (!child)
		run_with_threads((unsigned int)_i);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void *(*plain_map)(struct kvm_sys *sys, int fd, size_t len);

/* Guest memory with a page amid the kernel that cannot be written. */
static void *map_with_trap(struct kvm_sys *sys, int fd, size_t len)
{
	uint8_t *p = plain_map(sys, fd, len);

	if (p && len == config.memory &&
	    mprotect(p + FAKE_BASE + MIB, PAGE_SIZE, PROT_NONE))
		return NULL;
	return p;
}

static void stop_here(int sig)
{
	(void)sig;
	raise(SIGSTOP);
}

static void unpack_into_the_trap(const char *kernel)
{
	struct sigaction sa = { .sa_handler = stop_here };
	bool restart;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	plain_map = fake->sys.map;
	fake->sys.map = map_with_trap;
	config_set_key(&config, "boot.kernel", kernel);
	config_set_key(&config, "boot.cmdline", "nokaslr");
	config_set_key(&config, "vm.memory", "64M");
	machine_run(&config, &fake->sys, &restart);
	_exit(1);
}

/* Fails if the process has a file open that has a name, but the kernel's. */
static void expect_no_named_file(pid_t pid, const char *kernel)
{
	char path[64], name[PATH_MAX], own[PATH_MAX];

	for (int fd = 0; fd < 256; fd++) {
		ssize_t n, m;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		n = readlink(path, name, sizeof(name) - 1);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		m = readlink(path, own, sizeof(own) - 1);
		if (n < 0 || (n == m && !memcmp(name, own, (size_t)n)))
			continue; /* none, or inherited */
		name[n] = '\0';
		ck_assert_msg(*name != '/' || !strcmp(name, kernel) ||
				      !strncmp(name, "/memfd:", 7),
			      "%s is open", name);
	}
}

START_TEST(killed_while_it_unpacks_it_leaves_nothing)
{
	const struct fake_kernel k = { .text_len = 4 * MIB, .lists = 3 };
	struct bytes b = fake_bzimage(fake_compress("zstd", fake_payload(&k)));
	const char *kernel;
	struct temp temp;
	int status;
	pid_t child;

	temp_make(&temp);
	kernel = temp_write(&temp, "kernel", b.data, b.len);
	free(b.data);
	child = fork();
	if (!child) {
		setenv("TMPDIR", temp.dir, 1);
		if (!chdir(temp.dir))
			unpack_into_the_trap(kernel);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
	expect_no_named_file(child, kernel);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(count_entries(temp.dir), 3); /* and . and .. */
	temp_remove(&temp);
}
END_TEST

Suite *machine_suite(void)
{
	Suite *s = suite_create("machine");
	TCase *tc = tcase_create("machine");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_reset_restarts_if_so_configured);
	tcase_add_test(tc, a_signal_is_not_lost_when_the_guest_resets);
	tcase_add_loop_test(tc, a_signal_stops_the_vm_and_is_its_status, 0,
			    ARRAY_SIZE(signals));
	tcase_add_test(tc, the_first_signal_is_the_status);
	tcase_add_test(tc, a_hangup_that_is_ignored_stays_ignored);
	tcase_add_test(tc, what_is_printed_last_is_seen);
	tcase_add_test(tc, every_failure_of_the_kernel_leaves_nothing_behind);
	tcase_add_loop_test(tc,
			    a_thread_too_many_is_an_error_before_the_guest_runs,
			    0, 3);
	tcase_add_test(tc, killed_while_it_unpacks_it_leaves_nothing);
	suite_add_tcase(s, tc);
	return s;
}
