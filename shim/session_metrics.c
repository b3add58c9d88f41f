// SPDX-License-Identifier: Apache-2.0
/* What a session adds to the metrics of its neighbor: cheap, so that thousands are asked at once.
 */
#include "session_internal.h"

#include "ao.h"
#include "botls/metrics.h"
#include "transport.h"
#include "util.h"

static enum botls_metrics_state state_of(const struct session *s)
{
	switch (s->state) {
	case SESSION_CONNECTING: return BOTLS_METRICS_CONNECTING;
	case SESSION_HANDSHAKE:
	case SESSION_INNER: return BOTLS_METRICS_HANDSHAKE;
	case SESSION_HELD: return BOTLS_METRICS_HELD;
	case SESSION_UP: return BOTLS_METRICS_UP;
	case SESSION_CLEAR: return BOTLS_METRICS_CLEAR;
	}
	return BOTLS_METRICS_CONNECTING;
}

/* BGP, and as the neighbor's mode wants it: clear text is, when it has nothing but TCP-AO. */
static bool is_established(const struct session *s)
{
	bool is_carried = s->config && s->config->mode == MODE_TCP_AO;

	return s->bgp == SBGP_ESTABLISHED && s->state == (is_carried ? SESSION_CLEAR : SESSION_UP);
}

static void keep_max(uint64_t *value, uint64_t other)
{
	if (other > *value)
		*value = other;
}

static void add_relay(const struct session *s, uint64_t *row)
{
	row[BM_HELD_BYTES] += relay_buffered(s->relay);
	keep_max(&row[BM_BLOCKED_MS_DAEMON], relay_blocked_ms(s->relay, RELAY_INNER));
	keep_max(&row[BM_BLOCKED_MS_NEIGHBOR], relay_blocked_ms(s->relay, RELAY_OUTER));
}

static void add_tls(const struct session *s, const struct tls *tls, uint64_t *row)
{
	struct tls_counters n = s->tls_left;

	if (tls) {
		uint64_t end = tls_peer_not_after(tls);

		tls_add_counters(tls, &n);
		if (end && (!row[BM_PEER_NOT_AFTER] || end < row[BM_PEER_NOT_AFTER]))
			row[BM_PEER_NOT_AFTER] = end;
		row[BM_KTLS] += tls_is_in_kernel(tls);
		row[BM_PAST_KEY_LIMIT] += tls_is_past_key_limit(tls);
	}
	row[BM_RECORDS_IN] += n.records_in;
	row[BM_RECORDS_OUT] += n.records_out;
	row[BM_KEY_UPDATES_IN] += n.key_updates_received;
	row[BM_KEY_UPDATES_OUT] += n.key_updates_sent;
}

/* The kernel forgets its counters with the connection: what was seen last stays true. */
static void add_ao(struct session *s, int fd, uint64_t *row)
{
	if (s->config && ao_may_be(s->config) && fd >= 0) {
		if (!s->ao_seen)
			s->ao_seen = calloc(1, sizeof(*s->ao_seen));
		if (s->ao_seen)
			tcp_ao_get_status(fd, s->ao_seen);
	}
	if (!s->ao_seen)
		return;
	row[BM_AO_GOOD] += s->ao_seen->good;
	row[BM_AO_BAD] += s->ao_seen->bad;
	row[BM_AO_KEY_NOT_FOUND] += s->ao_seen->key_not_found;
	row[BM_AO_REQUIRED] += s->ao_seen->required;
}

void session_add_metrics(struct session *s, uint64_t *row)
{
	struct transport *outer = s->relay ? relay_transport(s->relay, RELAY_OUTER) : NULL;

	row[BM_SESSIONS + state_of(s)]++;
	row[BM_ESTABLISHED] += is_established(s);
	if (s->relay)
		add_relay(s, row);
	add_tls(s, outer ? transport_get_tls(outer) : s->tls, row);
	row[BM_AO_LACKING] += s->ao_lack && s->state == SESSION_UP;
	add_ao(s, outer ? outer->fd : s->outer_fd, row);
	row[BM_BYTES_IN] += s->in.bytes;
	row[BM_BYTES_OUT] += s->out.bytes;
	for (size_t t = 0; t < BOTLS_METRICS_TYPES; t++) {
		row[BM_MESSAGES_IN + t] += s->in.messages[t];
		row[BM_MESSAGES_OUT + t] += s->out.messages[t];
	}
}
