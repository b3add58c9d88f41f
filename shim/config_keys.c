// SPDX-License-Identifier: Apache-2.0
/* Key blocks: TCP-AO keys, and the chains that they make. */
#include "botls/botls.h"
#include "config_parse.h"

#include <errno.h>

/* A key and the block that it comes from. */
struct loaded {
	struct keychain_key key;
	struct conf_block *block;
	bool is_bad;
};

void config_key_done(struct keychain_key *k)
{
	conf_done(&config_schema, &config_schema.kinds[KIND_KEY], k);
	free(k->name);
	k->name = NULL;
}

static void read_name(struct loaded *l, const struct conf_context *ctx, struct conf_problems *p)
{
	static const struct conf_option name = {"key",
						CONF_NAME,
						.offset = offsetof(struct keychain_key, name),
						.size = sizeof(char *),
						.max = CONF_NAME_MAX,
						.initial = ""};
	struct errtext e;

	if (l->block->title && conf_set(&name, &l->key, ctx, &l->block->title, 1, &e) < 0)
		conf_problem(p, l->block->begin, "%s", e.text);
}

/* "from" and "until" of sending, or of accepting. */
static void check_order(const struct loaded *l, const char *until, uint64_t from, uint64_t end,
			struct conf_problems *p)
{
	if (end && end <= from)
		conf_problem(p, conf_place_of(l->block, until),
			     "%s: the key would end before it begins: correct %s, or %.*s-from",
			     until, until, (int)(strcspn(until, "-")), until);
}

static void check_times(const struct loaded *l, struct conf_problems *p)
{
	const struct keychain_key *k = &l->key;
	char at[CONF_TIME_LEN];

	check_order(l, "accept-until", k->accept_from, k->accept_until, p);
	if (conf_has(l->block, "send-from") || conf_has(l->block, "send-until"))
		check_order(l, "send-until", k->send_from, k->send_until, p);
	/* Both sides begin and end at the same time, as far as their clocks agree. */
	if (k->send_from < k->accept_from)
		conf_problem(p, conf_place_of(l->block, "send-from"),
			     "send-from: the key is not accepted before %s (accept-from): send it "
			     "later, or accept it earlier",
			     conf_format_time(k->accept_from, at));
	if (k->accept_until && (!k->send_until || k->send_until > k->accept_until))
		conf_problem(p, conf_place_of(l->block, "send-until"),
			     "send-until: the key is not accepted after %s (accept-until): send it "
			     "no longer than that, or accept it longer",
			     conf_format_time(k->accept_until, at));
}

static void check_key(const struct loaded *l, struct conf_problems *p)
{
	const struct keychain_key *k = &l->key;
	const struct conf_block *b = l->block;
	static const struct conf_block none;
	const char *name = k->name ? k->name : "?";

	if (conf_has(b, "secret") && conf_has(b, "secret-file"))
		conf_problem(p, conf_place_of(b, "secret-file"),
			     "secret and secret-file are both set: remove one");
	if (!b->is_incomplete && !k->secret && !conf_is_bad(b, &none, "secret") &&
	    !conf_is_bad(b, &none, "secret-file"))
		conf_problem(p, b->begin, "key %s: it has no secret: set secret or secret-file",
			     name);
	if (!b->is_incomplete && !k->chain && !conf_is_bad(b, &none, "chain"))
		conf_problem(p, b->begin,
			     "key %s: it belongs to no chain: set chain to the name that a "
			     "neighbor's tcp-ao-chain has",
			     name);
	check_times(l, p);
}

static int load_key(struct loaded *l, const struct keychain_key *defaults,
		    const struct conf_context *ctx, struct conf_problems *p)
{
	const struct conf_kind *kind = &config_schema.kinds[KIND_KEY];
	struct conf_bases to = {.kinds = {[KIND_KEY] = &l->key}};
	struct keychain_key *k = &l->key;
	size_t before = conf_problems_count(p);
	int r = conf_inherit(&config_schema, kind, k, defaults);

	if (r < 0)
		return r;
	snprintf(k->origin, sizeof(k->origin), "%.100s:%u",
		 conf_problems_file(p, l->block->begin.file), l->block->begin.line);
	read_name(l, ctx, p);
	r = conf_apply(&config_schema, l->block, &to, ctx, p);
	if (r < 0)
		return r;
	/* A key is sent while it is accepted, unless it says otherwise. */
	if (!conf_has(l->block, "send-from"))
		k->send_from = k->accept_from;
	if (!conf_has(l->block, "send-until"))
		k->send_until = k->accept_until;
	check_key(l, p);
	l->is_bad = l->block->is_incomplete || conf_problems_count(p) > before;
	return 0;
}

