// SPDX-License-Identifier: Apache-2.0
#include "neighbor_internal.h"

#include "ao.h"
#include "sock.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

const char *neighbor_name(const struct neighbor *n)
{
	return n->name;
}

const struct neighbor_config *neighbor_config(const struct neighbor *n)
{
	return n->config;
}

/* --- fallback
 * ----------------------------------------------------------------------------------------------------------
 */

static bool has_established(const struct neighbor *n)
{
	for (const struct link *l = n->links; l; l = l->next)
		if (session_state(l->session) == SESSION_UP &&
		    session_bgp(l->session) == SBGP_ESTABLISHED)
			return true;
	return false;
}

static void set_allow_clear(struct neighbor *n, bool allow, const char *why)
{
	if (n->allow_clear == allow)
		return;
	n->allow_clear = allow;
	if (allow)
		log_warning("neighbor %s: %s: CLEAR TEXT IS ALLOWED NOW (mode preferred)", n->name,
			    why);
	else
		log_info("neighbor %s: %s: clear text is refused again", n->name, why);
	n->ops->on_fallback(n->host, n, allow);
}

static void on_fallback_timer(void *arg)
{
	struct neighbor *n = arg;
	char why[64];

	snprintf(why, sizeof(why), "no session over TLS for %u s", n->config->fallback_after);
	set_allow_clear(n, true, why);
}

/* How long another worker may still have a session. */
static uint64_t elsewhere_ms(const struct neighbor *n)
{
	uint64_t now = loop_now_ms();

	return n->elsewhere_until_ms > now ? n->elsewhere_until_ms - now : 0;
}

void neighbor_update_fallback(struct neighbor *n)
{
	if (n->is_orphan)
		return;
	if (!n->config || n->config->mode != MODE_PREFERRED || has_established(n)) {
		timer_stop(n->fallback);
		set_allow_clear(n, false, "TLS is up");
		return;
	}
	if (!n->allow_clear && !timer_is_set(n->fallback))
		timer_set_ms(n->fallback, n->config->fallback_after * 1000ULL + elsewhere_ms(n));
}

void neighbor_is_elsewhere(struct neighbor *n, uint64_t ms)
{
	n->elsewhere_until_ms = loop_now_ms() + ms;
	timer_stop(n->fallback);
	neighbor_update_fallback(n);
}

void neighbor_fallback_begin(struct neighbor *n)
{
	if (n->config->mode != MODE_PREFERRED)
		return;
	timer_stop(n->fallback);
	n->allow_clear = true;
}

void neighbor_fallback_end(struct neighbor *n)
{
	set_allow_clear(n, false, "the session in clear text has ended");
	neighbor_update_fallback(n);
}

/* --- connections that arrive
 * ------------------------------------------------------------------------------------------- */

static void refuse(struct neighbor *n, int fd, enum session_direction direction, const char *text)
{
	sock_set_reset_on_close(fd);
	close(fd);
	neighbor_note_failure(n, direction, TLS_REASON_REFUSED, text);
}

static bool can_work(const struct neighbor *n)
{
	return n->config->mode == MODE_TCP_AO ? !n->error[0] : n->ctx != NULL;
}

/* Why this neighbor may not have another session in this direction now, or NULL. */
static const char *refusal(const struct neighbor *n, enum session_direction direction)
{
	if (n->config->mode == MODE_OFF)
		return "mode is off";
	if (!can_work(n))
		return n->error;
	if (direction == SESSION_OUT && n->config->role == ROLE_ACCEPT)
		return "role is accept: our daemon may not connect";
	if (direction == SESSION_IN && n->config->role == ROLE_CONNECT)
		return "role is connect: the neighbor may not connect";
	if (n->n_links >= n->config->max_sessions)
		return "too many sessions at once";
	return NULL;
}

static void begin(struct neighbor *n, struct session_params *p, int fd,
		  enum session_direction direction)
{
	const char *why = refusal(n, direction);
	struct link *l;
	int r;

	if (why) {
		refuse(n, fd, direction, why);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		refuse(n, fd, direction, "out of memory");
		return;
	}
	l->neighbor = n;
	l->direction = direction;
	p->loop = n->loop;
	p->ops = &neighbor_session_ops;
	p->host = l;
	p->config = n->config;
	p->ctx = n->ctx;
	p->captures = &n->captures;
	p->ao_habit = tcp_ao_probe(fd) == 0 ? &n->ao_habit : NULL;
	r = direction == SESSION_OUT ? session_new_out(p, fd, &l->session)
				     : session_new_in(p, fd, &l->session);
	if (r < 0) {
		free(l);
		neighbor_note_failure(n, direction, TLS_REASON_MEMORY, "out of memory");
		return;
	}
	n->n_sessions++;
	neighbor_add_link(l);
	if (direction == SESSION_IN)
		neighbor_show_ao_of(n, l->session);
}

