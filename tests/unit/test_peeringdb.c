// SPDX-License-Identifier: Apache-2.0
#include "peeringdb.h"

#include "json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>

#define BASE "https://pdb.example/api"
#define HOUR 3600
#define NOW  ((time_t)1800000000)

/* 42 has one id; 50 is the ix of the ixlan 51; 60 has a prefix in which nobody is; of 70 none is
 * known. */
static const char database[] =
	"{\"netixlan\": {\"meta\": {}, \"data\": ["
	"{\"asn\": 64503, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.3\","
	" \"operational\": false},"
	"{\"asn\": 64500, \"ix_id\": 42, \"ixlan_id\": 42, \"net_id\": 1, \"is_rs_peer\": false,"
	" \"ipaddr4\": \"192.0.2.1\", \"ipaddr6\": \"2001:db8:0:42::1\", \"operational\": true},"
	"{\"asn\": 64500, \"ix_id\": 50, \"ixlan_id\": 51, \"ipaddr4\": \"198.51.100.1\","
	" \"ipaddr6\": null},"
	"{\"asn\": 64502, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.2\","
	" \"ipaddr6\": \"2001:DB8:0:42:0:0:0:2\", \"status\": \"ok\"},"
	"{\"asn\": 64502, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.20\"},"
	"{\"asn\": 64502, \"ix_id\": 50, \"ixlan_id\": 51, \"ipaddr4\": \"198.51.100.2\","
	" \"ipaddr6\": \"2001:db8:0:50::2\"},"
	"{\"asn\": 64502, \"ix_id\": 60, \"ixlan_id\": 60, \"ipaddr4\": \"203.0.113.2\"},"
	"{\"asn\": 64502, \"ix_id\": 70, \"ixlan_id\": 70, \"ipaddr4\": \"100.64.70.2\"},"
	"{\"asn\": 64502, \"ix_id\": 80, \"ixlan_id\": null, \"ipaddr4\": \"100.64.80.2\"},"
	"{\"asn\": 64502, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.99\","
	" \"status\": \"deleted\"},"
	"{\"asn\": 64502, \"ipaddr4\": \"192.0.2.98\"},"
	"{\"asn\": 64502, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.0/24\","
	" \"ipaddr6\": \"192.0.2.97\"},"
	"{\"asn\": null, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.96\"}"
	"]}, \"ixpfx\": {\"data\": ["
	"{\"ixlan_id\": 42, \"protocol\": \"IPv4\", \"prefix\": \"192.0.2.0/24\"},"
	"{\"ixlan_id\": 42, \"protocol\": \"IPv6\", \"prefix\": \"2001:db8:0:42::/64\"},"
	"{\"ixlan_id\": 51, \"protocol\": \"IPv4\", \"prefix\": \"198.51.100.0/24\"},"
	"{\"ixlan_id\": 60, \"prefix\": \"203.0.113.128/25\"},"
	"{\"ixlan_id\": 60, \"prefix\": \"203.0.113.64/26\"},"
	"{\"ixlan_id\": 60, \"prefix\": \"nonsense\"},"
	"{\"ixlan_id\": 60, \"prefix\": \"203.0.113.0/24\", \"status\": \"pending\"},"
	"{\"ixlan_id\": null, \"prefix\": \"203.0.113.0/24\"}"
	"]}, \"net\": {\"data\": ["
	"{\"asn\": 64502, \"name\": \"Ex\\u001b\\u00e4mple\", \"info_prefixes4\": 1000,"
	" \"info_prefixes6\": null, \"irr_as_set\": \"RIPE::AS-EX\", \"info_type\": \"NSP\"},"
	"{\"asn\": 64503, \"name\": null, \"info_prefixes4\": 2000001, \"info_prefixes6\": "
	"2000000}]}}";

struct world {
	struct settings s;
	struct http *http;
	struct peeringdb *db;
	char dir[32], folder[64];
	struct errtext e;

	struct jv *data;
	int result, status; /* of the next answers; 0: as it should be */
	const char *body;
	bool is_unfiltered;
	size_t n_requests, longest_url, most_keys;
	char urls[16][128], authorization[64], ca[16];
};

/* Whether the key is in "...__in=1,2,3". */
static bool is_asked(const char *url, int64_t key)
{
	char *at = strchr(url, '=');

	assert_non_null(at);
	while (*at) {
		if (strtoll(at + 1, &at, 10) == key)
			return true;
		assert_true(*at == ',' || !*at);
	}
	return false;
}

static char *answer_body(struct world *w, const char *url, const char *kind, const char *key)
{
	_cleanup_jv_ struct jv *o = jv_object_new();
	struct jv *rows = jv_array_new();
	const struct jv *all = jv_get(jv_get(w->data, kind), "data");
	char *text;

	for (size_t i = 0; i < jv_size(all); i++)
		if (w->is_unfiltered || is_asked(url, jv_get_int(jv_at(all, i), key, -1)))
			assert_int_equal(jv_append(rows, jv_copy(jv_at(all, i))), 0);
	assert_int_equal(jv_set(o, "data", rows), 0);
	assert_int_equal(jv_set(o, "meta", jv_object_new()), 0);
	text = jv_dump_line(o, NULL);
	assert_non_null(text);
	return text;
}

