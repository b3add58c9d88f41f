// SPDX-License-Identifier: Apache-2.0
#include "ao_exporter.h"

#include "fields.h"

#include <errno.h>

#define EXPORTER_LABEL "tcp-ao"
#define RATCHET_LABEL  "tcp-ao-rekey"

/* There is no event for a key that is taken into use. */
#define POLL_FIRST_MS 50
#define POLL_MAX_MS   5000
/* How soon it is seen that the peer is a key ahead. */
#define POLL_STEADY_MS 15000

struct ao_exporter {
	struct ao_exporter_params p;
	struct timer *timer;
	uint8_t secret[AO_DERIVED_LEN]; /* of `now` */
	struct tcp_ao_key now, old;	/* old: until its end; its secret is not kept */
	bool is_switching;		/* `old` is still there */
	bool is_derived;
	unsigned generation;
	uint64_t switch_since, steady_since, poll_ms;
	uint64_t not_found; /* when `now` was the newest one that anybody had used */
};

static const struct ao_socket_ops socket_ops = {
	.add_key = tcp_ao_add_key,
	.delete_key = tcp_ao_delete_key,
	.set_rnext = tcp_ao_set_rnext,
	.get_status = tcp_ao_get_status,
	.get_counts = tcp_ao_get_counts,
};

int ao_exporter_context(enum tcp_ao_algorithm algorithm, bool covers_options, uint8_t key_id,
			uint8_t ret[static 4])
{
	int number = -ENOTSUP;

	switch (algorithm) {
	case TCP_AO_HMAC_SHA1_96: number = 0; break;
	case TCP_AO_AES_128_CMAC_96: number = 1; break;
	case TCP_AO_HMAC_SHA256_96: break;
	}
	if (number < 0)
		return number;
	ret[0] = covers_options;
	ret[1] = number; /* MAC */
	ret[2] = number; /* KDF: they come in pairs (RFC 5926) */
	ret[3] = key_id;
	return 0;
}

int ao_exporter_derive(struct tls *t, enum tcp_ao_algorithm algorithm, bool covers_options,
		       uint8_t ret[static AO_DERIVED_LEN])
{
	struct tls_info info;
	uint8_t context[4];
	int r = ao_exporter_context(algorithm, covers_options, 1, context);

	if (r < 0)
		return r;
	tls_get_info(t, &info);
	if (info.version[0] && strcmp(info.version, "TLSv1.3") != 0)
		return -EPROTONOSUPPORT;
	return tls_export(t, EXPORTER_LABEL, context, sizeof(context), ret, AO_DERIVED_LEN);
}

int ao_exporter_next(uint8_t secret[static AO_DERIVED_LEN])
{
	return tls_hkdf_expand(secret, AO_DERIVED_LEN, RATCHET_LABEL, strlen(RATCHET_LABEL), secret,
			       AO_DERIVED_LEN);
}

/* Adds the key whose secret is in x->secret, behind x->now. */
static int add(struct ao_exporter *x)
{
	bool is_there = x->p.is_installed && !x->generation;
	struct tcp_ao_key key = x->now;
	int r;

	key.send_id = key.recv_id = x->now.recv_id % AO_ID_MAX + 1;
	key.algorithm = x->p.algorithm;
	key.covers_options = x->p.covers_options;
	key.secret = (const char *)x->secret;
	key.secret_len = sizeof(x->secret);
	r = is_there ? 0 : x->p.ops->add_key(x->p.fd, &x->p.peer, &key);
	if (r < 0)
		return r;
	r = x->p.ops->set_rnext(x->p.fd, key.recv_id);
	if (r < 0)
		return r;
	x->old = x->now;
	x->old.secret = NULL;
	x->now = key;
	x->generation++;
	x->is_switching = true;
	x->switch_since = loop_now_ms();
	x->poll_ms = POLL_FIRST_MS;
	return 0;
}

