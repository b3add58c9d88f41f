// SPDX-License-Identifier: Apache-2.0
#include "keychain.h"
#include "util.h"

struct tcp_ao_key keychain_tcp_key(const struct keychain_key *k)
{
	return (struct tcp_ao_key){
		.send_id = k->send_id,
		.recv_id = k->recv_id,
		.algorithm = k->algorithm,
		.covers_options = k->covers_options,
		.secret = k->secret,
		.secret_len = k->secret ? strlen(k->secret) : 0,
	};
}

static bool is_within(uint64_t now, uint64_t from, uint64_t until)
{
	return now >= from && (!until || now < until);
}

bool keychain_is_accepted(const struct keychain_key *k, uint64_t now)
{
	return is_within(now, k->accept_from, k->accept_until);
}

bool keychain_is_sent(const struct keychain_key *k, uint64_t now)
{
	return keychain_is_accepted(k, now) && is_within(now, k->send_from, k->send_until);
}

const struct keychain_key *keychain_preferred(const struct keychain *c, uint64_t now)
{
	for (size_t i = c->n; i--;)
		if (keychain_is_sent(&c->keys[i], now))
			return &c->keys[i];
	return NULL;
}

uint64_t keychain_next_change(const struct keychain *c, uint64_t now)
{
	uint64_t next = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct keychain_key *k = &c->keys[i];
		const uint64_t ends[] = {k->send_from, k->send_until, k->accept_from,
					 k->accept_until};

		for (size_t j = 0; j < ARRAY_SIZE(ends); j++)
			if (ends[j] > now && (!next || ends[j] < next))
				next = ends[j];
	}
	return next;
}

bool keychain_is_steady(const struct keychain *c, uint64_t then, uint64_t now)
{
	for (size_t i = 0; i < c->n; i++)
		if (keychain_is_accepted(&c->keys[i], then) !=
		    keychain_is_accepted(&c->keys[i], now))
			return false;
	return keychain_preferred(c, then) == keychain_preferred(c, now);
}

bool keychain_gap(const struct keychain *c, uint64_t from, uint64_t *ret_begin, uint64_t *ret_end)
{
	uint64_t at = from, end;

	/* Nothing changes between two of these moments. */
	while (keychain_preferred(c, at)) {
		at = keychain_next_change(c, at);
		if (!at)
			return false;
	}
	end = at;
	do {
		end = keychain_next_change(c, end);
	} while (end && !keychain_preferred(c, end));
	*ret_begin = at;
	*ret_end = end;
	return true;
}

const struct keychain_key *keychain_sender(const struct keychain *c, uint8_t send_id, uint64_t now)
{
	const struct keychain_key *found = NULL;

	for (size_t i = 0; i < c->n; i++)
		if (c->keys[i].send_id == send_id && (!found || !keychain_is_accepted(found, now)))
			found = &c->keys[i];
	return found;
}

const struct keychain_key *keychain_receiver(const struct keychain *c, uint8_t recv_id,
					     uint64_t now)
{
	const struct keychain_key *found = NULL;

	for (size_t i = 0; i < c->n; i++)
		if (c->keys[i].recv_id == recv_id && (!found || !keychain_is_accepted(found, now)))
			found = &c->keys[i];
	return found;
}

bool keychain_keys_meet(const struct keychain_key *a, const struct keychain_key *b)
{
	return (!a->accept_until || b->accept_from < a->accept_until) &&
	       (!b->accept_until || a->accept_from < b->accept_until);
}

bool keychain_same_key(const struct keychain_key *a, const struct keychain_key *b)
{
	return a->send_id == b->send_id && a->recv_id == b->recv_id &&
	       a->algorithm == b->algorithm && a->covers_options == b->covers_options &&
	       strcmp(a->secret, b->secret) == 0;
}

static bool same_name(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool keychain_equal(const struct keychain *a, const struct keychain *b)
{
	if (a->n != b->n || !same_name(a->name, b->name))
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct keychain_key *k = &a->keys[i], *l = &b->keys[i];

		if (!keychain_same_key(k, l) || !same_name(k->name, l->name) ||
		    k->send_from != l->send_from || k->send_until != l->send_until ||
		    k->accept_from != l->accept_from || k->accept_until != l->accept_until)
			return false;
	}
	return true;
}

bool keychain_breaks(const struct keychain *before, const struct keychain *after, uint64_t now)
{
	const struct keychain_key *old = keychain_preferred(before, now);
	const struct keychain_key *new = keychain_preferred(after, now);

	return old && new && (old->send_id == new->send_id || old->recv_id == new->recv_id) &&
	       !keychain_same_key(old, new);
}
