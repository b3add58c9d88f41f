// SPDX-License-Identifier: Apache-2.0
#include "bgp.h"
#include "util.h"

#define HEADER_LEN     19
#define MAX_LEN	       4096
#define MAX_BODY       (MAX_LEN - HEADER_LEN)
#define MARKER_LEN     16
#define OPEN_FIXED_LEN 10 /* of the body, without optional parameters */

#define PARAM_CAPABILITIES 2   /* RFC 5492 */
#define PARAM_EXTENDED	   255 /* RFC 9072 */

#define CAP_EXTENDED_MESSAGE 6
#define CAP_ROLE	     9
#define CAP_FOUR_OCTET_AS    65

/* Bytes that are being read; never past the end. */
struct cursor {
	const uint8_t *at;
	size_t left;
};

static bool take(struct cursor *c, size_t n, const uint8_t **ret)
{
	if (n > c->left)
		return false;
	*ret = c->at;
	c->at += n;
	c->left -= n;
	return true;
}

static bool take_number(struct cursor *c, size_t octets, uint32_t *ret)
{
	const uint8_t *p;
	uint32_t n = 0;

	if (!take(c, octets, &p))
		return false;
	for (size_t i = 0; i < octets; i++)
		n = n << 8 | p[i];
	*ret = n;
	return true;
}

static bool read_capability(struct bgp_open *o, uint8_t code, const uint8_t *value, size_t len)
{
	struct cursor c = {value, len};

	o->capabilities[code / 8] |= 1 << code % 8;
	switch (code) {
	case CAP_EXTENDED_MESSAGE: o->extended_message = true; return true;
	case CAP_FOUR_OCTET_AS: return len == 4 && take_number(&c, 4, &o->as);
	case CAP_ROLE:
		if (len != 1)
			return false;
		o->role = value[0];
		return true;
	}
	return true;
}

static bool read_capabilities(struct bgp_open *o, struct cursor c)
{
	while (c.left) {
		const uint8_t *value;
		uint32_t code, len;

		if (!take_number(&c, 1, &code) || !take_number(&c, 1, &len) ||
		    !take(&c, len, &value))
			return false;
		if (!read_capability(o, code, value, len))
			return false;
	}
	return true;
}

static bool read_parameters(struct bgp_open *o, struct cursor c)
{
	uint32_t total, type, len;
	size_t length_octets = 1;
	const uint8_t *value;

	if (!take_number(&c, 1, &total))
		return false;
	/* RFC 9072: a first type of 255 says that 16-bit lengths follow; the one before it means
	 * nothing. */
	if (total && c.left && c.at[0] == PARAM_EXTENDED) {
		length_octets = 2;
		if (!take(&c, 1, &value) || !take_number(&c, 2, &total))
			return false;
	}
	if (total != c.left)
		return false;
	while (c.left) {
		if (!take_number(&c, 1, &type) || !take_number(&c, length_octets, &len) ||
		    !take(&c, len, &value))
			return false;
		if (type == PARAM_CAPABILITIES &&
		    !read_capabilities(o, (struct cursor){value, len}))
			return false;
	}
	return true;
}

/* RFC 4271 4.2. `body` is NULL when there was no memory for it. */
static void read_open(struct bgp_open *o, const uint8_t *body, size_t len)
{
	struct cursor c = {body, len};
	uint32_t version, as, hold_time;

	*o = (struct bgp_open){.seen = true, .role = 255, .malformed = true};
	if (!body || !take_number(&c, 1, &version) || !take_number(&c, 2, &as) ||
	    !take_number(&c, 2, &hold_time) || !take_number(&c, 4, &o->router_id))
		return;
	o->version = version;
	o->as = as;
	o->hold_time = hold_time;
	o->malformed = !read_parameters(o, c);
}

static void read_notification(struct bgp_stream *s, const uint8_t *body, size_t len)
{
	struct bgp_notification *n = s->notification;

	/* Most streams never have one. */
	if (!n)
		n = s->notification = malloc(sizeof(*n));
	if (!n)
		return;
	*n = (struct bgp_notification){.seen = true};
	if (!body) {
		snprintf(n->text, sizeof(n->text), "NOTIFICATION");
		return;
	}
	n->code = body[0];
	n->subcode = body[1];
	bgp_notification_format(n->code, n->subcode, body + 2, len - 2, n->text, sizeof(n->text));
}

/* RFC 4271 6.1; RFC 7313 for ROUTE-REFRESH (RFC 5291 puts more into it); RFC 8654 for what may be
 * long. */
