// SPDX-License-Identifier: Apache-2.0
/*
 * TCP-AO keys as time goes by: those of the listeners change when a lifetime begins or ends, and so
 * do those of the connections, which workers hold and show to us when asked.
 *
 * A worker that was taken over can show what it likes. What it shows gets the keys of a neighbor
 * only where it is a TCP connection with that neighbor, and the worker has a socket with those keys
 * anyway.
 */
#include "control_internal.h"

#include "ao.h"
#include "conf.h"
#include "log.h"
#include "messages.h"
#include "sock.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

/* After this the neighbor has switched to the key that it was asked for, or it has a wrong one. */
#define LOOK_AGAIN_MS 3000
/* A neighbor with a wrong key is asked for it again; meanwhile it may have been corrected there. */
#define ASK_AGAIN_S 600
/* It hears of the next key with the next message that we send: a keepalive, for the most. */
#define LAG_S 60
/* What was warned of is not a key but a failure. */
#define FAILED (-1)

static bool is_followed(const struct control *c, const struct neighbor_config *n)
{
	return c->tls.has_ao && ao_is_static(n);
}

static struct peer *peer_of(struct control *c, const struct neighbor_config *n)
{
	return &c->now.peers[n - c->now.config->neighbors];
}

/* --- connections
 * --------------------------------------------------------------------------------------------------------
 */

/* Asks every worker for the neighbor's connections; each comes back as MSG_AO_CONNECTION. */
static void ask_for(struct control *c, const struct neighbor_config *n)
{
	struct peer *p = peer_of(c, n);

	p->ao_had_rest = p->ao_rest;
	p->ao_rest = false;
	for (size_t i = 0; i < c->n_children; i++)
		child_send(c->children[i], MSG_AO_SHOW, 0, n->name, strlen(n->name), -1);
}

bool control_ao_is_connection(struct control *c, int fd, const struct neighbor_config *n)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(int);
	struct addr peer;
	uint16_t port;
	int protocol;

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0 || protocol != IPPROTO_TCP)
		return false;
	len = sizeof(ss);
	return getpeername(fd, (struct sockaddr *)&ss, &len) == 0 &&
	       addr_from_sockaddr(&ss, &peer, &port) == 0 &&
	       config_match(c->now.config, &peer) == n;
}

/* What the chain says of that key. */
static void describe(const struct neighbor_config *n, const struct ao_rest *rest, char *buf,
		     size_t size)
{
	struct keychain chain = ao_chain(n);
	const struct keychain_key *k = keychain_sender(&chain, rest->send_id, time(NULL));
	char at[CONF_TIME_LEN];
	int len;

	if (!k || k->recv_id != rest->recv_id) {
		snprintf(buf, size, "with SendID %u and RecvID %u, which is no longer configured",
			 rest->send_id, rest->recv_id);
		return;
	}
	len = snprintf(buf, size, "%s%s(SendID %u, RecvID %u)", k->name ? k->name : "",
		       k->name ? " " : "", rest->send_id, rest->recv_id);
	if (!keychain_is_accepted(k, time(NULL)))
		snprintf(buf + len, size - len, ", which was accepted until %s",
			 conf_format_time(k->accept_until, at));
	else if (rest->is_old)
		snprintf(buf + len, size - len, " as it was before the reload");
}

/* Once for each key. */
static void warn(struct control *c, const struct neighbor_config *n, const struct ao_rest *rest)
{
	struct peer *p = peer_of(c, n);
	int key = 1 + (rest->is_wrong << 16 | rest->send_id << 8 | rest->recv_id);
	char text[192];

	if (p->ao_warned == key ||
	    (rest->is_old && (!p->ao_had_rest || (uint64_t)time(NULL) < p->ao_since + LAG_S)))
		return;
	p->ao_warned = key;
	describe(n, rest, text, sizeof(text));
	if (rest->is_wrong)
		log_warning("neighbor %s: it has another secret (or algorithm, or options) than we "
			    "for the TCP-AO key %s: the session goes on with the key before; "
			    "correct it on one side",
			    n->name, text);
	else
		log_warning("neighbor %s: it goes on with the TCP-AO key %s: the session stays "
			    "up, but a new one would fail; give the neighbor the next key, or end "
			    "the session with botlsctl reset %s",
			    n->name, text, n->name);
}

