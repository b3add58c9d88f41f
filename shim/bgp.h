/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads BGP framing in one direction of a session, and never changes it (RFC 4271 section 4).
 *
 * bgp_feed() is given every byte in order, in pieces of any size; memory is bounded: the body of
 * one OPEN or NOTIFICATION (at most 4096 bytes) while it arrives, nothing else. A message that
 * breaks the framing is reported once; from there on the stream is opaque (counted in bytes only):
 * the daemon judges it.
 */
#ifndef BOTLS_BGP_H
#define BOTLS_BGP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bgp_type { BGP_OPEN = 1, BGP_UPDATE, BGP_NOTIFICATION, BGP_KEEPALIVE, BGP_ROUTE_REFRESH };

struct bgp_open {
	bool seen;
	bool malformed; /* the body could not be read to its end */
	uint8_t version;
	uint32_t as;	    /* four octets: capability 65 (RFC 6793) when present, else My AS */
	uint32_t router_id; /* host byte order */
	uint16_t hold_time; /* seconds */
	uint8_t capabilities[32]; /* bit set of capability codes, code c in byte c/8 */
	bool extended_message;	  /* capability 6, RFC 8654 */
	uint8_t role;		  /* capability 9, RFC 9234; 255 when absent */
};

struct bgp_notification {
	bool seen;
	uint8_t code, subcode;
	char text[160]; /* "Cease/Administrative Shutdown: maintenance" (RFC 8203/9003 text,
			   printable only) */
};

struct bgp_stream {
	uint64_t messages[6]; /* by type; [0]: unknown types */
	uint64_t bytes;
	struct bgp_open open;		       /* the last one */
	struct bgp_notification *notification; /* the last one; NULL: none, or no memory */
	const char *framing_error;	       /* NULL while the framing is right; static text */
	bool at_boundary;		       /* no message is half way */

	/* private */
	uint8_t header[19];
	uint32_t have;	 /* bytes of the current message so far */
	uint32_t length; /* its length once the header is complete */
	uint8_t *body;	 /* only while an OPEN or NOTIFICATION arrives */
};

void bgp_init(struct bgp_stream *s);
void bgp_done(struct bgp_stream *s);

/* What the piece completed, as a bit set (1 << enum bgp_type); 0 when nothing the caller may care
 * about. Messages longer than 4096 bytes are a framing error unless `extended` (both OPENs had
 * capability 6). Out of memory only loses the OPEN's details. */
unsigned bgp_feed(struct bgp_stream *s, const void *data, size_t len, bool extended);

/* How many of the bytes that come next, not fed yet, belong to the message that is under way; `len`
 * when none begins among them. 0 when the framing is lost: one place is as good as another then. */
size_t bgp_until_message(const struct bgp_stream *s, const void *data, size_t len);

/* A stream as fields that go to another process, which reads on where this one has stopped. */
struct fields_in;
struct fields_out;
void bgp_export_state(const struct bgp_stream *s, struct fields_out *o);
/* Everything in `f` is checked, and what is wrong noted there. `ret` is to be done with in any
 * case. */
void bgp_import_state(struct fields_in *f, struct bgp_stream *ret);

const char *bgp_type_name(enum bgp_type t);
/* "Hold Timer Expired", "Cease/Administrative Reset" ... (RFC 4271 4.5, 4486, 8538, 9234 ...) */
void bgp_notification_format(uint8_t code, uint8_t subcode, const uint8_t *data, size_t len,
			     char *buf, size_t buflen);
/* A name for a capability code, or NULL. */
const char *bgp_capability_name(uint8_t code);

#endif
