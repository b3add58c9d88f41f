/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP-AO keys of one connection that follow from its TLS (draft-piraux-tcp-ao-tls-04): the
 * connection began with the default key, which everybody knows; K_1 comes from the TLS exporter,
 * and each later key from the one before.
 *
 * No key is ever forced upon the peer: a new one is added, and the peer is asked to sign with it.
 * When it does, and asks the same of us, the old one is deleted. So both ends may do this at any
 * time, and no segment is lost. There are never more than two keys.
 *
 * The descriptor and the loop are borrowed. The secrets are wiped when they are not needed any
 * more.
 */
#ifndef BOTLS_AO_EXPORTER_H
#define BOTLS_AO_EXPORTER_H

#include "addr.h"
#include "loop.h"
#include "tcp_ao.h"
#include "tls.h"
#include "util.h"

#define AO_DERIVED_LEN 32  /* bytes of a derived master key */
#define AO_ID_MAX      254 /* KeyIDs of derived keys: 1 to this, then 1 again */
/* How long the peer has to take K_1 into use. */
#define AO_SWITCH_MS 60000

struct ao_exporter;

/* What is done to the socket; NULL in the parameters means these of lib/tcp_ao.h. */
struct ao_socket_ops {
	int (*add_key)(int fd, const struct addr *peer, const struct tcp_ao_key *key);
	int (*delete_key)(int fd, const struct addr *peer, const struct tcp_ao_key *key);
	int (*set_rnext)(int fd, uint8_t recv_id);
	int (*get_status)(int fd, struct tcp_ao_status *ret);
	int (*get_counts)(int fd, const struct addr *peer, const struct tcp_ao_key *key,
			  uint64_t *ret_good, uint64_t *ret_bad);
};

struct ao_exporter_params {
	struct loop *loop;
	int fd;			  /* the connection; it has the default key */
	struct addr peer;	  /* host at the other end */
	struct addr default_peer; /* whose the default key is: host, or the prefix of a listener;
				     not where is_installed */
	enum tcp_ao_algorithm algorithm;
	bool covers_options;
	bool is_installed;  /* K_1 is the connection's first and only key already */
	uint64_t rekey_ms;  /* from one key to the next; 0: K_1 stays */
	uint64_t switch_ms; /* AO_SWITCH_MS; UINT64_MAX: as long as it takes */
	/* The peer did not take K_1 in time, or the kernel refused; nothing more is done. May free
	 * the exporter. */
	void (*on_failed)(void *arg, const char *text);
	void *arg;
	const struct ao_socket_ops *ops;
};

/* The exporter's context (section 4.3 of the draft): option protection, MAC, KDF, KeyID. -ENOTSUP:
 * the draft has no number for the algorithm. */
int ao_exporter_context(enum tcp_ao_algorithm algorithm, bool covers_options, uint8_t key_id,
			uint8_t ret[static 4]);
/* K_1. -EPROTONOSUPPORT: below TLS 1.3 the draft defines none; -ENOTSUP; -ENOTCONN, -EIO: see
 * tls_export(). */
int ao_exporter_derive(struct tls *t, enum tcp_ao_algorithm algorithm, bool covers_options,
		       uint8_t ret[static AO_DERIVED_LEN]);
/* K_n+1 in the place of K_n. -EIO. */
int ao_exporter_next(uint8_t secret[static AO_DERIVED_LEN]);

/* Adds K_1 and asks for it, or goes on from there. `secret` is copied. 0, -ENOMEM, or what the
 * kernel said; on_failed is not called from here. */
int ao_exporter_new(const struct ao_exporter_params *p, const uint8_t secret[static AO_DERIVED_LEN],
		    struct ao_exporter **ret);
/* The keys stay on the socket. NULL is fine. */
void ao_exporter_free(struct ao_exporter *x);

/* For a connection that goes on in another process. Frozen, it leaves the socket's keys alone until
 * ao_exporter_thaw(), which is 0 or -ENOMEM. */
void ao_exporter_freeze(struct ao_exporter *x);
int ao_exporter_thaw(struct ao_exporter *x);
struct fields_in;
struct fields_out;
void ao_exporter_export(const struct ao_exporter *x, struct fields_out *o);
/* The one of which `f` tells, frozen. Everything in `f` is checked, and what is wrong noted there.
 * 0, -EBADMSG, -ENOMEM. */
int ao_exporter_import(const struct ao_exporter_params *p, struct fields_in *f,
		       struct ao_exporter **ret);

/* Both ends sign with a derived key: the default one is gone, or there was none. */
bool ao_exporter_is_derived(const struct ao_exporter *x);
/* Derived keys so far, K_1 included. */
unsigned ao_exporter_generation(const struct ao_exporter *x);

#endif
