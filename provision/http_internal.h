/* SPDX-License-Identifier: Apache-2.0 */
/* What http.c needs that needs no libcurl. */
#ifndef BOTLS_HTTP_INTERNAL_H
#define BOTLS_HTTP_INTERNAL_H

#include "http.h"

struct http_target {
	bool is_plain;	  /* http:// */
	bool is_loopback; /* by its looks: a literal address, localhost */
	char where[128];  /* "host:port", for messages; a long name is cut */
};

/* Takes the URL apart and looks at everything that goes into a header. -EINVAL, -EACCES. */
int http_check(const struct http_request *q, struct http_target *ret, struct errtext *e);

/* "Basic dXNlcjpwYXNzd29yZA==" (RFC 7617); wipe_free() it. NULL: out of memory. */
char *http_basic(const char *user, const char *password);

/* Why connect(2) or socket(2) failed, as one of our errors. */
int http_connect_error(long os);
/* What to do about a certificate that was refused, by what X509_verify_cert(3) found. */
const char *http_certificate_advice(const struct http_request *q, long verify_result);

#endif
