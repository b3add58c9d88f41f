// SPDX-License-Identifier: Apache-2.0
#include "ktls.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define PROBE_WAIT_MS 1000

/* The kernel splits the 12 bytes of TLS 1.3 into a salt and an IV, as TLS 1.2 had them for GCM. */
union crypto_info {
	struct tls_crypto_info info;
	struct tls12_crypto_info_aes_gcm_128 aes_128;
	struct tls12_crypto_info_aes_gcm_256 aes_256;
	struct tls12_crypto_info_chacha20_poly1305 chacha20;
};

static void put_sequence(uint8_t to[static 8], uint64_t sequence)
{
	for (int i = 0; i < 8; i++)
		to[i] = sequence >> 8 * (7 - i);
}

static uint64_t get_sequence(const uint8_t from[static 8])
{
	uint64_t sequence = 0;

	for (int i = 0; i < 8; i++)
		sequence = sequence << 8 | from[i];
	return sequence;
}

/* Returns the length of what the kernel wants. */
static socklen_t fill(union crypto_info *c, const struct ktls_key *k)
{
	memset(c, 0, sizeof(*c));
	c->info.version = TLS_1_3_VERSION;
	switch (k->cipher) {
	case KTLS_AES_128_GCM:
		c->info.cipher_type = TLS_CIPHER_AES_GCM_128;
		memcpy(c->aes_128.key, k->key, sizeof(c->aes_128.key));
		memcpy(c->aes_128.salt, k->iv, sizeof(c->aes_128.salt));
		memcpy(c->aes_128.iv, k->iv + sizeof(c->aes_128.salt), sizeof(c->aes_128.iv));
		put_sequence(c->aes_128.rec_seq, k->sequence);
		return sizeof(c->aes_128);
	case KTLS_AES_256_GCM:
		c->info.cipher_type = TLS_CIPHER_AES_GCM_256;
		memcpy(c->aes_256.key, k->key, sizeof(c->aes_256.key));
		memcpy(c->aes_256.salt, k->iv, sizeof(c->aes_256.salt));
		memcpy(c->aes_256.iv, k->iv + sizeof(c->aes_256.salt), sizeof(c->aes_256.iv));
		put_sequence(c->aes_256.rec_seq, k->sequence);
		return sizeof(c->aes_256);
	case KTLS_CHACHA20_POLY1305:
		c->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
		memcpy(c->chacha20.key, k->key, sizeof(c->chacha20.key));
		memcpy(c->chacha20.iv, k->iv, sizeof(c->chacha20.iv));
		put_sequence(c->chacha20.rec_seq, k->sequence);
		return sizeof(c->chacha20);
	}
	return 0;
}

int ktls_attach(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) < 0 ? -errno : 0;
}

static int option(enum ktls_direction d)
{
	return d == KTLS_OUT ? TLS_TX : TLS_RX;
}

int ktls_set_key(int fd, enum ktls_direction d, const struct ktls_key *key)
{
	union crypto_info c;
	socklen_t len = fill(&c, key);
	int r = setsockopt(fd, SOL_TLS, option(d), &c, len) < 0 ? -errno : 0;

	explicit_bzero(&c, sizeof(c));
	return r;
}

/* Which cipher it is, the kernel says only to who asks with the right length. */
int ktls_get_sequence(int fd, enum ktls_direction d, uint64_t *ret)
{
	union crypto_info c = {};
	socklen_t len = sizeof(c.info);
	const uint8_t *sequence = NULL;
	int r = 0;

	if (getsockopt(fd, SOL_TLS, option(d), &c, &len) < 0)
		return -errno;
	switch (c.info.cipher_type) {
	case TLS_CIPHER_AES_GCM_128:
		len = sizeof(c.aes_128);
		sequence = c.aes_128.rec_seq;
		break;
	case TLS_CIPHER_AES_GCM_256:
		len = sizeof(c.aes_256);
		sequence = c.aes_256.rec_seq;
		break;
	case TLS_CIPHER_CHACHA20_POLY1305:
		len = sizeof(c.chacha20);
		sequence = c.chacha20.rec_seq;
		break;
	default: return -EINVAL;
	}
	if (getsockopt(fd, SOL_TLS, option(d), &c, &len) < 0)
		r = -errno;
	else
		*ret = get_sequence(sequence);
	explicit_bzero(&c, sizeof(c)); /* it has the key, too */
	return r;
}

