// SPDX-License-Identifier: Apache-2.0
/* Options that contradict each other, or that are missing. */
#include "config_parse.h"
#include "botls/botls.h"

#include <errno.h>

int config_parse_listen(const char *text, struct addr *ret_address, uint16_t *ret_port,
			struct errtext *e)
{
	const char *colon = strrchr(text, ':');
	char host[ADDR_STRLEN] = "", *end;
	struct errtext problem;
	struct addr a;
	size_t len = colon ? (size_t)(colon - text) : 0;
	unsigned long port;

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']' && len - 2 < sizeof(host))
		memcpy(host, text + 1, len - 2);
	else if (len && len < sizeof(host) && !memchr(text, ':', len))
		memcpy(host, text, len);
	else
		return errtext_set(e, -EINVAL,
				   "'%s' is not an address and a port like 127.0.0.1:9179 or "
				   "[::1]:9179",
				   text);
	if (addr_parse(host, &a, &problem) < 0)
		return errtext_set(e, -EINVAL, "%.200s", problem.text);
	port = strtoul(colon + 1, &end, 10);
	if (colon[1] < '0' || colon[1] > '9' || *end || port < 1 || port > 65535 ||
	    addr_is_prefix(&a))
		return errtext_set(e, -EINVAL, "'%s' does not end with a port from 1 to 65535",
				   text);
	*ret_address = a;
	*ret_port = port;
	return 0;
}

void config_check_globals(const struct config *c, const struct conf_block *globals,
			  struct conf_problems *p)
{
	struct addr address;
	struct errtext e;
	uint16_t port;

	if (c->tls_port == c->inner_port)
		conf_problem(p,
			     conf_place_of(globals, conf_has(globals, "inner-port") ? "inner-port"
										    : "tls-port"),
			     "tls-port and inner-port are both %u: choose two ports", c->tls_port);
	if (c->tls_port == BOTLS_PORT_BGP)
		conf_problem(p, conf_place_of(globals, "tls-port"),
			     "tls-port: %d is where the BGP daemon listens: choose another port",
			     BOTLS_PORT_BGP);
	if (c->inner_port == BOTLS_PORT_BGP)
		conf_problem(p, conf_place_of(globals, "inner-port"),
			     "inner-port: %d is where the BGP daemon listens: choose another port",
			     BOTLS_PORT_BGP);
	if (c->metrics_listen && config_parse_listen(c->metrics_listen, &address, &port, &e) < 0)
		conf_problem(p, conf_place_of(globals, "metrics-listen"), "metrics-listen: %s",
			     e.text);
	if (!c->n_daemon_users && !conf_is_bad(globals, globals, "daemon-users"))
		conf_problem(p, conf_place_of(globals, "daemon-users"),
			     "daemon-users: nobody's connections would be taken: name the daemon's "
			     "user");
}

static bool is_unicast(const struct addr *a)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (a->family == AF_INET)
		return (a->bytes[0] & 0xf0) != 0xe0 && memcmp(a->bytes, broadcast, 4) != 0;
	return a->bytes[0] != 0xff;
}

static void check_local_address(const struct neighbor_config *n, const struct conf_block *b,
				struct conf_problems *p)
{
	struct conf_place at = conf_place_of(b, "local-address");
	const struct addr *own = &n->local_address;

	if (own->family == AF_UNSPEC)
		return;
	if (addr_is_prefix(&n->address))
		conf_problem(p, at,
			     "local-address: a prefix has none, connections say it themselves: "
			     "remove it");
	else if (own->family != n->address.family)
		conf_problem(p, at,
			     "local-address: it is of the other address family than the neighbor");
	else if (addr_equal(own, &n->address))
		conf_problem(p, at,
			     "local-address: this is the neighbor's own address: write ours");
	else if (strcmp(own->ifname, n->address.ifname) != 0 && addr_is_linklocal(own))
		conf_problem(p, at, "local-address: its interface is not the neighbor's, %s",
			     n->address.ifname[0] ? n->address.ifname : "which is not link-local");
	else if (!is_unicast(own))
		conf_problem(p, at, "local-address: not a unicast address");
}