static void note_request(struct world *w, const struct http_request *q)
{
	size_t keys = 1;

	for (const char *c = q->url; *c; c++)
		keys += *c == ',';
	if (w->n_requests < ARRAY_SIZE(w->urls))
		snprintf(w->urls[w->n_requests], sizeof(w->urls[0]), "%s", q->url);
	w->n_requests++;
	if (strlen(q->url) > w->longest_url)
		w->longest_url = strlen(q->url);
	if (keys > w->most_keys)
		w->most_keys = keys;
	snprintf(w->authorization, sizeof(w->authorization), "%s",
		 q->authorization ? q->authorization : "");
	snprintf(w->ca, sizeof(w->ca), "%s", q->ca ? q->ca : "");
	assert_string_equal(q->method, "GET");
	assert_in_range(q->timeout, 1, 300);
	assert_in_range(q->body_max, 1 << 20, 32 << 20);
}

static int perform(void *arg, const struct http_request *q, struct http_response *ret,
		   struct errtext *e)
{
	static const struct {
		const char *kind, *key, *path;
	} kinds[] = {{"netixlan", "asn", "/netixlan?asn__in="},
		     {"net", "asn", "/net?asn__in="},
		     {"ixpfx", "ixlan_id", "/ixpfx?ixlan_id__in="}};
	struct world *w = arg;
	char *body = NULL;

	note_request(w, q);
	if (w->result)
		return errtext_set(e, w->result, "no answer");
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && !w->body; i++)
		if (strstr(q->url, kinds[i].path))
			body = answer_body(w, q->url, kinds[i].kind, kinds[i].key);
	if (w->body)
		body = strdup(w->body);
	assert_non_null(body);
	*ret = (struct http_response){.status = w->status ? w->status : 200,
				      .body = body,
				      .len = strlen(body),
				      .retry_after = -1,
				      .location = "https://other.example/"};
	return 0;
}

static int world_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	strcpy(w->dir, "/tmp/botls-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->folder, sizeof(w->folder), "%s/pdb", w->dir);
	w->s = (struct settings){.path = "test.conf",
				 .peeringdb = BASE "/",
				 .check_addresses = true,
				 .peeringdb_max_age = HOUR};
	assert_int_equal(jv_parse(database, strlen(database), &w->data, &w->e), 0);
	assert_int_equal(http_new_answered(perform, w, &w->http), 0);
	*state = w;
	return 0;
}

