// SPDX-License-Identifier: Apache-2.0
#include "tcp_ao.h"
#include "botls/tcp_ao.h"
#include "util.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

_Static_assert(sizeof(struct kernel_tcp_ao_add) == 288, "kernel's layout");
_Static_assert(sizeof(struct kernel_tcp_ao_del) == 144, "kernel's layout");
_Static_assert(sizeof(struct kernel_tcp_ao_info) == 48, "kernel's layout");
_Static_assert(sizeof(struct kernel_tcp_ao_get) == 304, "kernel's layout");
_Static_assert(TCP_AO_SECRET_MAX == KERNEL_TCP_AO_KEY_MAX, "kernel's limit");

/* The kernel's names; a maclen of 0 is 12 bytes for each of them. */
static const char *const algorithms[] = {
	[TCP_AO_AES_128_CMAC_96] = "cmac(aes128)",
	[TCP_AO_HMAC_SHA1_96] = "hmac(sha1)",
	[TCP_AO_HMAC_SHA256_96] = "hmac(sha256)",
};

/* Not addr_to_sockaddr(): the peer may be no single host, and the kernel wants no scope. */
static void set_peer(const struct addr *peer, struct sockaddr_storage *ss)
{
	if (peer->family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, peer->bytes, 16);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, peer->bytes, 4);
	}
}

/* *info is all zeros before: the kernel reads it, too. */
static int get_info(int fd, struct kernel_tcp_ao_info *info)
{
	socklen_t len = sizeof(*info);

	return getsockopt(fd, IPPROTO_TCP, KERNEL_TCP_AO_INFO, info, &len) < 0 ? -errno : 0;
}

int tcp_ao_probe(int fd)
{
	struct kernel_tcp_ao_info info = {};
	int r = get_info(fd, &info);

	return r == -ENOENT ? 0 : r;
}

int tcp_ao_add_key(int fd, const struct addr *peer, const struct tcp_ao_key *key)
{
	struct kernel_tcp_ao_add add = {
		.prefix = peer->prefixlen,
		.sndid = key->send_id,
		.rcvid = key->recv_id,
		.keyflags = key->covers_options ? 0 : KERNEL_TCP_AO_EXCLUDE_OPT,
	};
	int r;

	if (!key->secret_len || key->secret_len > TCP_AO_SECRET_MAX)
		return -EINVAL;
	set_peer(peer, &add.addr);
	strcpy(add.alg_name, algorithms[key->algorithm]);
	add.keylen = key->secret_len;
	memcpy(add.key, key->secret, key->secret_len);
	r = setsockopt(fd, IPPROTO_TCP, KERNEL_TCP_AO_ADD_KEY, &add, sizeof(add)) < 0 ? -errno : 0;
	explicit_bzero(&add, sizeof(add));
	return r;
}

int tcp_ao_set_rnext(int fd, uint8_t recv_id)
{
	/* Setting it overwrites what it does not mean: read first. */
	struct kernel_tcp_ao_info info = {};
	int r = get_info(fd, &info);

	if (r < 0)
		return r;
	info.set_current = info.set_counters = 0;
	info.set_rnext = 1;
	info.rnext = recv_id;
	return setsockopt(fd, IPPROTO_TCP, KERNEL_TCP_AO_INFO, &info, sizeof(info)) < 0 ? -errno
											: 0;
}

int tcp_ao_delete_key(int fd, const struct addr *peer, const struct tcp_ao_key *key)
{
	struct kernel_tcp_ao_del del = {
		.prefix = peer->prefixlen, .sndid = key->send_id, .rcvid = key->recv_id};

	set_peer(peer, &del.addr);
	return setsockopt(fd, IPPROTO_TCP, KERNEL_TCP_AO_DEL_KEY, &del, sizeof(del)) < 0 ? -errno
											 : 0;
}

int tcp_ao_get_status(int fd, struct tcp_ao_status *ret)
{
	struct kernel_tcp_ao_info info = {};
	int r = get_info(fd, &info);

	if (r < 0)
		return r;
	*ret = (struct tcp_ao_status){
		.send_id = info.current_key,
		.recv_id = info.rnext,
		.good = info.pkt_good,
		.bad = info.pkt_bad,
		.key_not_found = info.pkt_key_not_found,
		.required = info.pkt_ao_required,
	};
	return 0;
}

int tcp_ao_get_counts(int fd, const struct addr *peer, const struct tcp_ao_key *key,
		      uint64_t *ret_good, uint64_t *ret_bad)
{
	struct kernel_tcp_ao_get get = {
		.prefix = peer->prefixlen,
		.sndid = key->send_id,
		.rcvid = key->recv_id,
		.nkeys = 1,
	};
	socklen_t len = sizeof(get);
	int r;

	set_peer(peer, &get.addr);
	r = getsockopt(fd, IPPROTO_TCP, KERNEL_TCP_AO_GET_KEYS, &get, &len) < 0 ? -errno : 0;
	/* There is no way to ask for the counters without the secret. */
	explicit_bzero(get.key, sizeof(get.key));
	if (r < 0)
		return r;
	if (!get.nkeys)
		return -ENOENT;
	*ret_good = get.pkt_good;
	*ret_bad = get.pkt_bad;
	return 0;
}
