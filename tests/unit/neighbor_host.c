// SPDX-License-Identifier: Apache-2.0
#include "neighbor_host.h"

static uint32_t want_outer(void *host, struct neighbor *n, struct session *s, bool clear)
{
	(void)host;
	(void)n;
	(void)s;
	(void)clear;
	return 0;
}

static uint32_t want_inner(void *host, struct neighbor *n, struct session *s)
{
	return want_outer(host, n, s, false);
}

static void forget_request(void *host, uint32_t id)
{
	(void)host;
	(void)id;
}

static bool may_handshake(void *host)
{
	(void)host;
	return true;
}

static void on_handshakes(void *host, enum session_direction direction, int change)
{
	(void)host;
	(void)direction;
	(void)change;
}

static void show_ao(void *host, struct neighbor *n, int fd)
{
	(void)host;
	(void)n;
	(void)fd;
}

static void on_fallback(void *host, struct neighbor *n, bool allow_clear)
{
	(void)host;
	(void)n;
	(void)allow_clear;
}

static void on_empty(void *host, struct neighbor *n)
{
	(void)host;
	(void)n;
}

const struct neighbor_host_ops idle_neighbor_host = {
	.want_outer = want_outer,
	.want_inner = want_inner,
	.forget_request = forget_request,
	.may_handshake = may_handshake,
	.on_handshakes = on_handshakes,
	.show_ao = show_ao,
	.on_fallback = on_fallback,
	.on_empty = on_empty,
};