void control_on_ao_connection(struct control *c, const struct ipc_message *m)
{
	const struct message_ao_connection *shown = m->payload;
	const struct neighbor_config *n;
	uint64_t now = time(NULL);
	struct ao_rest rest;
	struct errtext e;
	struct peer *p;
	int r;

	if (m->fd < 0 || m->len != sizeof(*shown) ||
	    !memchr(shown->neighbor, '\0', sizeof(shown->neighbor)))
		return;
	n = config_neighbor(c->now.config, shown->neighbor);
	if (!n || !is_followed(c, n) || !control_ao_is_connection(c, m->fd, n))
		return; /* it has ended, or the configuration is another one */
	p = peer_of(c, n);
	r = ao_follow(m->fd, n, now, now >= p->ao_ask_after, &p->ao_wrong, &rest, &e);
	if (r < 0) {
		if (r == -ENOENT)
			return; /* no TCP-AO: the worker has seen to that */
		p->ao_rest = true;
		if (p->ao_warned == FAILED)
			return;
		p->ao_warned = FAILED;
		log_error("neighbor %s: the TCP-AO keys of a connection cannot be changed, trying "
			  "again: %s",
			  n->name, e.text);
		return;
	}
	if (rest.is_wrong)
		p->ao_ask_after = now + ASK_AGAIN_S;
	else if (!rest.is_any)
		p->ao_ask_after = 0;
	if (rest.is_old || rest.is_wrong)
		warn(c, n, &rest);
	if (rest.is_any && !p->ao_had_rest && !p->ao_rest)
		p->ao_since = now;
	/* Soon, for a while, then with every audit. */
	if (rest.is_any && now < p->ao_since + LAG_S && !timer_is_set(c->ao_again))
		timer_set_ms(c->ao_again, LOOK_AGAIN_MS);
	p->ao_rest |= rest.is_any;
}

/* A key that was found wrong is in no session's use. */
void control_ao_plan(const struct control *c, struct plan *p)
{
	for (size_t i = 0; i < p->n_items; i++) {
		struct plan_item *item = &p->items[i];

		if (!item->replaces_key ||
		    !c->now.peers[item->before - c->now.config->neighbors].ao_ask_after)
			continue;
		item->resets = item->replaces_key = false;
		p->n_resets--;
	}
}

void control_ao_reloaded(struct control *c, const struct plan *p)
{
	for (size_t i = 0; i < p->n_items; i++) {
		const struct neighbor_config *n = p->items[i].after;

		if (p->items[i].action != PLAN_CHANGE || !is_followed(c, n))
			continue;
		peer_of(c, n)->ao_ask_after = 0; /* it may be right now */
		ask_for(c, n);
	}
}

/* --- time
 * ---------------------------------------------------------------------------------------------------------------
 */

/* Wakes us when the next key begins or ends, and when somebody sets the clock. */
static void arm(struct control *c, uint64_t now)
{
	struct itimerspec at = {};
	uint64_t next = 0;

	for (size_t i = 0; i < c->now.config->n_chains; i++) {
		uint64_t t = keychain_next_change(&c->now.config->chains[i], now);

		if (t && (!next || t < next))
			next = t;
	}
	at.it_value.tv_sec = next;
	timerfd_settime(c->ao_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
}

void control_ao_follow(struct control *c)
{
	uint64_t then = c->tls.keys_at, now = time(NULL);
	bool is_steady = true;
	struct errtext e;

	/* While a reload is under way the listeners have its keys. */
	if (c->reload)
		return;
	for (size_t i = 0; i < c->now.config->n_chains; i++)
		is_steady &= keychain_is_steady(&c->now.config->chains[i], then, now);
	if (!is_steady &&
	    tls_listeners_set_keys(&c->tls, c->now.config, c->now.config, now, &e) < 0)
		log_error("%s; trying again", e.text);
	for (size_t i = 0; i < c->now.config->n_neighbors; i++) {
		const struct neighbor_config *n = &c->now.config->neighbors[i];
		struct keychain chain = ao_chain(n);

		if (is_followed(c, n) &&
		    (c->now.peers[i].ao_rest || !keychain_is_steady(&chain, then, now)))
			ask_for(c, n);
	}
	arm(c, now);
}

static void on_again(void *arg)
{
	control_ao_follow(arg);
}

static void on_clock(void *arg, unsigned events)
{
	struct control *c = arg;
	uint64_t count;

	(void)events;
	/* ECANCELED: the clock was set. */
	if (read(c->ao_fd, &count, sizeof(count)) < 0 && errno == EAGAIN)
		return;
	control_ao_follow(c);
}

int control_ao_start(struct control *c)
{
	int r;

	c->ao_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (c->ao_fd < 0)
		return -errno;
	r = timer_new(c->loop, on_again, c, &c->ao_again);
	if (r == 0)
		r = io_add(c->loop, c->ao_fd, on_clock, c, &c->ao_io);
	if (r == 0)
		r = io_set(c->ao_io, IO_READ);
	if (r == 0)
		arm(c, c->tls.keys_at);
	return r;
}

void control_ao_stop(struct control *c)
{
	io_free(TAKE(c->ao_io));
	timer_free(TAKE(c->ao_again));
	cleanup_close(&c->ao_fd);
}
