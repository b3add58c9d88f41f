/* SPDX-License-Identifier: Apache-2.0 */
/* Starts http_answers.py with the certificates that it needs, and stops it. */
#ifndef BOTLS_TEST_HTTP_RIG_H
#define BOTLS_TEST_HTTP_RIG_H

#include "http.h"

/* Aborts the test program when it cannot be started. Unsets the proxies of the environment. */
void http_rig_start(void);
void http_rig_stop(void);

/* The port of that name in http_answers.py; 0: it has none (no IPv6). */
unsigned http_rig_port(const char *name);
/* "https://127.0.0.1:PORT/path"; plain is http. In a buffer of its own until the 8th call after. */
const char *http_rig_url(const char *name, const char *path);
/* A file of the folder: "ca.pem". Until the 8th call after. */
const char *http_rig_file(const char *name);
void http_rig_write(const char *name, const char *text);

#define RIG_SECRET "s3cr3t-of-the-test"
/* GET with a secret token, trusting our CA. */
struct http_request http_rig_request(const char *name, const char *path);
/* It must succeed, */
struct http_response http_rig_get(struct http *h, const struct http_request *q);
/* or fail with `error` and say `part`, host and port, and no secret; the answer is left alone. */
void http_rig_fails(struct http *h, const struct http_request *q, int error, const char *part);

void http_rig_has(const char *text, const char *part);
void http_rig_has_not(const char *text, const char *part); /* in whatever case */

#endif
