// SPDX-License-Identifier: Apache-2.0
/* How far a stream has been read, as fields. Their names must not change: a successor of another
 * version reads them. */
#include "bgp.h"

#include "fields.h"
#include "util.h"

#include <errno.h>

#define HEADER_LEN sizeof(((struct bgp_stream *)NULL)->header)
#define LENGTH_MAX 65535
#define PARTIAL_MAX                                                                                \
	4096 /* of a message that is half way: its header, and what is kept of the rest */

static const char *const type_fields[] = {"unknown",	   "opens",	 "updates",
					  "notifications", "keepalives", "refreshes"};

static void export_open(const struct bgp_open *open, struct fields_out *o)
{
	fields_put_number(o, "open", open->seen);
	fields_put_number(o, "open-version", open->version);
	fields_put_number(o, "open-as", open->as);
	fields_put_number(o, "open-router-id", open->router_id);
	fields_put_number(o, "open-hold-time", open->hold_time);
	fields_put(o, "open-capabilities", open->capabilities, sizeof(open->capabilities));
	fields_put_number(o, "open-extended-message", open->extended_message);
	fields_put_number(o, "open-role", open->role);
	fields_put_number(o, "open-malformed", open->malformed);
}

static void import_open(struct fields_in *f, struct bgp_open *open)
{
	open->seen = fields_number(f, "open", 1);
	open->version = fields_number(f, "open-version", UINT8_MAX);
	open->as = fields_number(f, "open-as", UINT32_MAX);
	open->router_id = fields_number(f, "open-router-id", UINT32_MAX);
	open->hold_time = fields_number(f, "open-hold-time", UINT16_MAX);
	fields_exact(f, "open-capabilities", open->capabilities, sizeof(open->capabilities));
	open->extended_message = fields_number(f, "open-extended-message", 1);
	open->role = fields_number(f, "open-role", UINT8_MAX);
	open->malformed = fields_number(f, "open-malformed", 1);
}

static void export_notification(const struct bgp_notification *n, struct fields_out *o)
{
	fields_put_number(o, "notification", n->seen);
	fields_put_number(o, "notification-code", n->code);
	fields_put_number(o, "notification-subcode", n->subcode);
	fields_put_text(o, "notification-text", n->text);
}

static void import_notification(struct fields_in *f, struct bgp_notification *n)
{
	n->seen = fields_number(f, "notification", 1);
	n->code = fields_number(f, "notification-code", UINT8_MAX);
	n->subcode = fields_number(f, "notification-subcode", UINT8_MAX);
	fields_text(f, "notification-text", n->text, sizeof(n->text));
}

/* The message that is half way: what was kept of it, and how much came. */
static void export_partial(const struct bgp_stream *s, struct fields_out *o)
{
	uint8_t partial[PARTIAL_MAX];
	size_t len = s->have < HEADER_LEN ? s->have : HEADER_LEN;

	memcpy(partial, s->header, len);
	if (s->body && s->have > HEADER_LEN) {
		size_t body = s->have - HEADER_LEN;

		if (body > PARTIAL_MAX - HEADER_LEN)
			body = PARTIAL_MAX - HEADER_LEN;
		memcpy(partial + len, s->body, body);
		len += body;
	}
	fields_put(o, "partial", partial, len);
	fields_put_number(o, "partial-length", s->have);
}

static void import_partial(struct fields_in *f, struct bgp_stream *s)
{
	size_t len;
	const uint8_t *partial = fields_bytes(f, "partial", PARTIAL_MAX, &len);
	uint32_t have = fields_number(f, "partial-length", LENGTH_MAX);

	if (bgp_feed(s, partial, len, true) || s->framing_error || s->have != len || have < len ||
	    (have > len && (len < HEADER_LEN || have >= s->length)))
		fields_refuse(f, "partial", -EBADMSG);
	else
		s->have = have;
	s->at_boundary = s->have == 0;
}

void bgp_export_state(const struct bgp_stream *s, struct fields_out *o)
{
	static const struct bgp_notification none;

	for (size_t i = 0; i < ARRAY_SIZE(type_fields); i++)
		fields_put_number(o, type_fields[i], s->messages[i]);
	fields_put_number(o, "bytes", s->bytes);
	export_open(&s->open, o);
	export_notification(s->notification ? s->notification : &none, o);
	fields_put_number(o, "is-opaque", s->framing_error != NULL);
	if (!s->framing_error)
		export_partial(s, o);
}

void bgp_import_state(struct fields_in *f, struct bgp_stream *ret)
{
	struct bgp_notification n = {};

	bgp_init(ret);
	if (fields_number(f, "is-opaque", 1))
		ret->framing_error = "the framing was lost before botlsd was restarted";
	else
		import_partial(f, ret);
	for (size_t i = 0; i < ARRAY_SIZE(type_fields); i++)
		ret->messages[i] = fields_number(f, type_fields[i], UINT64_MAX);
	ret->bytes = fields_number(f, "bytes", UINT64_MAX);
	import_open(f, &ret->open);
	import_notification(f, &n);
	if (!n.seen)
		return;
	ret->notification = malloc(sizeof(n));
	if (ret->notification)
		*ret->notification = n;
	else
		fields_refuse(f, "notification", -ENOMEM);
}
