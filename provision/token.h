/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens (RFC 6750): where a server's comes from, and how long it is good.
 *
 * client credentials (RFC 6749 section 4.4) from a token endpoint that is configured or found by
 * RFC 8414 metadata; the first line of a file; the first line that a command prints. Tokens of an
 * endpoint or a command are kept in a file of mode 0600 until shortly before they expire.
 */
#ifndef BOTLS_TOKEN_H
#define BOTLS_TOKEN_H

#include "http.h"
#include "settings.h"

#include <time.h>

#define TOKEN_MAX (16 << 10)

struct tokens;
/* `folder` (made with mode 0700 when it is not there) holds one file for each server; a file that
 * others may read or that is not ours is not used. `h` must outlive it. */
int tokens_new(struct http *h, const char *folder, struct tokens **ret);
void tokens_free(struct tokens *t); /* wipes them */

/* The value of the Authorization header, "Bearer ...", owned by `t` until the next call for that
 * server. *ret is NULL for AUTH_NONE. `renew`: the last one was refused (401); what is kept is not
 * used. -EACCES when the endpoint refuses the client, -EPROTO when its answer is no token, else as
 * http_perform(). *e never holds a secret. */
int token_get(struct tokens *t, const struct server_settings *s, time_t now, bool renew,
	      const char **ret, struct errtext *e);

#endif
