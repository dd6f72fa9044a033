/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that lie in several places, as readv() and writev() take them. */
#pragma once

#include <stddef.h>
#include <sys/uio.h>

/* Copies to byte off of the n parts, from it; returns how much of len fits. */
size_t iov_put(const struct iovec *iov, unsigned int n, size_t off,
	       const void *buf, size_t len);
size_t iov_get(const struct iovec *iov, unsigned int n, size_t off, void *buf,
	       size_t len);

/* The parts from byte off on, in out (room for n); returns how many. */
unsigned int iov_from(struct iovec *out, const struct iovec *iov,
		      unsigned int n, size_t off);
