// SPDX-License-Identifier: Apache-2.0
/* Records as JSON, in the words of one server. */
#include "record.h"
#include "json.h"
#include "spki.h"
#include "text.h"

#include <errno.h>
#include <strings.h>

/* Members of one side, in the words of the wire. */
struct side_names {
	const char *asn, *ip, *role, *insert_asn, *monitoring;
};
static const struct side_names local_names = {"local_asn", "local_ip", "local_bgp_role",
					      "local_insert_asn", "local_monitoring_session"};
static const struct side_names peer_names = {"peer_asn", "peer_ip", "peer_bgp_role",
					     "peer_insert_asn", "peer_monitoring_session"};

static const struct side_names *initiator_names(const struct record_profile *p)
{
	return p->perspective == LOCAL_IS_REQUESTER ? &local_names : &peer_names;
}

static const struct side_names *receiver_names(const struct record_profile *p)
{
	return p->perspective == LOCAL_IS_REQUESTER ? &peer_names : &local_names;
}

/* ---- reading ---- */

static bool is_printable(const char *s)
{
	for (size_t n; *s; s += n) {
		n = text_printable_at((const unsigned char *)s);
		if (!n)
			return false;
	}
	return true;
}

/* A string, or an integer as its digits. Identifiers and words: what does not fit or is not
 * printable is refused. Returns whether it was told. */
static bool read_word(const struct jv_cursor *at, const char *key, char *buf, size_t size)
{
	const struct jv *v = jv_get(at->value, key);
	char digits[24];
	const char *s;

	if (jv_is_int(v)) {
		snprintf(digits, sizeof(digits), "%lld", (long long)jv_int(v, 0));
		s = digits;
	} else {
		s = jv_read_string(at, key, NULL);
	}
	if (!s || !*s)
		return false;
	if (strlen(s) >= size)
		jv_complain(at, key, "is too long");
	else if (!is_printable(s))
		jv_complain(at, key, "has control characters in it");
	else
		strcpy(buf, s);
	return true;
}

static void read_first_word(const struct jv_cursor *at, const char *const *keys, char *buf,
			    size_t size)
{
	for (; *keys; keys++)
		if (read_word(at, *keys, buf, size))
			return;
}

/* Integer or decimal string, 1..4294967295; peerctl sends a string. */
static uint32_t read_asn(const struct jv_cursor *at, const char *key)
{
	char text[24] = "";
	unsigned long long n;
	char *end;

	if (!read_word(at, key, text, sizeof(text)) || jv_bad(at))
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || n == 0 || n > UINT32_MAX) {
		jv_complain(at, key, "is not an AS number");
		return 0;
	}
	return n;
}

/* A host; a prefix length behind it (192.0.2.1/24) is tolerated and dropped. */
static struct addr read_host(const struct jv_cursor *at, const char *key)
{
	const char *s = jv_read_string(at, key, NULL), *slash;
	struct addr a = {};
	char host[ADDR_STRLEN], text[200];
	struct errtext e;

	if (!s || !*s)
		return a;
	slash = strchrnul(s, '/');
	if ((size_t)(slash - s) >= sizeof(host) || strlen(slash) > 4 ||
	    strspn(slash, "/0123456789") != strlen(slash)) {
		jv_complain(at, key, "is not an address");
		return a;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(slash - s), s);
	if (addr_parse(host, &a, &e) < 0) {
		text_copy(text, sizeof(text), e.text);
		jv_complain(at, key, text);
		return (struct addr){};
	}
	return a;
}

static enum bgp_role read_role(const struct jv_cursor *at, const char *key)
{
	int64_t n = jv_read_int(at, key, BGP_ROLE_UNKNOWN);

	if (n < BGP_ROLE_UNKNOWN || n > BGP_ROLE_PEER ||
	    (n == BGP_ROLE_UNKNOWN && jv_is_int(jv_get(at->value, key)))) {
		jv_complain(at, key, "is not a role of RFC 9234, 0 to 4");
		return BGP_ROLE_UNKNOWN;
	}
	return n;
}

static void read_end(const struct jv_cursor *at, const struct side_names *names,
		     struct record_end *end)
{
	end->asn = read_asn(at, names->asn);
	end->ip = read_host(at, names->ip);
	end->role = read_role(at, names->role);
	end->insert_asn = jv_read_bool(at, names->insert_asn, true);
	end->monitoring = jv_read_bool(at, names->monitoring, false);
}

