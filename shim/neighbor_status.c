// SPDX-License-Identifier: Apache-2.0
/* The status of a neighbor as JSON: docs/control-protocol.md. */
#include "neighbor_internal.h"

#include "ao.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <time.h>

static struct jv *messages_json(const struct bgp_stream *b)
{
	static const char *const names[] = {"unknown",	    "open",	 "update",
					    "notification", "keepalive", "route-refresh"};
	struct jv *o = jv_object_new();
	int r = 0;

	for (size_t t = 0; t < ARRAY_SIZE(names); t++)
		r |= jv_set_uint(o, names[t], b->messages[t]);
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *capabilities_json(const struct bgp_open *b)
{
	struct jv *a = jv_array_new();
	char number[8];
	int r = 0;

	for (unsigned code = 0; code < 256; code++) {
		const char *name = bgp_capability_name(code);

		if (!(b->capabilities[code / 8] & (1U << (code % 8))))
			continue;
		snprintf(number, sizeof(number), "%u", code);
		r |= jv_append_string(a, name ? name : number);
	}
	return r ? (jv_free(a), NULL) : a;
}

static const char *role_name(uint8_t role)
{
	static const char *const names[] = {"provider", "rs", "rs-client", "customer", "peer"};

	return role < ARRAY_SIZE(names) ? names[role] : NULL;
}

static struct jv *open_json(const struct bgp_open *b)
{
	struct in_addr id = {htonl(b->router_id)};
	struct jv *o = jv_object_new();
	char text[INET_ADDRSTRLEN];
	int r = jv_set_uint(o, "as", b->as);