void neighbor_accept_inner(struct neighbor *n, uint64_t id, int fd, const struct addr *peer,
			   const struct addr *own)
{
	struct session_params p = {.id = id, .own = *own, .peer = *peer};

	begin(n, &p, fd, SESSION_OUT);
}

void neighbor_accept_outer(struct neighbor *n, uint64_t id, int fd, const struct addr *peer,
			   uint16_t port, const struct addr *own)
{
	struct session_params p = {.id = id, .own = *own, .peer = *peer, .peer_port = port};
	struct errtext e;

	/* While it waited in the listen queue: it costs no handshake. */
	if (sock_error(fd) < 0) {
		close(fd);
		neighbor_note_failure(n, SESSION_IN, TLS_REASON_RESET,
				      "the peer reset the connection before it was accepted");
		return;
	}
	/* The listener serves all neighbors, so what is this one's alone is set now; the guard has
	 * checked the TTL of the packets that came before (steering.h). */
	if (sock_set_ttl(fd, n->config->ttl) < 0 ||
	    (n->config->ttl_security && sock_set_min_ttl(fd, 256 - n->config->ttl_security) < 0)) {
		refuse(n, fd, SESSION_IN, "cannot set the TTL of the connection");
		return;
	}
	/* It may have come before the listener had the key. */
	if (ao_check(fd, n->config, &e) < 0) {
		refuse(n, fd, SESSION_IN, e.text);
		return;
	}
	begin(n, &p, fd, SESSION_IN);
}

/* --- life
 * --------------------------------------------------------------------------------------------------------------
 */

static void set_ctx(struct neighbor *n, struct tls_ctx *ctx, const char *error)
{
	struct tls_ctx *old = n->ctx;

	n->ctx = ctx ? tls_ctx_ref(ctx) : NULL;
	if (old)
		tls_ctx_unref(old);
	snprintf(n->error, sizeof(n->error), "%s", error ? error : "");
	if (error)
		neighbor_set_failure(n, SESSION_OUT, TLS_REASON_REFUSED, error);
}

int neighbor_new(struct loop *loop, const struct neighbor_host_ops *ops, void *host,
		 const struct neighbor_config *config, struct tls_ctx *ctx, const char *error,
		 struct neighbor **ret)
{
	struct neighbor *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->loop = loop;
	n->ops = ops;
	n->host = host;
	n->config = config;
	n->since = time(NULL);
	strcpy(n->name, config->name);
	r = timer_new(loop, on_fallback_timer, n, &n->fallback);
	if (r < 0) {
		free(n);
		return r;
	}
	set_ctx(n, ctx, error);
	neighbor_update_fallback(n);
	*ret = n;
	return 0;
}

void neighbor_free(struct neighbor *n)
{
	if (!n)
		return;
	while (n->links) {
		struct link *l = n->links;

		session_free(l->session);
		neighbor_remove_link(l);
	}
	capture_detach_all(&n->captures);
	timer_free(n->fallback);
	set_ctx(n, NULL, NULL);
	free(n);
}

unsigned neighbor_reset(struct neighbor *n, const char *why)
{
	unsigned count = n->n_links;

	n->ao_habit = (struct ao_habit){};
	/* session_close() may end it at once and take its link out of the list. */
	for (struct link *l = n->links, *next; l; l = next) {
		next = l->next;
		session_close(l->session, why);
	}
	return count;
}

unsigned neighbor_sessions(const struct neighbor *n)
{
	return n->n_links;
}

int neighbor_capture(struct neighbor *n, int fd, unsigned slot, unsigned worker,
		     struct capture **ret)
{
	int r = capture_new(n->loop, fd, slot, worker, &n->captures, ret);

	for (struct link *l = n->links; r == 0 && l; l = l->next)
		session_capture_begins(l->session, slot);
	return r;
}

void neighbor_set_config(struct neighbor *n, const struct neighbor_config *config,
			 struct tls_ctx *ctx, const char *error, bool reset)
{
	bool was_preferred = n->config->mode == MODE_PREFERRED;

	n->config = config;
	n->no_ao_until_ms = 0;
	set_ctx(n, ctx, error);
	for (struct link *l = n->links; l; l = l->next)
		session_set_config(l->session, config, ctx);
	if (reset)
		neighbor_reset(n, "its configuration changed");
	if (was_preferred && config->mode != MODE_PREFERRED) {
		timer_stop(n->fallback);
		set_allow_clear(n, false, "mode is no longer preferred");
	}
	neighbor_update_fallback(n);
}

void neighbor_drop(struct neighbor *n)
{
	timer_stop(n->fallback);
	n->config = NULL;
	if (!n->links) {
		n->ops->on_empty(n->host, n);
		return;
	}
	for (struct link *l = n->links; l; l = l->next)
		session_set_config(l->session, NULL, NULL);
	/* The last one that ends takes the neighbor with it. */
	neighbor_reset(n, "no longer configured");
}
