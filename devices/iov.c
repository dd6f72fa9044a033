/* SPDX-License-Identifier: Apache-2.0 */
/* What iov.h declares. */
#include "devices/iov.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vmm/base/util.h"

/* One loop for both directions; what `in` says is written to is the iov. */
static size_t copy(const struct iovec *iov, unsigned int n, size_t off,
		   uint8_t *buf, size_t len, bool in)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		uint8_t *part = (uint8_t *)iov[i].iov_base + off;
		size_t now;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		now = min_of(iov[i].iov_len - off, len - done);
		memcpy(in ? part : buf + done, in ? buf + done : part, now);
		done += now;
		off = 0;
	}
	return done;
}

size_t iov_put(const struct iovec *iov, unsigned int n, size_t off,
	       const void *buf, size_t len)
{
	return copy(iov, n, off, (uint8_t *)buf, len, true);
}

size_t iov_get(const struct iovec *iov, unsigned int n, size_t off, void *buf,
	       size_t len)
{
	return copy(iov, n, off, buf, len, false);
}

unsigned int iov_from(struct iovec *out, const struct iovec *iov,
		      unsigned int n, size_t off)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		out[nr++] = (struct iovec){ (uint8_t *)iov[i].iov_base + off,
					    iov[i].iov_len - off };
		off = 0;
	}
	return nr;
}
