// SPDX-License-Identifier: Apache-2.0
#include "ao.h"
#include "conf.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct addr ao_listener_peer(const struct neighbor_config *n)
{
	const struct addr anybody = {.family = n->address.family};

	return n->ao.mode == AO_EXPORTER ? anybody : n->address;
}

struct keychain ao_chain(const struct neighbor_config *n)
{
	if (n->ao.chain)
		return *n->ao.chain;
	return (struct keychain){.keys = &n->ao.own, .n = n->ao.own.secret ? 1 : 0};
}

const char *ao_refusal(const struct neighbor_config *n, bool kernel_has_ao)
{
	if (kernel_has_ao || !ao_is_wanted(n) || n->ao.policy == AO_PREFERRED)
		return NULL;
	if (n->mode == MODE_TCP_AO)
		return "mode = tcp-ao: this kernel has no TCP-AO, so the neighbor stays closed: "
		       "boot one that has it (" TCP_AO_KERNEL "), or set mode = off";
	return "tcp-ao: this kernel has no TCP-AO, so the neighbor stays closed: boot "
	       "one that has it (" TCP_AO_KERNEL "), or set tcp-ao-policy = preferred or tcp-ao = "
	       "off";
}

bool ao_probe(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && tcp_ao_probe(fd) == 0;
}

static const char *text_of(int error, const struct neighbor_config *n)
{
	if (error == -ENOPROTOOPT)
		return ao_refusal(n, false);
	if (error == -ENOENT)
		return "the kernel lacks the algorithm";
	if (error == -ENOMEM)
		return "out of memory (raise sysctl net.core.optmem_max)";
	return strerror(-error);
}

static const char *name_of(const struct keychain_key *k)
{
	return k->name ? k->name : "tcp-ao-key";
}

static int no_key(const struct keychain *c, uint64_t now, struct errtext *e)
{
	char text[CONF_TIME_LEN];
	uint64_t begin, end;

	keychain_gap(c, now, &begin, &end);
	return errtext_set(e, -EKEYEXPIRED, "tcp-ao: no key of the chain %s may be sent now%s%s%s",
			   c->name ? c->name : "?", end ? "; the next one begins at " : "",
			   end ? conf_format_time(end, text) : "",
			   end ? "" : ": add a key, and reload");
}

int ao_set_keys(int fd, const struct neighbor_config *n, const struct addr *peer, uint64_t now,
		struct errtext *e)
{
	struct keychain c = ao_chain(n);
	const struct keychain_key *preferred = keychain_preferred(&c, now), *k = preferred;
	struct tcp_ao_key key;
	int r = 0;

	if (!ao_is_wanted(n))
		return 0;
	if (tcp_ao_probe(fd) == -ENOPROTOOPT && n->ao.policy == AO_PREFERRED)
		return 0;
	if (!preferred)
		return no_key(&c, now, e);
	for (size_t i = 0; i < c.n && r == 0; i++) {
		k = &c.keys[i];
		key = keychain_tcp_key(k);
		if (keychain_is_accepted(k, now))
			r = tcp_ao_add_key(fd, peer, &key);
	}
	if (r == 0) {
		key = keychain_tcp_key(preferred);
		r = tcp_ao_prefer_key(fd, &key, true);
	}
	if (r < 0)
		return errtext_set(e, r, "cannot set tcp-ao, key %s: %s", name_of(k),
				   text_of(r, n));
	return 0;
}

int ao_check(int fd, const struct neighbor_config *n, struct errtext *e)
{
	struct keychain c = ao_chain(n);
	struct tcp_ao_status status;
	int r;

	if (!ao_is_wanted(n))
		return 0;
	r = tcp_ao_get_status(fd, &status);
	if ((r == -ENOPROTOOPT && n->ao.policy == AO_PREFERRED) ||
	    (r == -ENOENT && ao_is_opportunistic(n)))
		return 0;
	if (r == -ENOPROTOOPT)
		return errtext_set(e, r, "%s", ao_refusal(n, false));
	if (r < 0)
		return errtext_set(e, r, "tcp-ao = %s, but the connection carries no TCP-AO%s%s",
				   ao_mode_name(n->ao.mode), r == -ENOENT ? "" : ": ",
				   r == -ENOENT ? "" : strerror(-r));
	/* Which of them may be used now, the listener has seen to. */
	if (!keychain_sender(&c, status.send_id, 0) || !keychain_receiver(&c, status.recv_id, 0))
		return errtext_set(e, -EKEYREJECTED,
				   "the connection carries TCP-AO with SendID %u and RecvID %u, "
				   "which no configured key has",
				   status.send_id, status.recv_id);
	return 0;
}

/* --- connections that go on
 * ------------------------------------------------------------------------------------------------
 */

/* A socket's keys have ids of their own. */
struct installed {
	struct tcp_ao_installed keys[256];
	size_t n;
};

static int list(int fd, struct installed *ret)
{
	int r = tcp_ao_list_keys(fd, ret->keys, ARRAY_SIZE(ret->keys));

	if (r < 0)
		return r;
	ret->n = (size_t)r < ARRAY_SIZE(ret->keys) ? (size_t)r : ARRAY_SIZE(ret->keys);
	return 0;
}

static bool is_used(const struct tcp_ao_installed *k)
{
	return k->is_current || k->is_rnext;
}

static const struct tcp_ao_installed *find(const struct installed *all,
					   const struct keychain_key *k)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->keys[i].send_id == k->send_id && all->keys[i].recv_id == k->recv_id)
			return &all->keys[i];
	return NULL;
}

