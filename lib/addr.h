/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses and prefixes of both families, link-local ones with their interface.
 *
 * A struct addr is a value: copied, compared with addr_equal(), owned by nobody. IPv4 addresses are
 * never kept as v4-mapped IPv6 ones; addr_from_sockaddr() undoes the mapping.
 */
#ifndef BOTLS_ADDR_H
#define BOTLS_ADDR_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct errtext;

/* "ffff:...:255.255.255.255%interface/128" */
#define ADDR_STRLEN (INET6_ADDRSTRLEN + 1 + IFNAMSIZ + 4)

struct addr {
	sa_family_t family; /* AF_INET, AF_INET6; AF_UNSPEC: no address */
	uint8_t prefixlen;  /* 32 or 128 for a single host */
	/* Network byte order; IPv4 uses the first four. Aligned as the system's structs are, to be
	 * looked at through them. */
	uint8_t bytes[16] __attribute__((aligned(4)));
	char ifname[IFNAMSIZ]; /* only for link-local IPv6, else empty */
};

/* Parses "192.0.2.2", "2001:db8::2", "fe80::2%eth0", and with a "/len" a prefix (host bits must be
 * zero). A link-local address must name its interface (RFC 4007 section 11), any other must not.
 * Returns 0, or -EINVAL with the reason in *e (which may be NULL). */
int addr_parse(const char *text, struct addr *ret, struct errtext *e);

/* Writes the canonical text (RFC 5952; prefix length only when it is not a single host). Returns
 * buf. */
const char *addr_format(const struct addr *a, char buf[static ADDR_STRLEN]);

/* The interface of a link-local sockaddr is looked up by its index; an unknown index leaves it
 * empty. */
int addr_from_sockaddr(const struct sockaddr_storage *ss, struct addr *ret, uint16_t *ret_port);
/* The same for a process that may not make the socket which that takes: `fd`, any socket, is asked.
 */
int addr_from_socket(int fd, const struct sockaddr_storage *ss, struct addr *ret,
		     uint16_t *ret_port);

/* Returns the length of the sockaddr, or -ENODEV when the address' interface does not exist now. */
int addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ret);

bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_is_prefix(const struct addr *a);
bool addr_is_linklocal(const struct addr *a);
bool addr_is_any(const struct addr *a);
bool addr_is_loopback(const struct addr *a); /* 127.0.0.0/8, ::1 */

/* True when the single address `host` lies in `net` (same family, same interface for link-local).
 */
bool addr_contains(const struct addr *net, const struct addr *host);

#endif
