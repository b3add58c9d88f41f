/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a capability into a BGP OPEN, and takes it out again (RFC 4271 4.2, RFC 5492, RFC 9072).
 * Pure: bytes in, bytes out. An OPEN whose lengths do not fit each other is never touched: the
 * daemon judges it.
 */
#ifndef BOTLS_BGP_OPEN_EDIT_H
#define BOTLS_BGP_OPEN_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BGP_HEADER_LEN 19
#define BGP_OPEN_MAX   4096 /* a whole message; RFC 8654 makes no OPEN longer */

struct bgp_capability {
	uint8_t code;
	uint8_t len;
	const uint8_t *value;
};

/* Adds a parameter with this capability behind the others. `open` is a whole message of `len` bytes
 * in a buffer of BGP_OPEN_MAX. Returns its new length; -EBADMSG: no OPEN, or a malformed one;
 * -ENOSPC: it would be too long. (One with lengths of one octet is not made one with lengths of
 * two: the peer need not know those.) */
int bgp_open_add_capability(uint8_t open[static BGP_OPEN_MAX], size_t len,
			    const struct bgp_capability *c);

/* Takes out each capability of `mark->code` whose value begins with that of `mark`, and a parameter
 * that holds nothing else with it. The first one's value goes to *ret_value, up to `size` bytes,
 * and its whole length to *ret_len, which is 0 when there was none. Returns the new length of the
 * message, or -EBADMSG. */
int bgp_open_take_capability(uint8_t *open, size_t len, const struct bgp_capability *mark,
			     uint8_t *ret_value, size_t size, size_t *ret_len);

#endif