static int compare_texts(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int by_chain(const void *a, const void *b)
{
	const struct loaded *x = a, *y = b;
	int r = compare_texts(x->key.chain, y->key.chain);

	if (r == 0 && x->key.send_from != y->key.send_from)
		r = x->key.send_from < y->key.send_from ? -1 : 1;
	if (r == 0)
		r = compare_texts(x->key.name, y->key.name);
	return r ? r : x->block < y->block ? -1 : 1;
}

static int by_name(const void *a, const void *b)
{
	const struct loaded *const *x = a, *const *y = b;
	int r = compare_texts((*x)->key.name, (*y)->key.name);

	return r ? r : (*x)->block < (*y)->block ? -1 : 1;
}

static int report_duplicates(struct loaded *all, size_t n, struct conf_problems *p)
{
	_cleanup_free_ struct loaded **order = calloc(n, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = &all[i];
	qsort(order, n, sizeof(*order), by_name);
	for (size_t i = 1; i < n; i++)
		if (order[i]->key.name &&
		    !compare_texts(order[i - 1]->key.name, order[i]->key.name))
			conf_problem(p, order[i]->block->begin,
				     "key %s is there twice, also at %s: rename or remove one",
				     order[i]->key.name, order[i - 1]->key.origin);
	return 0;
}

/* Two keys that a connection would have at the same time and could not tell apart. */
static void report_meeting(const struct loaded *a, const struct loaded *b, struct conf_problems *p)
{
	bool same_send = a->key.send_id == b->key.send_id;

	if (a->is_bad || b->is_bad || (!same_send && a->key.recv_id != b->key.recv_id) ||
	    !keychain_keys_meet(&a->key, &b->key))
		return;
	conf_problem(
		p, conf_place_of(b->block, same_send ? "send-id" : "recv-id"),
		"key %s: it has the %s of key %s (%s), and both are accepted at one time: give "
		"it another one, or let them not overlap",
		b->key.name ? b->key.name : "?", same_send ? "send-id" : "recv-id",
		a->key.name ? a->key.name : "?", a->key.origin);
}

/* `first` begins a chain of `n` keys. */
static void check_chain(const struct loaded *first, size_t n, struct conf_problems *p)
{
	if (n > BOTLS_CHAIN_KEYS_MAX) {
		conf_problem(p, first[BOTLS_CHAIN_KEYS_MAX].block->begin,
			     "chain %s: more than %d keys: remove those that have ended",
			     first->key.chain, BOTLS_CHAIN_KEYS_MAX);
		return;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			report_meeting(&first[i], &first[j], p);
}

/* Moves the keys, in order, and says where each chain begins. */
static int make_chains(struct config *c, struct loaded *all, size_t n, struct conf_problems *p)
{
	c->keys = calloc(n, sizeof(*c->keys));
	c->chains = calloc(n, sizeof(*c->chains));
	if (!c->keys || !c->chains)
		return -ENOMEM;
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n; end++)
			if (compare_texts(all[i].key.chain, all[end].key.chain) != 0)
				break;
		if (!all[i].key.chain)
			continue;
		check_chain(&all[i], end - i, p);
		c->chains[c->n_chains++] = (struct keychain){
			.name = all[i].key.chain, .keys = &c->keys[i], .n = end - i};
	}
	for (; c->n_keys < n; c->n_keys++) {
		c->keys[c->n_keys] = all[c->n_keys].key;
		all[c->n_keys].key = (struct keychain_key){};
	}
	return 0;
}

int config_load_keys(struct config *c, struct conf_blocks *b, const struct keychain_key *defaults,
		     const struct conf_context *ctx, struct conf_problems *p)
{
	size_t n = b->n_of[KIND_KEY], at = 0;
	struct loaded *all;
	int r = 0;

	if (!n)
		return 0;
	all = calloc(n, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_items && r == 0; i++) {
		if (b->items[i].kind != &config_schema.kinds[KIND_KEY])
			continue;
		all[at].block = &b->items[i];
		r = load_key(&all[at++], defaults, ctx, p);
	}
	if (r == 0) {
		qsort(all, n, sizeof(*all), by_chain);
		r = report_duplicates(all, n, p);
	}
	if (r == 0)
		r = make_chains(c, all, n, p);
	for (size_t i = 0; i < n; i++)
		config_key_done(&all[i].key);
	free(all);
	return r;
}

static int compare_chain(const void *name, const void *chain)
{
	return strcmp(name, ((const struct keychain *)chain)->name);
}

const struct keychain *config_chain(const struct config *c, const char *name)
{
	return c->n_chains
		       ? bsearch(name, c->chains, c->n_chains, sizeof(*c->chains), compare_chain)
		       : NULL;
}
