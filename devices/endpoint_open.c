/* SPDX-License-Identifier: Apache-2.0 */
/* What endpoint_open.h declares, and endpoint_parse(). */
#include "devices/endpoint_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"

int endpoint_parse(const char *where, const char **path)
{
	static const char *const prefixes[] = {
		[ENDPOINT_FILE] = "file:", [ENDPOINT_UNIX] = "unix:"
	};

	*path = NULL;
	if (!strcmp(where, "stdio"))
		return ENDPOINT_STDIO;
	if (!strcmp(where, "pty"))
		return ENDPOINT_PTY;
	for (int i = ENDPOINT_FILE; i <= ENDPOINT_UNIX; i++) {
		size_t len = strlen(prefixes[i]);

		if (strncmp(where, prefixes[i], len) != 0 || !where[len])
			continue;
		*path = where + len;
		return i;
	}
	return err_set(-EINVAL,
		       "'%.60s' is not one of stdio, pty, file:PATH, unix:PATH",
		       where);
}

static int open_file(struct endpoint_place *p, const char *path)
{
	/* O_NONBLOCK: a FIFO without a reader is an error, not a wait. */
	p->fd = open(path,
		     O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY |
			     O_CLOEXEC,
		     0600);
	if (p->fd >= 0)
		return 0;
	if (errno == ENXIO)
		return err_set(-ENXIO, "%s: nobody reads it", path);
	return err_set(-errno, "cannot write to %s: %s", path, strerror(errno));
}

/* Neither echo nor translation: that is the guest's work. */
static int make_raw(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t))
		return -errno;
	cfmakeraw(&t);
	return tcsetattr(fd, TCSANOW, &t) ? -errno : 0;
}

static int open_pty(struct endpoint_place *p, const char *name)
{
	char peer[PATH_MAX];
	int rc = 0;

	p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (p->fd < 0 || grantpt(p->fd) || unlockpt(p->fd) ||
	    ptsname_r(p->fd, peer, sizeof(peer)))
		return err_set(-errno, "no pseudo-terminal: %s",
			       strerror(errno));
	/* Kept open: else the last to leave would end it for good. */
	p->peer_fd = open(peer, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->peer_fd < 0)
		rc = -errno;
	else
		rc = make_raw(p->peer_fd);
	if (rc)
		return err_set(rc, "%s: %s", peer, strerror(-rc));
	log_info("%s is %s", name, peer);
	return 0;
}

/* Removes a socket that nobody listens on, and nothing else. */
static int remove_stale(const struct sockaddr_un *addr)
{
	auto_close int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (lstat(addr->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(-EEXIST,
			       "%s is there and no socket: remove it or name "
			       "another path",
			       addr->sun_path);
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ||
	    errno != ECONNREFUSED)
		return err_set(-EADDRINUSE,
			       "%s: somebody listens there: stop that VM or "
			       "name another path",
			       addr->sun_path);
	if (unlink(addr->sun_path) && errno != ENOENT)
		return err_set(-errno, "cannot remove the old %s: %s",
			       addr->sun_path, strerror(errno));
	return 0;
}

static int bind_path(int fd, const struct sockaddr_un *addr)
{
	const struct sockaddr *a = (const struct sockaddr *)addr;
	int rc = bind(fd, a, sizeof(*addr)) ? -errno : 0;

	if (rc == -EADDRINUSE) {
		rc = remove_stale(addr);
		if (rc)
			return rc;
		rc = bind(fd, a, sizeof(*addr)) ? -errno : 0;
	}
	if (rc)
		return err_set(rc, "cannot listen on %s: %s", addr->sun_path,
			       strerror(-rc));
	return 0;
}

static int open_unix(struct endpoint_place *p, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	int rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(-ENAMETOOLONG,
			       "%s: a socket's path has at most %zu characters",
			       path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd < 0)
		return err_set(-errno, "socket: %s", strerror(errno));
	/* bind() makes the file with the mode that the socket has. */
	fchmod(p->fd, 0600);
	rc = bind_path(p->fd, &addr);
	if (rc)
		return rc;
	if (lstat(path, &st) == 0) {
		p->dev = st.st_dev;
		p->ino = st.st_ino;
		p->path = strdup(path);
	}
	if (listen(p->fd, 4))
		return err_set(-errno, "%s: listen: %s", path, strerror(errno));
	return 0;
}

int endpoint_open(struct endpoint_place *p, const char *name, const char *where)
{
	const char *path;
	int rc = endpoint_parse(where, &path);

	*p = (struct endpoint_place){ .fd = -1, .peer_fd = -1 };
	if (rc < 0)
		return err_in(rc, "%s", name);
	p->kind = (enum endpoint_kind)rc;
	if (!path)
		rc = open_pty(p, name);
	else if (p->kind == ENDPOINT_FILE)
		rc = open_file(p, path);
	else
		rc = open_unix(p, path);
	return rc ? err_in(rc, "%s", name) : 0;
}

void endpoint_close(struct endpoint_place *p)
{
	struct stat st;

	/* Somebody may have put another one there. */
	if (p->path && lstat(p->path, &st) == 0 && st.st_dev == p->dev &&
	    st.st_ino == p->ino)
		unlink(p->path);
	free(p->path);
	p->path = NULL;
	if (p->fd >= 0)
		close(p->fd);
	if (p->peer_fd >= 0)
		close(p->peer_fd);
	p->fd = p->peer_fd = -1;
}
