/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What botlsd, botlsctl and botls-provision agree on: ports, paths, limits, names.
 */
#ifndef BOTLS_BOTLS_H
#define BOTLS_BOTLS_H

#define BOTLS_VERSION "0.1.0"

/* TBD1 of draft-wirtgen-bgp-tls: no number was ever assigned. Configurable per neighbor (tls-port).
 */
#define BOTLS_PORT_TLS 8179

/* Where the daemon's rewritten connections arrive (steering = cgroup). Below 1024, so that no
 * unprivileged process can take the port, and with it the daemon's OPEN, while botlsd is down. */
#define BOTLS_PORT_INNER 979

#define BOTLS_PORT_BGP 179

/* steering = route: what we put into the kernel's routing tables carries these numbers, so that it
 * can be told from the operator's. The priority is the first of three (179 to 181), after the
 * kernel's own `local` table, before everything else. */
#define BOTLS_ROUTE_PROTOCOL	   179
#define BOTLS_ROUTE_TABLE	   8179
#define BOTLS_ROUTE_TABLE_PREFIXES 8180 /* of dynamic neighbors */
#define BOTLS_RULE_PRIORITY	   179

/* RFC 7301 name that draft-wirtgen-bgp-tls registers. */
#define BOTLS_ALPN "botls"

#define BOTLS_CONFIG_PATH  "/etc/botls/botlsd.conf"
#define BOTLS_CONTROL_PATH "/run/botls/control"
#define BOTLS_BPFFS_PATH   "/sys/fs/bpf"

/* Control socket: one JSON object per line each way. */
#define BOTLS_CONTROL_REQUEST_MAX 4096
#define BOTLS_CONTROL_CLIENTS_MAX 32
#define BOTLS_CONTROL_PROTOCOL	  1

#define BOTLS_NEIGHBORS_MAX 20000

/* TCP-AO keys: of all chains, and of one. The kernel keeps those of the moment on each socket. */
#define BOTLS_KEYS_MAX	     4096
#define BOTLS_CHAIN_KEYS_MAX 64

#endif
