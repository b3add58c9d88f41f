// SPDX-License-Identifier: Apache-2.0
/* The tcp-ao options of a neighbor and the keys of chains: what may stand together, what it means
 * for a socket, and how a connection goes from key to key. */
#include "ao.h"

#include "dial.h"
#include "needs_ao.h"
#include "sock.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define DEADLINE_MS 10000
#define IDENTITY    "certificate = /c key = /k ca = /a "
#define STATIC	    "tcp-ao = static tcp-ao-key = secret "
#define A	    "key a { chain = x secret = s } "

/* dial_outer() asks steering for connections in clear only; there are none here. */
int steering_connect_clear(struct steering *s, int fd, const struct addr *neighbor)
{
	(void)s;
	(void)fd;
	(void)neighbor;
	return -ENOTSUP;
}

struct said {
	unsigned count;
	char text[512];
};

static void on_report(void *arg, const char *where, const char *text)
{
	struct said *said = arg;

	(void)where;
	said->count++;
	snprintf(said->text, sizeof(said->text), "%s", text);
}

static struct config *load(const char *text)
{
	struct said said = {};
	struct config *c = NULL;

	if (config_load_text(text, on_report, &said, &c) < 0)
		fail_msg("%s: %s", text, said.text);
	return c;
}

/* One problem, and this one. */
static void assert_refused(const char *text, const char *why)
{
	struct said said = {};
	struct config *c = NULL;

	assert_int_equal(config_load_text(text, on_report, &said, &c), -EINVAL);
	if (said.count != 1 || !strstr(said.text, why))
		fail_msg("%s: %u problems, the last one '%s'", text, said.count, said.text);
}

static void options(void **state)
{
	_cleanup_config_ struct config *c = load(
		IDENTITY "tcp-ao-algorithm = hmac-sha1-96 tcp-ao-recv-id = 9 "
			 "neighbor 192.0.2.1 {}"
			 "neighbor 192.0.2.2 { " STATIC "}"
			 "neighbor 192.0.2.3 { " STATIC "tcp-ao-send-id = 255 tcp-ao-recv-id = 0 "
			 "tcp-ao-algorithm = hmac-sha256-96 tcp-ao-options = false }");
	const struct neighbor_config *n = c->neighbors;
	struct keychain chain;
	struct tcp_ao_key key;

	(void)state;
	assert_false(ao_is_wanted(&n[0]));
	/* What is set outside of the blocks does not count where it is off. */
	assert_int_equal(n[0].ao.own.recv_id, 0);
	assert_int_equal(n[0].ao.own.algorithm, TCP_AO_AES_128_CMAC_96);
	assert_true(ao_is_wanted(&n[1]));
	chain = ao_chain(&n[1]);
	assert_true(chain.n == 1 && !chain.name);
	key = keychain_tcp_key(&chain.keys[0]);
	assert_int_equal(key.secret_len, 6);
	assert_memory_equal(key.secret, "secret", 6);
	assert_true(key.send_id == 0 && key.recv_id == 9 && key.covers_options);
	assert_int_equal(key.algorithm, TCP_AO_HMAC_SHA1_96);
	chain = ao_chain(&n[2]);
	key = keychain_tcp_key(&chain.keys[0]);
	assert_true(key.send_id == 255 && key.recv_id == 0 && !key.covers_options);
	assert_int_equal(key.algorithm, TCP_AO_HMAC_SHA256_96);
}

static void what_does_not_go_together(void **state)
{
	static char longest[81];
	char text[512];

	(void)state;
	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-ao = static }", "needs a key");
	assert_refused(IDENTITY "tcp-ao = static neighbor 192.0.2.1 {}", "needs a key");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-ao-key = x }", "nothing uses it");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-md5 = x " STATIC "}",
		       "tcp-ao and tcp-md5 exclude each other");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { mode = preferred " STATIC "}",
		       "set mode = required");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-ao = exporter tcp-ao-key = x }",
		       "follow from TLS");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-ao = exporter tcp-ao-recv-id = 1 }",
		       "follow from TLS");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-ao = exporter tcp-ao-algorithm = "
				"hmac-sha256-96 }",
		       "has no number for hmac-sha256-96");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { mode = preferred tcp-ao = exporter }",
		       "set mode = required");
	assert_refused(IDENTITY A "neighbor 192.0.2.1 { tcp-ao = exporter tcp-ao-chain = x }",
		       "follow from TLS");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-ao = exporter tcp-ao-rekey = 9 }",
		       "10 to 604800");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { " STATIC "tcp-ao-send-id = 256 }",
		       "0 to 255");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { tcp-ao = static tcp-ao-key = \"\" }",
		       "1 to 80 bytes");
	memset(longest, 'k', 80);
	snprintf(text, sizeof(text),
		 IDENTITY "neighbor 192.0.2.1 { tcp-ao = static tcp-ao-key = %s }", longest);
	config_free(load(text));
	snprintf(text, sizeof(text),
		 IDENTITY "neighbor 192.0.2.1 { tcp-ao = static tcp-ao-key = %sk }", longest);
	assert_refused(text, "1 to 80 bytes");
	/* With mode = off nothing of it is used. */
	config_free(load("neighbor 192.0.2.1 { mode = off tcp-ao = static tcp-md5 = x }"));
}

/* tcp-ao = capability: nobody's first segments have it, so nothing of it stands in anybody's way.
 */
