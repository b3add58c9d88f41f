// SPDX-License-Identifier: Apache-2.0
#include "mapping.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define PIN_1 "sha256/AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define PIN_2 "sha256/AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define PIN_3 "sha256/AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="

/* What a mapping is made of; a test changes it before it makes one. */
struct world {
	struct daemon_settings daemons[2];
	struct peer_settings peer;
	struct server_settings server;
	struct settings s;
	struct record r;
	struct peeringdb_network network;
	bool has_no_peeringdb;
	const char *secret;
	uint8_t pins[70][PEER_PIN_LEN];
	struct jv *last, *m;
	struct errtext e;
	int result;
};

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static int world_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->daemons[0] = (struct daemon_settings){.name = "bird", .kind = DAEMON_BIRD};
	w->daemons[1] = (struct daemon_settings){.name = "frr", .kind = DAEMON_FRR};
	w->peer = (struct peer_settings){.asn = 64502,
					 .origin = "test.conf:1",
					 .role = BGP_ROLE_UNKNOWN,
					 .import = "from_peers",
					 .export = "to_peers"};
	w->server = (struct server_settings){.name = "ex", .asn = 64502};
	w->s = (struct settings){.asn = 64500,
				 .max_prefix_headroom = 25,
				 .max_prefix_default_4 = 700,
				 .max_prefix_default_6 = 300,
				 .peers = &w->peer,
				 .n_peers = 1,
				 .daemons = w->daemons,
				 .n_daemons = 1};
	w->r = (struct record){.initiator = {.asn = 64500,
					     .ip = address("192.0.2.1"),
					     .role = BGP_ROLE_UNKNOWN,
					     .insert_asn = true},
			       .receiver = {.asn = 64502,
					    .ip = address("192.0.2.2"),
					    .role = BGP_ROLE_UNKNOWN,
					    .insert_asn = true},
			       .location = {.id = "pdb:ix:42"},
			       .session_id = "s-1",
			       .request_id = "r-1",
			       .admin = ADMIN_APPROVED,
			       .time_window = -1};
	w->network = (struct peeringdb_network){
		.name = "Example Net", .prefixes_4 = 1000, .prefixes_6 = 100, .is_there = true};
	for (size_t i = 0; i < ARRAY_SIZE(w->pins); i++)
		memset(w->pins[i], i + 1, PEER_PIN_LEN);
	*state = w;
	return 0;
}

static int world_down(void **state)
{
	struct world *w = *state;

	jv_free(w->m);
	jv_free(w->last);
	free(w);
	return 0;
}

static int make(struct world *w)
{
	jv_free(w->m);
	w->m = NULL;
	w->e.text[0] = '\0';
	w->result = mapping_new(&w->s, &w->server, &w->peer, &w->r,
				w->has_no_peeringdb ? NULL : &w->network, w->last, w->secret, &w->m,
				&w->e);
	return w->result;
}

/* Makes one, which from then on is the one that is owned. */
static void own(struct world *w)
{
	assert_int_equal(make(w), 0);
	jv_free(w->last);
	w->last = jv_copy(w->m);
	assert_non_null(w->last);
}

static const char *text(const struct world *w, const char *member)
{
	return jv_get_string(w->m, member, "none");
}

static int64_t number(const struct world *w, const char *member)
{
	return jv_get_int(w->m, member, -1);
}

static bool has(const struct world *w, const char *member)
{
	return jv_get(w->m, member);
}

static void refused(struct world *w, const char *reason)
{
	assert_int_equal(make(w), -EINVAL);
	assert_null(w->m);
	if (!strstr(w->e.text, reason))
		fail_msg("'%s' is not in '%s'", reason, w->e.text);
}

