/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two fresh network namespaces for test_route.c: this router, which the test's process is in, and
 * its neighbor on the other end of a veth pair, with a trap that sees every packet of ours for or
 * from port 179.
 *
 *   router  eth0 192.0.2.1/24 2001:db8::1/64 fe80::1/64     eth1 fe80::1/64
 *   peer    eth0 192.0.2.2/24 2001:db8::2/64 fe80::2/64     eth1 fe80::2/64
 */
#ifndef BOTLS_ROUTE_WORLD_H
#define BOTLS_ROUTE_WORLD_H

#include "addr.h"

#include <stdint.h>
#include <sys/types.h>

struct world {
	int router, peer; /* namespaces */
	int trap[2];	  /* packet sockets at the peer's eth0 and eth1 */
};

void world_make(struct world *w);
void world_done(struct world *w);
unsigned long long netns_cookie(void); /* of the one that we are in: the folder of its pins */
void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Output of a command, at most 4095 bytes, in a static buffer. */
const char *output_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

struct addr parse(const char *text);

/* Packets that left this router with 179 for source or destination port, since the last call. */
unsigned wire_packets(struct world *w);

struct endpoint {
	const char *from; /* address to bind to, or NULL */
	uint16_t from_port;
	const char *device; /* SO_BINDTODEVICE and SO_DONTROUTE, as BIRD's direct sessions have
			       them; or NULL */
	const char *password;
	const char *password_peer; /* its address; default: that of the connection */
	uid_t uid;		   /* owner of the socket */
	int min_ttl;
	int at_peer; /* in the neighbor's namespace */
};

/* A listener on port `port` of `from`, else the wildcard of `family`. */
int listen_at(struct world *w, int family, uint16_t port, const struct endpoint *p);
/* connect() to (to, port), waited for `ms`: the socket, or -errno (-ETIMEDOUT). */
int connect_to(struct world *w, const char *to, uint16_t port, const struct endpoint *p, int ms);
/* Accepts within `ms`: the socket or -ETIMEDOUT. */
int accept_within(int fd, int ms);

void expect_name(int fd, int (*get)(int, struct sockaddr *, socklen_t *), const char *addr,
		 int port);
/* A few bytes there and back again. */
void expect_talk(int a, int b);

#endif
