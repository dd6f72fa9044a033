/* SPDX-License-Identifier: Apache-2.0 */
/* virtiofsd as a child: QEMU's old one or the newer one of the same name. */
#pragma once

#include "vmm/base/child.h"

/*
 * Starts the program daemon (NULL: where distributions put it, or in PATH) for
 * the directory at path.  Returns the vhost-user socket.
 */
int virtiofsd_start(struct child *c, const char *daemon, const char *path);