static void everything_is_there(void **state)
{
	static const char expected[] =
		"{\"neighbor\":\"192.0.2.2\",\"local\":\"192.0.2.1\",\"family\":4,\"ipv4\":true,"
		"\"ipv6\":false,\"name\":\"as64502_192_0_2_2\",\"remote_as\":64502,"
		"\"local_as\":64500,\"server\":\"ex\",\"session_id\":\"s-1\","
		"\"request_id\":\"r-1\",\"location\":\"pdb:ix:42\","
		"\"description\":\"AS64502 Example Net, pdb:ix:42\",\"mode\":\"preferred\","
		"\"port\":1790,\"certificate\":\"/tls/c.pem\",\"key\":\"/tls/k.pem\","
		"\"ca\":\"/tls/ca.pem\",\"dns_names\":[\"r1.example\",\"r2.example\"],"
		"\"ttl_security\":1,\"pins\":[\"" PIN_1 "\",\"" PIN_2 "\"],\"md5\":\"sekrit\","
		"\"daemon\":\"bird\",\"max_prefix\":1250,\"import\":\"from_peers\","
		"\"export\":\"to_peers\",\"role\":\"peer\"}\n";
	struct world *w = *state;
	char *names[] = {"r1.example", "r2.example"};
	_cleanup_free_ char *line = NULL;

	w->peer.mode = PEER_PREFERRED;
	w->peer.port = 1790;
	w->peer.certificate = "/tls/c.pem";
	w->peer.key = "/tls/k.pem";
	w->peer.ca = "/tls/ca.pem";
	w->peer.dns_names = names;
	w->peer.n_dns_names = 2;
	w->peer.pins = w->pins;
	w->peer.n_pins = 2;
	w->peer.ttl_security = 1;
	w->peer.session_secret = SECRET_OUTER_MD5;
	strcpy(w->r.secret, "sekrit");
	assert_int_equal(make(w), 0);
	line = jv_dump_line(w->m, NULL);
	assert_string_equal(line, expected);
	assert_int_equal(mapping_check(w->m, &w->e), 0);
}

static void least_is_enough(void **state)
{
	static const char *const absent[] = {
		"request_id", "location", "port",	  "certificate", "key",	      "ca",
		"dns_names",  "pins",	  "md5",	  "ao",		 "daemon",    "import",
		"export",     "password", "ttl_security", "rs_client",	 "monitoring"};
	struct world *w = *state;

	w->peer.import = w->peer.export = NULL;
	w->r.session_id[0] = w->r.request_id[0] = w->r.location.id[0] = '\0';
	w->network = (struct peeringdb_network){};
	w->s.n_daemons = 0;
	assert_int_equal(make(w), 0);
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		assert_false(has(w, absent[i]));
	assert_string_equal(text(w, "session_id"), "");
	assert_string_equal(text(w, "description"), "AS64502");
	assert_string_equal(text(w, "mode"), "required");
	assert_int_equal(number(w, "max_prefix"), 700);
}

static void both_families_and_sides(void **state)
{
	struct world *w = *state;
	struct record_end swap;

	w->r.initiator.ip = address("2001:db8::1");
	w->r.receiver.ip = address("2001:db8::2");
	assert_int_equal(make(w), 0);
	assert_string_equal(text(w, "name"), "as64502_2001_db8__2");
	assert_int_equal(number(w, "family"), 6);
	assert_true(jv_get_bool(w->m, "ipv6", false));
	assert_false(jv_get_bool(w->m, "ipv4", true));
	assert_int_equal(number(w, "max_prefix"), 125);

	swap = w->r.initiator;
	w->r.initiator = w->r.receiver;
	w->r.receiver = swap;
	w->server.side = SIDE_RECEIVER;
	w->r.receiver.role = BGP_ROLE_PROVIDER;
	assert_int_equal(make(w), 0);
	assert_string_equal(text(w, "neighbor"), "2001:db8::2");
	assert_string_equal(text(w, "local"), "2001:db8::1");
	assert_string_equal(text(w, "role"), "provider");
	assert_int_equal(number(w, "remote_as"), 64502);

	w->r.initiator.asn = 4294967295u;
	w->r.initiator.ip = address("2001:db8:1111:2222:3333:4444:5555:6666");
	assert_int_equal(make(w), 0);
	assert_string_equal(text(w, "name"), "as4294967295_2001_db8_1111_2222_3333_4444_5555_6666");
}