static void by_capability(void **state)
{
#define CAP "tcp-ao = capability "
	_cleanup_config_ struct config *c =
		load(IDENTITY "tcp-ao-policy = preferred "
			      "neighbor 192.0.2.1 { " CAP "mode = preferred tcp-ao-rekey = 10 "
			      "tcp-ao-capability-code = 254 tcp-ao-algorithm = hmac-sha256-96 }"
			      "neighbor 192.0.2.0/24 { " CAP "}"
			      "neighbor 192.0.2.9 { mode = off " CAP "}");
	const struct neighbor_config *n = config_neighbor(c, "192.0.2.1");

	(void)state;
	assert_true(ao_is_capability(n) && ao_may_be(n) && !ao_is_wanted(n) && !ao_is_static(n));
	assert_int_equal(n->ao.capability_code, 254);
	assert_int_equal(n->ao.rekey, 10);
	assert_int_equal(ao_chain(n).n, 0);
	assert_null(ao_refusal(n, false));
	assert_int_equal(config_neighbor(c, "192.0.2.0/24")->ao.capability_code, 247);
	assert_true(config_neighbor(c, "192.0.2.0/24")->ao.own.covers_options);
	assert_false(ao_may_be(config_neighbor(c, "192.0.2.9")));

	assert_refused(IDENTITY "neighbor 192.0.2.1 { " CAP "tcp-ao-key = x }", "follow from TLS");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { " CAP "tcp-ao-send-id = 1 }",
		       "follow from TLS");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { " CAP "tcp-ao-policy = required }",
		       "begins without TCP-AO");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { " CAP "tcp-md5 = x }",
		       "tcp-ao and tcp-md5 exclude each other");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { " CAP "mode = tcp-ao role = connect }",
		       "without TCP-AO would be clear text");
	assert_refused(IDENTITY "neighbor 192.0.2.1 { " CAP "tcp-ao-capability-code = 238 }",
		       "239 to 254");
}

/* mode = tcp-ao: nothing of TLS, but all of TCP-AO; either side connects. */
static void tcp_ao_alone(void **state)
{
#define ADAPTER "mode = tcp-ao role = connect "
	_cleanup_config_ struct config *c = load("neighbor 192.0.2.1 { " ADAPTER STATIC "}");

	(void)state;
	assert_true(ao_is_wanted(c->neighbors) && !neighbor_has_tls(c->neighbors));
	assert_non_null(strstr(ao_refusal(c->neighbors, false), "or set mode = off"));
	assert_refused("neighbor 192.0.2.1 { " ADAPTER "}", "set tcp-ao = static");
	config_free(load("neighbor 192.0.2.1 { mode = tcp-ao " STATIC "}"));
	config_free(load("neighbor 192.0.2.0/24 { mode = tcp-ao role = accept " STATIC "}"));
	assert_refused("neighbor 192.0.2.1 { " ADAPTER STATIC "tcp-ao-policy = preferred }",
		       "set tcp-ao-policy = required");
	assert_refused("neighbor 192.0.2.0/24 { " ADAPTER STATIC "}", "nobody can connect to");
}

/* The kernel demands it of all that the key's address covers. */
static void one_key_for_two_neighbors(void **state)
{
	(void)state;
	assert_refused(IDENTITY "neighbor 192.0.2.0/24 { " STATIC "} neighbor 192.0.2.128/25 {}",
		       "of neighbor 192.0.2.128/25, too");
	assert_refused(IDENTITY "neighbor 192.0.2.0/24 { " STATIC
				"} neighbor 192.0.2.0/25 { mode = off } neighbor 192.0.2.7 {}",
		       "of neighbor 192.0.2.7, too");
	assert_refused(IDENTITY "neighbor fe80::1%eth1 { " STATIC "} neighbor fe80::1%eth0 {}",
		       "of neighbor fe80::1%eth0, too");
	config_free(load(IDENTITY "neighbor 192.0.2.0/24 { " STATIC
				  "} neighbor 192.0.2.7 { mode = off } neighbor 192.0.3.1 {}"
				  "neighbor fe80::1%eth1 { " STATIC "} neighbor fe80::2%eth0 {}"));
	config_free(load(IDENTITY "neighbor 192.0.2.0/24 {} neighbor 192.0.2.7 { " STATIC "}"));
}

/* --- what is reported
 * ----------------------------------------------------------------------------------------------
 */

struct reported {
	struct said problems, warnings;
};

static void on_problem(void *arg, const char *where, const char *text)
{
	on_report(&((struct reported *)arg)->problems, where, text);
}

static void on_warning(void *arg, const char *where, const char *text)
{
	on_report(&((struct reported *)arg)->warnings, where, text);
}

static int report(const struct config *c, const struct config *in_force, bool has_ao, uint64_t now,
		  struct reported *ret)
{
	const struct ao_report to = {on_problem, on_warning, ret};

	*ret = (struct reported){};
	return ao_report(c, in_force, has_ao, now, &to);
}

