/* SPDX-License-Identifier: Apache-2.0 */
/* What net_stream.h declares. */
#include "devices/net_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/iov.h"
#include "devices/passt.h"
#include "vmm/base/err.h"

#define LENGTH_LEN sizeof(uint32_t)
#define IN_LEN (2 * (LENGTH_LEN + NET_FRAME_MAX))

struct stream {
	struct net_host host;
	pid_t child;            /* 0: none of ours */
	size_t in_at, in_end;   /* of in: what has come and not been taken */
	size_t out_at, out_end; /* of out: the rest of a frame */
	uint8_t in[IN_LEN];
	uint8_t out[LENGTH_LEN + NET_FRAME_MAX];
};

static struct stream *of(struct net_host *h)
{
	return container_of(h, struct stream, host);
}

/* --- from the program --- */

/* The next frame's length, if all of it is here; 0: not yet. */
static ssize_t next_frame(const struct stream *s)
{
	size_t have = s->in_end - s->in_at;
	uint32_t len;

	if (have < LENGTH_LEN)
		return 0;
	memcpy(&len, s->in + s->in_at, LENGTH_LEN);
	len = ntohl(len);
	if (!len || len > NET_FRAME_MAX)
		return -EPROTO;
	return have - LENGTH_LEN < len ? 0 : (ssize_t)len;
}

/* Takes what has come.  1, 0: nothing has, -errno: nothing ever will. */
static int take_in(struct stream *s)
{
	ssize_t n;

	memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
	s->in_end -= s->in_at;
	s->in_at = 0;
	n = recv(s->host.fds[0], s->in + s->in_end, IN_LEN - s->in_end,
		 MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	s->in_end += (size_t)n;
	return n ? 1 : -ENOTCONN;
}

static ssize_t stream_receive(struct net_host *h, unsigned int pair,
			      const struct iovec *iov, unsigned int n)
{
	static const struct virtio_net_hdr_v1 none;
	struct stream *s = of(h);
	ssize_t len;
	size_t done;

	(void)pair;
	while (!(len = next_frame(s))) {
		int rc = take_in(s);

		if (rc <= 0)
			return rc;
	}
	if (len < 0)
		return len;
	done = iov_put(iov, n, 0, &none, sizeof(none));
	done += iov_put(iov, n, done, s->in + s->in_at + LENGTH_LEN,
			(size_t)len);
	s->in_at += LENGTH_LEN + (size_t)len;
	return (ssize_t)done;
}

/* --- to the program --- */

static ssize_t push_out(struct stream *s, struct iovec *iov, unsigned int n)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t done = sendmsg(s->host.fds[0], &m, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (done >= 0)
		return done;
	return errno == EINTR ? -EAGAIN : -errno;
}

/* Sends the rest of the frame before, of which the socket took a part. */
static int finish_frame(struct stream *s)
{
	struct iovec rest = { s->out + s->out_at, s->out_end - s->out_at };
	ssize_t n;

	if (!rest.iov_len)
		return 0;
	n = push_out(s, &rest, 1);
	if (n < 0)
		return (int)n;
	s->out_at += (size_t)n;
	return s->out_at < s->out_end ? -EAGAIN : 0;
}

static int stream_send(struct net_host *h, unsigned int pair, struct iovec *iov,
		       unsigned int n)
{
	struct stream *s = of(h);
	uint32_t frame = 0, length;
	int rc = finish_frame(s);
	ssize_t done;

	(void)pair;
	for (unsigned int i = 1; i < n; i++)
		frame += (uint32_t)iov[i].iov_len;
	if (rc || !frame)
		return rc;
	/* In the place of the header, which says nothing without offloads. */
	length = htonl(frame);
	iov[0] = (struct iovec){ &length, sizeof(length) };
	done = push_out(s, iov, n);
	if (done < 0)
		return (int)done;
	s->out_at = 0;
	s->out_end = iov_get(iov, n, (size_t)done, s->out, sizeof(s->out));
	return s->out_end ? 1 : 0;
}

/* --- life --- */

static void stream_destroy(struct net_host *h)
{
	struct stream *s = of(h);

	close(h->fds[0]);
	if (s->child)
		passt_stop(s->child);
	free(s);
}

static const struct net_host_ops stream_ops = {
	.receive = stream_receive,
	.send = stream_send,
	.destroy = stream_destroy,
};

int net_stream_create(struct net_host **out, int fd)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return err_set(-ENOMEM, "out of memory");
	}
	s->host.ops = &stream_ops;
	s->host.what = "passt";
	s->host.nr_pairs = 1;
	s->host.fds[0] = fd;
	*out = &s->host;
	return 0;
}

int net_stream_connect(struct net_host **out, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc = 0;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(-EINVAL,
			       "%s: the path of a socket has at most %zu "
			       "characters",
			       path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(-errno, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		rc = err_set(-errno,
			     "cannot connect to %s: %s: start passt with "
			     "--socket %s first",
			     path, strerror(errno), path);
	if (rc)
		close(fd);
	return rc ? rc : net_stream_create(out, fd);
}

int net_stream_passt(struct net_host **out)
{
	pid_t child;
	int fd = passt_start(&child);
	int rc = fd < 0 ? fd : net_stream_create(out, fd);

	if (fd < 0)
		return rc;
	if (rc)
		passt_stop(child);
	else
		container_of(*out, struct stream, host)->child = child;
	return rc;
}