static void descriptions(void **state)
{
	static const struct {
		const char *ours, *theirs, *expected;
	} rows[] = {
		{"Transit", "Example", "AS64502 Transit, pdb:ix:42"},
		{NULL, "Joe's \"best\" \\ Net", "AS64502 Joes best Net, pdb:ix:42"},
		{NULL, "  D\xc3\xa9j\xc3\xa0\t vu  ", "AS64502 D?j? vu, pdb:ix:42"},
		{NULL, "a\x1b[31m\x7f", "AS64502 a?[31m?, pdb:ix:42"},
		{NULL, "", "AS64502, pdb:ix:42"},
		{"'\"\\", "x", "AS64502, pdb:ix:42"},
		{NULL,
		 "0123456789012345678901234567890123456789012345678901234567890123456789012345678 "
		 "9012345",
		 "AS64502 01234567890123456789012345678901234567890123456789012345678901234567890"
		 "12345678, pdb:ix:42"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		w->peer.description = (char *)rows[i].ours;
		strcpy(w->network.name, rows[i].theirs);
		assert_int_equal(make(w), 0);
		assert_string_equal(text(w, "description"), rows[i].expected);
	}
}

static void description_survives_silence(void **state)
{
	struct world *w = *state;

	own(w);
	w->network = (struct peeringdb_network){};
	assert_int_equal(make(w), 0);
	assert_true(mapping_equal(w->m, w->last));
	strcpy(w->r.location.id, "pdb:ix:43"); /* the old one would be wrong */
	assert_int_equal(make(w), 0);
	assert_string_equal(text(w, "description"), "AS64502, pdb:ix:43");
	strcpy(w->r.location.id, "pdb:ix:42");
	w->has_no_peeringdb = true;
	assert_int_equal(make(w), 0);
	assert_string_equal(text(w, "description"), "AS64502, pdb:ix:42");
}

static void max_prefix(void **state)
{
	static const struct {
		const char *why;
		uint32_t fixed, told, last;
		unsigned headroom;
		bool is_silent, has_no_peeringdb;
		int64_t expected;
	} rows[] = {
		{"the block's", 50, 1000, 2000, 25, false, false, 50},
		{"PeeringDB's", 0, 1000, 0, 25, false, false, 1250},
		{"rounded up", 0, 1001, 0, 25, false, false, 1252},
		{"at least ten", 0, 1, 0, 25, false, false, 11},
		{"at least ten, also of none", 0, 1000, 0, 0, false, false, 1010},
		{"more than a tenth of 39", 0, 41, 0, 25, false, false, 52},
		{"never beyond 32 bits", 0, UINT32_MAX, 0, 1000, false, false, UINT32_MAX},
		{"not told", 0, 0, 0, 25, false, false, 700},
		{"not told, the last one", 0, 0, 2000, 25, false, false, 2000},
		{"silent", 0, 0, 0, 25, true, false, 700},
		{"silent, the last one", 0, 0, 2000, 25, true, false, 2000},
		{"nobody to ask", 0, 0, 2000, 25, true, true, 700},
		/* The last one stays while it is good enough. */
		{"same", 0, 1000, 1250, 25, false, false, 1250},
		{"a little more", 0, 1100, 1250, 25, false, false, 1250},
		{"a tenth is left", 0, 1136, 1250, 25, false, false, 1250},
		{"less than a tenth is left", 0, 1137, 1250, 25, false, false, 1422},
		{"too few", 0, 2000, 1250, 25, false, false, 2500},
		{"a little less", 0, 900, 1250, 25, false, false, 1250},
		{"twice", 0, 500, 1250, 25, false, false, 1250},
		{"more than twice", 0, 499, 1250, 25, false, false, 624},
		{"far more", 0, 10, 1250, 25, false, false, 20},
		{"half of a small headroom", 0, 1020, 1050, 5, false, false, 1050},
		{"less than that", 0, 1030, 1050, 5, false, false, 1082},
		{"half of ten", 0, 5, 10, 25, false, false, 10},
		{"less than half of ten", 0, 31, 31, 25, false, false, 41},
	};
	struct world *w = *state;

	own(w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].why);
		w->peer.max_prefix_4 = rows[i].fixed;
		w->peer.max_prefix_6 = 7;
		w->network.prefixes_4 = rows[i].told;
		w->network.is_there = !rows[i].is_silent;
		w->has_no_peeringdb = rows[i].has_no_peeringdb;
		w->s.max_prefix_headroom = rows[i].headroom;
		assert_int_equal(jv_set_int(w->last, "max_prefix", rows[i].last), 0);
		assert_int_equal(make(w), 0);
		assert_int_equal(number(w, "max_prefix"), rows[i].expected);
	}
	/* What another AS had at this address says nothing. */
	w->has_no_peeringdb = false;
	w->network = (struct peeringdb_network){};
	assert_int_equal(jv_set_int(w->last, "remote_as", 64503), 0);
	assert_int_equal(jv_set_int(w->last, "max_prefix", 2000), 0);
	assert_int_equal(make(w), 0);
	assert_int_equal(number(w, "max_prefix"), 700);
}

/* A number that moves by a few at every run changes nothing, whatever the headroom. */
static void max_prefix_does_not_flap(void **state)
{
	static const unsigned headrooms[] = {0, 1, 5, 10, 25, 100, 1000};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(headrooms); i++)
		for (uint32_t base = 13; base < 100000; base = base * 3 + 1) {
			w->s.max_prefix_headroom = headrooms[i];
			w->network.prefixes_4 = base;
			jv_free(w->last);
			w->last = NULL;
			own(w);
			for (uint32_t n = base - 3; n <= base + 3; n++) {
				w->network.prefixes_4 = n;
				assert_int_equal(make(w), 0);
				assert_true(mapping_equal(w->m, w->last));
			}
		}
}

