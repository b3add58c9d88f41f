// SPDX-License-Identifier: Apache-2.0
#include "request.h"
#include "json.h"
#include "spki.h"
#include "text.h"
#include "tls.h"

#include <botls/botls.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

const char *outcome_name(enum outcome_kind k)
{
	switch (k) {
	case OUTCOME_APPROVED: return "approved";
	case OUTCOME_PENDING: return "pending";
	case OUTCOME_REJECTED: return "rejected";
	case OUTCOME_HUMAN: return "parked";
	case OUTCOME_UNKNOWN: return "unknown";
	}
	return "unknown";
}

void request_done(struct request *r)
{
	for (size_t i = 0; i < r->n; i++)
		record_wipe(&r->sessions[i]);
	free(r->sessions);
	free(r->skipped);
	*r = (struct request){};
}

struct preparation {
	struct world *world;
	const struct request_wish *wish;
	const struct peer_settings *peer;
	struct locations offered; /* where the server would peer; none: it does not say */
	struct record_tls tls;
	struct request *out;
	int error;
};

static void skip(struct preparation *p, const struct addr *neighbor, const char *fmt, ...)
	PRINTF(3, 4);
static void skip(struct preparation *p, const struct addr *neighbor, const char *fmt, ...)
{
	struct request *out = p->out;
	struct request_skip *more = reallocarray(out->skipped, out->n_skipped + 1, sizeof(*more));
	__builtin_va_list ap;

	if (!more) {
		p->error = -ENOMEM;
		return;
	}
	out->skipped = more;
	more += out->n_skipped++;
	addr_format(neighbor, more->neighbor);
	__builtin_va_start(ap, fmt);
	vsnprintf(more->reason, sizeof(more->reason), fmt, ap);
	__builtin_va_end(ap);
}

/* ---- our half of the `botls` object ---- */

static int read_pin(struct preparation *p, struct errtext *e)
{
	const char *path = p->world->settings->certificate;
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *text = NULL;
	struct tls_blob pem = {.path = path};
	const size_t max = 256 << 10;
	char pin[48];

	p->tls = (struct record_tls){.is_there = true, .port = p->world->settings->tls_port};
	if (!path)
		return 0;
	f = fopen(path, "re");
	text = malloc(max);
	if (!f || !text)
		return errtext_set(e, -errno, "%s: %s", path, strerror(errno));
	pem.data = text;
	pem.len = fread(text, 1, max, f);
	if (tls_pin_of_pem(&pem, pin, e) < 0)
		return -EINVAL;
	snprintf(text, max, "sha256/%s", pin);
	p->tls.n_pins = 1;
	return spki_pin_parse(text, p->tls.pins[0]);
}

/* ---- which sessions ---- */

static bool is_allowed_here(const struct peer_settings *peer, const struct location *l)
{
	for (size_t i = 0; i < peer->n_locations; i++)
		if (strcmp(peer->locations[i], l->id) == 0)
			return true;
	return peer->n_locations == 0;
}

static bool is_offered(const struct preparation *p, const struct location *l)
{
	for (size_t i = 0; i < p->offered.n; i++)
		if (strcmp(p->offered.items[i].id, l->id) == 0)
			return true;
	return p->offered.n == 0;
}

static bool is_our_address(const struct settings *s, const struct addr *a)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		if (addr_equal(&s->addresses[i], a))
			return true;
	return false;
}

/* Why it need not, or must not, be asked for again; NULL: ask. */
static const char *is_known(struct preparation *p, const struct record *r)
{
	const struct asked *a = state_asked(&p->world->state, p->wish->server->name, r);
	char neighbor[ADDR_STRLEN];

	if (p->wish->is_again)
		return NULL;
	if (state_owned(&p->world->state, addr_format(&r->receiver.ip, neighbor)))
		return "is configured already";
	if (!a || a->is_extra)
		return NULL;
	switch (a->outcome) {
	case OUTCOME_APPROVED: return "is approved already: apply configures it";
	case OUTCOME_PENDING: return "was asked for already and is pending";
	case OUTCOME_UNKNOWN: return NULL;
	case OUTCOME_REJECTED: return "was rejected before (--again asks once more)";
	case OUTCOME_HUMAN: return "is parked for a human (--again asks once more)";
	}
	return NULL;
}

/* 32 characters of 62: 190 bits. */
static int make_secret(char buf[static RECORD_SECRET_MAX])
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t n = 0;

	while (n < 32) {
		unsigned char c;

		if (getrandom(&c, 1, 0) != 1)
			return -EIO;
		if (c < 248)
			buf[n++] = letters[c % 62];
	}
	buf[n] = '\0';
	return 0;
}

