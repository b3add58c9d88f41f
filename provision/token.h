/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens (RFC 6750): where a server's comes from, and how long it is good.
 *
 * client credentials (RFC 6749 section 4.4) from a token endpoint that is configured or found by
 * RFC 8414 metadata; the first line of a file; the first line that a command prints. What is not
 * the b68token of RFC 6750 section 2.1 is no token.
 *
 * A token of an endpoint is kept in memory and in a file until shortly before it expires: 60 s, or
 * a tenth of its life if that is less. Without an expires_in that makes sense it is good for 5
 * minutes, and never for more than a day; a clock that went back ends it. It is bound to the
 * server's name and URL, to endpoint or issuer, client, scope, audience and resource. A file that
 * cannot be written is no failure: the next run asks again.
 *
 * A command's token is kept in memory for as long as `t` lives, or until it is refused: it is not
 * looked into. A file is read each time.
 */
#ifndef BOTLS_TOKEN_H
#define BOTLS_TOKEN_H

#include "http.h"
#include "settings.h"

#include <time.h>

#define TOKEN_MAX (16 << 10)

struct tokens;
/* `folder` (made with mode 0700 when it is not there) holds one file for each server; a file that
 * others may read or that is not ours is not used. -EPERM: the folder is not ours, or others may
 * write to it. `h` must outlive it. Values of lib/json.h are wiped when they are freed from now on.
 */
int tokens_new(struct http *h, const char *folder, struct tokens **ret);
void tokens_free(struct tokens *t); /* wipes them */

/* The value of the Authorization header, "Bearer ...", owned by `t` until the next call for that
 * server. *ret is NULL for AUTH_NONE. `renew`: the last one was refused (401); what is kept is not
 * used. *e never holds a secret. -EACCES when the endpoint refuses the client; -EBUSY when it
 * answers 429 or 5xx, which may pass; -EPROTO when an answer, a file or a command gives no token;
 * -EPERM when others may read the file; else as http_perform(), program_run() or open(2). */
int token_get(struct tokens *t, const struct server_settings *s, time_t now, bool renew,
	      const char **ret, struct errtext *e);

#endif
