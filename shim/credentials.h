/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates, keys, CAs and CRLs: the files that a configuration names, and the TLS contexts made
 * of them.
 *
 * Control reads the files (a worker may not) and checks that contexts can be made; it hands the
 * bytes to the workers, which make their own. Neighbors with the same identity settings share a
 * context.
 */
#ifndef BOTLS_CREDENTIALS_H
#define BOTLS_CREDENTIALS_H

#include "config.h"
#include "tls.h"

#define CREDENTIAL_FILE_MAX (16 << 20) /* bytes */

/* A set of file contents by path, kept as secrets are (lib/secret.h). */
struct files;
int files_new(struct files **ret);
void files_free(struct files *f);

/* Reads what the neighbors of `c` name, each path once. Every failure is reported (where = origin
 * of the first neighbor that names the path). Returns the number of files that could not be read,
 * or -ENOMEM. */
int files_read(struct files *f, const struct config *c, config_report_fn *report, void *arg);

/* Adds what control has sent: `len` bytes behind a descriptor of secret_fd(), which may be closed
 * then. 0, -ENOMEM, -EFBIG, -EEXIST, -errno. */
int files_add(struct files *f, const char *path, int fd, size_t len);
/* True when both hold this path with the same bytes. */
bool files_equal(const struct files *a, const struct files *b, const char *path);
int files_each(const struct files *f,
	       int (*each)(void *arg, const char *path, const void *data, size_t len), void *arg);

struct credentials;
/* `keylog` gets SSLKEYLOGFILE lines; NULL unless debugging was asked for. */
int credentials_new(void (*keylog)(const char *line, void *arg), void *arg,
		    struct credentials **ret);
void credentials_free(struct credentials *c);

/* The context for this neighbor, made on first use from `f`; a reference for the caller
 * (tls_ctx_unref()). With the path and the reason in *e: -EKEYEXPIRED (our own certificate),
 * -EINVAL; or -ENOMEM. */
int credentials_get(struct credentials *c, const struct files *f, const struct neighbor_config *n,
		    struct tls_ctx **ret, struct errtext *e);

#endif