static void read_tls_half(const struct jv_cursor *object, const char *key, struct record_tls *ret)
{
	struct jv_cursor half = jv_read_object(object, key);
	struct jv_cursor pins = jv_read_array(&half, "pins");
	int64_t port = jv_read_int(&half, "port", 0);

	if (!half.value)
		return;
	if (port < 0 || port > 65535)
		jv_complain(&half, "port", "is not a port");
	if (jv_size(pins.value) > RECORD_PINS_MAX) {
		jv_complain(&half, "pins", "has too many items");
		return;
	}
	for (size_t i = 0; i < jv_size(pins.value); i++) {
		const char *text = jv_read_string_item(&pins, i, "");

		if (spki_pin_parse(text, ret->pins[i]) < 0) {
			jv_complain(&half, "pins", "has an item that is not sha256/ and base64");
			return;
		}
	}
	ret->n_pins = jv_size(pins.value);
	ret->port = port;
	ret->is_there = true;
}

/* docs/provisioning.md, "The botls object". Another transport than ours says nothing to us. */
static void read_tls(const struct jv_cursor *at, struct record *r)
{
	struct jv_cursor o = jv_read_object(at, "botls");

	if (!o.value || strcmp(jv_read_string(&o, "transport", ""), "tls") != 0)
		return;
	read_tls_half(&o, "requester", &r->initiator.tls);
	read_tls_half(&o, "receiver", &r->receiver.tls);
}

static int read_type(const char *word, enum location_type *ret)
{
	if (strcasecmp(word, "public") == 0 || strcasecmp(word, "peer") == 0)
		*ret = LOCATION_PUBLIC;
	else if (strcasecmp(word, "private") == 0)
		*ret = LOCATION_PRIVATE;
	else
		return -EINVAL;
	return 0;
}

int location_decode(const struct jv *v, struct location *ret, struct errtext *e)
{
	struct location l = {};
	struct errtext problem;
	char text[64] = "", type[16] = "";
	int r;

	if (jv_is_object(v)) {
		struct jv_cursor at = jv_enter(v, &problem);

		read_word(&at, "id", text, sizeof(text));
		read_word(&at, "type", type, sizeof(type));
		if (jv_bad(&at))
			return errtext_set(e, -EINVAL, "%s", problem.text);
	} else if (jv_is_int(v)) {
		snprintf(text, sizeof(text), "%lld", (long long)jv_int(v, 0));
	} else if (jv_string(v, NULL) && strlen(jv_string(v, "")) < sizeof(text)) {
		text_copy(text, sizeof(text), jv_string(v, ""));
	} else {
		return errtext_set(e, -EINVAL, "is not a location");
	}
	r = location_parse(text, &l, e);
	if (r < 0)
		return r;
	if (*type && read_type(type, &l.type) < 0)
		return errtext_set(e, -EINVAL, "type: '%s' is neither public nor private", type);
	*ret = l;
	return 0;
}

static void read_location(const struct jv_cursor *at, struct record *r)
{
	const struct jv *v = jv_get(at->value, "location");
	struct errtext e;
	char type[16] = "";

	if (v && !jv_is_null(v) && location_decode(v, &r->location, &e) < 0)
		jv_complain(at, "location", e.text);
	if (read_word(at, "peer_type", type, sizeof(type)) && !jv_is_object(v) &&
	    read_type(type, &r->location.type) < 0)
		jv_complain(at, "peer_type", "is neither public nor private");
}

static void read_secret(const struct jv_cursor *at, struct record *r)
{
	const char *s = jv_read_string(at, "session_secret", NULL);
	const char *key = s ? "session_secret" : "md5";

	if (!s)
		s = jv_read_string(at, key, NULL);
	if (!s)
		return;
	if (strlen(s) >= sizeof(r->secret))
		jv_complain(at, key, "is longer than 80 bytes");
	else if (!is_printable(s))
		jv_complain(at, key, "has characters that no password can have");
	else
		strcpy(r->secret, s);
}

static void read_reason(const struct jv_cursor *at, struct record *r)
{
	static const char *const keys[] = {"reason", "rejection_comment", "message"};

	for (size_t i = 0; i < ARRAY_SIZE(keys) && !*r->reason; i++)
		text_copy(r->reason, sizeof(r->reason), jv_get_string(at->value, keys[i], ""));
}

static bool roles_fit(enum bgp_role a, enum bgp_role b)
{
	return a == BGP_ROLE_UNKNOWN || b == BGP_ROLE_UNKNOWN || bgp_role_opposite(a) == b;
}

static void check_together(const struct jv_cursor *at, const struct record *r)
{
	if (!roles_fit(r->initiator.role, r->receiver.role))
		jv_complain(at, "peer_bgp_role",
			    "does not fit local_bgp_role (RFC 9234 section 4.2)");
	if (r->initiator.monitoring && r->receiver.monitoring)
		jv_complain(at, "peer_monitoring_session", "is true on both sides");
	if (r->initiator.ip.family != AF_UNSPEC && r->receiver.ip.family != AF_UNSPEC &&
	    r->initiator.ip.family != r->receiver.ip.family)
		jv_complain(at, "peer_ip", "is not of the family of local_ip");
}

