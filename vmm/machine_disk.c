/* SPDX-License-Identifier: Apache-2.0 */
/* What machine_disk.h declares. */
#include "vmm/machine_disk.h"

#include "devices/blk.h"

static int add_disk(struct device_set *s, const struct config_disk *c)
{
	const struct blk_params p = {
		.path = c->path,
		.ro = c->ro == CONFIG_YES,
		.direct = c->direct == CONFIG_YES,
		.queues = (unsigned int)c->queues,
		.serial = c->serial,
	};

	return device_set_add(s, c->name, blk_create, &p);
}

int machine_add_disks(struct device_set *s, const struct config *config)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < config->disks.count; i++)
		rc = add_disk(s, config->disks.items[i]);
	return rc;
}
