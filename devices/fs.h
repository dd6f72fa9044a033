/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs (virtio 1.2, 5.11): a directory of the host as a file system of
 * the guest.  virtiofsd serves it, over vhost-user.
 */
#pragma once

#include "devices/virtio.h"

struct fs_params {
	const char *tag;    /* what the guest mounts; 1 to 36 bytes */
	const char *path;   /* the directory; for a virtiofsd of our own */
	const char *daemon; /* which virtiofsd; NULL: look for it */
	/* That of one which runs already, which knows its path; NULL: none. */
	const char *socket;
};

virtio_create fs_create; /* params: struct fs_params */