static int world_down(void **state)
{
	struct world *w = *state;
	char command[128];

	peeringdb_free(w->db);
	http_free(w->http);
	jv_free(w->data);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

/* Begins anew, as another run of the program does. */
static int start(struct world *w)
{
	peeringdb_free(w->db);
	w->db = NULL;
	w->n_requests = 0;
	return peeringdb_new(&w->s, w->http, w->folder, &w->db, &w->e);
}

static int load(struct world *w, time_t now)
{
	static const uint32_t asns[] = {64502, 64500, 64502};

	w->n_requests = 0;
	return peeringdb_load(w->db, asns, ARRAY_SIZE(asns), now, &w->e);
}

static enum registration check(const struct world *w, uint32_t asn, const char *ip,
			       const char *where, struct location *ret)
{
	struct location l = {};
	struct addr a;

	assert_int_equal(addr_parse(ip, &a, NULL), 0);
	if (where[0])
		assert_int_equal(location_parse(where, &l, NULL), 0);
	return peeringdb_check(w->db, asn, &a, where[0] ? &l : NULL, ret);
}

static void write_dump(struct world *w, const char *text)
{
	static char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/dump.json", w->dir);
	w->s.peeringdb = path;
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void check_lookups(const struct world *w)
{
	static const struct {
		uint32_t asn;
		const char *ip, *where;
		enum registration r;
		const char *found;
	} rows[] = {
		{64502, "192.0.2.2", "pdb:ix:42", REGISTERED, "pdb:ix:42"},
		{64502, "192.0.2.2", "", REGISTERED, "pdb:ix:42"},
		{64502, "2001:db8:0:42::2", "pdb:ix:42", REGISTERED, "pdb:ix:42"},
		{64500, "192.0.2.1", "pdb:ix:42", REGISTERED, "pdb:ix:42"},
		{64502, "198.51.100.2", "pdb:ix:50", REGISTERED, "pdb:ix:50"},
		{64502, "198.51.100.2", "pdb:ix:51", REGISTERED, "pdb:ix:50"},
		{64502, "198.51.100.2", "pdb:ix:42", REGISTERED_ELSEWHERE, "pdb:ix:50"},
		{64502, "192.0.2.2", "pdb:fac:42", REGISTERED_ELSEWHERE, "pdb:ix:42"},
		{64502, "192.0.2.1", "pdb:ix:42", NOT_REGISTERED, NULL}, /* it is ours */
		{64500, "192.0.2.2", "", NOT_REGISTERED, NULL},
		{64502, "2001:db8::2", "", NOT_REGISTERED, NULL},
		{64502, "192.0.2.99", "", NOT_REGISTERED, NULL},
		{64502, "192.0.2.98", "", NOT_REGISTERED, NULL},
		{64502, "192.0.2.97", "", NOT_REGISTERED, NULL},
		{64502, "192.0.2.0", "", NOT_REGISTERED, NULL},
		{64502, "203.0.113.2", "pdb:ix:60", NOT_IN_PREFIX, "pdb:ix:60"},
		{64502, "100.64.70.2", "pdb:ix:70", REGISTRY_SILENT, "pdb:ix:70"},
		{64502, "100.64.80.2", "pdb:ix:80", REGISTRY_SILENT, "pdb:ix:80"},
		/* of the exchange only prefixes of the other family are known */
		{64502, "2001:db8:0:50::2", "pdb:ix:50", REGISTRY_SILENT, "pdb:ix:50"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct location found = {.id = "untouched"};

		print_message("%s at %s\n", rows[i].ip, rows[i].where);
		assert_int_equal(check(w, rows[i].asn, rows[i].ip, rows[i].where, &found),
				 rows[i].r);
		assert_string_equal(found.id, rows[i].found ? rows[i].found : "untouched");
		assert_int_equal(found.type, LOCATION_PUBLIC);
		assert_int_equal(check(w, rows[i].asn, rows[i].ip, rows[i].where, NULL), rows[i].r);
	}
}

static void dump_is_looked_up(void **state)
{
	struct world *w = *state;

	write_dump(w, database);
	assert_int_equal(start(w), 0);
	check_lookups(w);
	assert_int_equal(check(w, 65000, "192.0.2.2", "", NULL), NOT_REGISTERED);
	assert_int_equal(w->n_requests, 0);
}

static void dump_has_two_forms(void **state)
{
	struct world *w = *state;

	write_dump(w, "{\"netixlan\": [{\"asn\": 64502, \"ix_id\": 42, \"ixlan_id\": 42,"
		      " \"ipaddr4\": \"192.0.2.2\"}], \"ixpfx\": [{\"ixlan_id\": 42,"
		      " \"prefix\": \"192.0.2.0/24\"}], \"org\": [], \"net\": null}");
	assert_int_equal(start(w), 0);
	assert_int_equal(check(w, 64502, "192.0.2.2", "pdb:ix:42", NULL), REGISTERED);
	assert_false(peeringdb_network(w->db, 64502).is_there);
}

static void dump_is_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"", "not JSON"},
		{"[]", "expected an object"},
		{"{}", "no address is registered"},
		{"{\"netixlan\": [], \"net\": []}", "no address is registered"},
		{"{\"netixlan\": 7}", "netixlan: expected an object"},
		{"{\"netixlan\": {\"data\": {}}}", "netixlan.data: expected an array"},
		{"{\"netixlan\": [[]]}", "netixlan[0]: expected an object"},
		{"{\"netixlan\": [{}, {\"asn\": \"64502\"}]}",
		 "netixlan[1].asn: expected an integer"},
		{"{\"netixlan\": [{\"asn\": -1}]}", "netixlan[0].asn: out of range"},
		{"{\"netixlan\": [{\"asn\": 4294967296}]}", "netixlan[0].asn: out of range"},
		{"{\"netixlan\": [{\"operational\": 1}]}",
		 "netixlan[0].operational: expected true"},
		{"{\"netixlan\": [{\"ipaddr4\": 1}]}", "netixlan[0].ipaddr4: expected a string"},
		{"{\"net\": {\"data\": [{\"info_prefixes4\": \"7\"}]}}",
		 "net.data[0].info_prefixes4: expected an integer"},
		{"{\"ixpfx\": {\"data\": [{\"prefix\": []}]}}",
		 "ixpfx.data[0].prefix: expected a string"},
		{"{\"netixlan\": [{}], \"netixlan\": [{}]}", "not JSON"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_dump(w, rows[i].text);
		print_message("%s\n", rows[i].text);
		assert_int_equal(start(w), -EINVAL);
		assert_non_null(strstr(w->e.text, rows[i].error));
		assert_non_null(strstr(w->e.text, w->s.peeringdb)); /* which file */
	}
}

static void dump_is_bounded(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *text = malloc(700000);
	char *end = text;

	write_dump(w, database);
	assert_int_equal(truncate(w->s.peeringdb, (32 << 20) + 1), 0);
	assert_int_equal(start(w), -EFBIG);
	assert_non_null(strstr(w->e.text, "32 megabytes"));

	end = stpcpy(end, "{\"netixlan\": [{}");
	for (int i = 0; i < 200000; i++)
		end = stpcpy(end, ",{}");
	strcpy(end, "]}");
	write_dump(w, text);
	assert_int_equal(start(w), -EINVAL);
	assert_non_null(strstr(w->e.text, "netixlan: too many rows"));

	w->s.peeringdb = w->dir;
	assert_int_equal(start(w), -EINVAL);
	assert_non_null(strstr(w->e.text, "not a regular file"));
	w->s.peeringdb = "/nonexistent/dump.json";
	assert_int_equal(start(w), -ENOENT);
	assert_non_null(strstr(w->e.text, "/nonexistent/dump.json"));
	w->s.peeringdb = NULL;
	assert_int_equal(start(w), -EINVAL);
}

static void dump_is_read_anew(void **state)
{
	struct world *w = *state;

	write_dump(w, database);
	assert_int_equal(start(w), 0);
	write_dump(w, "{\"netixlan\": [{\"asn\": 1, \"ixlan_id\": 1, \"ipaddr4\": \"192.0.2.7\"}],"
		      " \"ixpfx\": [{\"ixlan_id\": 1, \"prefix\": \"192.0.2.0/24\"}]}");
	assert_int_equal(check(w, 64502, "192.0.2.2", "", NULL), REGISTERED);
	assert_int_equal(load(w, NOW), 0);
	assert_int_equal(check(w, 64502, "192.0.2.2", "", NULL), NOT_REGISTERED);
	assert_int_equal(check(w, 1, "192.0.2.7", "pdb:ix:1", NULL), REGISTERED);

	/* One that cannot be read leaves what there was. */
	write_dump(w, "{");
	assert_int_equal(load(w, NOW), -EINVAL);
	assert_int_equal(check(w, 1, "192.0.2.7", "pdb:ix:1", NULL), REGISTERED);
	assert_int_equal(unlink(w->s.peeringdb), 0);
	assert_int_equal(load(w, NOW), -ENOENT);
}

static void networks_are_told(void **state)
{
	struct world *w = *state;
	struct peeringdb_network n;

	write_dump(w, database);
	assert_int_equal(start(w), 0);
	n = peeringdb_network(w->db, 64502);
	assert_true(n.is_there);
	assert_string_equal(n.name, "Ex?\xc3\xa4mple"); /* no control character */
	assert_string_equal(n.as_set, "RIPE::AS-EX");
	assert_int_equal(n.prefixes_4, 1000);
	assert_int_equal(n.prefixes_6, 0);
	n = peeringdb_network(w->db, 64503);
	assert_true(n.is_there);
	assert_string_equal(n.name, "");
	assert_int_equal(n.prefixes_4, 0); /* nobody announces that many */
	assert_int_equal(n.prefixes_6, 2000000);
	assert_false(peeringdb_network(w->db, 64500).is_there);
	assert_false(peeringdb_network(w->db, UINT32_MAX).is_there);
}

struct pairs {
	size_t n, stop_at;
	char text[8][160];
};

static int on_pair(void *arg, const struct location *where, const struct addr *ours,
		   const struct addr *theirs)
{
	struct pairs *p = arg;
	char a[ADDR_STRLEN], b[ADDR_STRLEN];

	assert_true(p->n < ARRAY_SIZE(p->text));
	snprintf(p->text[p->n++], sizeof(p->text[0]), "%s %s %s", where->id, addr_format(ours, a),
		 addr_format(theirs, b));
	return p->n == p->stop_at ? -ECANCELED : 0;
}

static void common_places_are_found(void **state)
{
	struct world *w = *state;
	struct pairs p = {};

	write_dump(w, database);
	assert_int_equal(start(w), 0);
	assert_int_equal(peeringdb_common(w->db, 64500, 64502, on_pair, &p), 0);
	assert_int_equal(p.n, 4);
	assert_string_equal(p.text[0], "pdb:ix:42 192.0.2.1 192.0.2.2");
	assert_string_equal(p.text[1], "pdb:ix:42 192.0.2.1 192.0.2.20");
	assert_string_equal(p.text[2], "pdb:ix:42 2001:db8:0:42::1 2001:db8:0:42::2");
	assert_string_equal(p.text[3], "pdb:ix:50 198.51.100.1 198.51.100.2");

	p = (struct pairs){};
	assert_int_equal(peeringdb_common(w->db, 64502, 64500, on_pair, &p), 0);
	assert_int_equal(p.n, 4);
	assert_string_equal(p.text[1], "pdb:ix:42 192.0.2.20 192.0.2.1");

	p = (struct pairs){.stop_at = 2};
	assert_int_equal(peeringdb_common(w->db, 64500, 64502, on_pair, &p), -ECANCELED);
	assert_int_equal(p.n, 2);

	/* not in operation */
	p = (struct pairs){};
	assert_int_equal(peeringdb_common(w->db, 64500, 64503, on_pair, &p), 0);
	assert_int_equal(peeringdb_common(w->db, 64500, 65000, on_pair, &p), 0);
	assert_int_equal(p.n, 0);
}

static void api_is_asked(void **state)
{
	struct world *w = *state;
	struct pairs p = {};

	assert_int_equal(start(w), 0);
	assert_int_equal(check(w, 64502, "192.0.2.2", "", NULL), REGISTRY_SILENT);
	assert_int_equal(peeringdb_common(w->db, 64500, 64502, on_pair, &p), -ENODATA);
	assert_int_equal(load(w, NOW), 0);
	assert_int_equal(w->n_requests, 3);
	assert_string_equal(w->urls[0], BASE "/netixlan?asn__in=64500,64502");
	assert_string_equal(w->urls[1], BASE "/net?asn__in=64500,64502");
	assert_string_equal(w->urls[2], BASE "/ixpfx?ixlan_id__in=42,51,60,70");
	assert_string_equal(w->authorization, "");
	assert_string_equal(w->ca, "");
	assert_string_equal(peeringdb_notice(w->db), "");
	check_lookups(w);
	assert_int_equal(peeringdb_network(w->db, 64502).prefixes_4, 1000);
	assert_int_equal(peeringdb_common(w->db, 64500, 64502, on_pair, &p), 0);
	assert_int_equal(p.n, 4);
	/* Nobody asked about these. */
	assert_int_equal(check(w, 64503, "192.0.2.3", "", NULL), REGISTRY_SILENT);
	assert_int_equal(peeringdb_common(w->db, 64500, 64503, on_pair, &p), -ENODATA);
	assert_int_equal(peeringdb_load(w->db, NULL, 0, NOW, &w->e), 0);
}

static void api_key_and_ca_are_used(void **state)
{
	struct world *w = *state;
	char key[1200];

	w->s.peeringdb_key = "sekrit";
	w->s.peeringdb_ca = "ca.pem";
	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW), 0);
	assert_string_equal(w->authorization, "Api-Key sekrit");
	assert_string_equal(w->ca, "ca.pem");

	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	w->s.peeringdb_key = key;
	assert_int_equal(load(w, NOW + 8 * 24 * HOUR), -EINVAL);
	assert_null(strstr(w->e.text, "kkk"));
}