static void roles(void **state)
{
	static const struct {
		int block;
		enum bgp_role ours, theirs;
		const char *expected;
	} rows[] = {
		{-1, BGP_ROLE_UNKNOWN, BGP_ROLE_UNKNOWN, "peer"},
		{-1, BGP_ROLE_CUSTOMER, BGP_ROLE_UNKNOWN, "customer"},
		{-1, BGP_ROLE_UNKNOWN, BGP_ROLE_CUSTOMER, "provider"},
		{-1, BGP_ROLE_UNKNOWN, BGP_ROLE_RS, "rs-client"},
		{-1, BGP_ROLE_RS, BGP_ROLE_UNKNOWN, "rs-server"},
		{BGP_ROLE_PROVIDER, BGP_ROLE_UNKNOWN, BGP_ROLE_UNKNOWN, "provider"},
		{BGP_ROLE_RS_CLIENT, BGP_ROLE_UNKNOWN, BGP_ROLE_UNKNOWN, "rs-client"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		w->peer.role = rows[i].block;
		w->r.initiator.role = rows[i].ours;
		w->r.receiver.role = rows[i].theirs;
		assert_int_equal(make(w), 0);
		assert_string_equal(text(w, "role"), rows[i].expected);
		assert_false(has(w, "rs_client"));
		assert_false(has(w, "monitoring"));
	}
	/* Only a route server may leave its AS out. */
	w->r.receiver.insert_asn = false;
	assert_int_equal(make(w), 0);
	assert_true(jv_get_bool(w->m, "rs_client", false));
	w->peer.role = BGP_ROLE_PEER;
	assert_int_equal(make(w), 0);
	assert_false(has(w, "rs_client"));
	w->r.receiver.monitoring = true; /* they collect: nothing changes here */
	assert_int_equal(make(w), 0);
	assert_false(has(w, "monitoring"));
	w->r.receiver.monitoring = false;
	w->r.initiator.monitoring = true;
	assert_int_equal(make(w), 0);
	assert_true(jv_get_bool(w->m, "monitoring", false));
}

static void check_pins(const struct world *w, const char *a, const char *b, const char *c)
{
	const char *const expected[] = {a, b, c};
	const struct jv *pins = jv_get(w->m, "pins");

	for (size_t i = 0; i < 3 && expected[i]; i++)
		assert_string_equal(jv_string(jv_at(pins, i), "none"), expected[i]);
	assert_int_equal(jv_size(pins), !a ? 0 : !b ? 1 : !c ? 2 : 3);
}

static void pins_and_port_of_the_api(void **state)
{
	struct world *w = *state;
	struct record_tls *theirs = &w->r.receiver.tls;

	theirs->is_there = true;
	theirs->port = 1791;
	theirs->n_pins = 2;
	memcpy(theirs->pins[0], w->pins[2], PEER_PIN_LEN);
	memcpy(theirs->pins[1], w->pins[0], PEER_PIN_LEN);
	w->r.initiator.tls = (struct record_tls){.is_there = true, .port = 1, .n_pins = 1};

	assert_int_equal(make(w), 0); /* not unless pins-from-api says so */
	assert_false(has(w, "pins"));
	assert_int_equal(number(w, "port"), 1791);
	w->peer.pins_from_api = true;
	own(w);
	check_pins(w, PIN_1, PIN_3, NULL);
	memcpy(theirs->pins[0], w->pins[0], PEER_PIN_LEN); /* their order says nothing */
	memcpy(theirs->pins[1], w->pins[2], PEER_PIN_LEN);
	assert_int_equal(make(w), 0);
	assert_true(mapping_equal(w->m, w->last));
	w->peer.pins = w->pins + 1;
	w->peer.n_pins = 2;
	w->peer.port = 1792;
	assert_int_equal(make(w), 0);
	check_pins(w, PIN_1, PIN_2, PIN_3);
	assert_int_equal(number(w, "port"), 1792);
	w->peer.n_pins = 0;

	/* A server that forgets them must not open the door to any certificate. */
	*theirs = (struct record_tls){};
	w->peer.port = 0;
	refused(w, "does not tell pins any more");
	w->peer.pins_from_api = false;
	assert_int_equal(make(w), 0);
	assert_false(has(w, "pins"));
	assert_false(has(w, "port"));
	w->peer.pins_from_api = true;
	jv_free(w->last);
	w->last = NULL;
	assert_int_equal(make(w), 0);

	w->peer.pins = w->pins;
	w->peer.n_pins = 65;
	refused(w, "pins: must be a list of 1 to 64");
}

static void secrets_by_use(void **state)
{
	static const struct {
		enum secret_use use;
		enum peer_mode mode;
		size_t n_daemons;
		const char *member, *reason;
	} rows[] = {
		{SECRET_IGNORE, PEER_REQUIRED, 1, NULL, NULL},
		{SECRET_OUTER_MD5, PEER_REQUIRED, 1, "md5", NULL},
		{SECRET_OUTER_MD5, PEER_PREFERRED, 0, "md5", NULL},
		{SECRET_OUTER_AO, PEER_REQUIRED, 1, "ao", NULL},
		{SECRET_INSIDE, PEER_REQUIRED, 1, "password", NULL},
		{SECRET_INSIDE, PEER_OFF, 1, "password", NULL},
		{SECRET_INSIDE, PEER_REQUIRED, 0, NULL, "needs a daemon block"},
		{SECRET_OUTER_MD5, PEER_OFF, 1, NULL, "leaves alone with mode = off"},
		{SECRET_OUTER_AO, PEER_OFF, 1, NULL, "leaves alone with mode = off"},
		{SECRET_IGNORE, PEER_OFF, 0, NULL, NULL},
	};
	static const char *const members[] = {"md5", "ao", "password"};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		w->peer.session_secret = rows[i].use;
		w->peer.mode = rows[i].mode;
		w->s.n_daemons = rows[i].n_daemons;
		strcpy(w->r.secret, "sekrit");
		if (rows[i].reason) {
			refused(w, rows[i].reason);
			assert_null(strstr(w->e.text, "sekrit"));
		} else {
			assert_int_equal(make(w), 0);
		}
		for (size_t k = 0; k < ARRAY_SIZE(members); k++)
			if (rows[i].member && strcmp(rows[i].member, members[k]) == 0)
				assert_string_equal(text(w, members[k]), "sekrit");
			else
				assert_false(has(w, members[k]));
		/* Without a secret there is nothing to place, and nothing wrong. */
		w->r.secret[0] = '\0';
		assert_int_equal(make(w), 0);
		for (size_t k = 0; k < ARRAY_SIZE(members); k++)
			assert_false(has(w, members[k]));
	}
}

