/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP connections of this network namespace, as inet_diag tells them, and how to end one.
 */
#ifndef BOTLS_SOCKDIAG_H
#define BOTLS_SOCKDIAG_H

#include "addr.h"
#include "util.h"

#include <linux/inet_diag.h>
#include <stdbool.h>
#include <stdint.h>

struct sockdiag_socket {
	struct addr local, remote;
	uint16_t local_port, remote_port;
	uint8_t family; /* of the socket: AF_INET6 may carry IPv4 addresses */
	uint8_t state;	/* TCP_ESTABLISHED ... */
	struct inet_diag_sockid id;
};

/* The connections with `port` at either end (none that listen or wait in TIME_WAIT) whose other end
 * is not a socket of this namespace: those that cross a wire. *ret is an array of *ret_n, freed by
 * the caller. */
int sockdiag_on_wire(uint16_t port, struct sockdiag_socket **ret, size_t *ret_n, struct errtext *e);

/* Ends one as its peer sees an abort: RST; its owner sees ECONNABORTED. 0 also when it is gone
 * already. -EOPNOTSUPP: the kernel cannot (CONFIG_INET_DIAG_DESTROY). */
int sockdiag_end(const struct sockdiag_socket *s);

/* Whether the kernel could. */
bool sockdiag_can_end(void);

#endif
