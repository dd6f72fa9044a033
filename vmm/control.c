/* SPDX-License-Identifier: Apache-2.0 */
/* What control.h declares. */
#include "vmm/control.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/util.h"

#define ANSWER_S 10

/* --- where --- */

static int find_dir(char *buf, size_t len)
{
	const char *dir = geteuid() ? getenv("XDG_RUNTIME_DIR") : "/run";

	if (!dir || *dir != '/')
		return err_set(-ENOENT,
			       "XDG_RUNTIME_DIR names no directory for "
			       "control sockets");
	snprintf(buf, len, "%s/cvmm", dir);
	return 0;
}

/* /run is only root's to write, XDG_RUNTIME_DIR only the user's. */
static int make_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return err_set(-errno, "cannot make %s: %s", dir,
			       strerror(errno));
	if (lstat(dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return err_set(-EPERM, "%s is not a directory of this user's",
			       dir);
	return 0;
}

/* --- a client --- */

static void drop(struct control_client *p)
{
	if (p->source.fd < 0)
		return;
	event_remove(p->control->loop, &p->source);
	close(p->source.fd);
	p->source.fd = -1;
}

static void answer(struct control_client *p)
{
	struct control *c = p->control;
	auto_free char *body = NULL;
	const char *wrong;
	bool hold = false;
	size_t len;
	FILE *out = open_memstream(&body, &len);
	char first[128] = "ok\n";

	if (!out) {
		drop(p);
		return;
	}
	wrong = c->command(c->ctx, p->line, out, &hold);
	if (wrong)
		snprintf(first, sizeof(first), "error: %s\n", wrong);
	/* A socket takes at once what we have to say, or the client loses it.
	 */
	if (fclose(out) ||
	    send(p->source.fd, first, strlen(first), MSG_NOSIGNAL) < 0 ||
	    (!wrong && send(p->source.fd, body, len, MSG_NOSIGNAL) < 0) ||
	    wrong || !hold)
		drop(p);
}

static void on_client(struct event_source *s, uint32_t events)
{
	struct control_client *p =
		container_of(s, struct control_client, source);
	ssize_t n = read(s->fd, p->line + p->len, sizeof(p->line) - p->len);
	char *end;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || p->len == sizeof(p->line)) {
		drop(p);
		return;
	}
	p->len += (size_t)n;
	end = memchr(p->line, '\n', p->len);
	if (end) {
		*end = '\0';
		p->len = sizeof(p->line); /* one line is all we hear */
		answer(p);
	} else if (p->len == sizeof(p->line)) {
		drop(p);
	}
}

static bool may_ask(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	       (!cred.uid || cred.uid == geteuid());
}

/* Who is there the longest makes room: it has had its time. */
static void on_connection(struct event_source *s, uint32_t events)
{
	struct control *c = container_of(s, struct control, listener);
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct control_client *p = &c->clients[c->oldest];

	(void)events;
	if (fd < 0)
		return;
	if (!may_ask(fd)) {
		close(fd);
		return;
	}
	drop(p);
	c->oldest = (c->oldest + 1) % CONTROL_CLIENTS;
	*p = (struct control_client){ c, { fd, on_client }, 0, "" };
	if (event_add(c->loop, &p->source, EPOLLIN)) {
		close(fd);
		p->source.fd = -1;
	}
}

/* --- the VM's side --- */

static int listen_as(struct control *c, const char *dir, const char *name)
{
	char where[PATH_MAX + sizeof("unix:")];

	snprintf(where, sizeof(where), "unix:%s/%s.sock", dir, name);
	return endpoint_open(&c->place, "control", where);
}

int control_open(struct control *c, struct event_loop *loop, const char *name)
{
	char dir[PATH_MAX - 256], other[128];
	int rc;

	c->loop = loop;
	c->place = (struct endpoint_place){ .fd = -1, .peer_fd = -1 };
	c->listener = (struct event_source){ -1, on_connection };
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i].source.fd = -1;
	if (strchr(name, '/') || *name == '.')
		return err_set(-EINVAL, "'%.60s' is no name for a file", name);
	rc = find_dir(dir, sizeof(dir));
	if (!rc)
		rc = make_dir(dir);
	if (!rc)
		rc = listen_as(c, dir, name);
	if (rc == -EADDRINUSE) {
		endpoint_close(&c->place);
		snprintf(other, sizeof(other), "%.100s-%d", name, getpid());
		rc = listen_as(c, dir, other);
	}
	if (!rc) {
		c->listener.fd = c->place.fd;
		rc = event_add(loop, &c->listener, EPOLLIN);
	}
	if (rc)
		control_close(c);
	return rc;
}

void control_close(struct control *c)
{
	if (!c->loop)
		return;
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		drop(&c->clients[i]);
	if (c->listener.fd >= 0)
		event_remove(c->loop, &c->listener);
	endpoint_close(&c->place);
	c->loop = NULL;
}

/* --- the other side --- */

static int connect_to(const char *name, int *out)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = ANSWER_S };
	char dir[PATH_MAX - 256], path[PATH_MAX];
	int rc = find_dir(dir, sizeof(dir));

	if (rc)
		return rc;
	snprintf(path, sizeof(path),
		 strchr(name, '/') ? "%.0s%s" : "%s/%s.sock", dir, name);
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(-ENAMETOOLONG, "%s: too long for a socket",
			       path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	*out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*out < 0)
		return err_set(-errno, "socket: %s", strerror(errno));
	setsockopt(*out, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(*out, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(*out, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	rc = -errno;
	close(*out);
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return err_set(rc, "no VM called '%s' runs here (%s)", name,
			       path);
	return err_set(rc, "%s: %s", path, strerror(-rc));
}

/* Reads the answer: its first line decides, the rest is out's. */
static int copy_answer(FILE *in, FILE *out, const char *name)
{
	char line[256];

	errno = 0;
	if (!fgets(line, sizeof(line), in))
		return err_set(-EIO, "%s: %s", name,
			       errno == EAGAIN ? "no answer" : "hung up");
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, "ok") != 0)
		return err_set(-EPROTO, "%s: %s", name, line);
	errno = 0;
	while (fgets(line, sizeof(line), in))
		fputs(line, out);
	if (errno == EAGAIN)
		return err_set(-ETIMEDOUT, "%s: still there after %d s", name,
			       ANSWER_S);
	return 0;
}

int control_ask(const char *name, const char *line, FILE *out)
{
	int fd = -1, rc = connect_to(name, &fd);
	FILE *in;

	if (rc)
		return rc;
	in = fdopen(fd, "r");
	if (!in) {
		close(fd);
		return err_set(-ENOMEM, "out of memory");
	}
	if (dprintf(fd, "%s\n", line) < 0)
		rc = err_set(-EIO, "%s: %s", name, strerror(errno));
	else
		rc = copy_answer(in, out, name);
	fclose(in);
	return rc;
}