static void check_address(const struct neighbor_config *n, const struct conf_block *b,
			  struct conf_problems *p)
{
	if (n->address.family == AF_UNSPEC)
		return;
	check_local_address(n, b, p);
	if (!addr_is_prefix(&n->address)) {
		if (addr_is_any(&n->address) || !is_unicast(&n->address))
			conf_problem(p, b->begin, "neighbor %s: not a unicast address", n->name);
		if (conf_has(b, "max-sessions"))
			conf_problem(p, conf_place_of(b, "max-sessions"),
				     "max-sessions: only a prefix can have it, a single neighbor "
				     "has 8: remove it");
	} else if (n->role == ROLE_CONNECT) {
		conf_problem(p, conf_place_of(b, "role"),
			     "role connect: nobody can connect to the prefix %s: set role = accept",
			     n->name);
	}
}

static void check_transport(const struct neighbor_config *n, const struct conf_block *b,
			    const struct conf_block *globals, struct conf_problems *p)
{
	static const char *const keys[] = {"tcp-md5", "inner-tcp-md5", "tcp-ao-key"};

	if (n->ttl_security && n->ttl != 255)
		conf_problem(p, conf_place_of(b, conf_has(b, "ttl") ? "ttl" : "ttl-security"),
			     "ttl %u with ttl-security: both sides must send 255 then (RFC 5082): "
			     "remove ttl",
			     n->ttl);
	if (n->tls_port == BOTLS_PORT_BGP && (conf_has(b, "port") || conf_has(globals, "port")))
		conf_problem(p, conf_place_of(b, "port"),
			     "port: the guard lets nothing pass to port %d of a neighbor: choose "
			     "another port",
			     BOTLS_PORT_BGP);
	if (conf_has(b, "fallback-after") && n->mode != MODE_PREFERRED)
		conf_problem(
			p, conf_place_of(b, "fallback-after"),
			"fallback-after: mode %s never falls back to clear text: remove it, or set "
			"mode = preferred",
			neighbor_mode_name(n->mode));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s-file", keys[i]);
		if (conf_has(b, keys[i]) && conf_has(b, name))
			conf_problem(p, conf_place_of(b, name),
				     "%s and %s are both set: remove one", keys[i], name);
	}
}

/* Keys that follow from TLS. */
static void check_ao_fixed(const struct neighbor_config *n, const struct conf_block *b,
			   struct conf_problems *p)
{
	static const char *const fixed[] = {"tcp-ao-chain", "tcp-ao-key", "tcp-ao-key-file",
					    "tcp-ao-send-id", "tcp-ao-recv-id"};

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (conf_has(b, fixed[i]))
			conf_problem(p, conf_place_of(b, fixed[i]),
				     "%s: with tcp-ao = %s the keys and their ids follow from "
				     "TLS: remove it, or set tcp-ao = static",
				     fixed[i], ao_mode_name(n->ao.mode));
}

static void check_ao_capability(const struct neighbor_config *n, const struct conf_block *b,
				struct conf_problems *p)
{
	check_ao_fixed(n, b, p);
	if (conf_has(b, "tcp-ao-policy"))
		conf_problem(p, conf_place_of(b, "tcp-ao-policy"),
			     "tcp-ao-policy: with tcp-ao = capability a session begins without "
			     "TCP-AO, and goes on so where it cannot be had: remove it");
}

static void check_ao_exporter(const struct neighbor_config *n, const struct conf_block *b,
			      struct conf_problems *p)
{
	check_ao_fixed(n, b, p);
	if (n->ao.own.algorithm == TCP_AO_HMAC_SHA256_96)
		conf_problem(p,
			     conf_place_of(b, conf_has(b, "tcp-ao-algorithm") ? "tcp-ao-algorithm"
									      : "tcp-ao"),
			     "neighbor %s: tcp-ao = exporter has no number for hmac-sha256-96: set "
			     "tcp-ao-algorithm = aes-128-cmac-96 or hmac-sha1-96",
			     n->name);
}