static void a_kernel_without_it(void **state)
{
	_cleanup_config_ struct config *c =
		load(IDENTITY "neighbor 192.0.2.1 { " STATIC "}"
			      "neighbor 192.0.2.2 {}"
			      "neighbor 192.0.2.3 { " STATIC "}"
			      "neighbor 192.0.2.4 { " STATIC "tcp-ao-policy = preferred }");
	_cleanup_config_ struct config *before =
		load(IDENTITY "neighbor 192.0.2.1 { " STATIC "} neighbor 192.0.2.3 {}");
	struct reported said;

	(void)state;
	assert_null(ao_refusal(&c->neighbors[0], true));
	assert_null(ao_refusal(&c->neighbors[1], false));
	assert_null(ao_refusal(&c->neighbors[3], false));
	assert_non_null(strstr(ao_refusal(&c->neighbors[0], false), "CONFIG_TCP_AO"));
	assert_int_equal(report(c, NULL, true, 0, &said), 0);
	assert_int_equal(said.problems.count + said.warnings.count, 0);
	assert_int_equal(report(c, NULL, false, 0, &said), 2);
	assert_int_equal(said.problems.count, 2);
	assert_non_null(strstr(said.problems.text, "neighbor 192.0.2.3: "));
	assert_int_equal(said.warnings.count, 1);
	assert_non_null(
		strstr(said.warnings.text, "neighbor 192.0.2.4: tcp-ao-policy = preferred"));
	/* One that was closed already stands in nobody's way. */
	assert_int_equal(report(c, before, false, 0, &said), 1);
	assert_int_equal(said.problems.count, 2);
}

/* 2026-01-01 is 1767225600. */
#define JANUARY 1767225600ULL
#define DAY	86400

static void chains_that_end(void **state)
{
	_cleanup_config_ struct config *c =
		load(IDENTITY "key a { chain = x secret = s send-until = 2026-01-10 }"
			      "key b { chain = x secret = t send-id = 1 recv-id = 1 "
			      "send-from = 2026-01-12 send-until = 2026-02-01 }"
			      "key unused { chain = y secret = s send-until = 2026-01-02 }"
			      "neighbor 192.0.2.1 { tcp-ao = static tcp-ao-chain = x }");
	struct reported said;

	(void)state;
	assert_int_equal(report(c, NULL, true, JANUARY, &said), 0);
	assert_int_equal(said.warnings.count, 1);
	assert_non_null(strstr(said.warnings.text, "chain x: no key may be sent from "
						   "2026-01-10T00:00:00Z until "
						   "2026-01-12T00:00:00Z"));
	assert_int_equal(report(c, NULL, true, JANUARY + 12 * DAY, &said), 0);
	assert_int_equal(said.warnings.count, 1);
	assert_non_null(strstr(said.warnings.text, "its last key ends at 2026-02-01T00:00:00Z, in "
						   "19 days"));
	/* expiry-warning-days is 30 */
	assert_int_equal(report(c, NULL, true, JANUARY + 12 * DAY - 20 * DAY, &said), 0);
	assert_int_equal(said.warnings.count, 1);
	assert_int_equal(report(c, NULL, true, JANUARY + 31 * DAY, &said), 1);
	assert_int_equal(said.problems.count, 1);
	assert_non_null(strstr(said.problems.text, "every key of the chain x has ended"));
	assert_int_equal(report(c, c, true, JANUARY + 31 * DAY, &said), 0);
	assert_int_equal(said.problems.count, 1);
}

/* --- chains
 * ----------------------------------------------------------------------------------------------
 */

#define CHAINED "neighbor 192.0.2.1 { tcp-ao = static tcp-ao-chain = x }"

static void keys_make_chains(void **state)
{
	_cleanup_config_ struct config *c =
		load(IDENTITY "tcp-ao = static tcp-ao-chain = x tcp-ao-recv-id = 9 "
			      "key old { chain = x secret = s send-id = 1 recv-id = 2 "
			      "algorithm = hmac-sha1-96 options = false "
			      "accept-until = \"2026-01-10T00:00:00+01:00\" }"
			      "neighbor 192.0.2.1 {}"
			      "neighbor 192.0.2.2 { tcp-ao-key = own }"
			      "key new { chain = x secret = t send-id = 3 "
			      "send-from = \"2026-01-05 12:30Z\" accept-from = 2026-01-01 }"
			      "neighbor 192.0.2.3 { tcp-ao-chain = y tcp-ao-policy = preferred }"
			      "key other { chain = y secret = u }");
	const struct keychain *x = c->neighbors[0].ao.chain;
	struct keychain own = ao_chain(&c->neighbors[1]);

	(void)state;
	assert_int_equal(c->n_chains, 2);
	assert_int_equal(x->n, 2);
	assert_string_equal(x->name, "x");
	assert_string_equal(x->keys[0].name, "old");
	assert_string_equal(x->keys[0].secret, "s");
	assert_int_equal(x->keys[0].send_id, 1);
	assert_int_equal(x->keys[0].recv_id, 2);
	assert_int_equal(x->keys[0].algorithm, TCP_AO_HMAC_SHA1_96);
	assert_false(x->keys[0].covers_options);
	assert_int_equal(x->keys[0].accept_until, JANUARY + 9 * DAY - 3600);
	assert_int_equal(x->keys[0].send_until, x->keys[0].accept_until); /* not said */
	assert_int_equal(x->keys[1].send_from, JANUARY + 4 * DAY + 12 * 3600 + 30 * 60);
	assert_int_equal(x->keys[1].accept_from, JANUARY);
	assert_int_equal(x->keys[1].recv_id, 0); /* tcp-ao-recv-id is of tcp-ao-key */
	assert_true(own.n == 1 && !own.name && !c->neighbors[1].ao.chain_name);
	assert_int_equal(own.keys[0].recv_id, 9);
	assert_string_equal(c->neighbors[2].ao.chain->name, "y");
	assert_int_equal(c->neighbors[2].ao.policy, AO_PREFERRED);
}

