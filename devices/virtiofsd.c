/* SPDX-License-Identifier: Apache-2.0 */
/* What virtiofsd.h declares. */
#include "devices/virtiofsd.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/util.h"

/* Of Debian 13 and Fedora, of Debian 12 and Ubuntu, of Arch. */
static const char *const usual[] = {
	"/usr/libexec/virtiofsd",
	"/usr/lib/qemu/virtiofsd",
	"/usr/lib/virtiofsd",
};

static bool in_path(char *program, size_t size)
{
	const char *dir = getenv("PATH");

	while (dir && *dir) {
		size_t len = strcspn(dir, ":");

		snprintf(program, size, "%.*s/virtiofsd", (int)len, dir);
		if (len && !access(program, X_OK))
			return true;
		dir += len + (dir[len] != '\0');
	}
	return false;
}

static int find(char *program, size_t size, const char *daemon)
{
	if (daemon) {
		snprintf(program, size, "%s", daemon);
		if (access(program, X_OK))
			return err_set(-errno, "virtiofsd %s: %s", daemon,
				       strerror(errno));
		return 0;
	}
	if (in_path(program, size))
		return 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(usual); i++) {
		snprintf(program, size, "%s", usual[i]);
		if (!access(program, X_OK))
			return 0;
	}
	return err_set(-ENOENT,
		       "virtiofsd is not installed (Debian 12: "
		       "package qemu-system-common; later: virtiofsd)");
}

/*
 * "source=" with the whole path.  Neither virtiofsd can be told to take these
 * characters as they are: both separate options by commas, the newer one
 * splits at '=', the older one takes '\' away.
 */
static int source_option(char *option, size_t size, const char *path)
{
	auto_free char *whole = realpath(path, NULL);
	struct stat st;

	if (!whole || stat(whole, &st))
		return err_set(-errno, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(-ENOTDIR, "%s is not a directory", path);
	if (strpbrk(whole, ",=\\"))
		return err_set(-EINVAL,
			       "%s: virtiofsd takes no path with a comma, '=' "
			       "or '\\': use a bind mount",
			       whole);
	snprintf(option, size, "source=%s", whole);
	return 0;
}

/*
 * A listening socket and our connection to it, at an address that nobody else
 * can reach and that is gone already.
 */
static int make_sockets(int *listener, int *connection)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/cvmm-XXXXXX";
	int rc = 0;

	*connection = -1;
	*listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*listener >= 0)
		*connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*connection < 0 || !mkdtemp(dir))
		return err_set(-errno, "a socket for virtiofsd: %s",
			       strerror(errno));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/fs", dir);
	if (bind(*listener, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(*listener, 1) ||
	    connect(*connection, (struct sockaddr *)&a, sizeof(a)))
		rc = err_set(-errno, "%s: %s", a.sun_path, strerror(errno));
	unlink(a.sun_path);
	rmdir(dir);
	return rc;
}

int virtiofsd_start(struct child *c, const char *daemon, const char *path)
{
	char program[PATH_MAX], source[PATH_MAX + 8], fd[24];
	const char *const argv[] = { program, fd, "-o", source, NULL };
	int listener = -1, connection = -1;
	int rc = find(program, sizeof(program), daemon);

	if (!rc)
		rc = source_option(source, sizeof(source), path);
	if (!rc)
		rc = make_sockets(&listener, &connection);
	snprintf(fd, sizeof(fd), "--fd=%d", listener);
	if (!rc)
		rc = child_start(c, argv, listener);
	if (listener >= 0)
		close(listener);
	if (rc && connection >= 0)
		close(connection);
	return rc ? rc : connection;
}
