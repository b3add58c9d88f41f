// SPDX-License-Identifier: Apache-2.0
/*
 * A session that goes on in another process: as fields, and back. Names and meanings must not
 * change. What a reader may pass over is a new field; what it must not pass over raises
 * READER_NEEDED, and older ones refuse the session.
 */
#include "session_internal.h"

#include "ao.h"
#include "fields.h"
#include "sock.h"
#include "transport.h"

#include <errno.h>
#include <time.h>

#ifndef SESSION_VERSION /* tests have a botlsd of a later version */
#define SESSION_VERSION 1
#endif
#define VERSION	      SESSION_VERSION /* of the description that is written here */
#define READER_NEEDED 1		      /* the oldest version that goes on rightly with it */

const char *session_stays(const struct session *s)
{
	const struct transport *outer = s->relay ? relay_transport(s->relay, RELAY_OUTER) : NULL;
	struct tls_info info;

	if (!outer || s->is_closing)
		return "it is ending";
	if (!session_capability_is_settled(s))
		return "tcp-ao = capability is being agreed upon";
	if (s->is_clear)
		return NULL;
	tls_get_info(transport_get_tls((struct transport *)outer), &info);
	return strcmp(info.version, "TLSv1.3") == 0 ? NULL : "TLS 1.2 cannot move";
}

void session_end_unready(struct session *s, const char *why)
{
	bool is_ready = s->state == SESSION_UP || s->state == SESSION_CLEAR;

	if (session_capability_lose_control(s) || !is_ready)
		session_close(s, why);
}

int session_freeze(struct session *s)
{
	int r = session_stays(s) ? -EBUSY : relay_freeze(s->relay);

	if (r < 0)
		return r;
	if (s->ao)
		ao_exporter_freeze(s->ao);
	return 0;
}

int session_thaw(struct session *s)
{
	int r = relay_thaw(s->relay);

	return r == 0 && s->ao ? ao_exporter_thaw(s->ao) : r;
}

void session_leave(struct session *s)
{
	s->is_closing = true;
	relay_leave(TAKE(s->relay));
	session_free(s);
}

void session_get_fds(const struct session *s, int *ret_inner, int *ret_outer)
{
	*ret_inner = relay_transport(s->relay, RELAY_INNER)->fd;
	*ret_outer = relay_transport(s->relay, RELAY_OUTER)->fd;
}

/* --- to fields */

static void put_address(struct fields_out *o, const char *name, const struct addr *a)
{
	char text[ADDR_STRLEN];

	fields_put_text(o, name, addr_format(a, text));
}

static void put_relay(const struct relay *r, struct fields_out *o)
{
	static const char *const prefixes[] = {
		[RELAY_INNER] = "relay.out", [RELAY_OUTER] = "relay.in"};
	struct relay_state state;

	relay_get_state(r, &state);
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		o->prefix = prefixes[i];
		fields_put(o, "held", state.from[i].held, state.from[i].held_len);
		fields_put_number(o, "read", state.from[i].read);
		fields_put_number(o, "written", state.from[i].written);
		fields_put_number(o, "blocked-ms", state.from[i].blocked_ms);
	}
	o->prefix = NULL;
}

static void put_streams(const struct session *s, struct fields_out *o)
{
	o->prefix = "in";
	bgp_export_state(&s->in, o);
	o->prefix = "out";
	bgp_export_state(&s->out, o);
	o->prefix = NULL;
}

/* Of connections that this session had before: those of the last one go with it. */
static void put_counters(const struct tls_counters *c, struct fields_out *o)
{
	fields_put_number(o, "before.records-in", c->records_in);
	fields_put_number(o, "before.records-out", c->records_out);
	fields_put_number(o, "before.key-updates-sent", c->key_updates_sent);
	fields_put_number(o, "before.key-updates-received", c->key_updates_received);
}

static void put_facts(const struct session *s, struct fields_out *o)
{
	fields_put_number(o, "id", s->id);
	fields_put_number(o, "is-inbound", s->direction == SESSION_IN);
	fields_put_number(o, "is-clear", s->is_clear);
	put_address(o, "own", &s->own);
	put_address(o, "peer", &s->peer);
	fields_put_number(o, "own-port", s->own_port);
	fields_put_number(o, "peer-port", s->peer_port);
	fields_put_number(o, "since", s->since);
	fields_put_number(o, "established-since", s->established_since);
	fields_put_text(o, "bgp", session_bgp_name(s->bgp));
}

