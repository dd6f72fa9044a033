/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a test of vsock; static, so that it runs in a bare initrd.
 *
 *	vsock_echo serve PORT COMMAND...   echoes while COMMAND runs
 *	vsock_echo send CID PORT MIB       sends that much, wants it back
 *
 * What is sent differs from any other part of it, and all is compared.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

static int die(const char *what)
{
	printf("vsock_echo: %s: %s\n", what, strerror(errno));
	return 1;
}

static int echo(int fd)
{
	static char buf[CHUNK];
	ssize_t n, done, sent = 0;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (done = 0; done < n; done += sent) {
			sent = write(fd, buf + done, (size_t)(n - done));
			if (sent < 0)
				return 1;
		}
	return n < 0;
}

static void serve(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			_exit(die("accept"));
		if (!fork())
			_exit(echo(fd));
		close(fd);
	}
}

static int run_with_server(unsigned int port, char **command)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK,
				 .svm_cid = VMADDR_CID_ANY,
				 .svm_port = port };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(fd, 4))
		return die("listen");
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		serve(fd);
	}
	execvp(command[0], command);
	return die(command[0]);
}

/* Eight bytes of the stream at off. */
static uint64_t word(uint64_t off)
{
	return (off + 1) * 0x9e3779b97f4a7c15ULL;
}

static void fill(uint64_t *buf, uint64_t off)
{
	for (size_t i = 0; i < CHUNK / 8; i++)
		buf[i] = word(off + i * 8);
}

/* Sends and receives at once, or both ends would wait with full buffers. */
static int exchange(int fd, uint64_t total)
{
	static uint64_t out[CHUNK / 8], in[CHUNK / 8], want[CHUNK / 8];
	uint64_t sent = 0, got = 0;

	while (got < total) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t n;

		if (sent < total)
			p.events |= POLLOUT;
		if (poll(&p, 1, 30000) != 1)
			return die("nothing moves");
		if (p.revents & POLLOUT) {
			if (sent % CHUNK == 0)
				fill(out, sent);
			n = send(fd, (char *)out + sent % CHUNK,
				 CHUNK - sent % CHUNK, MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				return die("send");
			sent += n > 0 ? (uint64_t)n : 0;
		}
		if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
			n = recv(fd, (char *)in + got % CHUNK,
				 CHUNK - got % CHUNK, 0);
			if (n <= 0)
				return die("receive");
			got += (uint64_t)n;
			if (got % CHUNK)
				continue;
			fill(want, got - CHUNK);
			if (memcmp(in, want, CHUNK) != 0) {
				printf("vsock_echo: data differ before %llu\n",
				       (unsigned long long)got);
				return 1;
			}
		}
	}
	return 0;
}

static int run_client(unsigned int cid, unsigned int port, uint64_t mib)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK,
				 .svm_cid = cid,
				 .svm_port = port };
	struct timespec begin, end;
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0), rc;
	double s;

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return die("connect");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	rc = exchange(fd, mib << 20);
	clock_gettime(CLOCK_MONOTONIC, &end);
	s = (double)(end.tv_sec - begin.tv_sec) +
	    (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	if (!rc)
		printf("vsock_echo: %llu MiB echoed in %.1f s\n",
		       (unsigned long long)mib, s);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "serve"))
		return run_with_server((unsigned int)atoi(argv[2]), argv + 3);
	if (argc == 5 && !strcmp(argv[1], "send"))
		return run_client((unsigned int)atoi(argv[2]),
				  (unsigned int)atoi(argv[3]),
				  (uint64_t)atoi(argv[4]));
	printf("usage: vsock_echo serve PORT COMMAND... | send CID PORT MIB\n");
	return 2;
}