int ktls_send(int fd, uint8_t type, const void *data, size_t len)
{
	union {
		char bytes[CMSG_SPACE(sizeof(type))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = {(void *)data, len};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	ssize_t n;

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(sizeof(type));
	*CMSG_DATA(c) = type;
	do
		n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

ssize_t ktls_recv(int fd, void *buf, size_t len, uint8_t *ret_type)
{
	union {
		char bytes[CMSG_SPACE(sizeof(uint8_t))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = {buf, len};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	const struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(fd, &m, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&m);
	*ret_type = c && c->cmsg_level == SOL_TLS && c->cmsg_type == TLS_GET_RECORD_TYPE
			    ? *CMSG_DATA(c)
			    : 0;
	return n;
}

/* --- what this kernel can */

/* A connection to ourselves, without waiting for ever. */
static int connect_pair(int listener, int ret[static 2])
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	struct pollfd p = {.fd = listener, .events = POLLIN};

	if (fd < 0 || getsockname(listener, (struct sockaddr *)&address, &len) < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, len) < 0 && errno != EINPROGRESS)
		return -errno;
	if (poll(&p, 1, PROBE_WAIT_MS) != 1)
		return -ETIMEDOUT;
	ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (ret[1] < 0)
		return -errno;
	ret[0] = TAKE_FD(fd);
	return 0;
}

static int listen_on_loopback(int *ret)
{
	const struct sockaddr_in any_port = {.sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any_port, sizeof(any_port)) < 0 ||
	    listen(fd, 4) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

/* A key for each direction, and the next one. */
static int try_cipher(int fd, enum ktls_cipher cipher)
{
	struct ktls_key key = {.cipher = cipher};
	int r = ktls_attach(fd);

	if (r < 0)
		return r;
	for (int i = 0; r == 0 && i < 4; i++)
		r = ktls_set_key(fd, i % 2 ? KTLS_IN : KTLS_OUT, &key);
	return r == -ENOENT ? -EPROTONOSUPPORT : r; /* the cipher is what is missing */
}

void ktls_probe(struct ktls_support *ret)
{
	_cleanup_close_ int listener = -1;
	int r = listen_on_loopback(&listener), refused = 0;

	memset(ret, 0, sizeof(*ret));
	for (int cipher = 0; r == 0 && cipher < KTLS_CIPHERS; cipher++) {
		int fds[2] = {-1, -1}, tried;

		r = connect_pair(listener, fds);
		if (r < 0)
			break;
		tried = try_cipher(fds[0], cipher);
		close(fds[0]);
		close(fds[1]);
		if (tried == 0)
			ret->ciphers |= 1U << cipher;
		else if (!refused)
			refused = tried;
	}
	if (ret->ciphers)
		return;
	if (r < 0)
		snprintf(ret->why_not, sizeof(ret->why_not), "it could not be tried: 127.0.0.1: %s",
			 strerror(-r));
	else if (refused == -ENOENT)
		snprintf(ret->why_not, sizeof(ret->why_not),
			 "this kernel has no kTLS (module tls, CONFIG_TLS)");
	else if (refused == -EBUSY)
		snprintf(ret->why_not, sizeof(ret->why_not),
			 "this kernel's kTLS cannot renew keys (before Linux 6.14)");
	else
		snprintf(ret->why_not, sizeof(ret->why_not), "this kernel refuses it: %s",
			 strerror(-refused));
}