void session_describe(struct session *s, struct fields_out *o)
{
	struct session_info info;

	put_facts(s, o);
	session_get_info(s, &info);
	if (!info.has_tls)
		return;
	fields_put_text(o, "tls.version", info.tls.version);
	fields_put_text(o, "tls.cipher", info.tls.cipher);
	fields_put_text(o, "tls.group", info.tls.group);
	fields_put_text(o, "tls.peer-subject", info.tls.peer_subject);
	fields_put_text(o, "tls.peer-issuer", info.tls.peer_issuer);
	fields_put_text(o, "tls.peer-san", info.tls.peer_san);
	fields_put_number(o, "tls.peer-not-after", info.tls.peer_not_after);
}

int session_export(const struct session *s, struct fields_out *o)
{
	struct transport *outer = relay_transport(s->relay, RELAY_OUTER);
	int r = 0;

	fields_put_number(o, "version", VERSION);
	fields_put_number(o, "reader", READER_NEEDED);
#if SESSION_VERSION > 1
	fields_put_text(o, "of-a-later-version", "what nobody knows yet");
#endif
	fields_put_text(o, "neighbor", s->config->name);
	put_facts(s, o);
	put_counters(&s->tls_left, o);
	put_streams(s, o);
	put_relay(s->relay, o);
	session_capability_export(s, o);
	if (s->ao_lack)
		fields_put_number(o, "ao-lack", s->ao_lack);
	if (s->ao)
		ao_exporter_export(s->ao, o);
	if (!s->is_clear)
		r = tls_export_state(transport_get_tls(outer), o);
	return r < 0 ? r : fields_out_error(o);
}

/* --- and back */

static void get_address(struct fields_in *f, const char *name, struct addr *ret)
{
	char text[ADDR_STRLEN];

	fields_text(f, name, text, sizeof(text));
	if (fields_error(f, NULL) == 0 && (addr_parse(text, ret, NULL) < 0 || addr_is_prefix(ret)))
		fields_refuse(f, name, -EBADMSG);
}

static enum session_bgp get_bgp(struct fields_in *f)
{
	static const enum session_bgp all[] = {SBGP_OPENSENT, SBGP_OPENCONFIRM, SBGP_ESTABLISHED,
					       SBGP_CLOSING};
	char text[32];

	fields_text(f, "bgp", text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strcmp(text, session_bgp_name(all[i])) == 0)
			return all[i];
	fields_refuse(f, "bgp", -EBADMSG);
	return SBGP_OPENSENT;
}

static void get_relay(struct fields_in *f, struct relay_state *ret)
{
	static const char *const prefixes[] = {
		[RELAY_INNER] = "relay.out", [RELAY_OUTER] = "relay.in"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		f->prefix = prefixes[i];
		ret->from[i].held = fields_bytes(f, "held", RELAY_HELD_MAX, &ret->from[i].held_len);
		ret->from[i].read = fields_number(f, "read", UINT64_MAX);
		ret->from[i].written = fields_number(f, "written", UINT64_MAX);
		ret->from[i].blocked_ms = fields_number(f, "blocked-ms", UINT64_MAX);
	}
	f->prefix = NULL;
}

static void get_streams(struct fields_in *f, struct session *s)
{
	f->prefix = "in";
	bgp_import_state(f, &s->in);
	f->prefix = "out";
	bgp_import_state(f, &s->out);
	f->prefix = NULL;
}

static void get_session(struct fields_in *f, struct session *s)
{
	struct tls_counters *c = &s->tls_left;

	uint64_t id = fields_number(f, "id", UINT64_MAX);

	if (!s->id)
		s->id = id;
	s->is_clear = fields_number(f, "is-clear", 1);
	s->own_port = fields_number(f, "own-port", UINT16_MAX);
	s->peer_port = fields_number(f, "peer-port", UINT16_MAX);
	s->since = fields_number(f, "since", INT64_MAX);
	s->established_since = fields_number(f, "established-since", INT64_MAX);
	s->bgp = get_bgp(f);
	s->state = s->is_clear ? SESSION_CLEAR : SESSION_UP;
	s->has_tried = true;
	if (fields_has(f, "ao-lack"))
		s->ao_lack = fields_number(f, "ao-lack", AO_LACK_NOT_TAKEN);
	c->records_in = fields_number(f, "before.records-in", UINT64_MAX);
	c->records_out = fields_number(f, "before.records-out", UINT64_MAX);
	c->key_updates_sent = fields_number(f, "before.key-updates-sent", UINT64_MAX);
	c->key_updates_received = fields_number(f, "before.key-updates-received", UINT64_MAX);
	get_streams(f, s);
}