static void what_a_chain_may_not_be(void **state)
{
	(void)state;
	assert_refused(IDENTITY CHAINED, "no key belongs to 'x'");
	assert_refused(IDENTITY "tcp-ao-chain = x neighbor 192.0.2.1 { tcp-ao = static }",
		       "no key belongs to 'x'");
	assert_refused(IDENTITY A "neighbor 192.0.2.1 { tcp-ao-chain = x }", "nothing uses it");
	assert_refused(IDENTITY A "neighbor 192.0.2.1 { tcp-ao = static tcp-ao-chain = x "
				  "tcp-ao-key = y }",
		       "tcp-ao-key: the keys of the chain 'x' take its place");
	assert_refused(IDENTITY A "neighbor 192.0.2.1 { tcp-ao = static tcp-ao-chain = x "
				  "tcp-ao-send-id = 3 }",
		       "tcp-ao-send-id: the keys of the chain 'x' take its place");
	assert_refused("key a { chain = x }", "key a: it has no secret");
	assert_refused("key a { secret = s }", "key a: it belongs to no chain");
	assert_refused("key 'a b' { chain = x secret = s }", "'a b' is not a name");
	assert_refused(A "key a { chain = y secret = s }", "key a is there twice");
	assert_refused("key a { chain = x secret = s send-id = 256 }", "0 to 255");
	assert_refused("key a { chain = x secret = s accept-from = 2026-01-02 "
		       "accept-until = 2026-01-02 }",
		       "accept-until: the key would end before it begins");
	assert_refused("key a { chain = x secret = s send-from = 2026-01-02 "
		       "send-until = 2026-01-01 }",
		       "send-until: the key would end before it begins");
	assert_refused("key a { chain = x secret = s send-from = 2026-01-01 "
		       "accept-from = 2026-01-02 }",
		       "send-from: the key is not accepted before 2026-01-02T00:00:00Z");
	assert_refused("key a { chain = x secret = s send-until = 2026-01-02 "
		       "accept-until = 2026-01-01 }",
		       "send-until: the key is not accepted after 2026-01-01T00:00:00Z");
	assert_refused("key a { chain = x secret = s send-from = soon }", "'soon' is not a date");
	assert_refused("key a { chain = x secret = s key = s }", "'key'");
	assert_refused(A "key b { chain = x secret = s recv-id = 1 }",
		       "key b: it has the send-id of key a");
	assert_refused(A "key b { chain = x secret = s send-id = 1 }",
		       "key b: it has the recv-id of key a");
	/* One after the other they may share ids; in another chain they may always. */
	config_free(load("key a { chain = x secret = s accept-until = 2026-01-02 }"
			 "key b { chain = x secret = t accept-from = 2026-01-02 }"
			 "key c { chain = y secret = t }"));
}

static void chains_are_bounded(void **state)
{
	char *text;
	size_t len;
	FILE *f;

	(void)state;
	for (int n = 64; n <= 65; n++) {
		f = open_memstream(&text, &len);
		for (int i = 0; i < n; i++)
			fprintf(f, "key k%d { chain = x secret = s send-id = %d recv-id = %d }\n",
				i, i, i);
		fclose(f);
		if (n == 64)
			config_free(load(text));
		else
			assert_refused(text, "chain x: more than 64 keys");
		free(text);
	}
}

/* --- sockets
 * ----------------------------------------------------------------------------------------------
 */

static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;
	uint16_t port;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&ss, &a, &port), 0);
	return port;
}

/* Neighbors 127.0.0.1 (whom we dial) and 127.0.0.2 (who dials), with these options. */
static struct config *pair(uint16_t port, const char *one, const char *two)
{
	char text[512];

	snprintf(text, sizeof(text),
		 IDENTITY "port = %u neighbor 127.0.0.1 { %s } neighbor 127.0.0.2 { %s }", port,
		 one, two);
	return load(text);
}

/* From 127.0.0.2 to the listener; a connecting socket. */
static int dial(const struct config *c)
{
	struct message_want want = {};
	struct errtext e;
	int fd;

	assert_int_equal(addr_parse("127.0.0.2", &want.own, NULL), 0);
	assert_int_equal(addr_parse("127.0.0.1", &want.peer, NULL), 0);
	if (dial_outer(NULL, &c->neighbors[0], &want, 0, &fd, &e) < 0)
		fail_msg("%s", e.text);
	return fd;
}

static int is_connected(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, ms) == 1 && sock_error(fd) == 0;
}