static void foreign_rows_are_ignored(void **state)
{
	struct world *w = *state;

	w->is_unfiltered = true;
	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW), 0);
	check_lookups(w);
	assert_int_equal(check(w, 64503, "192.0.2.3", "", NULL), REGISTRY_SILENT);
	assert_int_equal(start(w), 0); /* nor are they kept */
	assert_int_equal(load(w, NOW), 0);
	check_lookups(w);
	assert_false(peeringdb_network(w->db, 64503).is_there);
}

static void answers_are_kept(void **state)
{
	struct world *w = *state;

	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW), 0);
	assert_int_equal(load(w, NOW + HOUR - 1), 0);
	assert_int_equal(w->n_requests, 1); /* about 70, of which nothing is known, alone */
	assert_string_equal(w->urls[0], BASE "/ixpfx?ixlan_id__in=70");
	check_lookups(w);
	assert_int_equal(start(w), 0); /* from the files */
	assert_int_equal(load(w, NOW + HOUR - 1), 0);
	assert_int_equal(w->n_requests, 1);
	check_lookups(w);
	assert_string_equal(peeringdb_notice(w->db), "");
	assert_int_equal(peeringdb_network(w->db, 64502).prefixes_4, 1000);
	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW + HOUR), 0);
	assert_int_equal(w->n_requests, 3);
	assert_string_equal(w->urls[0], BASE "/netixlan?asn__in=64500,64502");
	assert_int_equal(load(w, NOW + 2 * HOUR), 0);
	assert_int_equal(w->n_requests, 3); /* what is in memory is old too */
	check_lookups(w);

	w->s.peeringdb = "https://other.example/api"; /* what another database said is no answer */
	w->result = -ECONNREFUSED;
	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW + HOUR + 2), -ECONNREFUSED);
}

