// SPDX-License-Identifier: Apache-2.0
/* The tcp-ao options of a neighbor: what may stand together, and what they mean for a socket. */
#include "ao.h"

#include "dial.h"
#include "sock.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define DEADLINE_MS 10000
#define IDENTITY    "certificate = /c key = /k ca = /a "
#define STATIC	    "tcp-ao = static tcp-ao-key = secret "

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
	struct tcp_ao_key key;

	(void)state;
	assert_false(ao_is_wanted(&n[0]));
	/* What is set outside of the blocks does not count where it is off. */
	assert_int_equal(n[0].ao.recv_id, 0);
	assert_int_equal(n[0].ao.algorithm, TCP_AO_AES_128_CMAC_96);
	assert_true(ao_is_wanted(&n[1]));
	key = ao_key(&n[1]);
	assert_int_equal(key.secret_len, 6);
	assert_memory_equal(key.secret, "secret", 6);
	assert_true(key.send_id == 0 && key.recv_id == 9 && key.covers_options);
	assert_int_equal(key.algorithm, TCP_AO_HMAC_SHA1_96);
	key = ao_key(&n[2]);
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

static void is_same(void **state)
{
	static const char *const others[] = {
		"tcp-ao-key = x tcp-ao = static", STATIC "tcp-ao-send-id = 1",
		STATIC "tcp-ao-recv-id = 1",	  STATIC "tcp-ao-algorithm = hmac-sha1-96",
		STATIC "tcp-ao-options = false",  "",
	};
	_cleanup_config_ struct config *c = load(IDENTITY "neighbor 192.0.2.1 { " STATIC "}");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		_cleanup_config_ struct config *other = NULL;
		char text[256];

		snprintf(text, sizeof(text), IDENTITY "neighbor 192.0.2.1 { %s }", others[i]);
		other = load(text);
		assert_true(ao_is_same(other->neighbors, other->neighbors));
		assert_false(ao_is_same(c->neighbors, other->neighbors));
		assert_false(ao_is_same(other->neighbors, c->neighbors));
	}
	assert_false(ao_is_same(NULL, c->neighbors));
	assert_true(ao_is_same(NULL, NULL));
}

static void a_kernel_without_it(void **state)
{
	_cleanup_config_ struct config *c = load(IDENTITY "neighbor 192.0.2.1 { " STATIC "}"
							  "neighbor 192.0.2.2 {}"
							  "neighbor 192.0.2.3 { " STATIC "}");
	_cleanup_config_ struct config *before =
		load(IDENTITY "neighbor 192.0.2.1 { " STATIC "} neighbor 192.0.2.3 {}");
	struct said said = {};

	(void)state;
	assert_null(ao_refusal(&c->neighbors[0], true));
	assert_null(ao_refusal(&c->neighbors[1], false));
	assert_non_null(strstr(ao_refusal(&c->neighbors[0], false), "CONFIG_TCP_AO"));
	assert_int_equal(ao_report_refused(c, NULL, true, on_report, &said), 0);
	assert_int_equal(said.count, 0);
	assert_int_equal(ao_report_refused(c, NULL, false, on_report, &said), 2);
	assert_int_equal(said.count, 2);
	assert_non_null(strstr(said.text, "neighbor 192.0.2.3: "));
	/* One that was closed already stands in nobody's way. */
	assert_int_equal(ao_report_refused(c, before, false, on_report, &said), 1);
	assert_int_equal(said.count, 4);
}

/* --- sockets
 * ----------------------------------------------------------------------------------------------
 */

#define NEEDS_AO()                                                                                 \
	do {                                                                                       \
		if (!ao_probe()) {                                                                 \
			print_message("skipped: this kernel has no TCP-AO (make check-vm)\n");     \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

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
	if (dial_outer(NULL, &c->neighbors[0], &want, &fd, &e) < 0)
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
	struct pollfd p = {.fd = l->fds[0], .events = POLLIN};
	int fd;

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	fd = accept(l->fds[0], NULL, NULL);
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
	assert_int_equal(dial_outer(NULL, &c->neighbors[0], &want, &fd, &e), -ENOPROTOOPT);
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
	assert_int_equal(tls_listeners_set_keys(&l, NULL, c, &e), 0);
	fd = dial(c);
	assert_true(is_connected(fd, DEADLINE_MS));
	accepted = accept_one(&l);
	assert_int_equal(ao_check(accepted, &c->neighbors[1], &e), 0);
	assert_int_equal(ao_check(fd, &c->neighbors[0], &e), 0);
	other = pair(1, "", STATIC "tcp-ao-send-id = 5 tcp-ao-recv-id = 3");
	assert_int_equal(ao_check(accepted, &other->neighbors[1], &e), -EKEYREJECTED);
	assert_non_null(strstr(e.text, "SendID 4 and RecvID 3, configured are 5 and 3"));
	assert_int_equal(tls_listeners_get_ao(&l, &c->neighbors[1], &ao), 0);
	assert_true(ao.good >= 1 && !ao.bad);
	assert_int_equal(tls_listeners_get_ao(&l, &other->neighbors[0], &ao), -ENOENT);
	close(accepted);
	close(fd);
	tls_listeners_close(&l);
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

		assert_int_equal(tls_listeners_set_keys(&l, before, now, &e), 0);
		for (size_t k = 0; k < ARRAY_SIZE(steps); k++)
			if (gets_in(&l, steps[k]) != (k == i))
				fail_msg("key %zu, neighbor with %zu", i, k);
		config_free(before);
		before = now;
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
	assert_int_equal(tls_listeners_set_keys(&l, NULL, before, &e), 0);
	bad = pair(1, "", "tcp-ao = static tcp-ao-key = other");
	/* After the neighbor that changes comes one that has its address, too: the kernel says no.
	 */
	first = bad->neighbors[0];
	bad->neighbors[0] = bad->neighbors[1];
	assert_int_equal(tls_listeners_set_keys(&l, before, bad, &e), -EEXIST);
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
		cmocka_unit_test(one_key_for_two_neighbors),
		cmocka_unit_test(is_same),
		cmocka_unit_test(a_kernel_without_it),
		cmocka_unit_test(an_accepted_connection_without_it),
		cmocka_unit_test(dialling_on_a_kernel_without_it),
		cmocka_unit_test(both_ends),
		cmocka_unit_test(keys_change),
		cmocka_unit_test(a_key_that_cannot_be_set_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
