// SPDX-License-Identifier: Apache-2.0
/* Plain TCP, and what every transport shares. */
#include "transport.h"
#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

struct tcp_transport {
	struct transport base;
	bool is_drained;
};

static enum transport_result result_of_errno(struct transport *t, enum transport_result wait)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return wait;
	t->error = errno;
	return IO_RESET;
}

static enum transport_result tcp_read(struct transport *base, void *buf, size_t len, size_t *ret_n)
{
	struct tcp_transport *t = (struct tcp_transport *)base;
	ssize_t n;

	do
		n = recv(base->fd, buf, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return result_of_errno(base, IO_WANT_READ);
	if (n == 0)
		return IO_EOF;
	t->is_drained = (size_t)n < len;
	*ret_n = n;
	return IO_OK;
}

static enum transport_result tcp_write(struct transport *base, const void *buf, size_t len,
				       size_t *ret_n)
{
	ssize_t n;

	do
		n = send(base->fd, buf, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return result_of_errno(base, IO_WANT_WRITE);
	*ret_n = n;
	return IO_OK;
}

static enum transport_result tcp_shutdown(struct transport *base)
{
	return shutdown(base->fd, SHUT_WR) < 0 ? result_of_errno(base, IO_WANT_WRITE) : IO_EOF;
}

static bool tcp_has_pending(const struct transport *base)
{
	(void)base;
	return false;
}

static bool tcp_may_have_more(const struct transport *base)
{
	return !((const struct tcp_transport *)base)->is_drained;
}

static bool tcp_can_splice(const struct transport *base, bool is_source)
{
	(void)base;
	(void)is_source;
	return true;
}

static ssize_t tcp_splice_in(struct transport *base, int pipe, size_t len)
{
	ssize_t n;

	do
		n = splice(base->fd, NULL, pipe, NULL, len, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static enum transport_result tcp_splice_out(struct transport *base, int pipe, size_t len,
					    size_t *ret_n)
{
	ssize_t n;

	do
		n = splice(pipe, NULL, base->fd, NULL, len, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return result_of_errno(base, IO_WANT_WRITE);
	*ret_n = n;
	return n ? IO_OK : IO_RESET;
}

static const char *tcp_error(const struct transport *base)
{
	return strerror(base->error);
}

static void tcp_free(struct transport *base)
{
	close(base->fd);
	free(base);
}

static const struct transport_ops tcp_ops = {
	.read = tcp_read,
	.write = tcp_write,
	.shutdown = tcp_shutdown,
	.has_pending = tcp_has_pending,
	.may_have_more = tcp_may_have_more,
	.can_splice = tcp_can_splice,
	.splice_in = tcp_splice_in,
	.splice_out = tcp_splice_out,
	.error = tcp_error,
	.free = tcp_free,
};

struct transport *transport_tcp_new(int fd)
{
	struct tcp_transport *t = calloc(1, sizeof(*t));

	if (!t) {
		close(fd);
		return NULL;
	}
	t->base.ops = &tcp_ops;
	t->base.fd = fd;
	return &t->base;
}

void transport_set_reset(struct transport *t)
{
	sock_set_reset_on_close(t->fd);
}

size_t transport_unacked(const struct transport *t)
{
	size_t n = sock_unacked(t->fd);

	return n || !t->ops->has_unsent ? n : t->ops->has_unsent(t);
}
