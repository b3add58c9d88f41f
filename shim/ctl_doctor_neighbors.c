// SPDX-License-Identifier: Apache-2.0
/*
 * Is each neighbor up, and if not, why? What is up is not touched. Towards the others one TCP
 * connection is opened to the TLS port and closed again, without a byte of TLS: which of the two
 * ends is at fault, a handshake of botlsd's own has said already, and a second speaker with the
 * same certificate is nothing that a neighbor should ever see. One attempt for each neighbor, so
 * many at a time, for so long.
 */
#include "ctl_doctor.h"

#include "sock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#define TRIES_MAX     256 /* neighbors that are tried at all */
#define TRIES_AT_ONCE 32
#define TRY_MS	      3000

struct target {
	const struct neighbor_config *neighbor;
	const struct jv *status; /* NULL: botlsd does not tell */
	int fd;
	int result; /* 0 connected, else -errno */
};

static bool is_state(const struct jv *status, const char *state)
{
	return strcmp(jv_get_string(status, "state", ""), state) == 0;
}

/* TCP-AO and TCP-MD5 answer nobody without the key, which is botlsd's alone. */
static bool may_try(const struct neighbor_config *n)
{
	return n->mode != MODE_OFF && n->role != ROLE_ACCEPT && !addr_is_prefix(&n->address) &&
	       !n->tcp_md5 && (n->ao.mode == AO_OFF || n->ao.mode == AO_CAPABILITY);
}