static const char *first_of(const struct conf_block *b, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (conf_has(b, names[i]))
			return names[i];
	return NULL;
}

/* What it takes to have a key, and no more. */
static void check_ao_keys(const struct neighbor_config *n, const struct conf_block *b,
			  const struct conf_block *globals, struct conf_problems *p)
{
	static const char *const of_key[] = {"tcp-ao-key",	 "tcp-ao-key-file",
					     "tcp-ao-send-id",	 "tcp-ao-recv-id",
					     "tcp-ao-algorithm", "tcp-ao-options"};
	const char *key = conf_has(b, "tcp-ao-key") ? "tcp-ao-key" : "tcp-ao-key-file";
	const char *too_much = first_of(b, of_key, ARRAY_SIZE(of_key));
	struct conf_place chain =
		conf_place_of(b, conf_has(b, "tcp-ao-chain") ? "tcp-ao-chain" : "tcp-ao");

	if (!n->ao.chain_name) {
		if (!n->ao.own.secret && !conf_is_bad(b, globals, key) &&
		    !conf_is_bad(b, globals, "tcp-ao-chain") && !b->is_incomplete)
			conf_problem(p, conf_place_of(b, "tcp-ao"),
				     "neighbor %s: tcp-ao = static needs a key: set tcp-ao-chain, "
				     "tcp-ao-key or tcp-ao-key-file",
				     n->name);
		return;
	}
	if (too_much && conf_has(b, "tcp-ao-chain"))
		conf_problem(p, conf_place_of(b, too_much),
			     "%s: the keys of the chain '%s' take its place: remove it, or "
			     "tcp-ao-chain",
			     too_much, n->ao.chain_name);
	if (!n->ao.chain)
		conf_problem(p, chain,
			     "tcp-ao-chain: no key belongs to '%s': add a key block with chain = "
			     "%s",
			     n->ao.chain_name, n->ao.chain_name);
}

/* A key that no connection would carry, or a connection that would carry two. */
static void check_ao(const struct neighbor_config *n, const struct conf_block *b,
		     const struct conf_block *globals, struct conf_problems *p)
{
	static const char *const keys[] = {"tcp-ao-chain", "tcp-ao-key", "tcp-ao-key-file"};
	const char *key = first_of(b, keys, ARRAY_SIZE(keys));

	if (n->ao.mode == AO_OFF) {
		if (key && !conf_is_bad(b, globals, "tcp-ao"))
			conf_problem(p, conf_place_of(b, key),
				     "%s: nothing uses it: set tcp-ao = static, or remove it", key);
		return;
	}
	if (n->tcp_md5)
		conf_problem(p, conf_place_of(b, "tcp-ao"),
			     "neighbor %s: tcp-ao and tcp-md5 exclude each other (RFC 5925, 1): "
			     "remove tcp-md5, or set tcp-ao = off",
			     n->name);
	if (n->mode == MODE_PREFERRED && n->ao.mode != AO_CAPABILITY)
		conf_problem(p, conf_place_of(b, conf_has(b, "tcp-ao") ? "tcp-ao" : "mode"),
			     "neighbor %s: in clear text the BGP daemon is reached without tcp-ao: "
			     "set mode = required, or tcp-ao = off",
			     n->name);
	if (n->ao.mode == AO_EXPORTER)
		check_ao_exporter(n, b, p);
	else if (n->ao.mode == AO_CAPABILITY)
		check_ao_capability(n, b, p);
	else
		check_ao_keys(n, b, globals, p);
}

