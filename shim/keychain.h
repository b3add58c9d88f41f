/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain of TCP-AO keys with lifetimes (RFC 5925; RFC 8177 calls it a key chain): which keys are
 * accepted at a moment, which one is to be sent with, when that changes, and where it leaves a gap.
 * Pure: time is passed in.
 *
 * A key is accepted from accept_from until just before accept_until, and sent within that time from
 * send_from until just before send_until. Seconds since the epoch; 0: no limit.
 */
#ifndef BOTLS_KEYCHAIN_H
#define BOTLS_KEYCHAIN_H

#include "tcp_ao.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keychain_key {
	char *name; /* NULL: the one of a neighbor that has no chain */
	char *chain;
	char *secret;
	uint8_t send_id, recv_id;
	enum tcp_ao_algorithm algorithm;
	bool covers_options;
	uint64_t send_from, send_until, accept_from, accept_until;
	char origin[128]; /* "file:line" */
};

struct keychain {
	const char *name;		 /* NULL: a neighbor's single key */
	const struct keychain_key *keys; /* by send_from, those of one time in the order of names */
	size_t n;
};

/* The secret is borrowed. */
struct tcp_ao_key keychain_tcp_key(const struct keychain_key *k);
bool keychain_is_accepted(const struct keychain_key *k, uint64_t now);
bool keychain_is_sent(const struct keychain_key *k, uint64_t now);

/* The one to send with: of those that may be sent the one that became so last. NULL: none. */
const struct keychain_key *keychain_preferred(const struct keychain *c, uint64_t now);
/* When the next key begins or ends to be accepted or sent; 0: never. */
uint64_t keychain_next_change(const struct keychain *c, uint64_t now);
/* The same keys, for the same, at both moments? */
bool keychain_is_steady(const struct keychain *c, uint64_t then, uint64_t now);
/* The first time from `from` on in which no key may be sent; *ret_end 0: it does not end. False:
 * there is none. */
bool keychain_gap(const struct keychain *c, uint64_t from, uint64_t *ret_begin, uint64_t *ret_end);

/* The one with that id; of several, which are never accepted at one time, the one that is accepted
 * now, or else the last. NULL: none. */
const struct keychain_key *keychain_sender(const struct keychain *c, uint8_t send_id, uint64_t now);
const struct keychain_key *keychain_receiver(const struct keychain *c, uint8_t recv_id,
					     uint64_t now);
/* Two that may be accepted at one moment: they need ids of their own. */
bool keychain_keys_meet(const struct keychain_key *a, const struct keychain_key *b);
/* Ids, algorithm and secret are the same: one key, whatever it is called. */
bool keychain_same_key(const struct keychain_key *a, const struct keychain_key *b);
/* All of it is the same, names and lifetimes too. */
bool keychain_equal(const struct keychain *a, const struct keychain *b);

/* What `after` sends with is another key than what `before` sends with, under an id of that one: no
 * connection can have both, and so go from the one to the other. */
bool keychain_breaks(const struct keychain *before, const struct keychain *after, uint64_t now);

#endif
