// SPDX-License-Identifier: Apache-2.0
/* TLS after its handshake. The struct tls works on the descriptor that the transport owns. */
#include "transport.h"
#include "tls.h"

#include <errno.h>
#include <sys/socket.h>

struct tls_transport {
	struct transport base;
	struct tls *tls;
};

static enum transport_result result_of(enum tls_want want)
{
	switch (want) {
	case TLS_DONE: return IO_OK;
	case TLS_WANT_READ: return IO_WANT_READ;
	case TLS_WANT_WRITE: return IO_WANT_WRITE;
	case TLS_EOF: return IO_EOF;
	case TLS_TRUNCATED:
	case TLS_FAILED: return IO_RESET;
	}
	return IO_RESET;
}

static struct tls *tls_of(const struct transport *base)
{
	return ((const struct tls_transport *)base)->tls;
}

static enum transport_result tls_transport_read(struct transport *base, void *buf, size_t len,
						size_t *ret_n)
{
	return result_of(tls_read(tls_of(base), buf, len, ret_n));
}

static enum transport_result tls_transport_write(struct transport *base, const void *buf,
						 size_t len, size_t *ret_n)
{
	return result_of(tls_write(tls_of(base), buf, len, ret_n));
}

static enum transport_result tls_transport_shutdown(struct transport *base)
{
	struct tls_transport *t = (struct tls_transport *)base;
	enum tls_want want = tls_close_notify(t->tls);

	if (want != TLS_DONE)
		return result_of(want);
	if (shutdown(base->fd, SHUT_WR) == 0)
		return IO_EOF;
	base->error = errno;
	return IO_RESET;
}

static bool tls_transport_has_pending(const struct transport *base)
{
	return tls_has_pending(tls_of(base));
}

static bool tls_transport_may_have_more(const struct transport *base)
{
	return tls_may_have_more(tls_of(base));
}

static bool tls_transport_can_splice(const struct transport *base, bool is_source)
{
	return is_source ? tls_can_splice(tls_of(base)) : tls_is_in_kernel(tls_of(base));
}

static ssize_t tls_transport_splice_in(struct transport *base, int pipe, size_t len)
{
	return tls_splice_in(tls_of(base), pipe, len);
}

static enum transport_result tls_transport_splice_out(struct transport *base, int pipe, size_t len,
						      size_t *ret_n)
{
	return result_of(tls_splice_out(tls_of(base), pipe, len, ret_n));
}

static bool tls_transport_has_unsent(const struct transport *base)
{
	return tls_has_unsent(tls_of(base));
}

static const char *tls_transport_error(const struct transport *base)
{
	const struct tls_transport *t = (const struct tls_transport *)base;
	const char *text;

	if (base->error) /* of shutdown() */
		return strerror(base->error);
	tls_failure(t->tls, &text);
	return text;
}

static void tls_transport_free(struct transport *base)
{
	tls_free(tls_of(base));
	close(base->fd);
	free(base);
}

static const struct transport_ops tls_ops = {
	.read = tls_transport_read,
	.write = tls_transport_write,
	.shutdown = tls_transport_shutdown,
	.has_pending = tls_transport_has_pending,
	.may_have_more = tls_transport_may_have_more,
	.can_splice = tls_transport_can_splice,
	.splice_in = tls_transport_splice_in,
	.splice_out = tls_transport_splice_out,
	.has_unsent = tls_transport_has_unsent,
	.error = tls_transport_error,
	.free = tls_transport_free,
};

struct transport *transport_tls_new(int fd, struct tls *tls)
{
	struct tls_transport *t = calloc(1, sizeof(*t));

	if (!t) {
		tls_free(tls);
		close(fd);
		return NULL;
	}
	t->base.ops = &tls_ops;
	t->base.fd = fd;
	t->tls = tls;
	return &t->base;
}

struct tls *transport_get_tls(struct transport *t)
{
	return t->ops == &tls_ops ? tls_of(t) : NULL;
}
