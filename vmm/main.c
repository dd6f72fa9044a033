/* SPDX-License-Identifier: Apache-2.0 */
/* argv -> command; the one error line; the exit status. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/commands.h"
#include "vmm/status.h"

/* A file opened later must not become stdin, stdout or stderr. */
static int open_standard_fds(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return err_set(-EIO,
				       "/dev/null, for the closed descriptor "
				       "%d: %s",
				       fd, strerror(errno));
	return 0;
}

static int dispatch(int argc, char **argv)
{
	static char help[] = "help";
	char *help_argv[] = { help, NULL, NULL };
	const struct command *command;

	if (argc < 2)
		return err_set(-EINVAL, "no command, see 'cvmm help'");
	if (!strcmp(argv[1], "--version"))
		return cmd_version(1, argv + 1);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return cmd_help(1, help_argv);
	command = command_find(argv[1]);
	if (!command)
		return -EINVAL;
	if (argc == 3 && !strcmp(argv[2], "--help")) {
		help_argv[1] = argv[1];
		return cmd_help(2, help_argv);
	}
	return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int rc = open_standard_fds();

	/* Past the limit of file sizes write() fails, as on a full disk. */
	signal(SIGXFSZ, SIG_IGN);
	if (!rc)
		rc = dispatch(argc, argv);
	errno = 0; /* what failed before has left none of its own */
	if (rc >= 0 && (fflush(stdout) || ferror(stdout)))
		rc = err_set(-EIO, "standard output: %s",
			     errno ? strerror(errno) : "not all was written");
	if (rc >= 0)
		return rc;
	log_err("%s%s", err_text(),
		rc == -EMFILE ? ": raise the limit (ulimit -n)" : "");
	return STATUS_ERROR;
}