	r |= jv_set_string(o, "router_id", inet_ntop(AF_INET, &id, text, sizeof(text)));
	r |= jv_set_uint(o, "hold_time", b->hold_time);
	r |= jv_set(o, "capabilities", capabilities_json(b));
	r |= jv_set_string(o, "role", role_name(b->role));
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *stream_json(const struct bgp_stream *b)
{
	struct jv *o = jv_object_new();
	int r = jv_set_uint(o, "bytes", b->bytes);

	r |= jv_set(o, "messages", messages_json(b));
	if (b->open.seen)
		r |= jv_set(o, "open", open_json(&b->open));
	r |= jv_set_string(o, "framing_error", b->framing_error);
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *tls_json(const struct tls_info *t)
{
	struct jv *o = jv_object_new();
	int r = jv_set_string(o, "version", t->version);

	r |= jv_set_string(o, "cipher", t->cipher);
	r |= jv_set_string(o, "group", t->group);
	r |= jv_set_string(o, "subject", t->peer_subject);
	r |= jv_set_string(o, "issuer", t->peer_issuer);
	r |= jv_set_string(o, "san", t->peer_san);
	r |= jv_set_string(o, "pin", t->peer_pin);
	r |= jv_set_int(o, "not_after", t->peer_not_after);
	r |= jv_set_string(o, "records", t->is_in_kernel ? "kernel" : "user space");
	if (t->why_user[0])
		r |= jv_set_string(o, "records_why", t->why_user);
	r |= jv_set_uint(o, "records_in", t->records_in);
	r |= jv_set_uint(o, "records_out", t->records_out);
	r |= jv_set_uint(o, "key_updates_sent", t->key_updates_sent);
	r |= jv_set_uint(o, "key_updates_received", t->key_updates_received);
	r |= jv_set_bool(o, "past_key_limit", t->is_past_key_limit);
	return r ? (jv_free(o), NULL) : o;
}

struct jv *neighbor_ao_json(const struct session_info *i, const struct neighbor_config *config)
{
	const struct tcp_ao_status *ao = &i->ao;
	struct keychain c = ao_chain(config);
	const struct keychain_key *sent = keychain_sender(&c, ao->send_id, time(NULL));
	const struct keychain_key *asked = keychain_receiver(&c, ao->recv_id, time(NULL));
	struct jv *o = jv_object_new();
	int r = jv_set_uint(o, "send_id", ao->send_id);

	r |= jv_set_uint(o, "recv_id", ao->recv_id);
	if (config->ao.mode == AO_EXPORTER || i->ao_generation) {
		r |= jv_set_bool(o, "derived", i->has_derived_ao);
		r |= jv_set_uint(o, "generation", i->ao_generation);
	}
	r |= jv_set_string(o, "send_key", sent ? sent->name : NULL);
	r |= jv_set_string(o, "recv_key", asked ? asked->name : NULL);
	if (config->ao.mode == AO_STATIC)
		r |= jv_set_bool(o, "old", !sent || !keychain_is_accepted(sent, time(NULL)));
	r |= jv_set_uint(o, "good", ao->good);
	r |= jv_set_uint(o, "bad", ao->bad);
	r |= jv_set_uint(o, "key_not_found", ao->key_not_found);
	r |= jv_set_uint(o, "required", ao->required);
	return r ? (jv_free(o), NULL) : o;
}

static int set_key(struct jv *o, const struct keychain_key *k)
{
	int r = jv_set_uint(o, "send_id", k->send_id);

	r |= jv_set_uint(o, "recv_id", k->recv_id);
	r |= jv_set_string(o, "algorithm", ao_algorithm_name(k->algorithm));
	r |= jv_set_bool(o, "options", k->covers_options);
	return r;
}

static int set_time(struct jv *o, const char *name, uint64_t t)
{
	return t ? jv_set_uint(o, name, t) : 0;
}

static struct jv *key_json(const struct keychain *c, const struct keychain_key *k, uint64_t now)
{
	struct jv *o = jv_object_new();
	int r = jv_set_string(o, "name", k->name);

	r |= set_key(o, k);
	r |= jv_set_string(o, "state",
			   keychain_preferred(c, now) == k ? "sent"
			   : keychain_is_accepted(k, now)  ? "accepted"
			   : now < k->accept_from	   ? "later"
							   : "ended");
	r |= set_time(o, "send_from", k->send_from);
	r |= set_time(o, "send_until", k->send_until);
	r |= set_time(o, "accept_from", k->accept_from);
	r |= set_time(o, "accept_until", k->accept_until);
	return r ? (jv_free(o), NULL) : o;
}

/* What is configured, the key of now first; never a secret. */
static struct jv *ao_config_json(const struct neighbor_config *config)
{
	struct keychain c = ao_chain(config);
	uint64_t now = time(NULL);
	const struct keychain_key *preferred = keychain_preferred(&c, now);
	struct jv *o = jv_object_new(), *keys = jv_array_new();
	int r = jv_set_string(o, "mode", ao_mode_name(config->ao.mode));

	if (config->ao.mode == AO_CAPABILITY) {
		r |= jv_set_uint(o, "capability_code", config->ao.capability_code);
		r |= jv_set_string(o, "algorithm", ao_algorithm_name(config->ao.own.algorithm));
		r |= jv_set_bool(o, "options", config->ao.own.covers_options);
	} else {
		r |= jv_set_string(o, "policy", ao_policy_name(config->ao.policy));
	}
	r |= jv_set_string(o, "chain", c.name);
	if (preferred)
		r |= set_key(o, preferred);
	for (size_t i = 0; c.name && i < c.n; i++)
		r |= jv_append(keys, key_json(&c, &c.keys[i], now));
	r |= jv_set(o, "keys", keys);
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *capability_json(const struct session_capability_info *i)
{
	struct jv *o = jv_object_new();
	int r = jv_set_string(o, "state", session_capability_name(i->state));

	r |= jv_set_int(o, "since", i->since);
	if (i->text[0])
		r |= jv_set_string(o, "text", i->text);
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *leg_json(const struct session_leg *leg)
{
	const struct sock_connection *tcp = &leg->tcp;
	struct jv *o = jv_object_new();
	char text[ADDR_STRLEN];
	int r = jv_set_string(o, "local", addr_format(&tcp->local, text));

	r |= jv_set_uint(o, "local_port", tcp->local_port);
	r |= jv_set_string(o, "peer", addr_format(&tcp->peer, text));
	r |= jv_set_uint(o, "peer_port", tcp->peer_port);
	if (tcp->rtt_us)
		r |= jv_set_uint(o, "rtt_us", tcp->rtt_us);
	r |= jv_set_uint(o, "retransmits", tcp->retransmits);
	r |= jv_set_uint(o, "mss", tcp->mss);
	r |= jv_set_uint(o, "unacked", tcp->unacked);
	r |= jv_set_uint(o, "blocked_ms", leg->blocked_ms);
	return r ? (jv_free(o), NULL) : o;
}

static int set_legs(struct jv *o, const struct session *s)
{
	struct session_legs legs;
	int r;

	session_get_legs(s, &legs);
	r = jv_set_uint(o, "buffered", legs.buffered);
	if (legs.inner.is_there)
		r |= jv_set(o, "inner", leg_json(&legs.inner));
	if (legs.outer.is_there)
		r |= jv_set(o, "outer", leg_json(&legs.outer));
	return r;
}

static const char *transport_name(const struct neighbor *n, enum session_state s)
{
	if (n->config && n->config->mode == MODE_TCP_AO)
		return "tcp-ao";
	return s == SESSION_CLEAR ? "clear" : "tls";
}

static struct jv *session_json(const struct neighbor *n, struct session *s, unsigned worker)
{
	struct jv *o = jv_object_new();
	struct session_info i;
	char text[ADDR_STRLEN];
	int r;

	session_get_info(s, &i);
	r = jv_set_uint(o, "id", i.id);
	r |= jv_set_uint(o, "worker", worker);
	r |= jv_set_string(o, "direction", i.direction == SESSION_OUT ? "out" : "in");
	r |= jv_set_string(o, "state", session_state_name(i.state));
	r |= jv_set_int(o, "since", i.since);
	r |= jv_set_string(o, "bgp", session_bgp_name(i.bgp));
	if (i.established_since)
		r |= jv_set_int(o, "established_since", i.established_since);
	r |= jv_set_string(o, "peer", addr_format(i.peer, text));
	r |= jv_set_uint(o, "peer_port", i.peer_port);
	r |= jv_set_string(o, "local", addr_format(i.own, text));
	r |= jv_set_uint(o, "local_port", i.own_port);
	r |= jv_set_string(o, "transport", transport_name(n, i.state));
	r |= set_legs(o, s);
	if (i.has_tls)
		r |= jv_set(o, "tls", tls_json(&i.tls));
	if (i.ao_lack)
		r |= jv_set_string(o, "tcp_ao_lack", ao_lack_text(i.ao_lack));
	if (i.has_ao && n->config)
		r |= jv_set(o, "tcp_ao", neighbor_ao_json(&i, n->config));
	if (i.capability.state != CAPABILITY_NONE)
		r |= jv_set(o, "tcp_ao_capability", capability_json(&i.capability));
	r |= jv_set(o, "in", stream_json(i.in));
	r |= jv_set(o, "out", stream_json(i.out));
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *sessions_json(struct neighbor *n, unsigned worker)
{
	struct jv *a = jv_array_new();
	int r = 0;

	for (struct link *l = n->links; l; l = l->next)
		r |= jv_append(a, session_json(n, l->session, worker));
	return r ? (jv_free(a), NULL) : a;
}

static struct jv *failure_json(const struct failure *f)
{
	struct jv *o = jv_object_new();
	int r = jv_set_int(o, "time", f->time);

	r |= jv_set_string(o, "reason", tls_reason_name(f->reason));
	r |= jv_set_string(o, "text", f->text);
	r |= jv_set_string(o, "direction", f->direction == SESSION_OUT ? "out" : "in");
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *failures_json(const struct neighbor *n)
{
	struct jv *o = jv_object_new();
	int r = 0;

	for (unsigned i = 0; i < TLS_REASONS; i++)
		if (n->failures[i])
			r |= jv_set_uint(o, tls_reason_name(i), n->failures[i]);
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *notification_json(const struct neighbor *n)
{
	struct jv *o = jv_object_new();
	int r = jv_set_int(o, "time", n->last_notification_time);

	r |= jv_set_uint(o, "code", n->last_notification.code);
	r |= jv_set_uint(o, "subcode", n->last_notification.subcode);
	r |= jv_set_string(o, "text", n->last_notification.text);
	r |= jv_set_string(o, "direction", n->last_notification_in ? "in" : "out");
	return r ? (jv_free(o), NULL) : o;
}

static struct jv *counters_json(const struct neighbor *n)
{
	struct jv *o = jv_object_new();
	int r = jv_set_uint(o, "sessions", n->n_sessions);

	r |= jv_set_uint(o, "established", n->n_established);
	return r ? (jv_free(o), NULL) : o;
}

static const char *state_name(const struct neighbor *n)
{
	if (n->config && n->config->mode == MODE_OFF)
		return "off";
	if (n->has_best)
		return session_state_name(n->best);
	if (n->config && n->config->mode == MODE_TCP_AO)
		return n->error[0] ? "error" : "idle";
	return n->ctx ? "idle" : "error";
}

static enum session_bgp best_bgp(const struct neighbor *n)
{
	enum session_bgp best = SBGP_CONNECT;
	bool any = false;

	for (const struct link *l = n->links; l; l = l->next) {
		enum session_bgp b = session_bgp(l->session);

		/* A session that is closing says less than any other. */
		if (!any || best == SBGP_CLOSING || (b > best && b != SBGP_CLOSING))
			best = b;
		any = true;
	}
	return best;
}

/* What of the configuration an operator looks for beside the state. */
static int set_config(struct jv *o, const struct neighbor_config *c)
{
	char text[ADDR_STRLEN];
	int r = jv_set_string(o, "description", c->description);

	r |= jv_set_string(o, "mode", neighbor_mode_name(c->mode));
	r |= jv_set_string(o, "role", neighbor_role_name(c->role));
	r |= jv_set_bool(o, "dynamic", addr_is_prefix(&c->address));
	if (c->local_address.family != AF_UNSPEC)
		r |= jv_set_string(o, "local_address", addr_format(&c->local_address, text));
	r |= jv_set_uint(o, "tls_port", c->tls_port);
	if (c->remote_as)
		r |= jv_set_uint(o, "remote_as", c->remote_as);
	if (ao_may_be(c))
		r |= jv_set(o, "tcp_ao", ao_config_json(c));
	return r;
}

struct jv *neighbor_status(struct neighbor *n, unsigned worker)
{
	struct jv *o = jv_object_new();
	int r = jv_set_string(o, "name", n->name);

	if (n->config)
		r |= set_config(o, n->config);
	r |= jv_set_string(o, "state", state_name(n));
	r |= jv_set_int(o, "since", n->since);
	r |= jv_set_string(o, "bgp", n->links ? session_bgp_name(best_bgp(n)) : "idle");
	if (n->ctx)
		r |= jv_set_int(o, "certificate_expires", tls_ctx_not_after(n->ctx));
	r |= jv_set_bool(o, "fallback", n->allow_clear);
	if (n->last_failure.time)
		r |= jv_set(o, "last_failure", failure_json(&n->last_failure));
	if (n->last_notification.seen)
		r |= jv_set(o, "last_notification", notification_json(n));
	r |= jv_set(o, "failures", failures_json(n));
	r |= jv_set(o, "counters", counters_json(n));
	r |= jv_set(o, "sessions", sessions_json(n, worker));
	return r ? (jv_free(o), NULL) : o;
}
