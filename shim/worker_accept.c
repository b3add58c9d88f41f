// SPDX-License-Identifier: Apache-2.0
/* Who comes in: a worker's listeners, and the neighbor for which a connection is. */
#include "worker_internal.h"

#include "botls/botls.h"
#include "sock.h"

#include <errno.h>
#include <time.h>

static void reset_fd(int fd)
{
	sock_set_reset_on_close(fd);
	close(fd);
}

static struct neighbor *neighbor_of(struct worker *w, const struct addr *host)
{
	const struct neighbor_config *c = config_match(w->config, host);

	return c ? w->neighbors[c - w->config->neighbors] : NULL;
}

static void on_unknown_source(struct worker *w, int fd, const struct addr *peer, const char *why)
{
	char text[ADDR_STRLEN];
	uint32_t held_back;

	reset_fd(fd);
	w->unknown_count++;
	w->unknown_last = *peer;
	w->unknown_time = time(NULL);
	if (log_limit_pass(&w->unknown_limit, loop_now_ms(), &held_back))
		log_warning("TLS port: connection from %s refused: %s (%u more held back)",
			    addr_format(peer, text), why, held_back);
}

void worker_on_tls_accept(void *arg, int fd, const struct addr *peer, uint16_t peer_port,
			  const struct addr *own, uint16_t own_port)
{
	struct worker *w = arg;
	struct neighbor *n = neighbor_of(w, peer);
	/* steering.h: what is carried comes to port 179, and nobody else does. */
	bool is_carried = own_port == BOTLS_PORT_BGP;

	if (!n || neighbor_config(n)->mode == MODE_OFF) {
		on_unknown_source(w, fd, peer, n ? "mode is off" : "not a configured neighbor");
		return;
	}
	if (is_carried != (neighbor_config(n)->mode == MODE_TCP_AO)) {
		on_unknown_source(w, fd, peer,
				  is_carried ? "it needs TLS" : "it has no TLS (mode tcp-ao)");
		return;
	}
	if (!rate_take(&w->rate, peer, w->config->handshake_rate, loop_now_ms())) {
		on_unknown_source(w, fd, peer, "more than handshake-rate connections per second");
		return;
	}
	neighbor_accept_outer(n, ++w->last_session, fd, peer, peer_port, own);
}

/* steering.h: getsockname() says whom the daemon wanted, getpeername() which of our addresses it
 * uses. */
void worker_on_inner_accept(void *arg, int fd, const struct addr *daemon, uint16_t daemon_port,
			    const struct addr *wanted, uint16_t wanted_port)
{
	struct worker *w = arg;
	struct neighbor *n = wanted_port == BOTLS_PORT_BGP ? neighbor_of(w, wanted) : NULL;
	char text[ADDR_STRLEN];
	uint32_t held_back;

	(void)daemon_port;
	if (n) {
		neighbor_accept_inner(n, ++w->last_session, fd, wanted, daemon);
		return;
	}
	reset_fd(fd);
	if (log_limit_pass(&w->unknown_limit, loop_now_ms(), &held_back))
		log_warning("a local connection to the inner port that steering did not make (%s "
			    "port %u) was reset",
			    addr_format(wanted, text), wanted_port);
}

void worker_free_listeners(struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++)
		listener_free(l->all[i]);
	free(l->all);
	*l = (struct listeners){};
}

int worker_make_listeners(struct worker *w, int *fds, size_t n, listener_accept_fn *on_accept,
			  struct listeners *ret)
{
	struct listeners l = {.all = calloc(n + 1, sizeof(*l.all))};

	if (!l.all)
		return -ENOMEM;
	for (; l.n < n; l.n++) {
		int r = listener_new(w->loop, TAKE_FD(fds[l.n]), on_accept, w, &l.all[l.n]);

		if (r < 0) {
			worker_free_listeners(&l);
			return r;
		}
	}
	*ret = l;
	return 0;
}
