// SPDX-License-Identifier: Apache-2.0
#include "policy.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>

/* One session that is being judged. */
struct question {
	const struct settings *settings;
	const struct server_settings *server;
	const struct peer_settings *peer; /* once it is known that there is one */
	const struct record *record;
	const struct record_end *ours, *theirs;
	const struct peeringdb *db;
	const struct policy_background *background;
	struct location where; /* as told, or where the addresses are registered */
	struct judgement *judgement;
};

const char *verdict_name(enum verdict v)
{
	switch (v) {
	case VERDICT_WANT: return "want";
	case VERDICT_WAIT: return "wait";
	case VERDICT_GONE: return "gone";
	case VERDICT_FORBID: return "forbid";
	case VERDICT_REFUSE: return "refuse";
	case VERDICT_HOLD: break;
	}
	return "hold";
}

void judgement_done(struct judgement *j)
{
	jv_free(j->mapping);
	record_wipe(&j->record);
	memset(j, 0, sizeof(*j));
}

static bool decide(struct question *q, enum verdict v, const char *fmt, ...) PRINTF(3, 4);
static bool decide(struct question *q, enum verdict v, const char *fmt, ...)
{
	struct judgement *j = q->judgement;
	char text[2 * RECORD_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_copy(j->reason, sizeof(j->reason), text);
	j->verdict = v;
	return true;
}

static bool is_ours(const struct settings *s, const struct addr *ip)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		if (addr_equal(&s->addresses[i], ip))
			return true;
	return false;
}

/* Each of the rules below returns true when it has decided. */

static bool rule_our_side(struct question *q)
{
	const struct settings *s = q->settings;
	char ip[ADDR_STRLEN];

	if (q->ours->asn == s->asn && is_ours(s, &q->ours->ip))
		return false;
	if (q->theirs->asn == s->asn && is_ours(s, &q->theirs->ip))
		return decide(
			q, VERDICT_REFUSE,
			"the server has AS %u and %s, which are ours, on the neighbor's side: "
			"perspective of server %s is %s, try the other one",
			s->asn, addr_format(&q->theirs->ip, ip), q->server->name,
			q->server->perspective == LOCAL_IS_REQUESTER ? "requester" : "receiver");
	if (!q->ours->asn)
		return decide(q, VERDICT_REFUSE, "the server does not say AS %u on our side",
			      s->asn);
	if (q->ours->asn != s->asn)
		return decide(q, VERDICT_REFUSE,
			      "the server says AS %u on our side, but we are AS %u", q->ours->asn,
			      s->asn);
	if (q->ours->ip.family == AF_UNSPEC)
		return decide(q, VERDICT_REFUSE, "the server does not say which of our addresses");
	return decide(q, VERDICT_REFUSE, "%s on our side is not one of this router's addresses",
		      addr_format(&q->ours->ip, ip));
}

static bool rule_their_as(struct question *q)
{
	uint32_t asn = q->theirs->asn;

	if (!asn)
		return decide(q, VERDICT_REFUSE, "the server does not say the neighbor's AS");
	if (asn == q->settings->asn)
		return decide(q, VERDICT_REFUSE, "the server says our own AS %u on both sides",
			      asn);
	if (q->server->side == SIDE_INITIATOR && asn != q->server->asn)
		return decide(q, VERDICT_REFUSE, "the server says AS %u, but speaks for AS %u", asn,
			      q->server->asn);
	return false;
}

static bool rule_gone(struct question *q)
{
	const struct record *r = q->record;
	const char *colon = r->reason[0] ? ": " : "";

	switch (r->admin) {
	case ADMIN_REJECTED:
		return decide(q, VERDICT_GONE, "the server has rejected it%s%s", colon, r->reason);
	case ADMIN_DELETING:
		return decide(q, VERDICT_GONE, "the server is deleting it%s%s", colon, r->reason);
	case ADMIN_DELETED:
		return decide(q, VERDICT_GONE, "the server has deleted it%s%s", colon, r->reason);
	case ADMIN_REQUESTED:
	case ADMIN_APPROVED:
	case ADMIN_UNKNOWN: break;
	}
	return false;
}

static bool rule_peer(struct question *q)
{
	q->peer = settings_peer(q->settings, q->theirs->asn);
	if (q->peer)
		return false;
	return decide(q, VERDICT_FORBID, "there is no peer block for AS %u", q->theirs->asn);
}

/* By the id as it was told, or where `ip` is registered: of one exchange the ids of ix and ixlan
 * may differ, and the server and the operator may know it by different ones. */
