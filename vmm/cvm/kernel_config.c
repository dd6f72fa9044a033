/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the running kernel was configured, from wherever a copy can be read.
 * zlib is looked for when asked only: no VM should start slower for it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>

#include "vmm/cvm/cvm.h"

struct zlib {
	__typeof__(&gzopen) open;
	__typeof__(&gzgets) gets;
	__typeof__(&gzclose) close;
};

/* 'y', 'm', 'n', or 0 if the file cannot be read. */
static char look_up(const struct zlib *z, const char *path, const char *option)
{
	size_t len = strlen(option);
	gzFile f = z->open(path, "re"); /* reads plain text as well */
	char line[256], value = 'n';

	if (!f)
		return 0;
	while (value == 'n' && z->gets(f, line, sizeof(line)))
		if (!strncmp(line, option, len) && line[len] == '=')
			value = line[len + 1];
	z->close(f);
	return value;
}

static char look_everywhere(const struct zlib *z, const char *option)
{
	struct utsname host;
	char path[256], value = look_up(z, "/proc/config.gz", option);

	if (value || uname(&host))
		return value;
	snprintf(path, sizeof(path), "/boot/config-%s", host.release);
	value = look_up(z, path, option);
	if (value)
		return value;
	snprintf(path, sizeof(path), "/lib/modules/%s/config", host.release);
	return look_up(z, path, option);
}

char cvm_kernel_config(const char *option)
{
	void *library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
	struct zlib z = { NULL, NULL, NULL };
	char value = 0;

	if (!library)
		return 0;
	*(void **)&z.open = dlsym(library, "gzopen");
	*(void **)&z.gets = dlsym(library, "gzgets");
	*(void **)&z.close = dlsym(library, "gzclose");
	if (z.open && z.gets && z.close)
		value = look_everywhere(&z, option);
	dlclose(library);
	return value;
}
