// SPDX-License-Identifier: Apache-2.0
/*
 * The record layer in the kernel. What is left to us: keys, and records that are no data.
 *
 * A session moves there before its first record, while nothing has been read ahead, or never; and
 * there is no way back. So only kernels that can renew keys (6.14) are used at all, since a
 * neighbor may send a KeyUpdate at any time. An alert or KeyUpdate for which the socket has no room
 * waits here; nothing is sent past it.
 *
 * The kernel gives data to TCP later when TCP's buffer is full, and an end of TCP would drop that:
 * tls_ktls_has_unsent() finds out, by comparing what TCP has got with what it must get.
 */
#include "tls_record.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct ktls_support support = {.why_not = "not tried"};

void tls_ktls_set_support(const struct ktls_support *s)
{
	support = *s;
	support.why_not[sizeof(support.why_not) - 1] = '\0';
}

void tls_want_kernel(struct tls *t)
{
	t->wants_kernel = true;
	t->why_user = "TLS 1.2";
}

bool tls_is_in_kernel(const struct tls *t)
{
	return t->record && t->record->kernel;
}

/* --- keys */

static int set_key(struct tls *t, enum ktls_direction d, uint64_t sequence)
{
	const struct tls_record *r = t->record;
	struct ktls_key key = {.cipher = r->suite->ktls, .sequence = sequence};
	int err = tls_derive_keys(r->suite, d == KTLS_OUT ? r->out_secret : r->in_secret, key.key,
				  key.iv);

	if (err == 0)
		err = ktls_set_key(t->fd, d, &key);
	OPENSSL_cleanse(&key, sizeof(key));
	return err;
}

/* Bytes that TCP was given; what is acknowledged in between makes it too low, never too high. */
static int tcp_position(int fd, uint64_t *ret)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	int unacked;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    ioctl(fd, SIOCOUTQ, &unacked) < 0)
		return -errno;
	*ret = info.tcpi_bytes_acked + unacked;
	return 0;
}

static int stay(struct tls *t, const char *why, int error)
{
	t->why_user = why;
	t->why_user_error = error;
	return -ENOTSUP;
}

int tls_ktls_begin(struct tls *t)
{
	struct tls_kernel *k;
	int err;

	if (!support.ciphers)
		return stay(t, support.why_not, 0);
	if (!(support.ciphers & 1U << t->record->suite->ktls))
		return stay(t, "this kernel does not have the cipher", 0);
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->records = t->records_out;
	err = tcp_position(t->fd, &k->position);
	if (err == 0)
		err = ktls_attach(t->fd);
	/* Up to here bytes pass the socket as they are: user space can seal them. */
	if (err == 0)
		err = set_key(t, KTLS_OUT, 0);
	if (err < 0) {
		free(k);
		return stay(t, "the kernel refused", -err);
	}
	t->record->kernel = k;
	t->why_user = NULL;
	err = set_key(t, KTLS_IN, 0);
	return err == -ENOTSUP ? -EIO : err; /* not: it stays as it was */
}

void tls_ktls_free(struct tls_kernel *k)
{
	free(k);
}

void tls_ktls_count(const struct tls *t, uint64_t *in, uint64_t *out)
{
	*in = *out = 0;
	ktls_get_sequence(t->fd, KTLS_IN, in);
	ktls_get_sequence(t->fd, KTLS_OUT, out);
}

int tls_ktls_next_keys_in(struct tls *t)
{
	uint64_t in, out;
	int err;

	tls_ktls_count(t, &in, &out);
	err = tls_next_secret(t->record->suite, t->record->in_secret);
	if (err == 0)
		err = set_key(t, KTLS_IN, 0);
	if (err == 0)
		t->records_in += in;
	return err;
}

static int next_keys_out(struct tls *t)
{
	uint64_t in, out;
	int err;

	tls_ktls_count(t, &in, &out);
	err = tls_next_secret(t->record->suite, t->record->out_secret);
	if (err == 0)
		err = set_key(t, KTLS_OUT, 0);
	if (err == 0)
		t->records_out += out;
	return err;
}