static int accept_one(const struct tls_listeners *l)
{
	struct pollfd p[TLS_LISTENERS_MAX];
	int fd = -1;

	for (size_t i = 0; i < l->n; i++)
		p[i] = (struct pollfd){.fd = l->fds[i], .events = POLLIN};
	assert_int_equal(poll(p, l->n, DEADLINE_MS), 1);
	for (size_t i = 0; i < l->n && fd < 0; i++)
		if (p[i].revents)
			fd = accept(p[i].fd, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static void an_accepted_connection_without_it(void **state)
{
	_cleanup_config_ struct config *c = NULL;
	struct tls_listeners l;
	struct errtext e;
	int fd, accepted;

	(void)state;
	assert_int_equal(tls_listeners_open(0, &l, &e), 0);
	c = pair(port_of(l.fds[0]), "", STATIC);
	fd = dial(c);
	accepted = accept_one(&l);
	assert_int_equal(ao_check(accepted, &c->neighbors[0], &e), 0);
	assert_int_equal(ao_check(accepted, &c->neighbors[1], &e),
			 ao_probe() ? -ENOENT : -ENOPROTOOPT);
	assert_non_null(strstr(e.text, ao_probe() ? "carries no TCP-AO" : "this kernel has no"));
	close(accepted);
	close(fd);
	tls_listeners_close(&l);
}

static void dialling_on_a_kernel_without_it(void **state)
{
	_cleanup_config_ struct config *c = NULL;
	struct message_want want = {};
	struct errtext e;
	int fd = -7;

	(void)state;
	if (ao_probe()) {
		print_message("skipped: this kernel has TCP-AO\n");
		skip();
	}
	c = pair(1, STATIC, "");
	assert_int_equal(addr_parse("127.0.0.2", &want.own, NULL), 0);
	assert_int_equal(addr_parse("127.0.0.1", &want.peer, NULL), 0);
	assert_int_equal(dial_outer(NULL, &c->neighbors[0], &want, 0, &fd, &e), -ENOPROTOOPT);
	assert_non_null(strstr(e.text, "this kernel has no TCP-AO"));
	assert_int_equal(fd, -7);
}

static void both_ends(void **state)
{
	_cleanup_config_ struct config *c = NULL, *other = NULL;
	struct tls_listeners l;
	struct tcp_ao_status ao = {};
	struct errtext e;
	int fd, accepted;

	(void)state;
	NEEDS_AO();
	assert_int_equal(tls_listeners_open(0, &l, &e), 0);
	c = pair(port_of(l.fds[0]), STATIC "tcp-ao-send-id = 3 tcp-ao-recv-id = 4",
		 STATIC "tcp-ao-send-id = 4 tcp-ao-recv-id = 3");
	assert_int_equal(tls_listeners_set_keys(&l, NULL, c, 0, &e), 0);
	fd = dial(c);
	assert_true(is_connected(fd, DEADLINE_MS));
	accepted = accept_one(&l);
	assert_int_equal(ao_check(accepted, &c->neighbors[1], &e), 0);
	assert_int_equal(ao_check(fd, &c->neighbors[0], &e), 0);
	other = pair(1, "", STATIC "tcp-ao-send-id = 5 tcp-ao-recv-id = 3");
	assert_int_equal(ao_check(accepted, &other->neighbors[1], &e), -EKEYREJECTED);
	assert_non_null(strstr(e.text, "SendID 4 and RecvID 3, which no configured"));
	assert_int_equal(tls_listeners_get_ao(&l, &c->neighbors[1], &ao), 0);
	assert_true(ao.good >= 1 && !ao.bad);
	assert_int_equal(tls_listeners_get_ao(&l, &other->neighbors[0], &ao), -ENOENT);
	close(accepted);
	close(fd);
	tls_listeners_close(&l);
}

static uint64_t wrong_before[1024]; /* by descriptor */

/* A connection between 127.0.0.2 and 127.0.0.1, each with its own configuration of the other. */
struct ends {
	struct tls_listeners l;
	struct config *one, *two; /* of the end that dialled, of the one that accepted */
	int dialled, accepted;
};

static struct config *chained(uint16_t port, const char *address, const char *keys)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 IDENTITY "port = %u %s neighbor %s { tcp-ao = static tcp-ao-chain = x }", port,
		 keys, address);
	return load(text);
}