static void rekey(struct ao_exporter *x)
{
	char text[128];
	int r = ao_exporter_next(x->secret);

	if (r == 0)
		r = add(x);
	if (r == 0)
		r = timer_set_ms(x->timer, x->poll_ms);
	if (r == 0)
		return;
	snprintf(text, sizeof(text), "TCP-AO: no new key could be set: %s", strerror(-r));
	x->p.on_failed(x->p.arg, text);
}

static const struct addr *peer_of(const struct ao_exporter *x, const struct tcp_ao_key *key)
{
	return key->recv_id ? &x->p.peer : &x->p.default_peer;
}

/* Do both sign with the new key? What we sign with is what the peer asked for, and it has it. */
static bool is_in_use(struct ao_exporter *x, const struct tcp_ao_status *s)
{
	uint64_t good = 0, bad;

	return s->send_id == x->now.send_id && s->recv_id == x->now.recv_id &&
	       x->p.ops->get_counts(x->p.fd, &x->p.peer, &x->now, &good, &bad) == 0 && good > 0;
}

/* True when the old key is gone. */
static bool finish_switch(struct ao_exporter *x, const struct tcp_ao_status *s)
{
	int r;

	if (!is_in_use(x, s))
		return false;
	r = x->p.is_installed && x->generation == 1
		    ? 0
		    : x->p.ops->delete_key(x->p.fd, peer_of(x, &x->old), &x->old);
	if (r < 0 && r != -ENOENT)
		return false;
	x->is_switching = false;
	x->is_derived = true;
	x->steady_since = loop_now_ms();
	x->not_found = s->key_not_found;
	return true;
}

static void wait_for_switch(struct ao_exporter *x)
{
	if (!x->is_derived && loop_now_ms() - x->switch_since >= x->p.switch_ms) {
		x->p.on_failed(x->p.arg, "the neighbor did not take the TCP-AO key into use that "
					 "follows from TLS: is it set to derive keys, too?");
		return;
	}
	timer_set_ms(x->timer, x->poll_ms);
	x->poll_ms = x->poll_ms * 2 < POLL_MAX_MS ? x->poll_ms * 2 : POLL_MAX_MS;
}

static void wait_for_rekey(struct ao_exporter *x, const struct tcp_ao_status *s)
{
	uint64_t passed = loop_now_ms() - x->steady_since;

	/* A key that we do not have is the next one, if it is the peer's and not a stranger's: it
	 * does no harm to have it then. */
	if (passed >= x->p.rekey_ms || s->key_not_found > x->not_found) {
		rekey(x);
		return;
	}
	passed = x->p.rekey_ms - passed;
	timer_set_ms(x->timer, passed < POLL_STEADY_MS ? passed : POLL_STEADY_MS);
}

static void on_timer(void *arg)
{
	struct ao_exporter *x = arg;
	struct tcp_ao_status s;

	/* The connection has ended: its owner will notice. */
	if (x->p.ops->get_status(x->p.fd, &s) < 0)
		return;
	if (x->is_switching && !finish_switch(x, &s))
		wait_for_switch(x);
	else if (x->p.rekey_ms)
		wait_for_rekey(x, &s);
}

static int make(const struct ao_exporter_params *p, struct ao_exporter **ret)
{
	struct ao_exporter *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->p = *p;
	if (!x->p.ops)
		x->p.ops = &socket_ops;
	if (x->p.rekey_ms)
		x->p.rekey_ms = jitter_ms(x->p.rekey_ms);
	*ret = x;
	return timer_new(p->loop, on_timer, x, &x->timer);
}

int ao_exporter_new(const struct ao_exporter_params *p, const uint8_t secret[static AO_DERIVED_LEN],
		    struct ao_exporter **ret)
{
	struct ao_exporter *x = NULL;
	int r = make(p, &x);

	if (r == 0) {
		memcpy(x->secret, secret, sizeof(x->secret));
		r = add(x);
	}
	if (r == 0)
		r = timer_set_ms(x->timer, x->poll_ms);
	if (r < 0) {
		ao_exporter_free(x);
		return r;
	}
	*ret = x;
	return 0;
}

