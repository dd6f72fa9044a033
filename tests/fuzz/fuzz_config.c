/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a VM definition, and as the argument of --set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/err.h"
#include "vmm/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(int rc, const struct config *config)
{
	/* Exactly one line of words for an error; a usable config if not. */
	if (rc && (!*err_text() || strchr(err_text(), '\n')))
		abort();
	if (!rc && (!config->name || !config->cvm || !config->cpus ||
		    config->cpus > CONFIG_MAX_CPUS || config->memory % 4096))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char path[32], *text;
	struct config config;
	int fd;

	/* "{1,9999}" makes glibc's regcomp() itself eat time and memory. */
	if (memchr(data, '{', len))
		return 0;
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (config_init(&config))
		abort();
	check(config_load(&config, path), &config);
	config_destroy(&config);
	close(fd);

	text = strndup((const char *)data, len);
	if (!text || config_init(&config))
		abort();
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = ' ';
	check(config_set(&config, text), &config);
	config_destroy(&config);
	free(text);
	return 0;
}