static void secrets_that_cannot_be_used(void **state)
{
	static const struct {
		const char *secret, *reason;
	} rows[] = {
		{"with \"quotes\"", "quote"},
		{"it's", "quote"},
		{"back\\slash", "backslash"},
		{"tab\there", "not printable"},
		{"line\nhere", "not printable"},
		{"\xc3\xa9t\xc3\xa9", "not printable"},
		{"\x7f", "not printable"},
		{" sekrit", "begins or ends"},
		{"sekrit  ", "begins or ends"},
		{"12345678901234567890123456789012345678901234567890123456789012345678901234567890"
		 "1",
		 "has 81 bytes"},
	};
	static const enum secret_use uses[] = {SECRET_OUTER_MD5, SECRET_OUTER_AO, SECRET_INSIDE};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t k = 0; k < ARRAY_SIZE(uses); k++) {
			w->peer.session_secret = uses[k];
			w->secret = rows[i].secret;
			refused(w, rows[i].reason);
			assert_null(strstr(w->e.text, rows[i].secret));
		}
	/* 80 bytes, and all that a key may hold. */
	w->secret = "!#$%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcd {|}~ "
		    "xyz456789";
	assert_int_equal(strlen(w->secret), 80);
	assert_int_equal(make(w), 0);
	assert_string_equal(text(w, "password"), w->secret);
	/* FRR reads a password as one word. */
	w->peer.daemon = "frr";
	w->s.n_daemons = 2;
	refused(w, "FRR");
	w->peer.session_secret = SECRET_OUTER_MD5;
	assert_int_equal(make(w), 0);
	w->peer.session_secret = SECRET_IGNORE;
	w->secret = "it's ignored";
	assert_int_equal(make(w), 0);
}