int record_decode(const struct jv *v, const struct record_profile *p, struct record *ret,
		  struct errtext *e)
{
	static const char *const session_ids[] = {"session_id", "sessionId", "uuid", NULL};
	static const char *const request_ids[] = {"request_id", "requestId", NULL};
	struct errtext problem;
	struct jv_cursor at = jv_enter(v, &problem);
	struct record r = {.time_window = -1};

	read_end(&at, initiator_names(p), &r.initiator);
	read_end(&at, receiver_names(p), &r.receiver);
	read_location(&at, &r);
	read_first_word(&at, session_ids, r.session_id, sizeof(r.session_id));
	read_first_word(&at, request_ids, r.request_id, sizeof(r.request_id));
	read_secret(&at, &r);
	read_word(&at, "status", r.status_raw, sizeof(r.status_raw));
	record_status(r.status_raw, &r.admin, &r.oper);
	read_reason(&at, &r);
	r.time_window = jv_read_int(&at, "time_window", -1);
	if (r.time_window < -1 || r.time_window > INT32_MAX)
		jv_complain(&at, "time_window", "is out of range");
	if (p->tls_extension)
		read_tls(&at, &r);
	check_together(&at, &r);
	if (jv_bad(&at)) {
		record_wipe(&r);
		return errtext_set(e, -EINVAL, "%s", problem.text);
	}
	*ret = r;
	record_wipe(&r);
	return 0;
}

/* ---- writing ---- */

static int set_end(struct jv *o, const struct side_names *names, const struct record_end *end)
{
	char ip[ADDR_STRLEN];
	int r = 0;

	r |= jv_set_int(o, names->asn, end->asn);
	if (end->ip.family != AF_UNSPEC)
		r |= jv_set_string(o, names->ip, addr_format(&end->ip, ip));
	return r;
}

/* Members that only era B has; those that say the default are left out. */
static int set_end_b(struct jv *o, const struct side_names *names, const struct record_end *end)
{
	int r = 0;

	if (end->role != BGP_ROLE_UNKNOWN)
		r |= jv_set_int(o, names->role, end->role);
	if (!end->insert_asn)
		r |= jv_set_bool(o, names->insert_asn, false);
	if (end->monitoring)
		r |= jv_set_bool(o, names->monitoring, true);
	return r;
}

static struct jv *encode_tls(const struct record_tls *t)
{
	struct jv *o = jv_object_new(), *half = jv_object_new(), *pins = jv_array_new();
	char text[SPKI_PIN_STRLEN];
	int r = 0;

	for (size_t i = 0; i < t->n_pins; i++)
		r |= jv_append_string(pins, spki_pin_format(t->pins[i], text));
	if (t->port)
		r |= jv_set_int(half, "port", t->port);
	r |= jv_set(half, "pins", pins);
	r |= jv_set_string(o, "transport", "tls");
	r |= jv_set(o, "requester", half);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static const char *type_name(const struct location *l)
{
	return l->type == LOCATION_PRIVATE ? "private" : "public";
}

static struct jv *encode_location(const struct location *l, enum location_form form)
{
	struct jv *o;
	int r;

	if (form == LOCATION_STRING)
		return jv_string_new(l->id);
	o = jv_object_new();
	r = jv_set_string(o, "id", l->id);
	r |= jv_set_string(o, "type", type_name(l));
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

struct jv *record_encode(const struct record *r, const struct record_profile *p)
{
	struct jv *o = jv_object_new();
	int bad = 0;

	bad |= set_end(o, initiator_names(p), &r->initiator);
	bad |= set_end(o, receiver_names(p), &r->receiver);
	if (p->era == ERA_B) {
		bad |= set_end_b(o, initiator_names(p), &r->initiator);
		bad |= set_end_b(o, receiver_names(p), &r->receiver);
	}
	bad |= jv_set_string(o, "peer_type", type_name(&r->location));
	if (*r->secret)
		bad |= jv_set_string(o,
				     p->secret_field == SECRET_FIELD_MD5 ? "md5" : "session_secret",
				     r->secret);
	bad |= jv_set(o, "location", encode_location(&r->location, p->location_form));
	if (p->tls_extension && r->initiator.tls.is_there)
		bad |= jv_set(o, "botls", encode_tls(&r->initiator.tls));
	if (!bad)
		return o;
	jv_free(o);
	return NULL;
}
