// SPDX-License-Identifier: Apache-2.0
#include "mapping_internal.h"
#include "spki.h"

#include <ctype.h>
#include <errno.h>

#define HEADROOM_MIN 10
#define LABEL_MAX    80

/* What a mapping is made of. */
struct source {
	const struct settings *settings;
	const struct server_settings *server;
	const struct peer_settings *peer;
	const struct record *record;
	const struct record_end *ours, *theirs;
	const struct peeringdb_network *network;
	const struct jv *last;
	const char *proposed; /* secret */
};

enum bgp_role mapping_role_told(const struct record *r, enum our_side side)
{
	enum bgp_role ours = record_ours(r, side)->role;

	return ours != BGP_ROLE_UNKNOWN ? ours : bgp_role_opposite(record_theirs(r, side)->role);
}

void mapping_name(uint32_t asn, const struct addr *neighbor, char buf[static MAPPING_NAME_MAX])
{
	char text[ADDR_STRLEN];

	addr_format(neighbor, text);
	for (char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
	snprintf(buf, MAPPING_NAME_MAX, "as%u_%s", asn, text);
}

/* What comes from a form or from a stranger, as a text that needs no escape: blanks are one, quotes
 * and backslashes are dropped, a character that is not ASCII becomes a question mark. */
static void copy_label(const char *from, char *buf, size_t size)
{
	size_t n = 0;

	for (; *from && n + 1 < size; from++) {
		unsigned char c = *from;

		if (isspace(c)) {
			if (n && buf[n - 1] != ' ')
				buf[n++] = ' ';
		} else if ((c & 0xc0) != 0x80 && !strchr("\"'\\", c)) {
			buf[n++] = c < 0x80 && isprint(c) ? c : '?';
		}
	}
	while (n && buf[n - 1] == ' ')
		n--;
	buf[n] = '\0';
}

/* The name is PeeringDB's where the operator says none. While PeeringDB is silent it does not go
 * away. */
static int add_description(struct jv *m, const struct source *s)
{
	const char *location = s->record->location.id, *label = s->peer->description;
	const char *old = jv_get_string(s->last, "description", NULL);
	char text[MAPPING_TEXT_MAX + 1], clean[LABEL_MAX + 1];

	if (!label && s->network && s->network->is_there)
		label = s->network->name;
	if (!label && s->network && old &&
	    strcmp(jv_get_string(s->last, "location", ""), location) == 0)
		return jv_set_string(m, "description", old);
	copy_label(label ? label : "", clean, sizeof(clean));
	snprintf(text, sizeof(text), "AS%u%s%s%s%s", s->theirs->asn, clean[0] ? " " : "", clean,
		 location[0] ? ", " : "", location);
	return jv_set_string(m, "description", text);
}

static int add_names(struct jv *m, const struct source *s)
{
	const struct record *r = s->record;
	char neighbor[ADDR_STRLEN], local[ADDR_STRLEN], name[MAPPING_NAME_MAX];
	bool is_v4 = s->theirs->ip.family == AF_INET;
	int e = 0;

	mapping_name(s->theirs->asn, &s->theirs->ip, name);
	e |= jv_set_string(m, "neighbor", addr_format(&s->theirs->ip, neighbor));
	e |= jv_set_string(m, "local", addr_format(&s->ours->ip, local));
	e |= jv_set_int(m, "family", is_v4 ? 4 : 6);
	e |= jv_set_bool(m, "ipv4", is_v4);
	e |= jv_set_bool(m, "ipv6", !is_v4);
	e |= jv_set_string(m, "name", name);
	e |= jv_set_int(m, "remote_as", s->theirs->asn);
	e |= jv_set_int(m, "local_as", s->ours->asn);
	e |= jv_set_string(m, "server", s->server->name);
	e |= jv_set_string(m, "session_id", r->session_id);
	e |= jv_set_string(m, "request_id", r->request_id[0] ? r->request_id : NULL);
	e |= jv_set_string(m, "location", r->location.id[0] ? r->location.id : NULL);
	e |= add_description(m, s);
	e |= jv_set_string(m, "mode", peer_mode_name(s->peer->mode));
	return e;
}

static int compare_pins(const void *a, const void *b)
{
	return memcmp(a, b, PEER_PIN_LEN);
}

static int add_pins(struct jv *m, const struct source *s, struct errtext *e)
{
	const struct record_tls *told = &s->theirs->tls;
	size_t n = s->peer->n_pins, n_told = s->peer->pins_from_api ? told->n_pins : 0;
	_cleanup_free_ uint8_t(*pins)[PEER_PIN_LEN] = calloc(n + n_told + 1, PEER_PIN_LEN);
	struct jv *list;
	int r = 0;

	if (!pins)
		return -ENOMEM;
	if (n + n_told == 0) {
		/* Else a server that forgets its pins would make any certificate of the CA good. */
		if (s->peer->pins_from_api && jv_size(jv_get(s->last, "pins")))
			return errtext_set(
				e, -EINVAL,
				"the server does not tell pins any more: set pins in the block of "
				"AS %u, or pins-from-api = false to do without",
				s->peer->asn);
		return 0;
	}
	if (n)
		memcpy(pins, s->peer->pins, n * PEER_PIN_LEN);
	memcpy(pins + n, told->pins, n_told * PEER_PIN_LEN);
	qsort(pins, n + n_told, PEER_PIN_LEN, compare_pins);
	list = jv_array_new();
	for (size_t i = 0; i < n + n_told; i++) {
		char text[SPKI_PIN_STRLEN];

		if (i == 0 || compare_pins(pins[i - 1], pins[i]) != 0)
			r |= jv_append_string(list, spki_pin_format(pins[i], text));
	}
	return jv_set(m, "pins", list) | r;
}

static int add_identity(struct jv *m, const struct source *s, struct errtext *e)
{
	const struct peer_settings *p = s->peer;
	uint16_t port = p->port ? p->port : s->theirs->tls.port;
	int r = 0;

	if (p->mode == PEER_OFF)
		return 0;
	if (port)
		r |= jv_set_int(m, "port", port);
	r |= jv_set_string(m, "certificate", p->certificate);
	r |= jv_set_string(m, "key", p->key);
	r |= jv_set_string(m, "ca", p->ca);
	if (p->n_dns_names) {
		struct jv *names = jv_array_new();

		for (size_t i = 0; i < p->n_dns_names; i++)
			r |= jv_append_string(names, p->dns_names[i]);
		r |= jv_set(m, "dns_names", names);
	}
	if (p->ttl_security)
		r |= jv_set_int(m, "ttl_security", p->ttl_security);
	return r ? -ENOMEM : add_pins(m, s, e);
}

/* The id of the session, or where the server has none of the request, is still what it was. */
static bool is_same_session(const struct jv *last, const struct record *r)
{
	return strcmp(jv_get_string(last, "session_id", ""), r->session_id) == 0 &&
	       (r->session_id[0] ||
		strcmp(jv_get_string(last, "request_id", ""), r->request_id) == 0);
}

static const char *find_secret(const struct source *s)
{
	static const char *const members[] = {"md5", "ao", "password"};
	const char *kept = NULL;

	if (s->record->secret[0])
		return s->record->secret;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		kept = jv_get_string(s->last, members[i], kept);
	if (kept && (!s->proposed || is_same_session(s->last, s->record)))
		return kept;
	return s->proposed;
}

static int add_inner_secret(struct jv *m, const struct source *s, const char *secret,
			    struct errtext *e)
{
	const struct daemon_settings *d = settings_daemon(s->settings, s->peer);

	if (!d)
		return errtext_set(
			e, -EINVAL,
			"session-secret = inside needs a daemon block to give it to: add "
			"one, or set session-secret = outer-md5 for AS %u",
			s->peer->asn);
	if (d->kind == DAEMON_FRR && strchr(secret, ' '))
		return errtext_set(
			e, -EINVAL,
			"the session's secret holds a blank, which FRR does not take in a "
			"password: agree on another one");
	return jv_set_string(m, "password", secret);
}

static int add_secret(struct jv *m, const struct source *s, struct errtext *e)
{
	enum secret_use use = s->peer->session_secret;
	const char *secret = find_secret(s);
	int r;

	if (use == SECRET_IGNORE || !secret || !secret[0])
		return 0;
	r = mapping_check_secret(secret, e);
	if (r < 0)
		return r;
	if (use == SECRET_INSIDE)
		return add_inner_secret(m, s, secret, e);
	if (s->peer->mode == PEER_OFF)
		return errtext_set(
			e, -EINVAL,
			"the session has a secret for the outer connection, which botlsd "
			"leaves alone with mode = off: set session-secret = inside or "
			"ignore for AS %u",
			s->peer->asn);
	return jv_set_string(m, use == SECRET_OUTER_AO ? "ao" : "md5", secret);
}

static uint32_t capped(uint64_t n)
{
	return n < UINT32_MAX ? n : UINT32_MAX;
}

/* A percentage of n, rounded up. */
static uint64_t percent(uint64_t n, uint64_t p)
{
	return (n * p + 99) / 100;
}

static uint32_t prefix_limit(const struct source *s)
{
	bool is_v4 = s->theirs->ip.family == AF_INET;
	uint32_t fixed = is_v4 ? s->peer->max_prefix_4 : s->peer->max_prefix_6;
	uint32_t fallback =
		is_v4 ? s->settings->max_prefix_default_4 : s->settings->max_prefix_default_6;
	uint32_t last = jv_get_int(s->last, "max_prefix", 0);
	uint64_t told = 0, headroom, least;

	if (fixed)
		return fixed;
	if (s->network && s->network->is_there)
		told = is_v4 ? s->network->prefixes_4 : s->network->prefixes_6;
	if (!told)
		return last && s->network ? last : fallback;
	headroom = percent(told, s->settings->max_prefix_headroom);
	if (headroom < HEADROOM_MIN)
		headroom = HEADROOM_MIN;
	least = percent(told, 10);
	if (least > headroom / 2)
		least = headroom / 2;
	if (last >= told + least && last <= 2 * (told + headroom))
		return last;
	return capped(told + headroom);
}

static int add_policy(struct jv *m, const struct source *s)
{
	const struct daemon_settings *d = settings_daemon(s->settings, s->peer);
	enum bgp_role role = mapping_role_told(s->record, s->server->side);
	int r = 0;

	if (s->peer->role >= 0)
		role = s->peer->role;
	else if (role == BGP_ROLE_UNKNOWN)
		role = BGP_ROLE_PEER;
	r |= jv_set_string(m, "daemon", d ? d->name : NULL);
	r |= jv_set_int(m, "max_prefix", prefix_limit(s));
	r |= jv_set_string(m, "import", s->peer->import);
	r |= jv_set_string(m, "export", s->peer->export);
	r |= jv_set_string(m, "role", bgp_role_name(role));
	if (role == BGP_ROLE_RS_CLIENT && !s->theirs->insert_asn)
		r |= jv_set_bool(m, "rs_client", true);
	if (s->ours->monitoring)
		r |= jv_set_bool(m, "monitoring", true);
	return r;
}

int mapping_new(const struct settings *s, const struct server_settings *server,
		const struct peer_settings *peer, const struct record *r,
		const struct peeringdb_network *network, const struct jv *last, const char *secret,
		struct jv **ret, struct errtext *e)
{
	struct source source = {.settings = s,
				.server = server,
				.peer = peer,
				.record = r,
				.ours = record_ours(r, server->side),
				.theirs = record_theirs(r, server->side),
				.network = network,
				.last = last,
				.proposed = secret};
	_cleanup_jv_ struct jv *m = jv_object_new();
	int result;

	/* What was agreed with the AS that had this address before is nobody else's. */
	if (jv_get_int(last, "remote_as", 0) != source.theirs->asn)
		source.last = NULL;
	if (add_names(m, &source))
		return -ENOMEM;
	result = add_identity(m, &source, e);
	if (result == 0)
		result = add_secret(m, &source, e);
	if (result == 0 && add_policy(m, &source))
		result = -ENOMEM;
	if (result == 0)
		result = mapping_check(m, e);
	if (result == 0)
		*ret = TAKE(m);
	return result;
}