static void secrets_have_an_order(void **state)
{
	static const struct {
		const char *why, *told, *proposed, *last, *session_id, *request_id, *expected;
	} rows[] = {
		{"the server's", "a", "b", "c", "s-1", "r-1", "a"},
		{"proposed", "", "b", NULL, "s-1", "r-1", "b"},
		{"the last one", "", NULL, "c", "s-1", "r-1", "c"},
		{"the last one of a new session", "", NULL, "c", "s-2", "r-2", "c"},
		{"the last one of this session", "", "b", "c", "s-1", "r-1", "c"},
		{"the last one, id of the request forgotten", "", "b", "c", "s-1", "", "c"},
		{"proposed for a new session", "", "b", "c", "s-2", "r-1", "b"},
		{"proposed for a new request", "", "b", "c", "", "r-2", "b"},
		{"none", "", NULL, NULL, "s-1", "r-1", "none"},
	};
	struct world *w = *state;

	w->peer.session_secret = SECRET_OUTER_MD5;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].why);
		strcpy(w->r.session_id, rows[i].session_id[0] ? "s-1" : "");
		strcpy(w->r.request_id, "r-1");
		strcpy(w->r.secret, rows[i].last ? rows[i].last : "");
		jv_free(w->last);
		w->last = NULL;
		w->secret = NULL;
		own(w);
		strcpy(w->r.session_id, rows[i].session_id);
		strcpy(w->r.request_id, rows[i].request_id);
		strcpy(w->r.secret, rows[i].told);
		w->secret = rows[i].proposed;
		assert_int_equal(make(w), 0);
		assert_string_equal(text(w, "md5"), rows[i].expected);
	}
	/* One that has been used for something else. */
	w->secret = NULL;
	strcpy(w->r.secret, "c");
	own(w);
	w->r.secret[0] = '\0';
	w->peer.session_secret = SECRET_INSIDE;
	assert_int_equal(make(w), 0);
	assert_string_equal(text(w, "password"), "c");
	assert_false(has(w, "md5"));
	own(w);
	w->peer.session_secret = SECRET_OUTER_AO;
	own(w);
	assert_string_equal(text(w, "ao"), "c");
	/* The secret of the AS that had this address before is not told to this one. */
	assert_int_equal(jv_set_int(w->last, "remote_as", 64503), 0);
	assert_int_equal(make(w), 0);
	assert_false(has(w, "ao"));
}

static void mode_off_is_left_alone(void **state)
{
	static const char *const absent[] = {"port",	  "certificate", "key", "ca",
					     "dns_names", "pins",	 "md5", "ttl_security"};
	struct world *w = *state;
	char *names[] = {"r1.example"};

	w->peer.mode = PEER_OFF;
	w->peer.port = 1790;
	w->peer.certificate = w->peer.key = w->peer.ca = "/x";
	w->peer.dns_names = names;
	w->peer.n_dns_names = 1;
	w->peer.pins = w->pins;
	w->peer.n_pins = 1;
	w->peer.ttl_security = 1;
	assert_int_equal(make(w), 0);
	assert_string_equal(text(w, "mode"), "off");
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		assert_false(has(w, absent[i]));
}

static void what_needs_escapes_is_refused(void **state)
{
	struct world *w = *state;

	strcpy(w->r.session_id, "a\"b");
	refused(w, "session_id: must be printable ASCII");
	strcpy(w->r.session_id, "\xc3\xa9");
	refused(w, "session_id: must be printable ASCII");
	strcpy(w->r.session_id, "{urn:uuid:5 $1} <>;");
	assert_int_equal(make(w), 0);
	strcpy(w->r.request_id, "a\\b");
	refused(w, "request_id: must be printable ASCII");
	strcpy(w->r.request_id, "");
	w->peer.import = "from peers";
	refused(w, "import: must be a name");
	w->peer.import = "";
	refused(w, "import: must be a name");
	w->peer.import = NULL;
	w->peer.export = "a;b";
	refused(w, "export: must be a name");
	w->peer.export = NULL;
	w->peer.ca = "/tls/\"x\"";
	refused(w, "ca: must be a path");
	w->peer.ca = "/tls/\x1b";
	refused(w, "ca: must be a path");
	w->peer.ca = "/tls/joe's \xc3\xa4.pem";
	assert_int_equal(make(w), 0);
	assert_string_equal(text(w, "ca"), w->peer.ca);
	w->peer.ca = NULL;
	w->r.receiver.ip = (struct addr){};
	refused(w, "neighbor: must be an address");
	w->r.receiver.ip = address("2001:db8::2");
	refused(w, "family: does not fit");
}