static bool is_allowed(const struct question *q, bool by_registry)
{
	const struct peer_settings *p = q->peer;

	for (size_t i = 0; i < p->n_locations; i++) {
		struct location l;

		if (location_parse(p->locations[i], &l, NULL) < 0)
			continue;
		if (by_registry ? peeringdb_check(q->db, q->theirs->asn, &q->theirs->ip, &l,
						  NULL) == REGISTERED
				: strcmp(l.id, q->where.id) == 0)
			return true;
	}
	return false;
}

static bool rule_location(struct question *q)
{
	struct location where = q->where;

	if (!q->peer->n_locations || is_allowed(q, false))
		return false;
	if (!q->db && !where.id[0])
		return decide(q, VERDICT_REFUSE,
			      "the server does not say where, and the block of AS %u names its "
			      "locations",
			      q->peer->asn);
	if (q->db && where.type == LOCATION_PUBLIC) {
		enum registration r =
			peeringdb_check(q->db, q->theirs->asn, &q->theirs->ip, &q->where, &where);

		if (r == REGISTRY_SILENT)
			return decide(q, VERDICT_HOLD,
				      "PeeringDB cannot tell whether %s is among the locations of "
				      "the block of AS %u",
				      q->where.id[0] ? q->where.id : "this", q->peer->asn);
		/* What is registered nowhere, or elsewhere, is for the rule about that. */
		if (r != REGISTERED || is_allowed(q, true))
			return false;
	}
	return decide(q, VERDICT_FORBID, "%s is not among the locations of the block of AS %u",
		      q->where.id[0] ? q->where.id : where.id, q->peer->asn);
}

/* Why this cannot be a neighbor's address; NULL: it can. */
static const char *unsuitable(const struct addr *a)
{
	if (addr_is_linklocal(a))
		return "link-local";
	if (a->family == AF_INET6)
		return a->bytes[0] == 0xff ? "multicast" : a->bytes[0] == 0 ? "reserved" : NULL;
	if ((a->bytes[0] & 0xf0) == 0xe0)
		return "multicast";
	if (a->bytes[0] == 0 || a->bytes[0] == 127 || a->bytes[0] >= 0xf0)
		return "reserved";
	return a->bytes[0] == 169 && a->bytes[1] == 254 ? "link-local" : NULL;
}

static bool rule_address(struct question *q)
{
	const struct addr *ip = &q->theirs->ip;
	const char *neighbor = q->judgement->neighbor, *problem;
	char local[ADDR_STRLEN];

	if (ip->family == AF_UNSPEC)
		return decide(q, VERDICT_REFUSE, "the server does not say the neighbor's address");
	if (addr_is_prefix(ip))
		return decide(q, VERDICT_REFUSE, "%s is not the address of one neighbor", neighbor);
	problem = unsuitable(ip);
	if (problem)
		return decide(q, VERDICT_REFUSE, "%s is %s: no neighbor can have it", neighbor,
			      problem);
	if (is_ours(q->settings, ip))
		return decide(q, VERDICT_REFUSE, "%s is our own address on both sides", neighbor);
	if (ip->family != q->ours->ip.family)
		return decide(q, VERDICT_REFUSE, "%s is not of the address family of %s", neighbor,
			      addr_format(&q->ours->ip, local));
	return false;
}

/* Looks one end's address up; true when that decided. */
static bool check_end(struct question *q, const struct record_end *end, const char *whose,
		      struct location *ret)
{
	struct location found = {};
	enum registration r = peeringdb_check(q->db, end->asn, &end->ip, &q->where, &found);
	const char *at = q->where.id[0] ? q->where.id : "any exchange";
	char ip[ADDR_STRLEN];

	addr_format(&end->ip, ip);
	if (r == REGISTERED) {
		*ret = found;
		return false;
	}
	if (r == REGISTERED_ELSEWHERE)
		return decide(q, VERDICT_REFUSE,
			      "%s address %s is registered to AS %u at %s, not at %s (PeeringDB)",
			      whose, ip, end->asn, found.id, at);
	return decide(q, r == REGISTRY_SILENT ? VERDICT_HOLD : VERDICT_REFUSE,
		      "%s address %s %s (AS %u, %s, PeeringDB)", whose, ip, registration_text(r),
		      end->asn, at);
}