/* The kernel stops at the first byte of a KeyUpdate, though the rest is in another record: given
 * the same key again it goes on. */
static int go_on_with_key_in(struct tls *t)
{
	uint64_t sequence = 0;
	int err = ktls_get_sequence(t->fd, KTLS_IN, &sequence);

	return err < 0 ? err : set_key(t, KTLS_IN, sequence);
}

/* --- what comes in */

static enum tls_want set_read_failure(struct tls *t, int error)
{
	socklen_t len = sizeof(error);
	int ignored;

	/* The kernel keeps it as the socket's error: no alert would leave. */
	if (error == EBADMSG || error == EMSGSIZE || error == EINVAL)
		getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &ignored, &len);
	if (error == EBADMSG)
		return tls_refuse(t, SSL_AD_BAD_RECORD_MAC, "decryption failed or bad record mac");
	if (error == EMSGSIZE)
		return tls_refuse(t, SSL_AD_RECORD_OVERFLOW, "encrypted length too long");
	if (error == EINVAL)
		return tls_refuse(t, SSL_AD_PROTOCOL_VERSION, "a record of another version");
	t->is_broken = true;
	tls_set_system_failure(t, error);
	return TLS_FAILED;
}

/* A record that is no data. */
static enum tls_want on_message(struct tls *t, uint8_t type, const void *buf, size_t n)
{
	const struct tls_record *r = t->record;
	enum tls_want want = tls_on_content(t, type, buf, n);

	if (want == TLS_WANT_READ && r->message_len && r->message[0] == SSL3_MT_KEY_UPDATE &&
	    go_on_with_key_in(t) < 0)
		return tls_refuse(t, SSL_AD_UNEXPECTED_MESSAGE, "a KeyUpdate in pieces");
	return want;
}

static enum tls_want receive(struct tls *t, void *buf, size_t len, size_t *ret_n)
{
	struct tls_record *r = t->record;
	uint8_t type = 0;
	ssize_t n = ktls_recv(t->fd, buf, len, &type);
	enum tls_want want;

	r->kernel->may_be_silent = type == SSL3_RT_APPLICATION_DATA && n < (ssize_t)len;
	if (n == -EAGAIN)
		return TLS_WANT_READ;
	if (n < 0)
		return set_read_failure(t, -n);
	if (!type)
		return tls_set_closed(t);
	if (type != SSL3_RT_APPLICATION_DATA)
		return on_message(t, type, buf, n);
	want = tls_on_content(t, type, buf, n);
	if (want != TLS_DONE)
		return want;
	*ret_n = n;
	return n ? TLS_DONE : TLS_WANT_READ;
}

/* Where a record that is no data ends, the kernel does not tell reliably: there is always room for
 * a whole one. */
enum tls_want tls_ktls_read(struct tls *t, void *buf, size_t len, size_t *ret_n)
{
	enum tls_want want;
	size_t n = 0;

	if (len > TLS_PLAIN_MAX)
		return receive(t, buf, len, ret_n);
	want = receive(t, tls_incoming, sizeof(tls_incoming), &n);
	if (want != TLS_DONE)
		return want;
	*ret_n = n < len ? n : len;
	memcpy(buf, tls_incoming, *ret_n);
	return tls_hold(&t->record->plain, tls_incoming + *ret_n, n - *ret_n) < 0
		       ? tls_out_of_memory(t)
		       : TLS_DONE;
}

enum tls_want tls_ktls_peek(struct tls *t)
{
	size_t n = 0;
	enum tls_want want = tls_record_read(t, tls_incoming, sizeof(tls_incoming), &n);

	if (want == TLS_DONE && tls_hold(&t->record->plain, tls_incoming, n) < 0)
		return tls_out_of_memory(t);
	return want;
}

/* --- what goes out */

