/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control sends before an APPLY: one configuration with its files and listeners, collected
 * until it is whole.
 */
#ifndef BOTLS_WORKER_BATCH_H
#define BOTLS_WORKER_BATCH_H

#include "credentials.h"
#include "ipc.h"

#define BATCH_LISTENERS_MAX 4096

struct batch {
	struct config *config;
	struct files *files;
	int *tls_fds, *inner_fds; /* owned until taken */
	size_t n_tls, n_inner;
	struct errtext error; /* the first thing that went wrong; then APPLY refuses the batch */
	bool has_error;
};

void batch_init(struct batch *b);
void batch_done(struct batch *b);
/* Takes what belongs into a batch (CONFIG, FILE, LISTENER_*) out of the message; false for any
 * other type. */
bool batch_add(struct batch *b, struct ipc_message *m);

#endif