static int add_session(struct preparation *p, const struct location *where, const struct addr *ours,
		       const struct addr *theirs)
{
	const struct settings *s = p->world->settings;
	struct request *out = p->out;
	struct record r = {.initiator = {.asn = s->asn, .ip = *ours, .insert_asn = true},
			   .receiver = {.asn = p->peer->asn, .ip = *theirs, .insert_asn = true},
			   .location = *where,
			   .time_window = -1};
	struct record *more;
	const char *known = is_known(p, &r);

	if (known) {
		skip(p, theirs, "%s", known);
		return p->error;
	}
	if (out->n == REQUEST_MAX)
		return -E2BIG;
	r.initiator.role = p->peer->role < 0 ? BGP_ROLE_PEER : (enum bgp_role)p->peer->role;
	r.receiver.role = bgp_role_opposite(r.initiator.role);
	if (p->wish->server->tls_extension && p->peer->mode != PEER_OFF)
		r.initiator.tls = p->tls;
	if (p->peer->propose_secret && make_secret(r.secret) < 0)
		return -EIO;
	more = reallocarray(out->sessions, out->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	out->sessions = more;
	more[out->n++] = r;
	record_wipe(&r);
	return 0;
}

static int on_common(void *arg, const struct location *where, const struct addr *ours,
		     const struct addr *theirs)
{
	struct preparation *p = arg;

	if (!is_our_address(p->world->settings, ours))
		return 0; /* another router's */
	if (!is_allowed_here(p->peer, where)) {
		skip(p, theirs, "%s is not among the locations of the peer block", where->id);
		return p->error;
	}
	if (!is_offered(p, where)) {
		skip(p, theirs, "the server does not list %s", where->id);
		return p->error;
	}
	return add_session(p, where, ours, theirs);
}

/* One that was named: everything that was not said is looked up. */
static int add_named(struct preparation *p, const struct addr *theirs)
{
	const struct settings *s = p->world->settings;
	const struct location anywhere = {};
	const struct location *wanted = p->wish->location ? p->wish->location : &anywhere;
	struct location where = *wanted;
	const struct addr *ours = p->wish->local;
	enum registration r = REGISTERED;

	if (p->world->registry)
		r = peeringdb_check(p->world->registry, p->peer->asn, theirs, wanted, &where);
	if (r != REGISTERED) {
		skip(p, theirs, "%s", registration_text(r));
		return p->error;
	}
	if (!*where.id) {
		skip(p, theirs, "at which location? --location names it");
		return p->error;
	}
	for (size_t i = 0; !ours && i < s->n_addresses; i++)
		if (s->addresses[i].family == theirs->family && p->world->registry &&
		    peeringdb_check(p->world->registry, s->asn, &s->addresses[i], &where, NULL) ==
			    REGISTERED)
			ours = &s->addresses[i];
	if (!ours) {
		skip(p, theirs, "none of our addresses is registered at %s (--local names one)",
		     where.id);
		return p->error;
	}
	if (!is_our_address(s, ours) || ours->family != theirs->family) {
		skip(p, theirs,
		     "the local address is not one of `addresses`, or of another family");
		return p->error;
	}
	return on_common(p, &where, ours, theirs);
}

/* A server without that endpoint, or that forbids it, does not say where it peers: then the
 * registry alone decides. */
static int load_offered(struct preparation *p, struct errtext *e)
{
	const enum location_type type = LOCATION_PUBLIC;
	struct api_error error;

	if (api_locations(world_api(p->world, p->wish->server), p->world->settings->asn, &type,
			  &p->offered, &error) == 0 ||
	    error.failure == API_NOT_FOUND || error.failure == API_FORBIDDEN)
		return 0;
	return errtext_set(e, error.failure == API_CANCELLED ? -ECANCELED : -EIO, "%s", error.text);
}

static int load(struct preparation *p, struct errtext *e)
{
	struct world *w = p->world;
	uint32_t asns[] = {w->settings->asn, p->peer->asn};
	int r = 0;

	if (p->wish->server->tls_extension)
		r = read_pin(p, e);
	if (r == 0 && w->registry)
		r = peeringdb_load(w->registry, asns, ARRAY_SIZE(asns), world_now(w), e);
	if (r == 0 && p->wish->is_common)
		r = load_offered(p, e);
	return r;
}

int request_prepare(struct world *w, const struct request_wish *wish, struct request *ret,
		    struct errtext *e)
{
	__attribute__((cleanup(request_done))) struct request out = {};
	struct preparation p = {.world = w,
				.wish = wish,
				.peer = settings_peer(w->settings, wish->server->asn),
				.out = &out};
	int r;

	if (wish->server->side != SIDE_INITIATOR)
		return errtext_set(e, -EINVAL, "server %s is our own: others ask it for sessions",
				   wish->server->name);
	if (!p.peer)
		return errtext_set(e, -EINVAL, "%s has no block for peer AS%u: write one first",
				   w->settings->path, wish->server->asn);
	if (wish->is_common && !w->registry)
		return errtext_set(e, -EINVAL, "--common needs PeeringDB (check-addresses)");
	r = load(&p, e);
	if (r < 0)
		return r;
	if (wish->is_common)
		r = peeringdb_common(w->registry, w->settings->asn, p.peer->asn, on_common, &p);
	for (size_t i = 0; r == 0 && !wish->is_common && i < wish->n_peers; i++)
		r = add_named(&p, &wish->peers[i]);
	locations_done(&p.offered);
	if (r == -E2BIG)
		return errtext_set(e, r, "more than %d sessions: name locations", REQUEST_MAX);
	if (r == -ENODATA)
		return errtext_set(e, r, "PeeringDB has no address of AS%u, or none of AS%u",
				   w->settings->asn, p.peer->asn);
	if (r < 0)
		return errtext_set(e, r, "%s", strerror(-r));
	*ret = out;
	out = (struct request){};
	return 0;
}

/* ---- asking ---- */

static int remember(struct world *w, const struct server_settings *s, const struct record *r,
		    const char *request_id, enum outcome_kind kind, const char *reason,
		    bool is_extra)
{
	struct asked a = {
		.record = *r, .outcome = kind, .when = world_now(w), .is_extra = is_extra};
	int error;

	snprintf(a.server, sizeof(a.server), "%s", s->name);
	snprintf(a.request_id, sizeof(a.request_id), "%s", request_id);
	snprintf(a.reason, sizeof(a.reason), "%s", reason);
	error = state_add_asked(&w->state, &a);
	record_wipe(&a.record);
	return error;
}

static int audit_outcome(struct world *w, const struct server_settings *s, const char *request_id,
			 const struct outcome *o, bool is_extra)
{
	struct jv *line = jv_object_new();
	int r = 0;

	r |= jv_set_string(line, "server", s->name);
	r |= jv_set_string(line, "request_id", request_id);
	r |= jv_set_string(line, "outcome", is_extra ? "proposed" : outcome_name(o->kind));
	r |= jv_set_string(line, "reason", *o->reason ? o->reason : NULL);
	r |= jv_set(line, "session", record_describe(&o->record));
	if (r < 0) {
		jv_free(line);
		return -ENOMEM;
	}
	return world_audit(w, "asked", line);
}

struct sending {
	struct world *world;
	const struct server_settings *server;
	request_outcome_fn *fn;
	void *arg;
	char request_id[RECORD_ID_MAX];
	int error;
};

static void on_outcome(struct sending *s, const struct outcome *o, bool is_extra)
{
	s->error |= remember(s->world, s->server, &o->record, s->request_id, o->kind, o->reason,
			     is_extra);
	s->error |= audit_outcome(s->world, s->server, s->request_id, o, is_extra);
	s->fn(s->arg, o, is_extra);
}

/* The whole batch is for a human (422), or exists there already (409). */
static void park(struct sending *s, const struct record *sessions, size_t n,
		 const struct api_error *e)
{
	for (size_t i = 0; i < n; i++) {
		struct outcome o = {.kind = e->failure == API_HUMAN ? OUTCOME_HUMAN
								    : OUTCOME_PENDING,
				    .record = sessions[i]};

		snprintf(o.reason, sizeof(o.reason), "%.255s", e->text);
		on_outcome(s, &o, false);
		record_wipe(&o.record);
	}
}

static int send_batch(struct sending *s, const struct record *sessions, size_t n,
		      struct api_error *e)
{
	_cleanup_created_ struct created created = {};
	struct world *w = s->world;
	char id[37];
	int r = 0;

	audit_new_id(id);
	strcpy(s->request_id, id);
	for (size_t i = 0; i < n; i++)
		r |= remember(w, s->server, &sessions[i], id, OUTCOME_UNKNOWN, "no answer yet",
			      false);
	if (r < 0 || world_save(w) < 0) {
		*e = (struct api_error){.failure = API_MEMORY,
					.text = "nothing was asked: the state cannot be saved"};
		return -1;
	}
	if (api_create(world_api(w, s->server), sessions, n, id, &created, e) < 0) {
		if (e->failure != API_HUMAN && e->failure != API_CONFLICT)
			return -1;
		park(s, sessions, n, e);
		return 0;
	}
	if (*created.request_id)
		strcpy(s->request_id, created.request_id);
	for (size_t i = 0; i < created.n_outcomes; i++)
		on_outcome(s, &created.outcomes[i], false);
	for (size_t i = 0; i < created.extra.n; i++) {
		struct outcome o = {.kind = OUTCOME_PENDING, .record = created.extra.items[i]};

		on_outcome(s, &o, true);
		record_wipe(&o.record);
	}
	if (*created.note)
		text_complain("%s: %s", s->server->name, created.note);
	return 0;
}

int request_send(struct world *w, const struct server_settings *s, const struct request *r,
		 request_outcome_fn *fn, void *arg, struct api_error *e)
{
	struct sending sending = {.world = w, .server = s, .fn = fn, .arg = arg};
	int result = 0;

	for (size_t i = 0; result == 0 && i < r->n; i += REQUEST_BATCH) {
		size_t n = r->n - i < REQUEST_BATCH ? r->n - i : REQUEST_BATCH;

		result = send_batch(&sending, r->sessions + i, n, e);
		if (world_save(w) < 0 || sending.error < 0) {
			*e = (struct api_error){.failure = API_MEMORY,
						.text = "the answer could not be written down"};
			result = -1;
		}
	}
	return result;
}