static void set_old(struct ao_rest *rest, const struct tcp_ao_installed *k)
{
	rest->is_any = true;
	if (rest->is_wrong)
		return; /* the reason for it */
	rest->is_old = true;
	rest->send_id = k->send_id;
	rest->recv_id = k->recv_id;
}

/* One key of the chain that is accepted now. 0, or -errno; what has to wait is no error. */
static int add_key(int fd, const struct addr *peer, const struct installed *all,
		   const struct keychain_key *k, struct ao_rest *rest)
{
	const struct tcp_ao_installed *old = find(all, k);
	struct tcp_ao_key key = keychain_tcp_key(k);
	int r = old ? tcp_ao_has_key(fd, peer, &key) : -ENOENT;

	if (r > 0)
		return 0;
	if (r == 0 && is_used(old)) {
		/* Its secret is another one now. */
		rest->is_any = true;
		if (old->is_current)
			set_old(rest, old);
		return 0;
	}
	if (r == 0)
		r = tcp_ao_delete_key(fd, peer, &key);
	if (r == 0 || r == -ENOENT)
		r = tcp_ao_add_key(fd, peer, &key);
	if (r == -EEXIST || r == -EBUSY) {
		rest->is_any = true; /* a key that is to go has one of its ids */
		return 0;
	}
	return r;
}

static bool is_accepted(const struct keychain *c, const struct tcp_ao_installed *k, uint64_t now)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->keys[i].send_id == k->send_id && c->keys[i].recv_id == k->recv_id &&
		    keychain_is_accepted(&c->keys[i], now))
			return true;
	return false;
}

static const struct tcp_ao_installed *asked_for(const struct installed *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->keys[i].is_rnext)
			return &all->keys[i];
	return NULL;
}

/* Which of them the neighbor is known to have. */
static const struct tcp_ao_installed *best_heard(const struct installed *all)
{
	const struct tcp_ao_installed *best = NULL;

	for (size_t i = 0; i < all->n; i++)
		if (all->keys[i].good > (best ? best->good : 0))
			best = &all->keys[i];
	return best;
}

/* The neighbor has a key with the ids that we ask for, and it is another one. We stop asking, and
 * if it has asked us, too, we stop sending with it: what it asks for next, it can only ask for with
 * a key that works. */
static int go_back(int fd, const struct tcp_ao_installed *from, const struct tcp_ao_installed *to,
		   struct ao_rest *rest)
{
	struct tcp_ao_key key = {.send_id = to->send_id, .recv_id = to->recv_id};

	*rest = (struct ao_rest){.is_any = true,
				 .is_wrong = true,
				 .send_id = from->send_id,
				 .recv_id = from->recv_id};
	return tcp_ao_prefer_key(fd, &key, from->is_current);
}

/* Asks for the key of now; *rest until it has been heard. */
static int ask(int fd, const struct keychain_key *preferred, bool may_ask, uint64_t *wrong,
	       struct ao_rest *rest)
{
	const struct tcp_ao_installed *asked, *heard, *wanted;
	struct installed all;
	struct tcp_ao_key key;
	int r = list(fd, &all);

	if (r < 0)
		return r;
	asked = asked_for(&all);
	heard = best_heard(&all);
	wanted = preferred ? find(&all, preferred) : NULL;
	if (asked && asked->bad > *wrong && !asked->good && heard)
		return go_back(fd, asked, heard, rest);
	if (asked && !asked->good)
		rest->is_any = true;
	if (!wanted || wanted == asked)
		return 0;
	rest->is_any = true;
	if (!may_ask)
		return 0;
	*wrong = wanted->bad; /* of an earlier try */
	key = keychain_tcp_key(preferred);
	return tcp_ao_prefer_key(fd, &key, false);
}

static int drop_keys(int fd, const struct addr *peer, const struct keychain *c, uint64_t now,
		     struct ao_rest *rest)
{
	const struct tcp_ao_installed *asked;
	struct installed all;
	int r = list(fd, &all);

	asked = r == 0 ? asked_for(&all) : NULL;
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		const struct tcp_ao_installed *k = &all.keys[i];
		struct tcp_ao_key key = {.send_id = k->send_id, .recv_id = k->recv_id};

		if (is_accepted(c, k, now))
			continue;
		if (k->is_current)
			set_old(rest, k);
		/* What came with the key that we ask for shows that the neighbor has heard us. */
		if (is_used(k) || !asked || !asked->good) {
			rest->is_any = true;
			continue;
		}
		r = tcp_ao_delete_key(fd, peer, &key);
		if (r == -EBUSY) {
			rest->is_any = true; /* the neighbor was quicker */
			r = 0;
		}
	}
	return r;
}

int ao_follow(int fd, const struct neighbor_config *n, uint64_t now, bool may_ask, uint64_t *wrong,
	      struct ao_rest *ret, struct errtext *e)
{
	struct keychain c = ao_chain(n);
	struct ao_rest rest = {};
	struct installed all;
	int r = list(fd, &all);

	if (r < 0)
		return errtext_set(e, r, "%s", strerror(-r));
	for (size_t i = 0; r == 0 && i < c.n; i++)
		if (keychain_is_accepted(&c.keys[i], now))
			r = add_key(fd, &n->address, &all, &c.keys[i], &rest);
	if (r == 0)
		r = ask(fd, keychain_preferred(&c, now), may_ask, wrong, &rest);
	if (r == 0)
		r = drop_keys(fd, &n->address, &c, now, &rest);
	if (r < 0)
		return errtext_set(e, r == -ENOENT ? -ENOSYS : r, "%s", text_of(r, n));
	*ret = rest;
	return 0;
}