static bool rule_registered(struct question *q)
{
	struct location theirs = {}, ours = {};

	if (!q->db)
		return false;
	if (q->where.type == LOCATION_PRIVATE)
		return decide(q, VERDICT_REFUSE,
			      "%s is a private interconnect, whose addresses PeeringDB does not "
			      "have: only with check-addresses = false",
			      q->where.id[0] ? q->where.id : "this");
	if (check_end(q, q->theirs, "the neighbor's", &theirs) ||
	    check_end(q, q->ours, "our", &ours))
		return true;
	if (strcmp(theirs.id, ours.id) != 0)
		return decide(q, VERDICT_REFUSE,
			      "%s is registered at %s, but our address at %s (PeeringDB)",
			      q->judgement->neighbor, theirs.id, ours.id);
	if (!q->where.id[0])
		q->where = theirs;
	return false;
}

static bool rule_roles(struct question *q)
{
	enum bgp_role ours = q->ours->role, theirs = q->theirs->role, told, wanted;

	if (ours != BGP_ROLE_UNKNOWN && theirs != BGP_ROLE_UNKNOWN &&
	    bgp_role_opposite(ours) != theirs)
		return decide(q, VERDICT_REFUSE,
			      "our role %s does not fit the neighbor's, %s (RFC 9234 section 4.2)",
			      bgp_role_name(ours), bgp_role_name(theirs));
	told = mapping_role_told(q->record, q->server->side);
	wanted = q->peer->role;
	if (wanted != BGP_ROLE_UNKNOWN && told != BGP_ROLE_UNKNOWN && told != wanted)
		return decide(q, VERDICT_REFUSE,
			      "our role is %s for the server, but %s in the block of AS %u",
			      bgp_role_name(told), bgp_role_name(wanted), q->peer->asn);
	return false;
}

static bool rule_status(struct question *q)
{
	const struct record *r = q->record;

	switch (r->admin) {
	case ADMIN_REQUESTED: return decide(q, VERDICT_WAIT, "the server has not approved it yet");
	case ADMIN_UNKNOWN:
		if (!r->status_raw[0])
			return decide(q, VERDICT_HOLD, "the server does not say its status");
		return decide(q, VERDICT_HOLD, "the server says status '%s', which is not known",
			      r->status_raw);
	case ADMIN_APPROVED:
	case ADMIN_REJECTED:
	case ADMIN_DELETING:
	case ADMIN_DELETED: break;
	}
	return false;
}

static bool rule_extra(struct question *q)
{
	const struct policy_background *b = q->background;

	if (!q->judgement->is_extra || q->server->accept_extra || b->is_accepted || b->mapping)
		return false;
	return decide(q, VERDICT_WAIT,
		      "it was not asked for: accept it, or set accept-extra = true for server %s",
		      q->server->name);
}

static int make_mapping(struct question *q)
{
	struct judgement *j = q->judgement;
	struct peeringdb_network network = {};
	struct record record = *q->record;
	struct errtext e = {};
	int r;

	record.location = q->where;
	if (q->db)
		network = peeringdb_network(q->db, q->theirs->asn);
	r = mapping_new(q->settings, q->server, q->peer, &record, q->db ? &network : NULL,
			q->background->mapping, q->background->secret, &j->mapping, &e);
	record_wipe(&record);
	if (r == -EINVAL)
		decide(q, VERDICT_REFUSE, "%s", e.text);
	return r == -EINVAL ? 0 : r;
}

int policy_judge(const struct settings *s, const struct server_settings *server,
		 const struct record *r, const struct peeringdb *db,
		 const struct policy_background *b, struct judgement *ret)
{
	static bool (*const rules[])(struct question *) = {
		rule_our_side, rule_their_as,	rule_gone,  rule_peer,	 rule_location,
		rule_address,  rule_registered, rule_roles, rule_status, rule_extra};
	struct judgement j = {.server = server,
			      .record = *r,
			      .verdict = VERDICT_WANT,
			      .is_extra = server->side == SIDE_INITIATOR && !b->is_requested};
	struct question q = {.settings = s,
			     .server = server,
			     .record = r,
			     .ours = record_ours(r, server->side),
			     .theirs = record_theirs(r, server->side),
			     .db = db,
			     .background = b,
			     .where = r->location,
			     .judgement = &j};
	int result = 0;
	size_t i = 0;

	addr_format(&q.theirs->ip, j.neighbor);
	while (i < ARRAY_SIZE(rules) && !rules[i](&q))
		i++;
	if (i == ARRAY_SIZE(rules))
		result = make_mapping(&q);
	if (result == 0)
		*ret = j;
	record_wipe(&j.record);
	return result;
}
