// SPDX-License-Identifier: Apache-2.0
#include "record.h"
#include "json.h"
#include "spki.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define PIN_A "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static const struct record_profile era_b = {.era = ERA_B,
					    .perspective = LOCAL_IS_REQUESTER,
					    .secret_field = SECRET_FIELD_SESSION_SECRET,
					    .tls_extension = true};
static const struct record_profile receiver_b = {
	.era = ERA_B, .perspective = LOCAL_IS_RECEIVER, .secret_field = SECRET_FIELD_MD5};
static const struct record_profile era_a = {.era = ERA_A, .secret_field = SECRET_FIELD_MD5};

static int decode(const char *text, const struct record_profile *p, struct record *r,
		  struct errtext *e)
{
	_cleanup_jv_ struct jv *v = NULL;

	if (jv_parse(text, strlen(text), &v, e) < 0)
		fail_msg("%s: %s", text, e->text);
	return record_decode(v, p, r, e);
}

static struct record must_decode(const char *text, const struct record_profile *p)
{
	struct errtext e = {};
	struct record r;

	if (decode(text, p, &r, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	return r;
}

static void assert_ip(const struct addr *a, const char *expected)
{
	char text[ADDR_STRLEN];

	assert_string_equal(addr_format(a, text), expected);
}

static const char full[] =
	"{\"local_asn\": 64501, \"local_ip\": \"192.0.2.1\", \"peer_asn\": 64502,"
	" \"peer_ip\": \"192.0.2.2\", \"local_bgp_role\": 3, \"peer_bgp_role\": 0,"
	" \"local_insert_asn\": false, \"peer_monitoring_session\": true,"
	" \"peer_type\": \"public\", \"session_secret\": \"s3cret\","
	" \"location\": {\"id\": \"pdb:ix:42\", \"type\": \"public\"},"
	" \"status\": \"Established\", \"session_id\": \"abc-1\", \"request_id\": \"r-1\","
	" \"reason\": \"so\\u001b[31m it is\", \"time_window\": 3600,"
	" \"botls\": {\"transport\": \"tls\", \"receiver\": {\"port\": 8179, \"pins\": [\"" PIN_A
	"\"]}}}";

static void test_everything(void **state)
{
	struct record r = must_decode(full, &era_b);
	char pin[SPKI_PIN_STRLEN];

	(void)state;
	assert_int_equal(r.initiator.asn, 64501);
	assert_ip(&r.initiator.ip, "192.0.2.1");
	assert_int_equal(r.initiator.role, BGP_ROLE_CUSTOMER);
	assert_false(r.initiator.insert_asn);
	assert_false(r.initiator.monitoring);
	assert_false(r.initiator.tls.is_there);
	assert_int_equal(r.receiver.asn, 64502);
	assert_ip(&r.receiver.ip, "192.0.2.2");
	assert_int_equal(r.receiver.role, BGP_ROLE_PROVIDER);
	assert_true(r.receiver.insert_asn);
	assert_true(r.receiver.monitoring);
	assert_true(r.receiver.tls.is_there);
	assert_int_equal(r.receiver.tls.port, 8179);
	assert_int_equal(r.receiver.tls.n_pins, 1);
	assert_string_equal(spki_pin_format(r.receiver.tls.pins[0], pin), PIN_A);
	assert_string_equal(r.location.id, "pdb:ix:42");
	assert_int_equal(location_ix(&r.location), 42);
	assert_string_equal(r.session_id, "abc-1");
	assert_string_equal(r.request_id, "r-1");
	assert_string_equal(r.secret, "s3cret");
	assert_int_equal(r.admin, ADMIN_APPROVED);
	assert_int_equal(r.oper, OPER_ESTABLISHED);
	assert_string_equal(r.reason, "so?[31m it is");
	assert_int_equal(r.time_window, 3600);
	assert_ptr_equal(record_ours(&r, SIDE_INITIATOR), &r.initiator);
	assert_ptr_equal(record_ours(&r, SIDE_RECEIVER), &r.receiver);
	assert_ptr_equal(record_theirs(&r, SIDE_INITIATOR), &r.receiver);
	assert_ptr_equal(record_theirs(&r, SIDE_RECEIVER), &r.initiator);
}

static void test_perspective(void **state)
{
	struct record r = must_decode(full, &receiver_b);

	(void)state;
	assert_int_equal(r.receiver.asn, 64501);
	assert_ip(&r.receiver.ip, "192.0.2.1");
	assert_int_equal(r.initiator.asn, 64502);
	assert_int_equal(r.receiver.role, BGP_ROLE_CUSTOMER);
	assert_false(r.receiver.insert_asn);
	assert_true(r.initiator.monitoring);
	assert_false(r.receiver.tls.is_there); /* the extension is off */
}

static void test_nothing_told(void **state)
{
	struct record r = must_decode("{\"local_ip\": null, \"location\": null}", &era_b);

	(void)state;
	assert_int_equal(r.initiator.asn, 0);
	assert_int_equal(r.initiator.ip.family, AF_UNSPEC);
	assert_int_equal(r.initiator.role, BGP_ROLE_UNKNOWN);
	assert_true(r.initiator.insert_asn);
	assert_true(r.receiver.insert_asn);
	assert_string_equal(r.location.id, "");
	assert_string_equal(r.session_id, "");
	assert_int_equal(r.admin, ADMIN_UNKNOWN);
	assert_int_equal(r.time_window, -1);
}

/* Section 9 of the facts: what servers in the wild write. */
static void test_spellings(void **state)
{
	struct record r;

	(void)state;
	r = must_decode("{\"uuid\": \"u-1\", \"requestId\": \"q-1\", \"peer_asn\": \"64502\","
			" \"peer_ip\": \"2001:db8::2/64\", \"peer_type\": \"peer\","
			" \"location\": \"PDB:IX:7\", \"md5\": \"k\", \"status\": \"PENDING\"}",
			&era_a);
	assert_string_equal(r.session_id, "u-1");
	assert_string_equal(r.request_id, "q-1");
	assert_int_equal(r.receiver.asn, 64502);
	assert_ip(&r.receiver.ip, "2001:db8::2");
	assert_string_equal(r.location.id, "pdb:ix:7");
	assert_int_equal(r.location.type, LOCATION_PUBLIC);
	assert_string_equal(r.secret, "k");
	assert_int_equal(r.admin, ADMIN_REQUESTED);

	r = must_decode("{\"session_id\": 17, \"location\": {\"id\": \"pdb:fac:9\","
			" \"type\": \"PRIVATE\"}}",
			&era_b);
	assert_string_equal(r.session_id, "17");
	assert_string_equal(r.location.id, "pdb:fac:9");
	assert_int_equal(r.location.type, LOCATION_PRIVATE);
	assert_int_equal(location_ix(&r.location), 0);

	r = must_decode("{\"location\": 31, \"peer_type\": \"private\"}", &era_b);
	assert_string_equal(r.location.id, "pdb:ix:31");
	assert_int_equal(r.location.type, LOCATION_PRIVATE);
	r = must_decode("{\"botls\": {\"transport\": \"quic\", \"receiver\": {\"port\": 1}}}",
			&era_b);
	assert_false(r.receiver.tls.is_there);
}

static void test_status_words(void **state)
{
	static const struct {
		const char *word;
		enum admin_state admin;
		enum oper_state oper;
	} rows[] = {
		{"pending", ADMIN_REQUESTED, OPER_UNKNOWN},
		{"Requested", ADMIN_REQUESTED, OPER_UNKNOWN},
		{"approved", ADMIN_APPROVED, OPER_UNKNOWN},
		{"Accepted", ADMIN_APPROVED, OPER_UNKNOWN},
		{"OK", ADMIN_APPROVED, OPER_UNKNOWN},
		{"provisioned", ADMIN_APPROVED, OPER_CONFIGURED},
		{"Established", ADMIN_APPROVED, OPER_ESTABLISHED},
		{"Down", ADMIN_APPROVED, OPER_DOWN},
		{"Unestablished", ADMIN_APPROVED, OPER_UNESTABLISHED},
		{"Rejected", ADMIN_REJECTED, OPER_UNKNOWN},
		{"refused", ADMIN_REJECTED, OPER_UNKNOWN},
		{"denied", ADMIN_REJECTED, OPER_UNKNOWN},
		{"deleting", ADMIN_DELETING, OPER_UNKNOWN},
		{"deleted", ADMIN_DELETED, OPER_UNKNOWN},
		{"cancelled", ADMIN_DELETED, OPER_UNKNOWN},
		{"disabled", ADMIN_DELETED, OPER_UNKNOWN},
		{"", ADMIN_UNKNOWN, OPER_UNKNOWN},
		{"appro", ADMIN_UNKNOWN, OPER_UNKNOWN},
		{"approved!", ADMIN_UNKNOWN, OPER_UNKNOWN},
		{"maintenance", ADMIN_UNKNOWN, OPER_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum admin_state admin;
		enum oper_state oper;

		record_status(rows[i].word, &admin, &oper);
		if (admin != rows[i].admin || oper != rows[i].oper)
			fail_msg("'%s' is %s, %s", rows[i].word, admin_state_name(admin),
				 oper_state_name(oper));
	}
}

/* Each is refused, with the path and the reason; a record is never read in part. */
static void test_refused(void **state)
{
	static const struct {
		const char *json, *expected;
	} rows[] = {
		{"[]", "expected an object"},
		{"{\"local_asn\": -1}", "local_asn: is not an AS number"},
		{"{\"local_asn\": 0}", "local_asn: is not an AS number"},
		{"{\"local_asn\": 4294967296}", "local_asn: is not an AS number"},
		{"{\"local_asn\": \"64501x\"}", "local_asn: is not an AS number"},
		{"{\"local_asn\": \" 64501\"}", "local_asn: is not an AS number"},
		{"{\"local_asn\": 1.5}", "local_asn: expected a string"},
		{"{\"peer_ip\": 5}", "peer_ip: expected a string"},
		{"{\"peer_ip\": \"192.0.2.2:179\"}", "peer_ip: '192.0.2.2:179' is not"},
		{"{\"peer_ip\": \"192.0.2.2/24/8\"}", "peer_ip: is not an address"},
		{"{\"peer_ip\": \"192.0.2.2/x\"}", "peer_ip: is not an address"},
		{"{\"peer_ip\": \"\\u001b[2J\"}", "peer_ip: '?[2J' is not"},
		{"{\"peer_ip\": \"fe80::2\"}", "peer_ip: 'fe80::2' is link-local"},
		{"{\"local_bgp_role\": 5}", "local_bgp_role: is not a role"},
		{"{\"local_bgp_role\": -1}", "local_bgp_role: is not a role"},
		{"{\"local_bgp_role\": \"peer\"}", "local_bgp_role: expected an integer"},
		{"{\"local_bgp_role\": 4, \"peer_bgp_role\": 3}", "peer_bgp_role: does not fit"},
		{"{\"local_bgp_role\": 0, \"peer_bgp_role\": 0}", "peer_bgp_role: does not fit"},
		{"{\"local_bgp_role\": 1, \"peer_bgp_role\": 1}", "peer_bgp_role: does not fit"},
		{"{\"local_bgp_role\": 2, \"peer_bgp_role\": 3}", "peer_bgp_role: does not fit"},
		{"{\"local_monitoring_session\": true, \"peer_monitoring_session\": true}",
		 "peer_monitoring_session: is true on both sides"},
		{"{\"local_insert_asn\": 1}", "local_insert_asn: expected"},
		{"{\"local_ip\": \"192.0.2.1\", \"peer_ip\": \"2001:db8::2\"}",
		 "peer_ip: is not of the family"},
		{"{\"session_id\": {}}", "session_id: expected a string"},
		{"{\"session_id\": \"a\\nb\"}", "session_id: has control characters"},
		{"{\"status\": \"a\\u009bb\"}", "status: has control characters"},
		{"{\"location\": true}", "location: is not a location"},
		{"{\"location\": \"DE-CIX\"}", "location: 'DE-CIX' is not a location"},
		{"{\"location\": \"pdb:ix:\"}", "location: 'pdb:ix:' is not a location"},
		{"{\"location\": \"pdb:ix:0\"}", "location: 'pdb:ix:0' is not a location"},
		{"{\"location\": \"pdb:ix:4294967296\"}", "location: 'pdb:ix:4294967296' is not"},
		{"{\"location\": {\"id\": \"pdb:ix:1\", \"type\": \"open\"}}",
		 "location: type: 'open' is neither"},
		{"{\"peer_type\": \"open\"}", "peer_type: is neither public nor private"},
		{"{\"time_window\": -2}", "time_window: is out of range"},
		{"{\"botls\": []}", "botls: expected an object"},
		{"{\"botls\": {\"transport\": \"tls\", \"requester\": {\"port\": 65536}}}",
		 "botls.requester.port: is not a port"},
		{"{\"botls\": {\"transport\": \"tls\", \"requester\": {\"pins\": [\"x\"]}}}",
		 "botls.requester.pins: has an item"},
		{"{\"botls\": {\"transport\": \"tls\", \"requester\": {\"pins\":"
		 " [1,2,3,4,5,6,7,8,9]}}}",
		 "botls.requester.pins: has too many items"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct record r = {.time_window = 77};
		struct errtext e = {};

		assert_int_equal(decode(rows[i].json, &era_b, &r, &e), -EINVAL);
		if (strncmp(e.text, rows[i].expected, strlen(rows[i].expected)) != 0)
			fail_msg("%s: %s", rows[i].json, e.text);
		assert_int_equal(r.time_window, 77);
	}
}

static void test_lengths(void **state)
{
	char json[400], word[300];
	struct errtext e;
	struct record r;

	(void)state;
	memset(word, 'x', sizeof(word));
	snprintf(json, sizeof(json), "{\"session_id\": \"%.127s\"}", word);
	r = must_decode(json, &era_b);
	assert_int_equal(strlen(r.session_id), 127);
	snprintf(json, sizeof(json), "{\"session_id\": \"%.128s\"}", word);
	assert_int_equal(decode(json, &era_b, &r, &e), -EINVAL);
	assert_string_equal(e.text, "session_id: is too long");

	snprintf(json, sizeof(json), "{\"md5\": \"%.80s\"}", word);
	r = must_decode(json, &era_b);
	assert_int_equal(strlen(r.secret), 80);
	snprintf(json, sizeof(json), "{\"md5\": \"%.81s\"}", word);
	assert_int_equal(decode(json, &era_b, &r, &e), -EINVAL);
	assert_null(strstr(e.text, "xxx")); /* the secret is not in the message */

	snprintf(json, sizeof(json), "{\"reason\": \"%.290s\"}", word);
	r = must_decode(json, &era_b);
	assert_int_equal(strlen(r.reason), sizeof(r.reason) - 1);
}

static void assert_encoded(const struct record *r, const struct record_profile *p,
			   const char *expected)
{
	_cleanup_jv_ struct jv *v = record_encode(r, p);
	_cleanup_free_ char *line = jv_dump_line(v, NULL);

	assert_non_null(line);
	assert_string_equal(line, expected);
}

static void test_encode(void **state)
{
	struct record_profile as_string = era_a;
	struct record r = must_decode(full, &era_b);

	(void)state;
	/* What only the server says is not sent. */
	assert_encoded(&r, &era_b,
		       "{\"local_asn\":64501,\"local_ip\":\"192.0.2.1\",\"peer_asn\":64502,"
		       "\"peer_ip\":\"192.0.2.2\",\"local_bgp_role\":3,\"local_insert_asn\":false,"
		       "\"peer_bgp_role\":0,\"peer_monitoring_session\":true,"
		       "\"peer_type\":\"public\",\"session_secret\":\"s3cret\","
		       "\"location\":{\"id\":\"pdb:ix:42\",\"type\":\"public\"}}\n");
	assert_encoded(&r, &era_a,
		       "{\"local_asn\":64501,\"local_ip\":\"192.0.2.1\",\"peer_asn\":64502,"
		       "\"peer_ip\":\"192.0.2.2\",\"peer_type\":\"public\",\"md5\":\"s3cret\","
		       "\"location\":{\"id\":\"pdb:ix:42\",\"type\":\"public\"}}\n");
	as_string.location_form = LOCATION_STRING;
	assert_encoded(&r, &as_string,
		       "{\"local_asn\":64501,\"local_ip\":\"192.0.2.1\",\"peer_asn\":64502,"
		       "\"peer_ip\":\"192.0.2.2\",\"peer_type\":\"public\",\"md5\":\"s3cret\","
		       "\"location\":\"pdb:ix:42\"}\n");
	r.initiator.tls = r.receiver.tls;
	*r.secret = '\0';
	r.location.type = LOCATION_PRIVATE;
	assert_encoded(&r, &era_b,
		       "{\"local_asn\":64501,\"local_ip\":\"192.0.2.1\",\"peer_asn\":64502,"
		       "\"peer_ip\":\"192.0.2.2\",\"local_bgp_role\":3,\"local_insert_asn\":false,"
		       "\"peer_bgp_role\":0,\"peer_monitoring_session\":true,"
		       "\"peer_type\":\"private\","
		       "\"location\":{\"id\":\"pdb:ix:42\",\"type\":\"private\"},"
		       "\"botls\":{\"transport\":\"tls\",\"requester\":{\"port\":8179,"
		       "\"pins\":[\"" PIN_A "\"]}}}\n");
}

static void test_round_trip(void **state)
{
	const struct record_profile *profiles[] = {&era_b, &receiver_b};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		struct record r = must_decode(full, &era_b), again;
		_cleanup_jv_ struct jv *v = record_encode(&r, profiles[i]);
		struct errtext e;

		assert_int_equal(record_decode(v, profiles[i], &again, &e), 0);
		assert_true(record_same_session(&r, &again));
		assert_int_equal(again.initiator.asn, r.initiator.asn);
		assert_int_equal(again.initiator.role, r.initiator.role);
		assert_int_equal(again.initiator.insert_asn, r.initiator.insert_asn);
		assert_int_equal(again.receiver.monitoring, r.receiver.monitoring);
		assert_string_equal(again.secret, r.secret);
		assert_string_equal(again.location.id, r.location.id);
	}
}

static void test_describe(void **state)
{
	struct record r = must_decode(full, &era_b);
	_cleanup_jv_ struct jv *v = record_describe(&r);
	_cleanup_free_ char *line = jv_dump_line(v, NULL);

	(void)state;
	assert_null(strstr(line, "s3cret"));
	assert_string_equal(jv_get_string(v, "secret", ""), "<hidden>");
	assert_string_equal(jv_get_string(v, "admin", ""), "approved");
	assert_string_equal(jv_get_string(jv_get(v, "initiator"), "role", ""), "customer");
	assert_string_equal(jv_get_string(jv_get(v, "receiver"), "ip", ""), "192.0.2.2");
	assert_int_equal(jv_get_int(jv_get(jv_get(v, "receiver"), "tls"), "port", 0), 8179);
}

static void test_roles(void **state)
{
	(void)state;
	for (int r = BGP_ROLE_UNKNOWN; r <= BGP_ROLE_PEER; r++)
		assert_int_equal(bgp_role_opposite(bgp_role_opposite(r)), r);
	assert_int_equal(bgp_role_opposite(BGP_ROLE_PROVIDER), BGP_ROLE_CUSTOMER);
	assert_int_equal(bgp_role_opposite(BGP_ROLE_RS), BGP_ROLE_RS_CLIENT);
	assert_int_equal(bgp_role_opposite(BGP_ROLE_PEER), BGP_ROLE_PEER);
	assert_string_equal(bgp_role_name(BGP_ROLE_RS), "rs-server");
	assert_string_equal(bgp_role_name(BGP_ROLE_RS_CLIENT), "rs-client");
}

static void test_same_session(void **state)
{
	struct record a = must_decode(full, &era_b), b = a;

	(void)state;
	b.session_id[0] = '\0';
	assert_true(record_same_session(&a, &b));
	b.receiver.ip.bytes[3]++;
	assert_false(record_same_session(&a, &b));
	b = a;
	b.initiator.ip.bytes[3]++;
	assert_false(record_same_session(&a, &b));
}

static void test_profile(void **state)
{
	struct server_settings s = {.era = ERA_A, .perspective = LOCAL_IS_RECEIVER};

	(void)state;
	assert_int_equal(record_profile_of(&s).secret_field, SECRET_FIELD_MD5);
	assert_int_equal(record_profile_of(&s).perspective, LOCAL_IS_RECEIVER);
	s.era = ERA_B;
	assert_int_equal(record_profile_of(&s).secret_field, SECRET_FIELD_SESSION_SECRET);
	s.secret_field = SECRET_FIELD_MD5;
	s.tls_extension = true;
	assert_int_equal(record_profile_of(&s).secret_field, SECRET_FIELD_MD5);
	assert_true(record_profile_of(&s).tls_extension);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything),   cmocka_unit_test(test_perspective),
		cmocka_unit_test(test_nothing_told), cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_status_words), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lengths),	     cmocka_unit_test(test_encode),
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_describe),
		cmocka_unit_test(test_same_session), cmocka_unit_test(test_profile),
		cmocka_unit_test(test_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