static int begin(struct target *t)
{
	const struct neighbor_config *n = t->neighbor;
	struct addr own = n->local_address;
	const char *text = jv_get_string(t->status, "local_address", NULL);
	struct sockaddr_storage to;
	_cleanup_close_ int fd = -1;
	int r, len = addr_to_sockaddr(&n->address, n->tls_port, &to);

	if (len < 0)
		return len;
	if (own.family == AF_UNSPEC && (!text || addr_parse(text, &own, NULL) < 0))
		own = (struct addr){.family = n->address.family, .prefixlen = n->address.prefixlen};
	r = sock_bound(&own, 0, &fd);
	if (r < 0)
		return r;
	/* As botlsd would, or ttl-security drops it. */
	r = sock_set_ttl(fd, n->ttl);
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
		return -errno;
	t->fd = TAKE_FD(fd);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void end(struct target *t, int result)
{
	t->result = result;
	close(t->fd);
	t->fd = -1;
}

/* Waits for those that connect, until all are done or it has been TRY_MS. */
static void wait_for(struct target *targets, size_t n)
{
	int64_t deadline = now_ms() + TRY_MS;
	struct pollfd polls[TRIES_AT_ONCE];
	size_t left;

	do {
		int64_t wait = deadline - now_ms();
		int r;

		left = 0;
		for (size_t i = 0; i < n; i++) {
			polls[i] = (struct pollfd){.fd = targets[i].fd, .events = POLLOUT};
			left += targets[i].fd >= 0;
		}
		r = left && wait > 0 ? poll(polls, n, wait) : 0;
		if (r < 0 && errno == EINTR)
			continue;
		for (size_t i = 0; i < n; i++) {
			if (targets[i].fd < 0)
				continue;
			if (r <= 0)
				end(&targets[i], -ETIMEDOUT);
			else if (polls[i].revents)
				end(&targets[i], sock_error(targets[i].fd));
		}
	} while (left);
}

static void try_all(struct target *targets, size_t n)
{
	for (size_t at = 0; at < n; at += TRIES_AT_ONCE) {
		size_t end = at + TRIES_AT_ONCE < n ? at + TRIES_AT_ONCE : n;

		for (size_t i = at; i < end; i++)
			targets[i].result = begin(&targets[i]);
		wait_for(targets + at, end - at);
	}
}

static const char *advice_for(int result)
{
	switch (result) {
	case -ECONNREFUSED:
		return "there is nothing at its TLS port: is botlsd running there, and is its "
		       "tls-port what we have as 'port'?";
	case -ETIMEDOUT:
		return "no answer within 3 seconds: does a packet filter on the way drop TCP to "
		       "that port, is the neighbor up ('ping'), has it tcp-md5 or tcp-ao?";
	case -EADDRNOTAVAIL:
		return "our own address towards it is not there: 'ip address', local-address";
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		return "there is no way to it, or nobody at its address: 'ip route get ADDRESS', "
		       "'ping ADDRESS'";
	case -ENODEV: return "its interface does not exist: 'ip link'";
	case -EPERM:
	case -EACCES: return "a packet filter of this router forbids it: 'nft list ruleset'";
	}
	return "see 'botlsctl show neighbor ADDRESS'";
}

/* TCP works, or was not tried: what botlsd went through last. */
static void say_state(struct doctor *d, const struct target *t, const char *tcp)
{
	const struct jv *failure = jv_get(t->status, "last_failure");
	const char *state = jv_get_string(t->status, "state", "not known");
	const char *reason = jv_get_string(failure, "reason", NULL);
	const char *name = t->neighbor->name;

	if (is_state(t->status, "clear"))
		doctor_say(d, DOCTOR_FAIL,
			   "fallback-after has passed without TLS: 'botlsctl show neighbor "
			   "ADDRESS' tells why; mode = required would never do this",
			   "%s runs in CLEAR TEXT (mode preferred)", name);
	else if (reason && (!is_state(t->status, "idle") || is_state(t->status, "error")))
		doctor_say(d, DOCTOR_FAIL, ctl_advice(reason), "%s is %s%s; last failure %s: %s",
			   name, state, tcp, reason, jv_get_string(failure, "text", ""));
	else if (is_state(t->status, "error"))
		doctor_say(d, DOCTOR_FAIL, "'botlsctl show neighbor ADDRESS'",
			   "%s cannot work: state error", name);
	else if (reason)
		doctor_say(d, DOCTOR_WARN, ctl_advice(reason), "%s is %s%s; last failure %s: %s",
			   name, state, tcp, reason, jv_get_string(failure, "text", ""));
	else if (t->status)
		doctor_say(d, DOCTOR_WARN,
			   "nobody has tried yet, or BGP is refused: does the BGP daemon know this "
			   "neighbor, is it enabled?",
			   "%s is %s%s", name, state, tcp);
	else
		doctor_say(d, DOCTOR_OK, NULL, "%s%s", name, tcp);
}

static void say(struct doctor *d, const struct target *t)
{
	const struct neighbor_config *n = t->neighbor;
	char tcp[64];

	if (t->result < 0 && is_state(t->status, "clear"))
		say_state(d, t, "");
	if (t->result < 0) {
		doctor_say(d, DOCTOR_FAIL, advice_for(t->result), "%s: TCP to port %u: %s", n->name,
			   n->tls_port, strerror(-t->result));
		return;
	}
	snprintf(tcp, sizeof(tcp), ", its TCP port %u answers", n->tls_port);
	say_state(d, t, tcp);
}

/* Is one of its sessions up without the TCP-AO that is preferred? */
static bool lacks_ao(const struct jv *status)
{
	const struct jv *sessions = jv_get(status, "sessions");

	for (size_t i = 0; i < jv_size(sessions); i++)
		if (jv_get(jv_at(sessions, i), "tcp_ao_lack"))
			return true;
	return false;
}

/* Fills *targets with those to be tried; says what of the others is to be said. */
static size_t sort_out(struct doctor *d, struct target *targets, size_t *ret_more)
{
	size_t up = 0, draining = 0, carried = 0, off = 0, lacking = 0, n = 0;

	for (size_t i = 0; i < d->config->n_neighbors; i++) {
		const struct neighbor_config *c = &d->config->neighbors[i];
		struct target t = {.neighbor = c, .status = doctor_status(d, i), .fd = -1};

		lacking += lacks_ao(t.status);
		if (c->mode == MODE_OFF)
			off++;
		else if (is_state(t.status, "up"))
			up++;
		else if (is_state(t.status, "draining"))
			draining++;
		else if (c->mode == MODE_TCP_AO && is_state(t.status, "clear"))
			carried++;
		else if (!may_try(c) || is_state(t.status, "error"))
			say_state(d, &t, "");
		else if (n < TRIES_MAX)
			targets[n++] = t;
		else
			++*ret_more;
	}
	if (up)
		doctor_say(d, DOCTOR_OK, NULL, "%zu up over TLS", up);
	if (draining)
		doctor_say(d, DOCTOR_WARN,
			   "'botlsctl show session' says why they could not move and when they "
			   "end; 'botlsctl reset ADDRESS' ends one now",
			   "%zu up with a worker of the botlsd before, which ends after drain-time",
			   draining);
	if (carried)
		doctor_say(d, DOCTOR_OK, NULL, "%zu up with TCP-AO alone (mode = tcp-ao)", carried);
	if (lacking)
		doctor_say(d, DOCTOR_WARN,
			   "'botlsctl show neighbor ADDRESS' tells why; tcp-ao-policy = required "
			   "would refuse them",
			   "%zu that TCP-AO does not protect (tcp-ao-policy = preferred)", lacking);
	if (off)
		doctor_say(d, DOCTOR_OK, NULL, "%zu with mode = off, left alone", off);
	return n;
}

static void check_neighbors(struct doctor *d)
{
	_cleanup_free_ struct target *targets = NULL;
	size_t n, more = 0;

	if (!d->config || !d->config->n_neighbors)
		return;
	targets = calloc(TRIES_MAX, sizeof(*targets));
	if (!targets) {
		d->is_out_of_memory = true;
		return;
	}
	n = sort_out(d, targets, &more);
	try_all(targets, n);
	for (size_t i = 0; i < n; i++)
		say(d, &targets[i]);
	if (more)
		doctor_say(d, DOCTOR_WARN, "correct these first",
			   "%zu more are not up and were "
			   "not tried",
			   more);
}

static const struct doctor_check checks[] = {{"neighbor", check_neighbors}};
const struct doctor_group doctor_neighbors = {"Neighbors", checks, ARRAY_SIZE(checks)};