/* TCP-AO is all that it has. */
static void check_adapter(const struct neighbor_config *n, const struct conf_block *b,
			  const struct conf_block *globals, struct conf_problems *p)
{
	if (n->ao.mode != AO_STATIC && !conf_is_bad(b, globals, "tcp-ao"))
		conf_problem(p, conf_place_of(b, "mode"),
			     "neighbor %s: mode tcp-ao without TCP-AO would be clear text: set "
			     "tcp-ao = static",
			     n->name);
	if (n->ao.policy == AO_PREFERRED)
		conf_problem(p, conf_place_of(b, "tcp-ao-policy"),
			     "neighbor %s: mode tcp-ao without TCP-AO would be clear text: set "
			     "tcp-ao-policy = required",
			     n->name);
}

static void check_missing(const struct neighbor_config *n, const struct conf_block *b,
			  const struct conf_block *globals, struct conf_problems *p)
{
	const struct identity_config *id = &n->identity;

	/* One that was given and is wrong has been complained about where it stands. */
	if (!id->certificate && !conf_is_bad(b, globals, "certificate"))
		conf_problem(p, b->begin,
			     "neighbor %s: mode %s needs our certificate: set certificate and key, "
			     "or mode = off",
			     n->name, neighbor_mode_name(n->mode));
	else if (!id->key && !conf_is_bad(b, globals, "key"))
		conf_problem(p, conf_place_of(b, "certificate"),
			     "neighbor %s: certificate without key: set key to the file with its "
			     "private key",
			     n->name);
	if (!id->ca && !id->n_pins && !conf_is_bad(b, globals, "ca") &&
	    !conf_is_bad(b, globals, "pins"))
		conf_problem(p, b->begin,
			     "neighbor %s: nothing says who it is: set ca, or pins, or both",
			     n->name);
}

static void check_identity(const struct neighbor_config *n, const struct conf_block *b,
			   struct conf_problems *p)
{
	const struct identity_config *id = &n->identity;

	if (id->ca || !id->n_pins)
		return;
	if (id->crl)
		conf_problem(p, conf_place_of(b, "crl"),
			     "crl without ca: with pins alone no chain is checked: set ca, or crl "
			     "= \"\"");
	if (id->n_dns_names)
		conf_problem(
			p, conf_place_of(b, "dns-names"),
			"dns-names without ca: pins alone decide then: set ca, or dns-names = {}");
	if (id->check_address)
		conf_problem(p, conf_place_of(b, "check-address"),
			     "check-address without ca: pins alone decide then: set ca, or "
			     "check-address = false");
}

void config_check_neighbor(const struct neighbor_config *n, const struct conf_block *block,
			   const struct conf_block *globals, struct conf_problems *p)
{
	check_address(n, block, p);
	check_transport(n, block, globals, p);
	if (n->mode == MODE_OFF)
		return;
	check_ao(n, block, globals, p);
	if (n->mode == MODE_TCP_AO) {
		check_adapter(n, block, globals, p);
		return;
	}
	check_identity(n, block, p);
	if (!block->is_incomplete && !globals->is_incomplete)
		check_missing(n, block, globals, p);
}

/* As the kernel sees it: on whatever interface. */
static bool covers(const struct neighbor_config *around, const struct neighbor_config *n)
{
	struct addr a = around->address;

	memcpy(a.ifname, n->address.ifname, sizeof(a.ifname));
	return a.prefixlen <= n->address.prefixlen && addr_contains(&a, &n->address);
}

const struct neighbor_config *config_find_covered(const struct neighbor_config *const *sorted,
						  size_t n, size_t at)
{
	bool any_interface = addr_is_linklocal(&sorted[at]->address);

	/* What a prefix covers follows it, if interfaces do not count. */
	for (size_t i = any_interface ? 0 : at + 1; i < n; i++) {
		if (i == at || sorted[i]->mode == MODE_OFF)
			continue;
		if (covers(sorted[at], sorted[i]))
			return sorted[i];
		if (!any_interface)
			break;
	}
	return NULL;
}