static void changes_are_seen(void **state)
{
	struct world *w = *state;
	struct jv *rows = jv_get_mutable(jv_get_mutable(w->data, "netixlan"), "data");

	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW), 0);
	assert_int_equal(jv_set_string(jv_at_mutable(rows, 3), "ipaddr4", "192.0.2.200"), 0);
	assert_int_equal(load(w, NOW + HOUR), 0);
	assert_int_equal(check(w, 64502, "192.0.2.2", "", NULL), NOT_REGISTERED);
	assert_int_equal(check(w, 64502, "192.0.2.200", "", NULL), REGISTERED);
	assert_int_equal(check(w, 64500, "192.0.2.1", "", NULL), REGISTERED);
}

static void files_are_private(void **state)
{
	struct world *w = *state;
	struct dirent *entry;
	struct stat st;
	char path[512];
	int n = 0;
	DIR *d;

	umask(0);
	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW), 0);
	assert_int_equal(stat(w->folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	d = opendir(w->folder);
	assert_non_null(d);
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.' && strlen(entry->d_name) < 3)
			continue;
		snprintf(path, sizeof(path), "%s/%s", w->folder, entry->d_name);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		n++;
	}
	closedir(d);
	assert_int_equal(n, 7); /* two networks twice, three exchanges, and nothing else */
	snprintf(path, sizeof(path), "%s/netixlan-64502.json", w->folder);
	assert_int_equal(access(path, R_OK), 0);
	snprintf(path, sizeof(path), "%s/ixpfx-51.json", w->folder);
	assert_int_equal(access(path, R_OK), 0);
}

static void folder_of_others_is_refused(void **state)
{
	struct world *w = *state;

	assert_int_equal(mkdir(w->folder, 0700), 0);
	assert_int_equal(chmod(w->folder, 0720), 0);
	assert_int_equal(start(w), -EPERM);
	assert_int_equal(chmod(w->folder, 0702), 0);
	assert_int_equal(start(w), -EPERM);
	assert_non_null(strstr(w->e.text, w->folder));
	assert_int_equal(chmod(w->folder, 0755), 0);
	assert_int_equal(start(w), 0);
	assert_int_equal(chown(w->folder, 12345, -1), 0);
	assert_int_equal(start(w), -EPERM);
	assert_int_equal(rmdir(w->folder), 0);
	assert_int_equal(symlink("/tmp", w->folder), 0);
	assert_int_equal(start(w), -ENOTDIR);
	assert_int_equal(unlink(w->folder), 0);
	strcat(w->folder, "/no/where");
	assert_int_equal(start(w), -ENOENT);
}

