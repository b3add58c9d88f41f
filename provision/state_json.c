// SPDX-License-Identifier: Apache-2.0
/*
 * The text of state.json. Words and members are of this file's own, so that what a server or a
 * terminal is told may change without making old files unreadable. Reading is strict: a member that
 * is missing, of a wrong type, out of range or unknown means that the file is not what was written.
 */
#include "state_internal.h"

#include "spki.h"

#include <errno.h>

#define TIME_MAX INT64_C(253402300799) /* the end of the year 9999 */

_Static_assert(PEER_PIN_LEN == SPKI_PIN_LEN, "a pin is a pin");

static const char *const phases[] = {
	[PHASE_ACTIVE] = "active",
	[PHASE_DRAINING] = "draining",
	[PHASE_SHUT] = "shut",
	[PHASE_GONE] = "gone",
};
static const char *const leavings[] = {
	[LEAVING_NOT] = "not",		 [LEAVING_PEER] = "peer",
	[LEAVING_OPERATOR] = "operator", [LEAVING_POLICY] = "policy",
	[LEAVING_NEVER_UP] = "never-up",
};
static const char *const outcomes[] = {
	[OUTCOME_APPROVED] = "approved", [OUTCOME_PENDING] = "pending",
	[OUTCOME_REJECTED] = "rejected", [OUTCOME_HUMAN] = "human",
	[OUTCOME_UNKNOWN] = "unknown",
};
static const char *const admins[] = {
	[ADMIN_REQUESTED] = "requested", [ADMIN_APPROVED] = "approved",
	[ADMIN_REJECTED] = "rejected",	 [ADMIN_DELETING] = "deleting",
	[ADMIN_DELETED] = "deleted",	 [ADMIN_UNKNOWN] = "unknown",
};
static const char *const opers[] = {
	[OPER_UNKNOWN] = "unknown",
	[OPER_CONFIGURED] = "configured",
	[OPER_ESTABLISHED] = "established",
	[OPER_DOWN] = "down",
	[OPER_UNESTABLISHED] = "unestablished",
};
static const char *const location_types[] = {
	[LOCATION_PUBLIC] = "public",
	[LOCATION_PRIVATE] = "private",
};

const char *phase_name(enum phase p)
{
	return phases[p];
}

const char *leaving_name(enum leaving l)
{
	return leavings[l];
}

/* ---- writing ---- */

static struct jv *dump_pins(const struct record_tls *t)
{
	struct jv *list = jv_array_new();
	char text[SPKI_PIN_STRLEN];
	int r = 0;

	for (size_t i = 0; i < t->n_pins; i++)
		r |= jv_append_string(list, spki_pin_format(t->pins[i], text));
	if (!r)
		return list;
	jv_free(list);
	return NULL;
}

static struct jv *dump_end(const struct record_end *end)
{
	struct jv *o = jv_object_new(), *tls = NULL;
	char ip[ADDR_STRLEN];
	int r;

