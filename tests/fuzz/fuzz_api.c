// SPDX-License-Identifier: Apache-2.0
/*
 * What a Peering API server answers. The first byte says how we are configured, the second what was
 * asked for; the rest is the body. Whatever it is: records that come out are within their bounds
 * and printable, and can be told again; a listing is whole or refused.
 */
#include "api_internal.h"
#include "text.h"

#include <errno.h>

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void must_be_text(const char *s, size_t size)
{
	MUST(memchr(s, '\0', size));
	for (size_t n; *s; s += n) {
		n = text_printable_at((const unsigned char *)s);
		MUST(n);
	}
}

static void check_end(const struct record_end *end)
{
	MUST(end->role >= BGP_ROLE_UNKNOWN && end->role <= BGP_ROLE_PEER);
	MUST(end->tls.n_pins <= RECORD_PINS_MAX);
	MUST(end->tls.is_there || (!end->tls.n_pins && !end->tls.port));
	MUST(end->ip.family == AF_UNSPEC || !addr_is_prefix(&end->ip));
}

static void check_record(const struct record *r, const struct record_profile *p)
{
	_cleanup_jv_ struct jv *told = record_describe(r), *wire = record_encode(r, p);
	struct record again;
	struct errtext e;

	must_be_text(r->session_id, sizeof(r->session_id));
	must_be_text(r->request_id, sizeof(r->request_id));
	must_be_text(r->status_raw, sizeof(r->status_raw));
	must_be_text(r->reason, sizeof(r->reason));
	must_be_text(r->secret, sizeof(r->secret));
	must_be_text(r->location.id, sizeof(r->location.id));
	check_end(&r->initiator);
	check_end(&r->receiver);
	MUST(!(r->initiator.monitoring && r->receiver.monitoring));
	MUST(told && wire);
	MUST(!*r->secret || strcmp(jv_get_string(told, "secret", ""), "<hidden>") == 0);
	/* What was not told cannot be asked for. */
	if (r->initiator.asn && r->receiver.asn && *r->location.id) {
		MUST(record_decode(wire, p, &again, &e) == 0);
		MUST(record_same_session(r, &again));
		record_wipe(&again);
	}
}

static void check_listing(const struct jv *v, const struct record_profile *p)
{
	_cleanup_records_ struct records records = {};
	_cleanup_locations_ struct locations locations = {};
	struct unreadable unreadable = {};
	struct errtext e = {};
	const struct jv *list = answer_list(v, p->era, "sessions", &e);
	const char *token = answer_next_token(v, &e);
	int r;

	MUST(!token || strlen(token) <= 4096);
	if (list) {
		r = answer_records(list, p, 50, &records, &unreadable);
		MUST(r == 0 || r == -E2BIG);
		MUST(r < 0 || records.n + unreadable.n == jv_size(list));
		for (size_t i = 0; i < records.n; i++)
			check_record(&records.items[i], p);
		answer_check_ids(&records, &e);
	}
	list = answer_list(v, p->era, "locations", &e);
	if (list && answer_locations(list, 50, &locations) == 0)
		for (size_t i = 0; i < locations.n; i++)
			must_be_text(locations.items[i].id, sizeof(locations.items[i].id));
}

static void check_created(const struct jv *v, const struct record_profile *p, bool is_partial)
{
	_cleanup_created_ struct created c = {};
	struct record asked[3] = {};
	struct errtext e;

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		char text[16];

		snprintf(text, sizeof(text), "192.0.2.%zu", i + 2);
		MUST(addr_parse("192.0.2.1", &asked[i].initiator.ip, &e) == 0);
		MUST(addr_parse(text, &asked[i].receiver.ip, &e) == 0);
	}
	if (answer_created(v, p, is_partial, asked, ARRAY_SIZE(asked), &c, &e) < 0)
		return;
	MUST(c.n_outcomes == ARRAY_SIZE(asked));
	for (size_t i = 0; i < c.n_outcomes; i++) {
		MUST(record_same_session(&c.outcomes[i].record, &asked[i]));
		must_be_text(c.outcomes[i].reason, sizeof(c.outcomes[i].reason));
	}
	for (size_t i = 0; i < c.extra.n; i++)
		check_record(&c.extra.items[i], p);
	must_be_text(c.request_id, sizeof(c.request_id));
	must_be_text(c.note, sizeof(c.note));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_jv_ struct jv *v = NULL;
	struct record_profile p = {};
	char said[300];

	if (size < 2)
		return 0;
	p.era = data[0] & 1 ? ERA_B : ERA_A;
	p.perspective = data[0] & 2 ? LOCAL_IS_RECEIVER : LOCAL_IS_REQUESTER;
	p.secret_field = data[0] & 4 ? SECRET_FIELD_MD5 : SECRET_FIELD_SESSION_SECRET;
	p.tls_extension = data[0] & 8;
	if (jv_parse((const char *)data + 2, size - 2, &v, NULL) < 0)
		return 0;
	must_be_text(answer_errors(v, said, sizeof(said)), sizeof(said));
	if (data[1] & 1)
		check_created(v, &p, data[1] & 2);
	else
		check_listing(v, &p);
	return 0;
}