/* Two connections, and the outer one with the neighbor that it is said to be with? */
static void check_connections(struct fields_in *f, const struct session *s, int inner, int outer)
{
	struct sock_connection c;
	struct tcp_ao_status ao;

	if (sock_get_connection(inner, &c) < 0)
		fields_refuse(f, "inner connection", -ENOTCONN);
	if (sock_get_connection(outer, &c) < 0)
		fields_refuse(f, "outer connection", -ENOTCONN);
	else if (!addr_equal(&c.peer, &s->peer) || !addr_contains(&s->config->address, &s->peer))
		fields_refuse(f, "peer", -EPERM);
	/* What the neighbor's mode does not allow now has to end. */
	if (s->is_clear ? s->config->mode != MODE_TCP_AO && s->config->mode != MODE_PREFERRED
			: !neighbor_has_tls(s->config))
		fields_refuse(f, "is-clear", -EPERM);
	if (s->ao_lack && !ao_is_opportunistic(s->config))
		fields_refuse(f, "ao-lack", -EPERM);
	if (ao_is_wanted(s->config) && s->config->ao.policy == AO_REQUIRED &&
	    tcp_ao_get_status(outer, &ao) < 0)
		fields_refuse(f, "tcp-ao", -EPERM);
}

static int import_ao(struct session *s, struct fields_in *f)
{
	struct ao_exporter_params params;

	if (!fields_has(f, "ao.secret"))
		return 0;
	session_ao_params(s, &params);
	if (s->capability) {
		params.is_installed = true;
		params.switch_ms = UINT64_MAX;
	}
	return ao_exporter_import(&params, f, &s->ao);
}

/* The transports of a session whose fields have been read. */
static int import_relay(struct session *s, struct fields_in *f, int *inner_fd, int *outer_fd)
{
	struct transport *inner, *outer;
	struct relay_state state;
	struct tls *tls = NULL;
	int r;

	get_relay(f, &state);
	r = fields_error(f, NULL);
	if (r == 0 && !s->is_clear)
		r = tls_import_state(f, s->ctx, *outer_fd, &tls);
	if (r < 0)
		return r;
	if (tls)
		tls_leave_counters(tls, &s->tls_left);
	inner = transport_tcp_new(TAKE_FD(*inner_fd));
	outer = tls ? transport_tls_new(TAKE_FD(*outer_fd), tls)
		    : transport_tcp_new(TAKE_FD(*outer_fd));
	r = -ENOMEM;
	if (inner && outer)
		r = relay_new_frozen(s->loop, inner, outer, &session_relay_callbacks, s, &state,
				     &s->relay);
	else if (inner || outer)
		(inner ? inner : outer)->ops->free(inner ? inner : outer);
	if (r == 0 && s->bgp >= SBGP_ESTABLISHED)
		relay_allow_splice(s->relay);
	return r;
}

static int import(struct session *s, struct fields_in *f, int *inner_fd, int *outer_fd)
{
	int r;

	get_session(f, s);
	if (fields_error(f, NULL) == 0)
		check_connections(f, s, *inner_fd, *outer_fd);
	r = fields_error(f, NULL);
	if (r == 0)
		r = import_relay(s, f, inner_fd, outer_fd);
	if (r == 0)
		r = session_capability_import(s, f);
	if (r == 0)
		r = import_ao(s, f);
	/* As in session_start_relay(): they are for its beginning. */
	timer_free(TAKE(s->deadline));
	timer_free(TAKE(s->retry));
	return r < 0 ? r : fields_error(f, NULL);
}

int session_import(const struct session_params *p, struct fields_in *f, int inner_fd, int outer_fd,
		   struct session **ret)
{
	_cleanup_close_ int inner = inner_fd, outer = outer_fd;
	struct session_params params = *p;
	struct session *s;
	int r;

	fields_number(f, "version", UINT64_MAX);
	fields_number(f, "reader", VERSION);
	get_address(f, "own", &params.own);
	get_address(f, "peer", &params.peer);
	r = fields_number(f, "is-inbound", 1) ? SESSION_IN : SESSION_OUT;
	if (fields_error(f, NULL) < 0)
		return fields_error(f, NULL);
	s = session_make(&params, r);
	if (!s)
		return -ENOMEM;
	r = import(s, f, &inner, &outer);
	if (r < 0) {
		session_leave(s);
		return r;
	}
	*ret = s;
	return 0;
}