static void put_file(const struct world *w, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", w->folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

#define KEPT(source, fetched, data)                                                                \
	"{\"source\": \"" source "\", \"fetched\": " fetched ", \"data\": " data "}"
#define KEPT_ROW "[{\"asn\": 64502, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.7\"}]"

static void spoilt_files_are_not_used(void **state)
{
	static const struct {
		const char *text;
		bool is_good;
	} rows[] = {
		{KEPT(BASE, "1800000000", KEPT_ROW), true},
		{KEPT(BASE, "1799996401", KEPT_ROW), true}, /* a second short of an hour */
		{KEPT(BASE, "1800000300", KEPT_ROW), true}, /* clocks */
		{KEPT(BASE, "1800000301", KEPT_ROW), false},
		{KEPT(BASE, "1799996400", KEPT_ROW), false},
		{KEPT(BASE, "0", KEPT_ROW), false},
		{KEPT(BASE, "null", KEPT_ROW), false},
		{KEPT(BASE, "-9223372036854775808", KEPT_ROW), false},
		{KEPT("https://pdb.example", "1800000000", KEPT_ROW), false},
		{KEPT(BASE, "1800000000", "{}"), false},
		{"{\"source\": \"" BASE "\", \"fetched\": 1800000000}", false},
		{KEPT(BASE, "1800000000", "[{\"asn\": true}]"), false},
		{KEPT(BASE, "1800000000", "[7]"), false},
		{"[]", false},
		{"", false},
		{"{\"source\": \"" BASE "\", \"fetched\": 18000", false},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].text);
		assert_int_equal(start(w), 0);
		put_file(w, "netixlan-64502.json", rows[i].text);
		assert_int_equal(load(w, NOW), 0);
		assert_int_equal(check(w, 64502, "192.0.2.7", "pdb:ix:42", NULL),
				 rows[i].is_good ? REGISTERED : NOT_REGISTERED);
		assert_int_equal(check(w, 64502, "192.0.2.2", "pdb:ix:42", NULL),
				 rows[i].is_good ? NOT_REGISTERED : REGISTERED);
	}
}

/* About which something cannot be known is not what these tests are about. */
static void forget_exchange_70(struct world *w)
{
	struct jv *rows = jv_get_mutable(jv_get_mutable(w->data, "netixlan"), "data");

	for (size_t i = 0; i < jv_size(rows); i++)
		if (jv_get_int(jv_at(rows, i), "ix_id", 0) == 70)
			jv_delete(jv_at_mutable(rows, i), "asn");
}

static void check_places(const struct world *w)
{
	assert_int_equal(check(w, 64502, "192.0.2.2", "pdb:ix:42", NULL), REGISTERED);
	assert_int_equal(check(w, 64500, "198.51.100.1", "pdb:ix:51", NULL), REGISTERED);
	assert_int_equal(check(w, 64502, "192.0.2.3", "pdb:ix:42", NULL), NOT_REGISTERED);
	assert_int_equal(check(w, 64502, "203.0.113.2", "", NULL), NOT_IN_PREFIX);
}

static void failures_fall_back(void **state)
{
	static const struct {
		int result, status;
		const char *body;
		int error;
		const char *text;
	} rows[] = {
		{-ETIMEDOUT, 0, NULL, -ETIMEDOUT, "no answer"},
		{-ECONNREFUSED, 0, NULL, -ECONNREFUSED, "no answer"},
		{-EFBIG, 0, NULL, -EFBIG, "no answer"},
		{0, 429, "", -EBUSY, "HTTP 429"},
		{0, 500, "", -EBUSY, "HTTP 500"},
		{0, 503, "{\"data\": []}", -EBUSY, "HTTP 503"},
		{0, 401, "{\"data\": []}", -EACCES, "set peeringdb-key"},
		{0, 403, "", -EACCES, "HTTP 403"},
		{0, 404, "{\"data\": [], \"meta\": {}}", -EPROTO, "base URL"},
		{0, 204, "", -EPROTO, "HTTP 204"},
		{0, 301, "", -EPROTO, "https://other.example/"},
		{0, 200, "", -EBADMSG, "not JSON"},
		{0, 200, "<html>", -EBADMSG, "not JSON"},
		{0, 200, "{}", -EBADMSG, "data: missing"},
		{0, 200, "[]", -EBADMSG, "expected an object"},
		{0, 200, "{\"data\": null}", -EBADMSG, "data: missing"},
		{0, 200, "{\"data\": {}}", -EBADMSG, "data: expected an array"},
		{0, 200, "{\"data\": [{\"asn\": {}}]}", -EBADMSG, "data[0].asn"},
		{0, 200, "{\"data\": [{\"asn\": 64502}", -EBADMSG, "not JSON"}, /* cut short */
	};
	struct world *w = *state;
	bool is_new;

	forget_exchange_70(w);
	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW), 0);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		const size_t k = i / 2;

		is_new = i % 2;
		print_message("%s %d %s\n", strerror(-rows[k].result), rows[k].status,
			      rows[k].body ? rows[k].body : "");
		w->result = rows[k].result;
		w->status = rows[k].status;
		w->body = rows[k].body;
		if (is_new)
			assert_int_equal(start(w), 0);
		assert_int_equal(load(w, NOW + 5 * HOUR + 1800), 0);
		assert_int_equal(w->n_requests, 1); /* it is not asked again and again */
		assert_non_null(strstr(peeringdb_notice(w->db), "up to 5 hours old"));
		assert_non_null(strstr(peeringdb_notice(w->db), rows[k].text));
		check_places(w);
		assert_int_equal(peeringdb_network(w->db, 64502).prefixes_4, 1000);
		/* What was said a week ago still counts, but not longer. */
		assert_int_equal(load(w, NOW + 7 * 24 * HOUR - 1), 0);
		check_places(w);
		assert_int_equal(load(w, NOW + 7 * 24 * HOUR), rows[k].error);
		assert_string_equal(peeringdb_notice(w->db), "");
		assert_non_null(strstr(w->e.text, rows[k].text));
		assert_non_null(strstr(w->e.text, "AS64500 and others"));
		assert_int_equal(check(w, 64502, "192.0.2.2", "", NULL), REGISTRY_SILENT);
		assert_false(peeringdb_network(w->db, 64502).is_there);
		/* Well again. */
		w->result = w->status = 0;
		w->body = NULL;
		assert_int_equal(load(w, NOW), 0);
		check_places(w);
	}
}

