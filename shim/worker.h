/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker process: it parses what strangers send, relays, and holds no capability. All that it
 * has, it was given by control over one socket (messages.h): settings, key material, listeners,
 * connecting sockets.
 */
#ifndef BOTLS_WORKER_H
#define BOTLS_WORKER_H

/* Runs until control is gone. Returns the exit status. `fd`: the socket to control; `number`: 0, 1,
 * ...; `user`: whom to become first. */
int worker_main(int fd, unsigned number, const char *user);

#endif
