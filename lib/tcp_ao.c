// SPDX-License-Identifier: Apache-2.0
#include "tcp_ao.h"
#include "botls/tcp_ao.h"
#include "util.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

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

static int add_key(int fd, const struct addr *peer, const struct tcp_ao_key *key, bool is_used)
{
	struct kernel_tcp_ao_add add = {
		.set_current = is_used,
		.set_rnext = is_used,
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

int tcp_ao_add_key(int fd, const struct addr *peer, const struct tcp_ao_key *key)
{
	return add_key(fd, peer, key, false);
}

int tcp_ao_add_first_key(int fd, const struct addr *peer, const struct tcp_ao_key *key)
{
	return add_key(fd, peer, key, true);
}

/* What is not meant to change is written back as it was read. */
static int use_key(int fd, uint8_t recv_id, bool at_once, uint8_t send_id)
{
	struct kernel_tcp_ao_info info = {};
	int r = get_info(fd, &info);

	if (r < 0)
		return r;
	info = (struct kernel_tcp_ao_info){
		.ao_required = info.ao_required,
		.accept_icmps = info.accept_icmps,
		.set_rnext = true,
		.rnext = recv_id,
		.set_current = at_once,
		.current_key = send_id,
	};
	return setsockopt(fd, IPPROTO_TCP, KERNEL_TCP_AO_INFO, &info, sizeof(info)) < 0 ? -errno
											: 0;
}

int tcp_ao_set_rnext(int fd, uint8_t recv_id)
{
	return use_key(fd, recv_id, false, 0);
}

int tcp_ao_prefer_key(int fd, const struct tcp_ao_key *key, bool at_once)
{
	return use_key(fd, key->recv_id, at_once, at_once ? key->send_id : 0);
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

/* The key with these ids, secret included: the caller wipes it. */
static int get_key(int fd, const struct addr *peer, const struct tcp_ao_key *key,
		   struct kernel_tcp_ao_get *ret)
{
	socklen_t len = sizeof(*ret);
	int r;

	*ret = (struct kernel_tcp_ao_get){
		.prefix = peer->prefixlen,
		.sndid = key->send_id,
		.rcvid = key->recv_id,
		.nkeys = 1,
	};
	set_peer(peer, &ret->addr);
	r = getsockopt(fd, IPPROTO_TCP, KERNEL_TCP_AO_GET_KEYS, ret, &len) < 0 ? -errno : 0;
	return r == 0 && !ret->nkeys ? -ENOENT : r;
}

int tcp_ao_list_keys(int fd, struct tcp_ao_installed *ret, size_t max)
{
	socklen_t len = sizeof(struct kernel_tcp_ao_get);
	struct kernel_tcp_ao_get *all;
	size_t n;
	int r;

	if (!max)
		return -EINVAL;
	all = calloc(max, sizeof(*all));
	if (!all)
		return -ENOMEM;
	all[0].nkeys = max;
	all[0].get_all = true;
	/* `len` is that of one. */
	r = getsockopt(fd, IPPROTO_TCP, KERNEL_TCP_AO_GET_KEYS, all, &len) < 0 ? -errno : 0;
	n = r < 0 ? 0 : all[0].nkeys;
	for (size_t i = 0; i < n && i < max; i++)
		ret[i] = (struct tcp_ao_installed){
			.send_id = all[i].sndid,
			.recv_id = all[i].rcvid,
			.is_current = all[i].is_current,
			.is_rnext = all[i].is_rnext,
			.good = all[i].pkt_good,
			.bad = all[i].pkt_bad,
		};
	/* There is no way to ask for the rest without the secrets. */
	explicit_bzero(all, max * sizeof(*all));
	free(all);
	return r < 0 ? r : (int)n;
}

/* What the kernel makes of the key: it may keep one that it derived. */
static int make_key(const struct addr *peer, const struct tcp_ao_key *key,
		    struct kernel_tcp_ao_get *ret)
{
	_cleanup_close_ int fd = socket(peer->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = tcp_ao_add_key(fd, peer, key);
	return r < 0 ? r : get_key(fd, peer, key, ret);
}

static bool same_key(const struct kernel_tcp_ao_get *a, const struct kernel_tcp_ao_get *b)
{
	return !strncmp(a->alg_name, b->alg_name, sizeof(a->alg_name)) &&
	       a->keyflags == b->keyflags && a->maclen == b->maclen && a->keylen == b->keylen &&
	       !memcmp(a->key, b->key, sizeof(a->key));
}

int tcp_ao_has_key(int fd, const struct addr *peer, const struct tcp_ao_key *key)
{
	struct kernel_tcp_ao_get has = {}, wanted = {};
	int r = get_key(fd, peer, key, &has);

	if (r == 0)
		r = make_key(peer, key, &wanted);
	if (r == 0)
		r = same_key(&has, &wanted);
	explicit_bzero(&has, sizeof(has));
	explicit_bzero(&wanted, sizeof(wanted));
	return r;
}

int tcp_ao_get_counts(int fd, const struct addr *peer, const struct tcp_ao_key *key,
		      uint64_t *ret_good, uint64_t *ret_bad)
{
	struct kernel_tcp_ao_get get;
	int r = get_key(fd, peer, key, &get);

	explicit_bzero(get.key, sizeof(get.key));
	if (r < 0)
		return r;
	*ret_good = get.pkt_good;
	*ret_bad = get.pkt_bad;
	return 0;
}