static void failure_without_files(void **state)
{
	static const uint32_t more[] = {64502, 64503};
	struct world *w = *state;

	forget_exchange_70(w);
	assert_int_equal(start(w), 0);
	w->status = 500;
	assert_int_equal(load(w, NOW), -EBUSY);
	assert_int_equal(check(w, 64502, "192.0.2.2", "", NULL), REGISTRY_SILENT);
	w->status = 0;
	assert_int_equal(load(w, NOW), 0);
	w->status = 429;
	assert_int_equal(peeringdb_load(w->db, more, 2, NOW + 1, &w->e), -EBUSY);
	assert_non_null(strstr(w->e.text, "of AS64503"));
	assert_null(strstr(w->e.text, "others"));
	assert_int_equal(check(w, 64503, "192.0.2.3", "", NULL), REGISTRY_SILENT);
	assert_int_equal(check(w, 64502, "192.0.2.2", "", NULL), REGISTERED); /* stays */
	w->s.peeringdb_key = "sekrit";
	w->status = 401;
	assert_int_equal(peeringdb_load(w->db, more, 2, NOW + 1, &w->e), -EACCES);
	assert_non_null(strstr(w->e.text, "does not accept peeringdb-key"));
	assert_null(strstr(w->e.text, "sekrit"));
}

static void cancelled_and_out_of_memory(void **state)
{
	struct world *w = *state;

	forget_exchange_70(w);
	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW), 0);
	w->result = -ECANCELED;
	assert_int_equal(load(w, NOW + 2 * HOUR), -ECANCELED);
	w->result = -ENOMEM;
	assert_int_equal(load(w, NOW + 2 * HOUR), -ENOMEM);
	assert_int_equal(w->n_requests, 1);
	check_places(w); /* what was loaded stays */
}

static void nothing_registered_is_an_answer(void **state)
{
	static const uint32_t nobody = 65000;
	struct world *w = *state;

	assert_int_equal(start(w), 0);
	assert_int_equal(peeringdb_load(w->db, &nobody, 1, NOW, &w->e), 0);
	assert_int_equal(w->n_requests, 2); /* it is nowhere: no prefixes to ask for */
	assert_int_equal(check(w, nobody, "192.0.2.2", "", NULL), NOT_REGISTERED);
	assert_false(peeringdb_network(w->db, nobody).is_there);
	assert_int_equal(start(w), 0);
	assert_int_equal(peeringdb_load(w->db, &nobody, 1, NOW, &w->e), 0);
	assert_int_equal(w->n_requests, 0);
	assert_int_equal(check(w, nobody, "192.0.2.2", "", NULL), NOT_REGISTERED);
}

static void exchange_without_prefixes_is_none(void **state)
{
	struct world *w = *state;
	struct jv *pfx;

	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW), 0);
	pfx = jv_get_mutable(w->data, "ixpfx");
	assert_int_equal(jv_set(pfx, "data", jv_array_new()), 0);
	/* The prefixes of yesterday are better than none, from memory and from the files. */
	assert_int_equal(load(w, NOW + 24 * HOUR), 0);
	check_lookups(w);
	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW + 24 * HOUR), 0);
	check_lookups(w);
	assert_string_equal(peeringdb_notice(w->db), "");
	assert_int_equal(load(w, NOW + 8 * 24 * HOUR), 0);
	assert_int_equal(check(w, 64502, "192.0.2.2", "pdb:ix:42", NULL), REGISTRY_SILENT);
	assert_int_equal(check(w, 64502, "192.0.2.3", "pdb:ix:42", NULL), NOT_REGISTERED);
}

/* What a file says of an exchange without prefixes is not believed either. */
static void kept_exchange_without_prefixes(void **state)
{
	struct world *w = *state;

	assert_int_equal(start(w), 0);
	put_file(w, "ixpfx-42.json", KEPT(BASE, "1800000000", "[]"));
	assert_int_equal(load(w, NOW), 0);
	check_lookups(w);
}