static void connect_ends(struct ends *p, const char *one, const char *two, uint64_t now)
{
	struct message_want want = {};
	struct errtext e;

	*p = (struct ends){};
	memset(wrong_before, 0, sizeof(wrong_before));
	assert_int_equal(tls_listeners_open(0, &p->l, &e), 0);
	p->one = chained(port_of(p->l.fds[0]), "127.0.0.1", one);
	p->two = chained(1, "127.0.0.2", two);
	assert_int_equal(tls_listeners_set_keys(&p->l, NULL, p->two, now, &e), 0);
	assert_int_equal(addr_parse("127.0.0.2", &want.own, NULL), 0);
	assert_int_equal(addr_parse("127.0.0.1", &want.peer, NULL), 0);
	if (dial_outer(NULL, &p->one->neighbors[0], &want, now, &p->dialled, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(is_connected(p->dialled, DEADLINE_MS));
	p->accepted = accept_one(&p->l);
	assert_int_equal(ao_check(p->accepted, &p->two->neighbors[0], &e), 0);
}

static void ends_done(struct ends *p)
{
	close(p->dialled);
	close(p->accepted);
	tls_listeners_close(&p->l);
	config_free(p->one);
	config_free(p->two);
}

/* A byte each way, and each end has heard of it. */
static void talk(struct ends *p)
{
	int fds[2] = {p->dialled, p->accepted};
	char c = 'x';

	for (int i = 0; i < 4; i++) {
		struct pollfd to = {.fd = fds[!(i & 1)], .events = POLLIN};

		assert_int_equal(write(fds[i & 1], &c, 1), 1);
		assert_int_equal(poll(&to, 1, DEADLINE_MS), 1);
		assert_int_equal(read(to.fd, &c, 1), 1);
	}
}

static struct ao_rest follow(int fd, const struct config *c, uint64_t now)
{
	struct ao_rest rest;
	struct errtext e;

	if (ao_follow(fd, &c->neighbors[0], now, true, &wrong_before[fd], &rest, &e) < 0)
		fail_msg("%s", e.text);
	return rest;
}

/* "1< 2>": the keys of a socket; < we send with it, > we ask for it. */
static const char *keys_of(int fd, char text[static 64])
{
	struct tcp_ao_installed keys[8];
	int n = tcp_ao_list_keys(fd, keys, ARRAY_SIZE(keys));

	assert_true(n >= 0 && n <= 8);
	*text = '\0';
	for (int id = 0; id < 256; id++)
		for (int i = 0; i < n; i++)
			if (keys[i].send_id == id)
				sprintf(text + strlen(text), "%s%d%s%s", *text ? " " : "", id,
					keys[i].is_current ? "<" : "", keys[i].is_rnext ? ">" : "");
	return text;
}

static void assert_keys(int fd, const char *expected)
{
	char text[64];

	assert_string_equal(keys_of(fd, text), expected);
}

static bool has_keys(int fd, const char *expected)
{
	char text[64];

	return strcmp(keys_of(fd, text), expected) == 0;
}

#define KEY_1 "key one { chain = x secret = s send-id = 1 recv-id = 1 "
#define KEY_2 "key two { chain = x secret = t send-id = 2 recv-id = 2 "
#define ROLL                                                                                       \
	KEY_1 "accept-until = 2026-01-03 send-until = 2026-01-02 } " KEY_2                         \
	      "accept-from = 2026-01-01 send-from = 2026-01-02 } "

static void a_connection_goes_from_key_to_key(void **state)
{
	struct ends p;
	struct errtext e;

	(void)state;
	NEEDS_AO();
	connect_ends(&p, ROLL, ROLL, JANUARY - 1);
	assert_keys(p.dialled, "1<>");
	assert_keys(p.accepted, "1<>");
	talk(&p);
	/* The second one is accepted, and nobody asks for it. */
	assert_false(follow(p.dialled, p.one, JANUARY).is_any);
	assert_false(follow(p.accepted, p.two, JANUARY).is_any);
	talk(&p);
	assert_keys(p.dialled, "1<> 2");
	/* One end is early: it asks, and the other does. */
	assert_true(follow(p.dialled, p.one, JANUARY + DAY).is_any);
	talk(&p);
	assert_false(follow(p.dialled, p.one, JANUARY + DAY).is_any);
	assert_keys(p.dialled, "1< 2>");
	assert_keys(p.accepted, "1> 2<");
	assert_true(follow(p.accepted, p.two, JANUARY + DAY).is_any);
	talk(&p);
	assert_keys(p.dialled, "1 2<>");
	assert_keys(p.accepted, "1 2<>");
	/* The first one's time is over. */
	assert_false(follow(p.dialled, p.one, JANUARY + 2 * DAY).is_any);
	assert_false(follow(p.accepted, p.two, JANUARY + 2 * DAY).is_any);
	assert_keys(p.dialled, "2<>");
	talk(&p);
	/* The listener has followed, too. */
	assert_int_equal(tls_listeners_set_keys(&p.l, p.two, p.two, JANUARY + 2 * DAY, &e), 0);
	assert_keys(p.l.fds[0], "2");
	ends_done(&p);
}

static void a_neighbor_that_lags_keeps_its_session(void **state)
{
	struct ao_rest rest;
	struct ends p;

	(void)state;
	NEEDS_AO();
	connect_ends(&p, ROLL, KEY_1 "} ", JANUARY);
	talk(&p);
	rest = follow(p.dialled, p.one, JANUARY + 2 * DAY);
	talk(&p);
	assert_true(rest.is_any);
	rest = follow(p.dialled, p.one, JANUARY + 3 * DAY);
	assert_true(rest.is_any && rest.is_old);
	assert_int_equal(rest.send_id, 1);
	assert_keys(p.dialled, "1< 2>");
	talk(&p);
	/* It gets the next key. */
	config_free(p.two);
	p.two = chained(1, "127.0.0.2", ROLL);
	assert_false(follow(p.accepted, p.two, JANUARY + DAY).is_old);
	talk(&p);
	assert_false(follow(p.dialled, p.one, JANUARY + 3 * DAY).is_any);
	assert_false(follow(p.accepted, p.two, JANUARY + 3 * DAY).is_any);
	assert_keys(p.dialled, "2<>");
	assert_keys(p.accepted, "2<>");
	talk(&p);
	ends_done(&p);
}

/* Another secret under the ids of a key: at once where it is not in use, else when it can go. */
static void a_secret_is_corrected(void **state)
{
	struct config *now;
	struct ao_rest rest;
	struct ends p;

	(void)state;
	NEEDS_AO();
	connect_ends(&p, ROLL, ROLL, JANUARY);
	talk(&p);
	now = chained(1, "127.0.0.1",
		      "key one { chain = x secret = s send-id = 1 recv-id = 1 }"
		      "key two { chain = x secret = corrected send-id = 2 recv-id = 2 "
		      "send-from = 2026-01-02 }");
	rest = follow(p.dialled, now, JANUARY);
	assert_false(rest.is_any);
	config_free(now);
	now = chained(1, "127.0.0.1",
		      "key one { chain = x secret = other send-id = 1 recv-id = 1 }");
	rest = follow(p.dialled, now, JANUARY);
	assert_true(rest.is_any && rest.is_old);
	talk(&p);
	config_free(now);
	ends_done(&p);
}

static uint64_t bad_segments(int fd)
{
	struct tcp_ao_installed keys[8];
	uint64_t bad = 0;
	int n = tcp_ao_list_keys(fd, keys, ARRAY_SIZE(keys));

	for (int i = 0; i < n; i++)
		bad += keys[i].bad;
	return bad;
}

static bool looks_again(int fd, const struct config *c)
{
	struct ao_rest rest;
	struct errtext e;

	assert_int_equal(
		ao_follow(fd, &c->neighbors[0], JANUARY + DAY, false, &wrong_before[fd], &rest, &e),
		0);
	assert_true(!rest.is_wrong || (rest.send_id == 2 && rest.recv_id == 2 && rest.is_any));
	return rest.is_wrong;
}

/* The next key differs at the two ends, and both ask for it at once: nothing passes, until they go
 * back. */
static void a_wrong_secret_is_taken_back(void **state)
{
	static const char two[] = KEY_1 "} key two { chain = x secret = wrong send-id = 2 "
					"recv-id = 2 send-from = 2026-01-02 }";
	bool was_wrong = false;
	struct ends p;
	char c[64];

	(void)state;
	NEEDS_AO();
	connect_ends(&p, ROLL, two, JANUARY);
	talk(&p);
	follow(p.dialled, p.one, JANUARY + DAY);
	follow(p.accepted, p.two, JANUARY + DAY);
	for (int i = 0; i < DEADLINE_MS / 20; i++) {
		if (write(p.dialled, "x", 1) + write(p.accepted, "x", 1) != 2)
			fail();
		poll(NULL, 0, 20);
		if (!bad_segments(p.dialled) && !bad_segments(p.accepted))
			continue;
		was_wrong |= looks_again(p.dialled, p.one);
		was_wrong |= looks_again(p.accepted, p.two);
		if (has_keys(p.dialled, "1<> 2") && has_keys(p.accepted, "1<> 2"))
			break;
	}
	assert_true(was_wrong);
	assert_keys(p.dialled, "1<> 2");
	assert_keys(p.accepted, "1<> 2");
	for (int i = 0; i < 2; i++) /* what was on the way */
		while (recv(i ? p.dialled : p.accepted, c, sizeof(c), MSG_DONTWAIT) > 0)
			;
	talk(&p);
	/* It is corrected, and all goes on. */
	config_free(p.two);
	p.two = chained(1, "127.0.0.2", ROLL);
	follow(p.accepted, p.two, JANUARY + DAY);
	/* What was wrong before counts no more, also before the first right one has come. */
	assert_false(follow(p.dialled, p.one, JANUARY + DAY).is_wrong);
	assert_false(follow(p.dialled, p.one, JANUARY + DAY).is_wrong);
	talk(&p);
	assert_keys(p.dialled, "1 2<>");
	ends_done(&p);
}

/* Neither in a gap nor after the end; the text says when, or what to do. */
static void no_key_no_connection(void **state)
{
	_cleanup_config_ struct config *c =
		chained(1, "127.0.0.1",
			"key a { chain = x secret = s send-from = 2026-01-01 "
			"send-until = 2026-01-02 }");
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct addr peer;
	struct errtext e;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1", &peer, NULL), 0);
	assert_int_equal(ao_set_keys(fd, &c->neighbors[0], &peer, JANUARY - 1, &e), -EKEYEXPIRED);
	assert_non_null(strstr(e.text, "the next one begins at 2026-01-01T00:00:00Z"));
	assert_int_equal(ao_set_keys(fd, &c->neighbors[0], &peer, JANUARY + DAY, &e), -EKEYEXPIRED);
	assert_non_null(strstr(e.text, "add a key, and reload"));
	assert_int_equal(ao_set_keys(fd, &c->neighbors[0], &peer, JANUARY, &e),
			 ao_probe() ? 0 : -ENOPROTOOPT);
}

/* tcp-ao-policy = preferred: without TCP-AO where the kernel has none, with it where it has. */
static void preferred_goes_without(void **state)
{
	_cleanup_config_ struct config *c = pair(1, STATIC "tcp-ao-policy = preferred", "");
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct addr peer;
	struct errtext e;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1", &peer, NULL), 0);
	assert_int_equal(ao_set_keys(fd, &c->neighbors[0], &peer, 0, &e), 0);
	assert_int_equal(ao_check(fd, &c->neighbors[0], &e), 0);
	if (!ao_probe())
		return;
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(ao_check(fd, &c->neighbors[0], &e), -ENOENT);
}

/* Does 127.0.0.2 get in with the options of its own? */
static bool gets_in(const struct tls_listeners *l, const char *options)
{
	_cleanup_config_ struct config *c = pair(port_of(l->fds[0]), options, "");
	int fd = dial(c);
	bool r = is_connected(fd, 400);

	close(fd);
	if (r)
		close(accept_one(l));
	return r;
}

static void keys_change(void **state)
{
	/* One after the other; the neighbor gets in with the same alone. */
	static const char *const steps[] = {
		STATIC,
		"tcp-ao = static tcp-ao-key = other",
		"tcp-ao = static tcp-ao-key = other tcp-ao-options = false",
		"tcp-md5 = secret",
		STATIC "tcp-ao-algorithm = hmac-sha256-96",
		"",
	};
	_cleanup_config_ struct config *before = NULL;
	struct tls_listeners l;
	struct errtext e;

	(void)state;
	NEEDS_AO();
	assert_int_equal(tls_listeners_open(0, &l, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct config *now = pair(1, "", steps[i]);

		assert_int_equal(tls_listeners_set_keys(&l, before, now, 0, &e), 0);
		for (size_t k = 0; k < ARRAY_SIZE(steps); k++)
			if (gets_in(&l, steps[k]) != (k == i))
				fail_msg("key %zu, neighbor with %zu", i, k);
		config_free(before);
		before = now;
	}
	tls_listeners_close(&l);
}

/* One port, from the same address: as keys_change(), with the default key. */
static void default_keys_change(void **state)
{
#define PREFERRED " tcp-ao-policy = preferred"
	static const struct {
		const char *options;
		unsigned gets_in; /* which of them */
		unsigned listeners;
	} steps[] = {
		{"", 1 << 0, 0},
		{"tcp-ao = exporter", 1 << 1 | 1 << 2, 1},
		{"tcp-ao = exporter" PREFERRED, 1 << 0 | 1 << 1 | 1 << 2, 1},
		{"tcp-ao = exporter tcp-ao-options = true" PREFERRED, 1 << 0 | 1 << 3, 1},
		{"tcp-ao = exporter tcp-ao-algorithm = hmac-sha1-96", 1 << 4, 1},
		{STATIC, 1 << 5, 0},
		{"tcp-ao = exporter" PREFERRED, 1 << 0 | 1 << 1 | 1 << 2, 1},
		{"", 1 << 0, 0},
	};
	_cleanup_config_ struct config *before = NULL;
	struct tls_listeners l;
	struct errtext e;
	size_t first;

	(void)state;
	NEEDS_AO();
	if (geteuid() != 0)
		skip(); /* BPF */
	assert_int_equal(tls_listeners_open(0, &l, &e), 0);
	first = l.n;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct config *now = pair(1, "", steps[i].options);

		if (tls_listeners_set_keys(&l, before, now, 0, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(l.n, first + steps[i].listeners);
		for (size_t k = 0; k < 6; k++)
			if (gets_in(&l, steps[k].options) != !!(steps[i].gets_in & 1 << k))
				fail_msg("key %zu, neighbor with %zu", i, k);
		config_free(before);
		before = now;
	}
	tls_listeners_close(&l);
}

static bool is_accepted_with(const struct tls_listeners *l, const struct config *c, int error)
{
	int fd = dial(c), accepted;
	struct errtext e;

	if (!is_connected(fd, DEADLINE_MS))
		return false;
	accepted = accept_one(l);
	close(fd);
	error -= ao_check(accepted, &c->neighbors[1], &e);
	close(accepted);
	return !error;
}

/* What the worker makes of connections with and without it, and whom the listener counts. */
static void the_default_key_is_everybodys(void **state)
{
	_cleanup_config_ struct config *with = NULL, *without = NULL, *required = NULL;
	struct tls_listeners l;
	struct tcp_ao_status ao;
	struct errtext e;

	(void)state;
	NEEDS_AO();
	if (geteuid() != 0)
		skip();
	assert_int_equal(tls_listeners_open(0, &l, &e), 0);
	with = pair(port_of(l.fds[0]), "tcp-ao = exporter", "tcp-ao = exporter" PREFERRED);
	without = pair(port_of(l.fds[0]), "", "tcp-ao = exporter" PREFERRED);
	required = pair(port_of(l.fds[0]), "", "tcp-ao = exporter");
	assert_int_equal(tls_listeners_set_keys(&l, NULL, with, 0, &e), 0);
	assert_true(is_accepted_with(&l, with, 0));
	assert_true(is_accepted_with(&l, without, 0));
	/* It came before the reload. */
	assert_true(is_accepted_with(&l, required, -ENOENT));
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(tls_listeners_get_ao(&l, &with->neighbors[i], &ao), 0);
		assert_true(ao.good >= 1 && !ao.bad);
	}
	tls_listeners_close(&l);
}

static void a_key_that_cannot_be_set_changes_nothing(void **state)
{
	_cleanup_config_ struct config *before = NULL, *bad = NULL;
	struct neighbor_config first;
	struct tls_listeners l;
	struct errtext e;

	(void)state;
	NEEDS_AO();
	assert_int_equal(tls_listeners_open(0, &l, &e), 0);
	before = pair(1, "", STATIC);
	assert_int_equal(tls_listeners_set_keys(&l, NULL, before, 0, &e), 0);
	bad = pair(1, "", "tcp-ao = static tcp-ao-key = other");
	/* After the neighbor that changes comes one that has its address, too: the kernel says no.
	 */
	first = bad->neighbors[0];
	bad->neighbors[0] = bad->neighbors[1];
	assert_int_equal(tls_listeners_set_keys(&l, before, bad, 0, &e), -EEXIST);
	assert_non_null(strstr(e.text, "neighbor 127.0.0.2: cannot set tcp-ao"));
	assert_true(gets_in(&l, STATIC));
	assert_false(gets_in(&l, "tcp-ao = static tcp-ao-key = other"));
	assert_false(gets_in(&l, ""));
	bad->neighbors[0] = first;
	tls_listeners_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(what_does_not_go_together),
		cmocka_unit_test(by_capability),
		cmocka_unit_test(tcp_ao_alone),
		cmocka_unit_test(one_key_for_two_neighbors),
		cmocka_unit_test(a_kernel_without_it),
		cmocka_unit_test(chains_that_end),
		cmocka_unit_test(keys_make_chains),
		cmocka_unit_test(what_a_chain_may_not_be),
		cmocka_unit_test(chains_are_bounded),
		cmocka_unit_test(an_accepted_connection_without_it),
		cmocka_unit_test(dialling_on_a_kernel_without_it),
		cmocka_unit_test(both_ends),
		cmocka_unit_test(a_connection_goes_from_key_to_key),
		cmocka_unit_test(a_neighbor_that_lags_keeps_its_session),
		cmocka_unit_test(a_secret_is_corrected),
		cmocka_unit_test(a_wrong_secret_is_taken_back),
		cmocka_unit_test(no_key_no_connection),
		cmocka_unit_test(preferred_goes_without),
		cmocka_unit_test(keys_change),
		cmocka_unit_test(default_keys_change),
		cmocka_unit_test(the_default_key_is_everybodys),
		cmocka_unit_test(a_key_that_cannot_be_set_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
