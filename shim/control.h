/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control process: configuration, steering, privileged sockets, workers, the control socket.
 */
#ifndef BOTLS_CONTROL_H
#define BOTLS_CONTROL_H

#include "config.h"

struct control;

/* Takes `config` over, also when it fails. `keylog`: a file for TLS secrets (debugging), or NULL. 0
 * or -errno with *e. */
int control_new(struct config *config, const char *keylog, struct control **ret, struct errtext *e);
/* Runs until a signal: SIGTERM and SIGINT remove all that was programmed; SIGUSR1 leaves it for a
 * successor, so that required neighbors stay closed meanwhile; SIGHUP reloads. Returns 0 or -errno.
 */
int control_run(struct control *c);
void control_free(struct control *c);

/* What `botlsd -n` checks beyond the text: files, certificates, users. Everything is reported. 0 or
 * -EINVAL. */
int control_check(const struct config *config, config_report_fn *report, void *arg);

#endif
