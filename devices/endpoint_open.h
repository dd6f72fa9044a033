/* SPDX-License-Identifier: Apache-2.0 */
/* What endpoint.c talks to: making it, and leaving nothing behind. */
#pragma once

#include <sys/types.h>

#include "devices/endpoint.h"

struct endpoint_place {
	enum endpoint_kind kind;
	int fd;      /* the file, the pty's master or what listens; or -1 */
	int peer_fd; /* the pty's other side, so that there is one; or -1 */
	char *path;  /* of the Unix socket, to be removed; NULL: none */
	dev_t dev;   /* which it was */
	ino_t ino;
};

/* Makes what `where` says.  On failure place can be closed all the same. */
int endpoint_open(struct endpoint_place *place, const char *name,
		  const char *where);
void endpoint_close(struct endpoint_place *place); /* twice is fine */
