/* SPDX-License-Identifier: Apache-2.0 */
/* What machine_vhost.h declares. */
#include "vmm/machine_vhost.h"

#include <errno.h>

#include "devices/fs.h"
#include "devices/vsock.h"
#include "vmm/base/err.h"

static int add_share(struct device_set *s, const struct config_share *share)
{
	const struct fs_params p = {
		.tag = share->tag ? share->tag : share->name,
		.path = share->path,
		.daemon = share->daemon,
		.socket = share->socket,
	};

	if (!p.path == !p.socket)
		return err_set(-EINVAL,
			       "[share.%s] needs either path or socket: the "
			       "directory, or that of a running virtiofsd",
			       share->name);
	return device_set_add(s, share->name, fs_create, &p);
}

int machine_add_vhost(struct device_set *s, const struct config *config)
{
	const struct vsock_params vsock = { .cid = config->vsock_cid };
	int rc = 0;

	if (vsock.cid)
		rc = device_set_add(s, "vsock", vsock_create, &vsock);
	for (unsigned int i = 0; !rc && i < config->shares.count; i++)
		rc = add_share(s, config->shares.items[i]);
	return rc;
}