static void check_finds_what_is_wrong(void **state)
{
	static const struct {
		const char *member, *value, *problem;
	} rows[] = {
		{"neighbor", NULL, "neighbor: is missing"},
		{"local", NULL, "local: is missing"},
		{"family", NULL, "family: is missing"},
		{"ipv4", NULL, "ipv4: is missing"},
		{"ipv6", NULL, "ipv6: is missing"},
		{"name", NULL, "name: is missing"},
		{"remote_as", NULL, "remote_as: is missing"},
		{"local_as", NULL, "local_as: is missing"},
		{"server", NULL, "server: is missing"},
		{"session_id", NULL, "session_id: is missing"},
		{"description", NULL, "description: is missing"},
		{"mode", NULL, "mode: is missing"},
		{"max_prefix", NULL, "max_prefix: is missing"},
		{"role", NULL, "role: is missing"},
		{"neighbor", "7", "neighbor: must be a text"},
		{"neighbor", "\"192.0.2.0/24\"", "neighbor: must be an address"},
		{"neighbor", "\"192.0.2.3\"", "name: must be as64502_192_0_2_3"},
		{"neighbor", "\"2001:db8::2\"", "family: does not fit"},
		{"local", "\"2001:db8::1\"", "family: does not fit"},
		{"family", "6", "family: does not fit"},
		{"family", "\"4\"", "family: is out of range"},
		{"ipv4", "false", "family: does not fit"},
		{"ipv6", "true", "family: does not fit"},
		{"ipv4", "1", "ipv4: must be true or false"},
		{"name", "\"as64502\"", "name: must be as64502_192_0_2_2"},
		{"name", "\"a b\"", "name: must be a name"},
		{"remote_as", "0", "remote_as: is out of range"},
		{"remote_as", "4294967296", "remote_as: is out of range"},
		{"remote_as", "64503", "name: must be as64503_192_0_2_2"},
		{"local_as", "-1", "local_as: is out of range"},
		{"server", "\"a/b\"", "server: must be a name"},
		{"server", "\"\"", "server: must be a name"},
		{"description", "\"\"", "description: must be printable"},
		{"description", "\"a\\u007f\"", "description: must be printable"},
		{"mode", "\"on\"", "mode: must be required"},
		{"mode", "\"off\"", "pins: makes no sense with mode off"},
		{"port", "0", "port: is out of range"},
		{"port", "65536", "port: is out of range"},
		{"port", "null", "port: is out of range"},
		{"ttl_security", "255", "ttl_security: is out of range"},
		{"dns_names", "[]", "dns_names: must be a list"},
		{"dns_names", "\"a\"", "dns_names: must be a list"},
		{"dns_names", "[7]", "dns_names: must hold DNS names"},
		{"dns_names", "[\"a b\"]", "dns_names: must hold DNS names"},
		{"pins", "[\"sha256/short\"]", "pins: must hold pins"},
		{"pins", "{}", "pins: must be a list"},
		{"md5", "\"\"", "md5: is a secret that cannot be used"},
		{"md5", "\"it's\"", "md5: is a secret that cannot be used"},
		{"ao", "[]", "ao: must be a text"},
		{"daemon", "\"b/d\"", "daemon: must be a name"},
		{"daemon", NULL, "password: without a daemon"},
		{"max_prefix", "0", "max_prefix: is out of range"},
		{"max_prefix", "4294967296", "max_prefix: is out of range"},
		{"role", "\"unknown\"", "role: must be a role"},
		{"monitoring", "\"yes\"", "monitoring: must be true or false"},
		{"import", "\"a b\"", "import: must be a name"},
		{"colour", "\"red\"", "colour: no member of a mapping"},
		{"ca", "true", "ca: must be a text"},
	};
	struct world *w = *state;

	w->peer.pins = w->pins;
	w->peer.n_pins = 1;
	w->peer.session_secret = SECRET_INSIDE;
	w->secret = "sekrit";
	own(w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_jv_ struct jv *m = jv_copy(w->last);
		struct jv *v;

		jv_delete(m, rows[i].member);
		if (rows[i].value) {
			assert_int_equal(jv_parse(rows[i].value, strlen(rows[i].value), &v, NULL),
					 0);
			assert_int_equal(jv_set(m, rows[i].member, v), 0);
		}
		assert_int_equal(mapping_check(m, &w->e), -EINVAL);
		if (strncmp(w->e.text, rows[i].problem, strlen(rows[i].problem)) != 0)
			fail_msg("'%s' instead of '%s'", w->e.text, rows[i].problem);
	}
	assert_int_equal(mapping_check(w->last, &w->e), 0);
	assert_int_equal(mapping_check(NULL, &w->e), -EINVAL);
}