static void memory_needs_no_files(void **state)
{
	struct world *w = *state;
	char command[128];

	forget_exchange_70(w);
	assert_int_equal(start(w), 0);
	assert_int_equal(load(w, NOW), 0);
	snprintf(command, sizeof(command), "rm %s/*", w->folder);
	assert_int_equal(system(command), 0);
	assert_int_equal(load(w, NOW + HOUR - 1), 0);
	assert_int_equal(w->n_requests, 0);
	check_places(w);
}

static void files_that_cannot_be_written(void **state)
{
	struct world *w = *state;

	assert_int_equal(start(w), 0);
	assert_int_equal(rmdir(w->folder), 0);
	assert_int_equal(load(w, NOW), 0);
	assert_non_null(strstr(peeringdb_notice(w->db), w->folder));
	check_lookups(w);
}

/* 250 networks, each at 2 exchanges of its own. */
static void many_are_asked_for_in_few_requests(void **state)
{
	struct world *w = *state;
	struct jv *rows = jv_get_mutable(jv_get_mutable(w->data, "netixlan"), "data");
	struct jv *prefixes = jv_get_mutable(jv_get_mutable(w->data, "ixpfx"), "data");
	uint32_t asns[250];

	for (uint32_t i = 0; i < 500; i++) {
		struct jv *row = jv_object_new(), *prefix = jv_object_new();
		char ip[32];

		asns[i % 250] = 4200000000u + i % 250;
		snprintf(ip, sizeof(ip), "10.%u.%u.1", i / 250, i % 250);
		assert_int_equal(jv_set_int(row, "asn", asns[i % 250]), 0);
		assert_int_equal(jv_set_int(row, "ix_id", 100000 + i), 0);
		assert_int_equal(jv_set_int(row, "ixlan_id", 100000 + i), 0);
		assert_int_equal(jv_set_string(row, "ipaddr4", ip), 0);
		assert_int_equal(jv_append(rows, row), 0);
		snprintf(ip, sizeof(ip), "10.%u.%u.0/24", i / 250, i % 250);
		assert_int_equal(jv_set_int(prefix, "ixlan_id", 100000 + i), 0);
		assert_int_equal(jv_set_string(prefix, "prefix", ip), 0);
		assert_int_equal(jv_append(prefixes, prefix), 0);
	}
	assert_int_equal(start(w), 0);
	assert_int_equal(peeringdb_load(w->db, asns, 250, NOW, &w->e), 0);
	assert_int_equal(w->n_requests, 3 + 3 + 5);
	assert_true(w->longest_url < 2000);
	assert_int_equal(w->most_keys, 100);
	for (uint32_t i = 0; i < 500; i++) {
		char ip[32], where[32];

		snprintf(ip, sizeof(ip), "10.%u.%u.1", i / 250, i % 250);
		snprintf(where, sizeof(where), "pdb:ix:%u", 100000 + i);
		assert_int_equal(check(w, asns[i % 250], ip, where, NULL), REGISTERED);
	}
}

/* Then a request has room for fewer keys, or for none. */
static void base_url_can_be_long(void **state)
{
	struct world *w = *state;
	char base[2100];

	for (size_t len = 1960; len < sizeof(base); len++) {
		memset(base, 'x', sizeof(base));
		memcpy(base, BASE, strlen(BASE));
		base[len] = '\0';
		w->s.peeringdb = base;
		assert_int_equal(start(w), 0);
		if (load(w, NOW) < 0) {
			assert_non_null(strstr(w->e.text, "base URL is too long"));
			assert_in_range(len, 1965, 1980);
			return;
		}
		assert_in_range(w->longest_url, len, 1999);
		check_lookups(w);
	}
	fail();
}

static void registrations_have_words(void **state)
{
	(void)state;
	for (enum registration r = REGISTERED; r <= REGISTRY_SILENT; r++)
		for (enum registration other = REGISTERED; other < r; other++)
			assert_string_not_equal(registration_text(r), registration_text(other));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dump_is_looked_up),
		TEST(dump_has_two_forms),
		TEST(dump_is_refused),
		TEST(dump_is_bounded),
		TEST(dump_is_read_anew),
		TEST(networks_are_told),
		TEST(common_places_are_found),
		TEST(api_is_asked),
		TEST(api_key_and_ca_are_used),
		TEST(foreign_rows_are_ignored),
		TEST(answers_are_kept),
		TEST(changes_are_seen),
		TEST(files_are_private),
		TEST(folder_of_others_is_refused),
		TEST(spoilt_files_are_not_used),
		TEST(failures_fall_back),
		TEST(failure_without_files),
		TEST(cancelled_and_out_of_memory),
		TEST(nothing_registered_is_an_answer),
		TEST(exchange_without_prefixes_is_none),
		TEST(kept_exchange_without_prefixes),
		TEST(memory_needs_no_files),
		TEST(files_that_cannot_be_written),
		TEST(many_are_asked_for_in_few_requests),
		TEST(base_url_can_be_long),
		TEST(registrations_have_words),
	};

	return cmocka_run_group_tests_name("peeringdb", tests, NULL, NULL);
}
