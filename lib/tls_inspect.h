/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at PEM files that a configuration names, before a connection does: for tools that tell an
 * operator what will fail. Nothing here is needed to speak TLS.
 */
#ifndef BOTLS_TLS_INSPECT_H
#define BOTLS_TLS_INSPECT_H

#include "tls.h"

#include <stdbool.h>
#include <time.h>

struct tls_certificate {
	char subject[128]; /* printable only */
	char issuer[128];
	char san[256];
	time_t not_before, not_after;
	bool is_for_client, is_for_server; /* by its extended key usage, if it has one */
};

/* The certificates of a PEM text, in order. All functions return 0, or -EINVAL or -ENOMEM with the
 * path and the reason in *e; so they do for a text that holds nothing. */
struct tls_certificates;
int tls_certificates_new(const struct tls_blob *pem, struct tls_certificates **ret,
			 struct errtext *e);
void tls_certificates_free(struct tls_certificates *c);
size_t tls_certificates_count(const struct tls_certificates *c);
void tls_certificates_get(const struct tls_certificates *c, size_t at, struct tls_certificate *ret);

/* The first one: has it this address as subjectAltName? */
bool tls_certificates_have_address(const struct tls_certificates *c, const struct addr *address);
/* Is each one issued by the next? Returns the first that is not, or -1. */
int tls_certificates_gap(const struct tls_certificates *c);
/* Do they lead to one of these, dates aside? */
bool tls_certificates_lead_to(const struct tls_certificates *c,
			      const struct tls_certificates *anchors);

/* When the first of the revocation lists is due to be replaced; 0: none says. */
int tls_crl_next_update(const struct tls_blob *pem, time_t *ret, struct errtext *e);

#endif