static void differences(void **state)
{
	static const struct {
		const char *member, *value, *expected;
	} rows[] = {
		{"max_prefix", "1500", "max_prefix 1250 -> 1500"},
		{"description", "\"x\"", "description AS64502 Example Net, pdb:ix:42 -> x"},
		{"port", "1790", "port none -> 1790"},
		{"import", NULL, "import from_peers -> none"},
		{"session_id", "\"\"", "session_id s-1 -> none"},
		{"pins", "[\"" PIN_2 "\"]", "pins"},
		{"pins", NULL, "pins"},
		{"pins", "[\"" PIN_1 "\", \"" PIN_2 "\"]", "pins"},
		{"dns_names", "[\"a.example\"]", "dns_names"},
		{"password", "\"other\"", "password"},
		{"password", NULL, "password"},
		{"md5", "\"other\"", "md5"},
		{"ao", "\"other\"", "ao"},
		{"monitoring", "true", "monitoring none -> true"},
		{"rs_client", "false", "rs_client none -> false"},
		{"ipv4", "false", "ipv4 true -> false"},
		{"max_prefix", "1250", ""},
	};
	struct world *w = *state;
	char buf[256];

	w->peer.pins = w->pins;
	w->peer.n_pins = 1;
	w->peer.session_secret = SECRET_INSIDE;
	w->secret = "sekrit";
	own(w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_jv_ struct jv *m = jv_copy(w->last);
		struct jv *v;

		jv_delete(m, rows[i].member);
		if (rows[i].value) {
			assert_int_equal(jv_parse(rows[i].value, strlen(rows[i].value), &v, NULL),
					 0);
			assert_int_equal(jv_set(m, rows[i].member, v), 0);
		}
		assert_string_equal(mapping_difference(w->last, m, buf, sizeof(buf)),
				    rows[i].expected);
		assert_int_equal(mapping_equal(w->last, m), !rows[i].expected[0]);
		assert_int_equal(mapping_equal(m, w->last), !rows[i].expected[0]);
	}
	assert_true(mapping_equal(NULL, NULL));
	assert_false(mapping_equal(w->last, NULL));
}

static void differences_are_joined_and_cut(void **state)
{
	struct world *w = *state;
	char buf[64], tiny[3];

	own(w);
	w->peer.max_prefix_4 = 7;
	w->peer.pins = w->pins;
	w->peer.n_pins = 1;
	w->peer.mode = PEER_PREFERRED;
	assert_int_equal(make(w), 0);
	assert_string_equal(mapping_difference(w->last, w->m, buf, sizeof(buf)),
			    "mode required -> preferred, pins, max_prefix 1250 -> 7");
	assert_string_equal(mapping_difference(w->last, w->m, buf, 33),
			    "mode required -> preferred, p...");
	assert_string_equal(mapping_difference(w->last, w->m, buf, 54),
			    "mode required -> preferred, pins, max_prefix 1250 ...");
	assert_string_equal(mapping_difference(w->last, w->m, buf, 4), "...");
	assert_string_equal(mapping_difference(w->last, w->m, tiny, sizeof(tiny)), "mo");
	/* What fits to the last byte is not cut. */
	assert_string_equal(mapping_difference(w->last, w->m, buf, 55),
			    "mode required -> preferred, pins, max_prefix 1250 -> 7");
}

static void secrets_are_hidden(void **state)
{
	struct world *w = *state;
	_cleanup_jv_ struct jv *shown = NULL;
	_cleanup_free_ char *line = NULL;

	assert_true(mapping_is_secret("md5"));
	assert_true(mapping_is_secret("ao"));
	assert_true(mapping_is_secret("password"));
	assert_false(mapping_is_secret("key"));
	assert_false(mapping_is_secret("nonsense"));

	w->peer.session_secret = SECRET_OUTER_MD5;
	w->secret = "sekrit";
	assert_int_equal(make(w), 0);
	assert_int_equal(jv_set_string(w->m, "ao", "sekrit"), 0);
	assert_int_equal(jv_set_string(w->m, "password", "sekrit"), 0);
	shown = mapping_describe(w->m);
	line = jv_dump_line(shown, NULL);
	assert_null(strstr(line, "sekrit"));
	assert_string_equal(jv_get_string(shown, "md5", ""), "<hidden>");
	assert_string_equal(jv_get_string(shown, "name", ""), "as64502_192_0_2_2");
	assert_string_equal(text(w, "md5"), "sekrit");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_is_there),
		TEST(least_is_enough),
		TEST(both_families_and_sides),
		TEST(descriptions),
		TEST(description_survives_silence),
		TEST(max_prefix),
		TEST(max_prefix_does_not_flap),
		TEST(roles),
		TEST(pins_and_port_of_the_api),
		TEST(secrets_by_use),
		TEST(secrets_that_cannot_be_used),
		TEST(secrets_have_an_order),
		TEST(mode_off_is_left_alone),
		TEST(what_needs_escapes_is_refused),
		TEST(check_finds_what_is_wrong),
		TEST(differences),
		TEST(differences_are_joined_and_cut),
		TEST(secrets_are_hidden),
	};

	return cmocka_run_group_tests_name("mapping", tests, NULL, NULL);
}
