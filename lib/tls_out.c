// SPDX-License-Identifier: Apache-2.0
/*
 * What OpenSSL has written and the socket has not taken yet.
 *
 * OpenSSL answers a KeyUpdate from inside SSL_read(). When a record of ours is half out at that
 * moment it fails the connection ("bad length", seen with 3.0.22), so two busy ends would lose
 * their session; not to read until our record is out would let both ends wait for each other. With
 * this buffer OpenSSL never sees a full socket.
 */
#include "tls_internal.h"

#include <errno.h>
#include <sys/socket.h>

int tls_out_append(struct tls_out *o, const void *data, size_t len)
{
	if (!len || o->is_discarding)
		return 0;
	if (o->len + len > o->size) {
		size_t size = o->len + len;
		uint8_t *p = realloc(o->data, size);

		if (!p)
			return -ENOMEM;
		o->data = p;
		o->size = size;
	}
	memcpy(o->data + o->len, data, len);
	o->len += len;
	return 0;
}

/* An idle session keeps no buffer. */
void tls_out_done(struct tls_out *o)
{
	free(o->data);
	o->data = NULL;
	o->at = o->len = o->size = 0;
}

void tls_out_discard(struct tls_out *o)
{
	tls_out_done(o);
	o->is_discarding = true;
}

size_t tls_out_pending(const struct tls_out *o)
{
	return o->len - o->at;
}

int tls_out_send(struct tls_out *o, int fd, const uint8_t *data, size_t len)
{
	while (len && !tls_out_pending(o)) {
		ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
	return tls_out_append(o, data, len);
}

int tls_out_flush(struct tls_out *o, int fd)
{
	while (o->at < o->len) {
		ssize_t n = send(fd, o->data + o->at, o->len - o->at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			o->at += n;
	}
	tls_out_done(o);
	return 0;
}

static int on_write(BIO *bio, const char *data, int len)
{
	struct tls_out *o = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (tls_out_append(o, data, len) < 0) {
		errno = ENOMEM;
		return -1;
	}
	return len;
}

static long on_ctrl(BIO *bio, int command, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return command == BIO_CTRL_FLUSH;
}

BIO *tls_out_bio(struct tls_out *o)
{
	static BIO_METHOD *method; /* one for the life of the process */
	BIO *bio;

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "botls out");
		if (!method)
			return NULL;
		BIO_meth_set_write(method, on_write);
		BIO_meth_set_ctrl(method, on_ctrl);
	}
	bio = BIO_new(method);
	if (!bio)
		return NULL;
	BIO_set_data(bio, o);
	BIO_set_init(bio, 1);
	return bio;
}
