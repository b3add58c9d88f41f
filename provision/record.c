// SPDX-License-Identifier: Apache-2.0
/* Records as values: their words, what belongs to whom, what people get to see. */
#include "record.h"
#include "json.h"
#include "spki.h"

#include <errno.h>
#include <strings.h>

static const char *const admin_names[] = {
	[ADMIN_REQUESTED] = "requested", [ADMIN_APPROVED] = "approved",
	[ADMIN_REJECTED] = "rejected",	 [ADMIN_DELETING] = "deleting",
	[ADMIN_DELETED] = "deleted",	 [ADMIN_UNKNOWN] = "unknown"};
static const char *const oper_names[] = {[OPER_UNKNOWN] = "unknown",
					 [OPER_CONFIGURED] = "configured",
					 [OPER_ESTABLISHED] = "established",
					 [OPER_DOWN] = "down",
					 [OPER_UNESTABLISHED] = "unestablished"};

const char *admin_state_name(enum admin_state s)
{
	return admin_names[s];
}

const char *oper_state_name(enum oper_state s)
{
	return oper_names[s];
}

const char *bgp_role_name(enum bgp_role r)
{
	switch (r) {
	case BGP_ROLE_PROVIDER: return "provider";
	case BGP_ROLE_RS: return "rs-server";
	case BGP_ROLE_RS_CLIENT: return "rs-client";
	case BGP_ROLE_CUSTOMER: return "customer";
	case BGP_ROLE_PEER: return "peer";
	case BGP_ROLE_UNKNOWN: break;
	}
	return "unknown";
}

enum bgp_role bgp_role_opposite(enum bgp_role r)
{
	switch (r) {
	case BGP_ROLE_PROVIDER: return BGP_ROLE_CUSTOMER;
	case BGP_ROLE_CUSTOMER: return BGP_ROLE_PROVIDER;
	case BGP_ROLE_RS: return BGP_ROLE_RS_CLIENT;
	case BGP_ROLE_RS_CLIENT: return BGP_ROLE_RS;
	case BGP_ROLE_PEER: return BGP_ROLE_PEER;
	case BGP_ROLE_UNKNOWN: break;
	}
	return BGP_ROLE_UNKNOWN;
}

void record_status(const char *word, enum admin_state *ret_admin, enum oper_state *ret_oper)
{
	static const struct {
		const char *word;
		enum admin_state admin;
		enum oper_state oper;
	} words[] = {
		{"pending", ADMIN_REQUESTED, OPER_UNKNOWN},
		{"requested", ADMIN_REQUESTED, OPER_UNKNOWN},
		{"approved", ADMIN_APPROVED, OPER_UNKNOWN},
		{"accepted", ADMIN_APPROVED, OPER_UNKNOWN},
		{"ok", ADMIN_APPROVED, OPER_UNKNOWN},
		{"provisioned", ADMIN_APPROVED, OPER_CONFIGURED},
		{"configured", ADMIN_APPROVED, OPER_CONFIGURED},
		{"established", ADMIN_APPROVED, OPER_ESTABLISHED},
		{"up", ADMIN_APPROVED, OPER_ESTABLISHED},
		{"down", ADMIN_APPROVED, OPER_DOWN},
		{"unestablished", ADMIN_APPROVED, OPER_UNESTABLISHED},
		{"rejected", ADMIN_REJECTED, OPER_UNKNOWN},
		{"refused", ADMIN_REJECTED, OPER_UNKNOWN},
		{"denied", ADMIN_REJECTED, OPER_UNKNOWN},
		{"deleting", ADMIN_DELETING, OPER_UNKNOWN},
		{"deleted", ADMIN_DELETED, OPER_UNKNOWN},
		{"cancelled", ADMIN_DELETED, OPER_UNKNOWN},
		{"canceled", ADMIN_DELETED, OPER_UNKNOWN},
		{"disabled", ADMIN_DELETED, OPER_UNKNOWN},
	};

	*ret_admin = ADMIN_UNKNOWN;
	*ret_oper = OPER_UNKNOWN;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(word, words[i].word) == 0) {
			*ret_admin = words[i].admin;
			*ret_oper = words[i].oper;
		}
}

struct record_profile record_profile_of(const struct server_settings *s)
{
	enum secret_field field = s->secret_field;

	if (field == SECRET_FIELD_AUTO)
		field = s->era == ERA_A ? SECRET_FIELD_MD5 : SECRET_FIELD_SESSION_SECRET;
	return (struct record_profile){.era = s->era,
				       .perspective = s->perspective,
				       .secret_field = field,
				       .location_form = s->location_form,
				       .tls_extension = s->tls_extension};
}