/* --- in another process. The names must not change: a successor of another version reads them. */

void ao_exporter_freeze(struct ao_exporter *x)
{
	timer_stop(x->timer);
}

int ao_exporter_thaw(struct ao_exporter *x)
{
	return timer_set_ms(x->timer, POLL_FIRST_MS);
}

/* A key is found by its ids; how it was made only matters for the next one. */
static void put_key(struct fields_out *o, const char *prefix, const struct tcp_ao_key *key)
{
	o->prefix = prefix;
	fields_put_number(o, "send-id", key->send_id);
	fields_put_number(o, "recv-id", key->recv_id);
	o->prefix = NULL;
}

static void get_key(struct fields_in *f, const char *prefix, struct tcp_ao_key *key)
{
	f->prefix = prefix;
	key->send_id = fields_number(f, "send-id", UINT8_MAX);
	key->recv_id = fields_number(f, "recv-id", UINT8_MAX);
	f->prefix = NULL;
}

void ao_exporter_export(const struct ao_exporter *x, struct fields_out *o)
{
	uint64_t now = loop_now_ms();

	fields_put(o, "ao.secret", x->secret, sizeof(x->secret));
	put_key(o, "ao.now", &x->now);
	put_key(o, "ao.old", &x->old);
	fields_put_number(o, "ao.is-switching", x->is_switching);
	fields_put_number(o, "ao.is-derived", x->is_derived);
	fields_put_number(o, "ao.generation", x->generation);
	fields_put_number(o, "ao.switching-ms", now - x->switch_since);
	fields_put_number(o, "ao.steady-ms", now - x->steady_since);
	fields_put_number(o, "ao.not-found", x->not_found);
	fields_put_number(o, "ao.algorithm", x->p.algorithm);
	fields_put_number(o, "ao.covers-options", x->p.covers_options);
}

/* A time so long ago, never before the beginning of time. */
static uint64_t ago(uint64_t ms)
{
	uint64_t now = loop_now_ms();

	return ms < now ? now - ms : 0;
}

int ao_exporter_import(const struct ao_exporter_params *p, struct fields_in *f,
		       struct ao_exporter **ret)
{
	struct ao_exporter *x = NULL;
	int r = make(p, &x);

	if (r == 0) {
		fields_exact(f, "ao.secret", x->secret, sizeof(x->secret));
		get_key(f, "ao.now", &x->now);
		get_key(f, "ao.old", &x->old);
		x->now.secret = (const char *)x->secret;
		x->now.secret_len = sizeof(x->secret);
		x->is_switching = fields_number(f, "ao.is-switching", 1);
		x->is_derived = fields_number(f, "ao.is-derived", 1);
		x->generation = fields_number(f, "ao.generation", UINT32_MAX);
		x->switch_since = ago(fields_number(f, "ao.switching-ms", UINT64_MAX));
		x->steady_since = ago(fields_number(f, "ao.steady-ms", UINT64_MAX));
		x->not_found = fields_number(f, "ao.not-found", UINT64_MAX);
		x->poll_ms = POLL_FIRST_MS;
		/* The connection's, whatever the configuration says by now. */
		x->p.algorithm =
			fields_number_or(f, "ao.algorithm", TCP_AO_HMAC_SHA256_96, p->algorithm);
		x->p.covers_options =
			fields_number_or(f, "ao.covers-options", 1, p->covers_options);
		r = fields_error(f, NULL) < 0 ? -EBADMSG : 0;
	}
	if (r < 0) {
		ao_exporter_free(x);
		return r;
	}
	*ret = x;
	return 0;
}

void ao_exporter_free(struct ao_exporter *x)
{
	if (!x)
		return;
	timer_free(x->timer);
	explicit_bzero(x, sizeof(*x));
	free(x);
}

bool ao_exporter_is_derived(const struct ao_exporter *x)
{
	return x->is_derived || x->p.is_installed;
}

unsigned ao_exporter_generation(const struct ao_exporter *x)
{
	return x->generation;
}
