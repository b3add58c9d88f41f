// SPDX-License-Identifier: Apache-2.0
/* The handshake, until the neighbor is verified, and the keys of TCP-AO that follow from it. */
#include "session_internal.h"

#include "ao.h"

#include <errno.h>

/* With TLS 1.3 a client is done before the server has judged its certificate. We give the server's
 * verdict this much time to arrive, while the daemon's OPEN is still ours to hold: a refusal is
 * then an attempt that failed, not a session that broke. Any first byte of the neighbor's BGP ends
 * the wait. */
#define CONFIRM_MS 1000

static void set_lack(struct session *s, enum ao_lack lack)
{
	s->ao_lack = lack;
	s->ops->on_ao(s->host, s);
}

void session_ao_failed(void *arg, const char *text)
{
	struct session *s = arg;
	char copy[160];

	/* Without any TCP-AO it might go on, too. */
	if (s->config && ao_is_opportunistic(s->config) && !ao_exporter_is_derived(s->ao)) {
		set_lack(s, AO_LACK_NOT_TAKEN);
		return;
	}
	snprintf(copy, sizeof(copy), "%s", text);
	s->ops->on_failure(s->host, s, TLS_REASON_REFUSED, copy);
	session_close(s, copy);
}

/* How it begins says nothing of TLS yet. */
static enum ao_lack lack_of(const struct session *s)
{
	struct tcp_ao_status status;

	switch (tcp_ao_get_status(s->outer_fd, &status)) {
	case 0: return AO_LACK_NONE;
	case -ENOPROTOOPT: return AO_LACK_KERNEL;
	}
	return s->direction == SESSION_OUT ? AO_LACK_NO_ANSWER : AO_LACK_NOT_OFFERED;
}

/* The neighbor is who it is: what it can do is remembered. */
static void note_ao(struct session *s)
{
	bool is_without = s->ao_lack == AO_LACK_NO_ANSWER;

	if (session_may_go_without_ao(s) && s->ao_lack != AO_LACK_NOT_OFFERED)
		ao_habit_worked(s->ao_habit, is_without, loop_now_ms());
}

void session_ao_params(struct session *s, struct ao_exporter_params *ret)
{
	const struct ao_config *ao = &s->config->ao;

	*ret = (struct ao_exporter_params){
		.loop = s->loop,
		.fd = session_outer_fd(s),
		.peer = s->peer,
		.default_peer = s->direction == SESSION_IN ? ao_listener_peer(s->config) : s->peer,
		.algorithm = ao->own.algorithm,
		.covers_options = ao->own.covers_options,
		.rekey_ms = ao->rekey * 1000ULL,
		.switch_ms = AO_SWITCH_MS,
		.on_failed = session_ao_failed,
		.arg = s,
	};
}

/* From the key that everybody knows to those that follow from TLS. False: the attempt has failed.
 */
static bool derive_ao(struct session *s)
{
	const struct ao_config *ao = &s->config->ao;
	bool is_preferred = ao_is_opportunistic(s->config);
	enum ao_lack lack = is_preferred ? lack_of(s) : AO_LACK_NONE;
	struct ao_exporter_params params;
	uint8_t secret[AO_DERIVED_LEN];
	char text[128];
	int r;

	if (ao->mode != AO_EXPORTER)
		return true;
	session_ao_params(s, &params);
	r = lack ? 0
		 : ao_exporter_derive(s->tls, ao->own.algorithm, ao->own.covers_options, secret);
	if (r == -EPROTONOSUPPORT && is_preferred) {
		lack = AO_LACK_TLS;
		r = 0;
	} else if (r == 0 && !lack) {
		r = ao_exporter_new(&params, secret, &s->ao);
	}
	explicit_bzero(secret, sizeof(secret));
	if (r == 0) {
		if (is_preferred)
			set_lack(s, lack);
		return true;
	}
	snprintf(text, sizeof(text), "tcp-ao = exporter: %s",
		 r == -EPROTONOSUPPORT ? "it needs TLS 1.3, which the neighbor does not speak"
				       : strerror(-r));
	session_failed(s, TLS_REASON_REFUSED, text);
	return false;
}

void session_verified(struct session *s)
{
	if (!derive_ao(s))
		return;
	note_ao(s);
	if (s->direction == SESSION_IN)
		session_want_inner(s);
	else
		session_start_relay(s);
}

void session_tls_step(struct session *s)
{
	enum tls_want want = s->is_confirming ? tls_peek(s->tls) : tls_handshake(s->tls);
	struct tls_info info;
	const char *text;

	switch (want) {
	case TLS_WANT_READ: io_set(s->outer_io, IO_READ); return;
	case TLS_WANT_WRITE: io_set(s->outer_io, IO_WRITE); return;
	case TLS_DONE:
		tls_set_key_update_records(s->tls, s->config->key_update_records);
		tls_get_info(s->tls, &info);
		if (s->direction == SESSION_OUT && !s->is_confirming &&
		    strcmp(info.version, "TLSv1.3") == 0) {
			s->is_confirming = true;
			timer_set_ms(s->deadline, CONFIRM_MS);
			session_tls_step(s);
			return;
		}
		session_verified(s);
		return;
	case TLS_EOF:
		/* The neighbor's daemon refused the connection in an orderly way: pass it on as
		 * that. */
		if (s->is_confirming) {
			session_verified(s);
			return;
		}
		/* fall through */
	case TLS_TRUNCATED:
	case TLS_FAILED: {
		enum tls_reason reason = tls_failure(s->tls, &text);

		session_failed(s, reason, text);
		return;
	}
	}
}

int session_new_tls(struct session *s, enum tls_side side)
{
	int r = tls_new(s->ctx, side, s->outer_fd, &s->peer, &s->tls);

	if (r == 0 && s->config->ktls == KTLS_ON)
		tls_want_kernel(s->tls);
	return r;
}

void session_begin_tls(struct session *s, enum tls_side side)
{
	if (session_new_tls(s, side) < 0) {
		session_end(s, "out of memory");
		return;
	}
	tls_leave_counters(s->tls, &s->tls_left);
	session_set_state(s, SESSION_HANDSHAKE);
	session_tls_step(s);
}
