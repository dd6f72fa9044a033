/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program as a network, over a stream socket that carries frames, each
 * behind its length in 32 bits, big endian: passt (and QEMU's -netdev
 * stream).  There is no header, so the guest does all checksums.
 */
#pragma once

#include "devices/net_host.h"

/* Takes over fd, a connected stream socket, whatever it returns. */
int net_stream_create(struct net_host **out, int fd);

/* Connects to the program that listens at path. */
int net_stream_connect(struct net_host **out, const char *path);

/* Starts passt as a child, which ends with this process or the device. */
int net_stream_passt(struct net_host **out);