void tls_ktls_queue_alert(struct tls *t, const uint8_t alert[static 2])
{
	struct tls_kernel *k = t->record->kernel;

	memcpy(k->alert, alert, sizeof(k->alert));
	k->has_alert = true;
}

/* One answers all that came until it leaves (RFC 8446 4.6.3). */
void tls_ktls_queue_key_update(struct tls *t, bool is_request)
{
	struct tls_kernel *k = t->record->kernel;

	k->has_key_update = true;
	k->key_update_is_request |= is_request;
}

static int send_key_update(struct tls *t)
{
	struct tls_kernel *k = t->record->kernel;
	const uint8_t message[TLS_KEY_UPDATE_LEN] = {SSL3_MT_KEY_UPDATE, 0, 0, 1,
						     k->key_update_is_request};
	int err = ktls_send(t->fd, SSL3_RT_HANDSHAKE, message, sizeof(message));

	if (err < 0)
		return err;
	k->bytes += sizeof(message);
	k->has_key_update = k->key_update_is_request = false;
	t->key_updates_sent++;
	t->records_since_update = 0;
	/* From here on nothing may leave under the old key. */
	err = next_keys_out(t);
	return err == -EAGAIN ? -EIO : err;
}

int tls_ktls_flush(struct tls *t)
{
	struct tls_kernel *k = t->record->kernel;
	int err = 0;

	if (t->is_write_broken)
		return 0;
	if (k->has_key_update)
		err = send_key_update(t);
	if (err == 0 && k->has_alert) {
		err = ktls_send(t->fd, SSL3_RT_ALERT, k->alert, sizeof(k->alert));
		if (err == 0) {
			k->bytes += sizeof(k->alert);
			k->has_alert = false;
		}
	}
	return err;
}

/* What has to leave before data. */
static int prepare_write(struct tls *t)
{
	if (t->key_update_records && t->records_since_update >= t->key_update_records)
		tls_ktls_queue_key_update(t, true);
	return tls_ktls_flush(t);
}

/* How many records these bytes have become is counted by the kernel; for the limit of a key it is
 * enough to be near. */
static void wrote(struct tls *t, size_t n)
{
	t->record->kernel->bytes += n;
	t->records_since_update += (n + TLS_PLAIN_MAX - 1) / TLS_PLAIN_MAX;
}

int tls_ktls_write(struct tls *t, const void *data, size_t len, size_t *ret_n)
{
	int err = prepare_write(t);
	ssize_t n;

	if (err < 0)
		return err;
	do
		n = send(t->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	wrote(t, n);
	*ret_n = n;
	return 0;
}

bool tls_ktls_has_unsent(const struct tls *t)
{
	const struct tls_kernel *k = t->record->kernel;
	uint64_t in, out, position = 0;

	tls_ktls_count(t, &in, &out);
	out += t->records_out - k->records;
	return tcp_position(t->fd, &position) == 0 &&
	       position - k->position < k->bytes + out * KTLS_OVERHEAD;
}

/* --- past user space */

bool tls_can_splice(const struct tls *t)
{
	const struct tls_record *r = t->record;

	return tls_is_in_kernel(t) && !t->is_broken && !r->has_ended && !r->plain.data &&
	       !r->message_len && !r->message_left;
}

ssize_t tls_splice_in(struct tls *t, int pipe, size_t len)
{
	struct tls_record *r = t->record;
	ssize_t n;

	do
		n = splice(t->fd, NULL, pipe, NULL, len, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		r->empty = 0;
		t->has_read = true;
	}
	if (n < 0)
		n = -errno;
	r->kernel->may_be_silent = n <= 0 && n != -EAGAIN;
	return n;
}

int tls_ktls_splice_out(struct tls *t, int pipe, size_t len, size_t *ret_n)
{
	int err = prepare_write(t);
	ssize_t n;

	if (err < 0)
		return err;
	/* Never SPLICE_F_MORE: the end of TCP would drop what waits for more. */
	do
		n = splice(pipe, NULL, t->fd, NULL, len, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	wrote(t, n);
	*ret_n = n;
	return 0;
}
