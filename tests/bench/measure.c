/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures one start of any VMM, from just before its execve(2)
 *   - to the first KVM_RUN of any of its threads: a seccomp filter hands that
 *     one ioctl to us (seccomp_unotify(2)) and lets every other call through,
 *     so the VMM is neither traced nor preloaded; it stands still there while
 *     its memory is read;
 *   - or to the end of the first output line that holds a text, without the
 *     filter, on request with the memory sampled on the way.
 * Then the VMM is killed.  Prints "us=N private_kib=N rss_kib=N ram_kib=N".
 * Private memory is what smaps calls Private_* in all mappings but the guest's
 * RAM, and those are told by their size.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/kvm/abi.h"

/* Linux 6.6, newer than some distributions' headers. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

struct usage {
	uint64_t private_kib, rss_kib, ram_kib;
};

struct options {
	const char *line;    /* NULL: until the first KVM_RUN */
	const char *log;     /* where its output goes */
	uint64_t ram_kib;    /* mappings of this size and above are RAM */
	int sample_ms;       /* -1: do not */
	uint64_t clear_len;  /* bytes */
	uint64_t timeout_ms; /* for all of it */
	char **command;
};

static struct options opt = {
	.log = "/dev/null",
	.ram_kib = 256 * 1024,
	.sample_ms = -1,
	.timeout_ms = 60000,
};
static pid_t child;
static uint64_t *start_ns; /* shared with the child, which writes it */

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt,
								...)
{
	va_list ap;

	if (child > 0)
		kill(-child, SIGKILL);
	fputs("measure: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* --- the child -------------------------------------------------------- */

/* The listener for KVM_RUN.  x86-64 only, like the numbers in it. */
static int catch_kvm_run(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
}

union fd_message {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int))];
};

static int send_fd(int sock, int fd)
{
	union fd_message control = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	union fd_message control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *head;
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	head = CMSG_FIRSTHDR(&msg);
	if (!head || head->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

/* Never returns.  The parent answers one byte when it is ready. */
__attribute__((noreturn)) static void run_child(int sock, int out)
{
	int in = open("/dev/null", O_RDONLY), listener;
	char go;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	if (!opt.line) {
		listener = catch_kvm_run();
		if (listener < 0 || send_fd(sock, listener) < 0)
			_exit(126);
		close(listener);
	}
	if (read(sock, &go, 1) != 1)
		_exit(126);
	*start_ns = now_ns();
	execvp(opt.command[0], opt.command);
	_exit(127);
}

/* --- memory ------------------------------------------------------------ */

/* /proc/PID/smaps: a line with the mapping's range, then one per figure. */
static bool read_usage(pid_t pid, struct usage *use)
{
	char path[40], line[512];
	unsigned long from, to, kib;
	bool is_ram = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	*use = (struct usage){ 0 };
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			is_ram = (to - from) / 1024 >= opt.ram_kib;
		else if (sscanf(line, "Rss: %lu kB", &kib) == 1)
			*(is_ram ? &use->ram_kib : &use->rss_kib) += kib;
		else if (!is_ram &&
			 (sscanf(line, "Private_Clean: %lu kB", &kib) == 1 ||
			  sscanf(line, "Private_Dirty: %lu kB", &kib) == 1))
			use->private_kib += kib;
	}
	fclose(f);
	use->rss_kib += use->ram_kib;
	return true;
}

static void keep_maximum(pid_t pid, struct usage *max)
{
	struct usage use;

	if (!read_usage(pid, &use))
		return;
	if (use.private_kib > max->private_kib)
		max->private_kib = use.private_kib;
	if (use.rss_kib > max->rss_kib)
		max->rss_kib = use.rss_kib;
	if (use.ram_kib > max->ram_kib)
		max->ram_kib = use.ram_kib;
}

/* --- the two measurements ------------------------------------------------ */

/* How long poll(2) may sleep; dies when the time is up. */
static int time_left(void)
{
	uint64_t spent = (now_ns() - *start_ns) / 1000000;

	if (spent >= opt.timeout_ms)
		die("%s: nothing after %llu ms", opt.command[0],
		    (unsigned long long)opt.timeout_ms);
	return (int)(opt.timeout_ms - spent);
}

__attribute__((noreturn)) static void ended_early(void)
{
	int status = 0;

	waitpid(child, &status, 0);
	child = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		die("cannot run %s", opt.command[0]);
	die("%s ended before that, status %#x; its output is in %s",
	    opt.command[0], (unsigned int)status, opt.log);
}

/* Its memory is read while it waits for our answer, which never comes. */
static uint64_t until_kvm_run(int listener, struct usage *use)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };
	struct seccomp_notif *notif =
		calloc(1, 4096); /* the kernel's may grow */
	uint64_t end;

	if (!notif)
		die("out of memory");
	do {
		if (poll(&pfd, 1, time_left()) < 0)
			die("poll: %s", strerror(errno));
	} while (!pfd.revents);
	end = now_ns();
	if (!(pfd.revents & POLLIN) ||
	    ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notif))
		ended_early();
	read_usage((pid_t)notif->pid, use);
	free(notif);
	return end;
}