	r = jv_set_int(o, "asn", end->asn);
	if (end->ip.family != AF_UNSPEC)
		r |= jv_set_string(o, "ip", addr_format(&end->ip, ip));
	r |= jv_set_int(o, "role", end->role);
	r |= jv_set_bool(o, "insert_asn", end->insert_asn);
	r |= jv_set_bool(o, "monitoring", end->monitoring);
	if (end->tls.is_there) {
		tls = jv_object_new();
		r |= jv_set_int(tls, "port", end->tls.port);
		r |= jv_set(tls, "pins", dump_pins(&end->tls));
		r |= jv_set(o, "tls", tls);
	}
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static struct jv *dump_record(const struct record *rec)
{
	struct jv *o = jv_object_new();
	int r;

	r = jv_set(o, "initiator", dump_end(&rec->initiator));
	r |= jv_set(o, "receiver", dump_end(&rec->receiver));
	r |= jv_set_string(o, "location_type", location_types[rec->location.type]);
	r |= jv_set_string(o, "location", rec->location.id);
	r |= jv_set_string(o, "session_id", rec->session_id);
	r |= jv_set_string(o, "request_id", rec->request_id);
	r |= jv_set_string(o, "secret", rec->secret);
	r |= jv_set_string(o, "admin", admins[rec->admin]);
	r |= jv_set_string(o, "oper", opers[rec->oper]);
	r |= jv_set_string(o, "status", rec->status_raw);
	r |= jv_set_string(o, "reason", rec->reason);
	r |= jv_set_int(o, "time_window", rec->time_window);
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static struct jv *dump_owned(const struct owned *own)
{
	struct jv *o = jv_object_new();
	int r;

	r = jv_set_string(o, "phase", phases[own->phase]);
	r |= jv_set_string(o, "leaving", leavings[own->leaving]);
	r |= jv_set_int(o, "since", own->since);
	r |= jv_set_int(o, "created", own->created);
	r |= jv_set_int(o, "established", own->established);
	r |= jv_set_int(o, "time_window", own->time_window);
	r |= jv_set_bool(o, "was_asked", own->was_asked);
	r |= jv_set_bool(o, "is_held", own->is_held);
	r |= jv_set_bool(o, "tell", own->tell);
	r |= jv_set(o, "mapping", jv_copy(own->mapping));
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static struct jv *dump_asked(const struct asked *a)
{
	struct jv *o = jv_object_new();
	int r;

	r = jv_set_string(o, "server", a->server);
	r |= jv_set_string(o, "request_id", a->request_id);
	r |= jv_set_string(o, "outcome", outcomes[a->outcome]);
	r |= jv_set_string(o, "reason", a->reason);
	r |= jv_set_int(o, "when", a->when);
	r |= jv_set_bool(o, "is_extra", a->is_extra);
	r |= jv_set_bool(o, "is_accepted", a->is_accepted);
	r |= jv_set(o, "record", dump_record(&a->record));
	if (!r)
		return o;
	jv_free(o);
	return NULL;
}

static void wipe_tree(const struct jv *tree)
{
	const struct jv *owned = jv_get(tree, "owned"), *asked = jv_get(tree, "asked");

	for (size_t i = 0; i < jv_size(owned); i++)
		state_wipe_mapping(jv_get(jv_at(owned, i), "mapping"));
	for (size_t i = 0; i < jv_size(asked); i++) {
		const struct jv *record = jv_get(jv_at(asked, i), "record");
		const char *secret = jv_get_string(record, "secret", NULL);

		if (secret)
			explicit_bzero((char *)secret, strlen(secret));
	}
}

char *state_dump(const struct state *s, size_t *ret_len)
{
	_cleanup_jv_ struct jv *o = jv_object_new();
	struct jv *owned = jv_array_new(), *asked = jv_array_new();
	char *text = NULL;
	int r = 0;

	for (size_t i = 0; i < s->n_owned; i++)
		r |= jv_append(owned, dump_owned(&s->owned[i]));
	for (size_t i = 0; i < s->n_asked; i++)
		r |= jv_append(asked, dump_asked(&s->asked[i]));
	r |= jv_set_int(o, "version", STATE_VERSION);
	r |= jv_set_uint(o, "generation", s->generation);
	r |= jv_set_bool(o, "unfinished", s->is_unfinished);
	r |= jv_set(o, "owned", owned);
	r |= jv_set(o, "asked", asked);
	if (!r)
		text = jv_dump_line(o, ret_len);
	wipe_tree(o);
	return text;
}

/* ---- reading ---- */

/* `names`: all members that there may be, with a NULL at the end. */
static void check_members(const struct jv_cursor *at, const char *const *names)
{
	for (struct jv_iter it = {}; jv_next(at->value, &it);) {
		const char *const *name = names;

		while (*name && strcmp(*name, it.key))
			name++;
		if (!*name) {
			jv_complain(at, NULL, "holds a member that is not known");
			return;
		}
	}
}

static int64_t read_int(const struct jv_cursor *at, const char *key, int64_t min, int64_t max)
{
	int64_t n = jv_need_int(at, key);

	if (n >= min && n <= max)
		return n;
	jv_complain(at, key, "out of range");
	return min;
}

static bool read_bool(const struct jv_cursor *at, const char *key)
{
	if (!jv_get(at->value, key))
		jv_complain(at, key, "missing");
	return jv_read_bool(at, key, false);
}

static void read_text(const struct jv_cursor *at, const char *key, char *buf, size_t size)
{
	const char *s = jv_need_string(at, key);

	buf[0] = '\0';
	if (!s)
		return;
	if (strlen(s) >= size) {
		jv_complain(at, key, "too long");
		return;
	}
	for (const unsigned char *c = (const unsigned char *)s; *c; c++)
		if (*c < ' ' || *c == 0x7f) {
			jv_complain(at, key, "holds a control character");
			return;
		}
	memcpy(buf, s, strlen(s) + 1);
}

/* The index of the word in the table. */
static int read_word(const struct jv_cursor *at, const char *key, const char *const *words,
		     size_t n)
{
	const char *s = jv_need_string(at, key);

	for (size_t i = 0; s && i < n; i++)
		if (!strcmp(words[i], s))
			return i;
	jv_complain(at, key, "a word that is not known");
	return 0;
}

static void read_tls(const struct jv_cursor *end, struct record_tls *ret)
{
	static const char *const members[] = {"port", "pins", NULL};
	struct jv_cursor at = jv_read_object(end, "tls"), pins;

	if (!at.value)
		return;
	check_members(&at, members);
	ret->is_there = true;
	ret->port = read_int(&at, "port", 0, UINT16_MAX);
	pins = jv_read_array(&at, "pins");
	if (!pins.value || jv_size(pins.value) > RECORD_PINS_MAX) {
		jv_complain(&at, "pins", "missing or too many");
		return;
	}
	ret->n_pins = jv_size(pins.value);
	for (size_t i = 0; i < ret->n_pins; i++)
		if (spki_pin_parse(jv_read_string_item(&pins, i, ""), ret->pins[i]) < 0)
			jv_complain(&pins, NULL, "not a pin");
}

static void read_end(const struct jv_cursor *record, const char *key, struct record_end *ret)
{
	static const char *const members[] = {"asn",	    "ip",  "role", "insert_asn",
					      "monitoring", "tls", NULL};
	struct jv_cursor at = jv_read_object(record, key);
	const char *ip = jv_read_string(&at, "ip", NULL);

	check_members(&at, members);
	ret->asn = read_int(&at, "asn", 0, UINT32_MAX);
	if (ip && (addr_parse(ip, &ret->ip, NULL) < 0 || addr_is_prefix(&ret->ip)))
		jv_complain(&at, "ip", "not an address");
	ret->role = read_int(&at, "role", BGP_ROLE_UNKNOWN, BGP_ROLE_PEER);
	ret->insert_asn = read_bool(&at, "insert_asn");
	ret->monitoring = read_bool(&at, "monitoring");
	read_tls(&at, &ret->tls);
}

static void read_record(const struct jv_cursor *asked, struct record *ret)
{
	static const char *const members[] = {
		"initiator", "receiver", "location_type", "location", "session_id", "request_id",
		"secret",    "admin",	 "oper",	  "status",   "reason",	    "time_window",
		NULL};
	struct jv_cursor at = jv_read_object(asked, "record");

	check_members(&at, members);
	read_end(&at, "initiator", &ret->initiator);
	read_end(&at, "receiver", &ret->receiver);
	ret->location.type =
		read_word(&at, "location_type", location_types, ARRAY_SIZE(location_types));
	read_text(&at, "location", ret->location.id, sizeof(ret->location.id));
	read_text(&at, "session_id", ret->session_id, sizeof(ret->session_id));
	read_text(&at, "request_id", ret->request_id, sizeof(ret->request_id));
	read_text(&at, "secret", ret->secret, sizeof(ret->secret));
	ret->admin = read_word(&at, "admin", admins, ARRAY_SIZE(admins));
	ret->oper = read_word(&at, "oper", opers, ARRAY_SIZE(opers));
	read_text(&at, "status", ret->status_raw, sizeof(ret->status_raw));
	read_text(&at, "reason", ret->reason, sizeof(ret->reason));
	ret->time_window = read_int(&at, "time_window", -1, INT64_MAX);
}

static void read_asked(const struct jv_cursor *at, struct asked *ret)
{
	static const char *const members[] = {"server",	     "request_id", "outcome",
					      "reason",	     "when",	   "is_extra",
					      "is_accepted", "record",	   NULL};

	check_members(at, members);
	read_text(at, "server", ret->server, sizeof(ret->server));
	read_text(at, "request_id", ret->request_id, sizeof(ret->request_id));
	ret->outcome = read_word(at, "outcome", outcomes, ARRAY_SIZE(outcomes));
	read_text(at, "reason", ret->reason, sizeof(ret->reason));
	ret->when = read_int(at, "when", 0, TIME_MAX);
	ret->is_extra = read_bool(at, "is_extra");
	ret->is_accepted = read_bool(at, "is_accepted");
	read_record(at, &ret->record);
}

static int read_owned(const struct jv_cursor *at, struct owned *ret)
{
	static const char *const members[] = {"phase",	     "leaving",	    "since",	 "created",
					      "established", "time_window", "was_asked", "is_held",
					      "tell",	     "mapping",	    NULL};
	struct jv_cursor mapping = jv_read_object(at, "mapping");
	struct errtext e = {};
	bool is_active;

	check_members(at, members);
	ret->phase = read_word(at, "phase", phases, ARRAY_SIZE(phases));
	ret->leaving = read_word(at, "leaving", leavings, ARRAY_SIZE(leavings));
	ret->since = read_int(at, "since", 0, TIME_MAX);
	ret->created = read_int(at, "created", 0, TIME_MAX);
	ret->established = read_int(at, "established", 0, TIME_MAX);
	ret->time_window = read_int(at, "time_window", -1, INT64_MAX);
	ret->was_asked = read_bool(at, "was_asked");
	ret->is_held = read_bool(at, "is_held");
	ret->tell = read_bool(at, "tell");
	/* an active one leaves only because `delete` has just said so */
	is_active = ret->phase == PHASE_ACTIVE;
	if (is_active ? ret->leaving != LEAVING_NOT && ret->leaving != LEAVING_OPERATOR
		      : ret->leaving == LEAVING_NOT)
		jv_complain(at, "leaving", "does not go with the phase");
	if (!mapping.value)
		jv_complain(at, "mapping", "missing");
	else if (mapping_check(mapping.value, &e) < 0)
		jv_complain(&mapping, NULL, e.text);
	if (jv_bad(at))
		return 0;
	ret->mapping = jv_copy(mapping.value);
	return ret->mapping ? 0 : -ENOMEM;
}

static int compare_owned(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	return strcmp(jv_get_string(x->mapping, "neighbor", ""),
		      jv_get_string(y->mapping, "neighbor", ""));
}

static int read_all_owned(const struct jv_cursor *file, struct state *s)
{
	struct jv_cursor list = jv_read_array(file, "owned");
	size_t n = jv_size(list.value);

	if (!list.value || n > STATE_OWNED_MAX) {
		jv_complain(file, "owned", "missing or too many");
		return 0;
	}
	s->owned = calloc(n + 1, sizeof(*s->owned));
	if (!s->owned)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct jv_cursor at = jv_read_item(&list, i);
		int r = read_owned(&at, &s->owned[i]);

		if (r < 0 || jv_bad(file))
			return r;
		s->n_owned++;
	}
	qsort(s->owned, n, sizeof(*s->owned), compare_owned);
	for (size_t i = 1; i < n; i++)
		if (!compare_owned(&s->owned[i - 1], &s->owned[i]))
			jv_complain(&list, NULL, "a neighbor is there twice");
	return 0;
}

static int read_all_asked(const struct jv_cursor *file, struct state *s)
{
	struct jv_cursor list = jv_read_array(file, "asked");
	size_t n = jv_size(list.value);

	if (!list.value || n > STATE_ASKED_MAX) {
		jv_complain(file, "asked", "missing or too many");
		return 0;
	}
	s->asked = calloc(n + 1, sizeof(*s->asked));
	if (!s->asked)
		return -ENOMEM;
	for (size_t i = 0; i < n && !jv_bad(file); i++) {
		struct jv_cursor at = jv_read_item(&list, i);

		s->n_asked++;
		read_asked(&at, &s->asked[i]);
		if (i && s->asked[i].when < s->asked[i - 1].when)
			jv_complain(&at, "when", "not in the order of time");
	}
	return 0;
}

static int read_file(const struct jv *tree, struct state *s, struct errtext *e)
{
	static const char *const members[] = {"version", "generation", "unfinished",
					      "owned",	 "asked",      NULL};
	struct jv_cursor at = jv_enter(tree, e);
	int64_t version = jv_need_int(&at, "version");
	int r;

	if (!jv_bad(&at) && version != STATE_VERSION)
		return errtext_set(e, -EINVAL, "version %lld, but this program knows only %d",
				   (long long)version, STATE_VERSION);
	check_members(&at, members);
	s->generation = read_int(&at, "generation", 0, INT64_MAX);
	s->is_unfinished = read_bool(&at, "unfinished");
	r = jv_bad(&at) ? 0 : read_all_owned(&at, s);
	if (!r && !jv_bad(&at))
		r = read_all_asked(&at, s);
	if (r < 0)
		return errtext_set(e, r, "out of memory");
	return jv_bad(&at) ? -EINVAL : 0;
}

int state_parse(const char *text, size_t len, struct state *ret, struct errtext *e)
{
	_cleanup_jv_ struct jv *tree = NULL;
	struct errtext none = {};
	struct state s = {};
	char *near;
	int r;

	e = e ?: &none;
	r = jv_parse(text, len, &tree, e);
	if (r < 0) {
		/* the parser quotes what it stopped at, which may be a secret */
		near = strchr(e->text, ':');
		if (near)
			*near = '\0';
		return r;
	}
	r = read_file(tree, &s, e);
	wipe_tree(tree);
	if (r < 0) {
		state_wipe(&s);
		return r;
	}
	*ret = s;
	return 0;
}