static const char *check_header(const uint8_t header[static HEADER_LEN], uint32_t length,
				bool extended)
{
	static const uint8_t marker[MARKER_LEN] = {
		255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	};
	uint8_t type = header[18];

	if (memcmp(header, marker, MARKER_LEN) != 0)
		return "the marker is not all ones";
	if (length < HEADER_LEN)
		return "message length below 19";
	if (length > MAX_LEN && (!extended || type == BGP_OPEN || type == BGP_KEEPALIVE))
		return "message length above 4096";
	switch (type) {
	case BGP_OPEN: return length < 29 ? "OPEN shorter than 29" : NULL;
	case BGP_UPDATE: return length < 23 ? "UPDATE shorter than 23" : NULL;
	case BGP_NOTIFICATION: return length < 21 ? "NOTIFICATION shorter than 21" : NULL;
	case BGP_KEEPALIVE: return length != 19 ? "KEEPALIVE not of length 19" : NULL;
	case BGP_ROUTE_REFRESH: return length < 23 ? "ROUTE-REFRESH shorter than 23" : NULL;
	}
	return NULL; /* a type that we do not know is the daemon's to judge */
}

static bool is_kept(const struct bgp_stream *s)
{
	return s->header[18] == BGP_OPEN || s->header[18] == BGP_NOTIFICATION;
}

/* What is kept of the body: a NOTIFICATION may be longer (RFC 8654), its text is in front. */
static size_t kept_len(const struct bgp_stream *s)
{
	size_t len = s->length - HEADER_LEN;

	return len < MAX_BODY ? len : MAX_BODY;
}

static unsigned message_complete(struct bgp_stream *s)
{
	uint8_t type = s->header[18];
	bool is_known = type >= BGP_OPEN && type <= BGP_ROUTE_REFRESH;

	s->messages[is_known ? type : 0]++;
	if (type == BGP_OPEN)
		read_open(&s->open, s->body, kept_len(s));
	else if (type == BGP_NOTIFICATION)
		read_notification(s, s->body, kept_len(s));
	free(TAKE(s->body));
	s->have = 0;
	return is_known ? 1u << type : 0;
}

static void feed_header(struct bgp_stream *s, struct cursor *c, bool extended)
{
	size_t missing = HEADER_LEN - s->have;
	size_t n = c->left < missing ? c->left : missing;
	const uint8_t *p;

	take(c, n, &p);
	memcpy(s->header + s->have, p, n);
	s->have += n;
	if (s->have < HEADER_LEN)
		return;
	s->length = s->header[16] << 8 | s->header[17];
	s->framing_error = check_header(s->header, s->length, extended);
	if (!s->framing_error && is_kept(s))
		s->body = calloc(1, kept_len(s));
}

static void feed_body(struct bgp_stream *s, struct cursor *c)
{
	size_t missing = s->length - s->have;
	size_t n = c->left < missing ? c->left : missing;
	size_t at = s->have - HEADER_LEN;
	const uint8_t *p;

	take(c, n, &p);
	if (s->body && at < kept_len(s))
		memcpy(s->body + at, p, n < kept_len(s) - at ? n : kept_len(s) - at);
	s->have += n;
}

void bgp_init(struct bgp_stream *s)
{
	*s = (struct bgp_stream){.at_boundary = true, .open.role = 255};
}

void bgp_done(struct bgp_stream *s)
{
	free(TAKE(s->body));
	free(TAKE(s->notification));
}

unsigned bgp_feed(struct bgp_stream *s, const void *data, size_t len, bool extended)
{
	struct cursor c = {data, len};
	unsigned completed = 0;

	s->bytes += len;
	while (c.left && !s->framing_error) {
		if (s->have < HEADER_LEN)
			feed_header(s, &c, extended);
		else
			feed_body(s, &c);
		if (s->have >= HEADER_LEN && s->have == s->length && !s->framing_error)
			completed |= message_complete(s);
	}
	s->at_boundary = s->have == 0;
	return completed;
}

size_t bgp_until_message(const struct bgp_stream *s, const void *data, size_t len)
{
	const uint8_t *next = data;
	uint32_t length = s->length;
	size_t left;

	if (s->framing_error || s->have == 0)
		return 0;
	if (s->have < HEADER_LEN) {
		uint8_t octets[2];

		if (s->have + len < MARKER_LEN + sizeof(octets))
			return len;
		for (size_t i = 0; i < sizeof(octets); i++)
			octets[i] = s->have > MARKER_LEN + i ? s->header[MARKER_LEN + i]
							     : next[MARKER_LEN + i - s->have];
		length = octets[0] << 8 | octets[1];
		if (length < HEADER_LEN)
			return 0;
	}
	left = length - s->have;
	return left < len ? left : len;
}