/* Looks for the text in what came and keeps the tail it may begin in. */
static bool scan(char *buf, size_t *len, const char *text)
{
	size_t keep = strlen(text) - 1;

	if (memmem(buf, *len, text, strlen(text)))
		return true;
	if (*len > keep) {
		memmove(buf, buf + *len - keep, keep);
		*len = keep;
	}
	return false;
}

static uint64_t until_line(int out, int log, struct usage *max)
{
	char buf[8192];
	size_t len = 0;

	for (;;) {
		struct pollfd pfd = { .fd = out, .events = POLLIN };
		int left = time_left();
		bool sample = opt.sample_ms >= 0 && opt.sample_ms < left;
		ssize_t n;

		if (poll(&pfd, 1, sample ? opt.sample_ms : left) < 0)
			die("poll: %s", strerror(errno));
		if (opt.sample_ms >= 0)
			keep_maximum(child, max);
		if (!pfd.revents)
			continue;
		n = read(out, buf + len, sizeof(buf) - len);
		if (n <= 0)
			ended_early();
		if (write(log, buf + len, (size_t)n) != n)
			die("%s: %s", opt.log, strerror(errno));
		len += (size_t)n;
		if (scan(buf, &len, opt.line))
			return now_ns();
	}
}

/* --- main ---------------------------------------------------------------- */

static void populate(int fd, size_t len)
{
	char *p =
		mmap(NULL, len, PROT_READ | PROT_WRITE,
		     fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("no memory to clear");
	madvise(p, len, MADV_NOHUGEPAGE);
	madvise(p, len, MADV_POPULATE_WRITE);
	munmap(p, len);
}

/*
 * Takes much of the free memory, has the kernel clear it and gives it back,
 * once as a guest_memfd and once as anonymous memory, which the kernel takes
 * from different places.  An emulator that has run code from a page makes the
 * next writer of that page pay for it, many times what clearing costs: without
 * this, a contestant pays for what the one before has left.
 */
static void clear_memory(size_t len)
{
	struct kvm_create_guest_memfd create = {
		.size = len,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	int gmem = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);

	if (gmem < 0)
		die("no guest_memfd to clear: %s", strerror(errno));
	populate(gmem, len);
	close(gmem);
	close(vm);
	close(kvm);
	populate(-1, len);
}

/*
 * Woken at once, and on the CPU that the VMM leaves: the distance between the
 * event and our clock is small and the same for every contestant.
 */
static void be_quick(int listener)
{
	const struct sched_param param = { .sched_priority = 1 };

	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
	if (listener >= 0)
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
		      SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

static void measure(void)
{
	struct usage use = { 0 };
	int sock[2], out[2], listener = -1, log;
	uint64_t end;

	log = open(opt.log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (log < 0)
		die("%s: %s", opt.log, strerror(errno));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) ||
	    pipe2(out, O_CLOEXEC))
		die("cannot make pipes: %s", strerror(errno));
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (!child)
		run_child(sock[1], opt.line ? out[1] : log);
	close(sock[1]);
	close(out[1]);
	if (!opt.line) {
		listener = receive_fd(sock[0]);
		if (listener < 0)
			die("seccomp refused the filter: needs Linux 5.5");
	}
	be_quick(listener);
	*start_ns = now_ns(); /* until the child knows better */
	if (write(sock[0], "", 1) != 1)
		ended_early();
	end = opt.line ? until_line(out[0], log, &use)
		       : until_kvm_run(listener, &use);
	kill(-child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("us=%llu private_kib=%llu rss_kib=%llu ram_kib=%llu\n",
	       (unsigned long long)(end - *start_ns) / 1000,
	       (unsigned long long)use.private_kib,
	       (unsigned long long)use.rss_kib,
	       (unsigned long long)use.ram_kib);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (!*text || *end || n > 1000000000)
		die("'%s' is not a number", text);
	return n;
}

int main(int argc, char **argv)
{
	static const char usage[] =
		"usage: measure [-l TEXT] [-s MS] [-r MIB] [-t SECONDS] "
		"[-o LOG] [-c MIB] -- COMMAND...\n"
		"  -l  until a line of output holds TEXT, not until KVM_RUN\n"
		"  -s  and look at its memory every MS milliseconds (with -l)\n"
		"  -r  mappings of MIB and above are guest RAM (256)\n"
		"  -t  give up after SECONDS (60)\n"
		"  -o  its output, for the curious (/dev/null)\n"
		"  -c  first clear MIB of the free memory\n";
	int c;

	while ((c = getopt(argc, argv, "+l:s:r:t:o:c:")) != -1) {
		if (c == 'l')
			opt.line = optarg;
		else if (c == 's')
			opt.sample_ms = (int)number(optarg);
		else if (c == 'r')
			opt.ram_kib = number(optarg) * 1024;
		else if (c == 't')
			opt.timeout_ms = number(optarg) * 1000;
		else if (c == 'c')
			opt.clear_len = number(optarg) << 20;
		else if (c == 'o')
			opt.log = optarg;
		else
			die("%s", usage);
	}
	opt.command = argv + optind;
	if (!*opt.command || (opt.line && !*opt.line))
		die("%s", usage);
	start_ns = mmap(NULL, sizeof(*start_ns), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (start_ns == MAP_FAILED)
		die("out of memory");
	if (opt.clear_len)
		clear_memory(opt.clear_len);
	measure();
	return 0;
}