const struct record_end *record_ours(const struct record *r, enum our_side side)
{
	return side == SIDE_INITIATOR ? &r->initiator : &r->receiver;
}

const struct record_end *record_theirs(const struct record *r, enum our_side side)
{
	return side == SIDE_INITIATOR ? &r->receiver : &r->initiator;
}

bool record_same_session(const struct record *a, const struct record *b)
{
	return addr_equal(&a->initiator.ip, &b->initiator.ip) &&
	       addr_equal(&a->receiver.ip, &b->receiver.ip);
}

void record_wipe(struct record *r)
{
	explicit_bzero(r, sizeof(*r));
}

static struct jv *describe_tls(const struct record_tls *t)
{
	struct jv *o = jv_object_new(), *pins = jv_array_new();
	char text[SPKI_PIN_STRLEN];
	int r = 0;

	if (t->port)
		r |= jv_set_int(o, "port", t->port);
	for (size_t i = 0; i < t->n_pins; i++)
		r |= jv_append_string(pins, spki_pin_format(t->pins[i], text));
	r |= jv_set(o, "pins", pins);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static struct jv *describe_end(const struct record_end *end)
{
	struct jv *o = jv_object_new();
	char text[ADDR_STRLEN];
	int r = 0;

	if (end->asn)
		r |= jv_set_int(o, "asn", end->asn);
	if (end->ip.family != AF_UNSPEC)
		r |= jv_set_string(o, "ip", addr_format(&end->ip, text));
	if (end->role != BGP_ROLE_UNKNOWN)
		r |= jv_set_string(o, "role", bgp_role_name(end->role));
	if (!end->insert_asn)
		r |= jv_set_bool(o, "insert_asn", false);
	if (end->monitoring)
		r |= jv_set_bool(o, "monitoring", true);
	if (end->tls.is_there)
		r |= jv_set(o, "tls", describe_tls(&end->tls));
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

/* NULL leaves a string out. */
static const char *told(const char *s)
{
	return *s ? s : NULL;
}

struct jv *record_describe(const struct record *r)
{
	struct jv *o = jv_object_new();
	int bad = 0;

	bad |= jv_set_string(o, "session_id", told(r->session_id));
	bad |= jv_set_string(o, "request_id", told(r->request_id));
	bad |= jv_set(o, "initiator", describe_end(&r->initiator));
	bad |= jv_set(o, "receiver", describe_end(&r->receiver));
	bad |= jv_set_string(o, "location", told(r->location.id));
	if (r->location.type == LOCATION_PRIVATE)
		bad |= jv_set_bool(o, "private", true);
	bad |= jv_set_string(o, "secret", *r->secret ? "<hidden>" : NULL);
	bad |= jv_set_string(o, "admin", admin_state_name(r->admin));
	bad |= jv_set_string(o, "oper", oper_state_name(r->oper));
	bad |= jv_set_string(o, "status", told(r->status_raw));
	bad |= jv_set_string(o, "reason", told(r->reason));
	if (r->time_window >= 0)
		bad |= jv_set_int(o, "time_window", r->time_window);
	if (!bad)
		return o;
	jv_free(o);
	return NULL;
}

/* "pdb:ix:42", "PDB:IXLAN:42", "17" (a facility, or an exchange, as `kind` says). */
static int set_location(const char *kind, const char *number, struct location *ret)
{
	unsigned long long n;
	char *end;

	if (*number < '0' || *number > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(number, &end, 10);
	if (*end || errno || n == 0 || n > UINT32_MAX)
		return -EINVAL;
	snprintf(ret->id, sizeof(ret->id), "pdb:%s:%llu", kind, n);
	return 0;
}

int location_parse(const char *text, struct location *ret, struct errtext *e)
{
	struct location l = {.type = LOCATION_PUBLIC};
	int r = -EINVAL;

	if (strncasecmp(text, "pdb:ix:", 7) == 0)
		r = set_location("ix", text + 7, &l);
	else if (strncasecmp(text, "pdb:ixlan:", 10) == 0)
		r = set_location("ix", text + 10, &l);
	else if (strncasecmp(text, "pdb:fac:", 8) == 0)
		r = set_location("fac", text + 8, &l);
	else
		r = set_location("ix", text, &l);
	if (r < 0)
		return errtext_set(
			e, r, "'%.60s' is not a location: pdb:ix:NUMBER or pdb:fac:NUMBER", text);
	if (l.id[4] == 'f')
		l.type = LOCATION_PRIVATE;
	*ret = l;
	return 0;
}

uint32_t location_ix(const struct location *l)
{
	return strncmp(l->id, "pdb:ix:", 7) == 0 ? strtoul(l->id + 7, NULL, 10) : 0;
}
