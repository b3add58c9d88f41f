// SPDX-License-Identifier: Apache-2.0
/* "botlsctl show neighbor ADDRESS": all that is known, in sections; what is not known is left out.
 */
#include "ctl.h"

#include <inttypes.h>
#include <stdarg.h>

#define LABEL 18 /* columns of a line's label, indentation included */

static void PRINTF(3, 4) print_field(int indent, const char *label, const char *fmt, ...)
{
	_cleanup_free_ char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&value, fmt, ap) < 0)
		value = NULL;
	va_end(ap);
	text_print("%*s%-*s  %s\n", indent, "", LABEL - indent, label, value ? value : "");
}

static void print_string(const struct jv_cursor *at, const char *key, int indent, const char *label)
{
	const char *s = jv_read_string(at, key, NULL);

	if (s && s[0])
		print_field(indent, label, "%s", s);
}

static void print_int(const struct jv_cursor *at, const char *key, int indent, const char *label)
{
	int64_t n = jv_read_int(at, key, -1);

	if (n >= 0)
		print_field(indent, label, "%" PRId64, n);
}

/* "untrusted 3, expired 1": the members that are not 0; *buf is empty when there are none. */
static void join_counts(const struct jv_cursor *counts, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (struct jv_iter it = {}; jv_next(counts->value, &it);) {
		int64_t count = jv_read_int(counts, it.key, 0);

		if (count && n < size)
			n += snprintf(buf + n, size - n, "%s%s %" PRId64, n ? ", " : "", it.key,
				      count);
	}
}

static void print_counts(const struct jv_cursor *at, const char *key, int indent, const char *label)
{
	struct jv_cursor counts = jv_read_object(at, key);
	char text[512];

	join_counts(&counts, text, sizeof(text));
	if (text[0])
		print_field(indent, label, "%s", text);
}

static void print_tls(const struct ctl *c, const struct jv_cursor *session)
{
	struct jv_cursor tls = jv_read_object(session, "tls");
	const char *group = jv_read_string(&tls, "group", "");
	char expiry[TEXT_TIME_LEN];

	if (!tls.value)
		return;
	text_print("  TLS\n");
	print_field(4, "Version", "%s, %s%s%s", jv_read_string(&tls, "version", "?"),
		    jv_read_string(&tls, "cipher", "?"), group[0] ? ", " : "", group);
	print_field(4, "Records", "in %" PRId64 ", out %" PRId64,
		    jv_read_int(&tls, "records_in", 0), jv_read_int(&tls, "records_out", 0));
	print_field(4, "Key updates", "sent %" PRId64 ", received %" PRId64,
		    jv_read_int(&tls, "key_updates_sent", 0),
		    jv_read_int(&tls, "key_updates_received", 0));
	if (jv_read_bool(&tls, "past_key_limit", false))
		print_field(4, "Key limit",
			    "passed, and TLS 1.2 cannot renew keys: reset the session");
	text_print("  Certificate of the neighbor\n");
	print_string(&tls, "subject", 4, "Subject");
	print_string(&tls, "issuer", 4, "Issuer");
	print_string(&tls, "san", 4, "Names");
	print_string(&tls, "pin", 4, "Pin");
	print_field(4, "Expires", "%s",
		    text_time_expiry(jv_read_int(&tls, "not_after", 0), c->now, expiry));
}

static void print_ao_counts(const struct jv_cursor *ao, int indent, const char *label,
			    const char *others)
{
	if (ao->value)
		print_field(indent, label,
			    "%" PRId64 " good, %" PRId64 " bad; %s%" PRId64
			    " of an unknown id, %" PRId64 " without TCP-AO",
			    jv_read_int(ao, "good", 0), jv_read_int(ao, "bad", 0), others,
			    jv_read_int(ao, "key_not_found", 0), jv_read_int(ao, "required", 0));
}

static void print_session_ao(const struct jv_cursor *session)
{
	struct jv_cursor ao = jv_read_object(session, "tcp_ao");
	int64_t generation = jv_read_int(&ao, "generation", 0);

	if (!ao.value)
		return;
	text_print("  TCP-AO\n");
	print_field(4, "Key in use", "SendID %" PRId64 ", RecvID %" PRId64 "%s",
		    jv_read_int(&ao, "send_id", 0), jv_read_int(&ao, "recv_id", 0),
		    !generation ? ""
		    : jv_read_bool(&ao, "derived", false)
			    ? ", derived from TLS"
			    : " (the default key, which is no secret)");
	if (generation > 1)
		print_field(4, "Renewed", "%" PRId64 " times", generation - 1);
	print_ao_counts(&ao, 4, "Segments", "");
}

static void print_ao(const struct jv_cursor *neighbor)
{
	struct jv_cursor ao = jv_read_object(neighbor, "tcp_ao");
	struct jv_cursor listener = jv_read_object(&ao, "listener");
	const char *covered = jv_read_bool(&ao, "options", true) ? "TCP options covered"
								 : "TCP options not covered";

	if (!ao.value)
		return;
	if (strcmp(jv_read_string(&ao, "mode", ""), "exporter") == 0)
		print_field(2, "TCP-AO", "%s, keys derived from TLS, %s",
			    jv_read_string(&ao, "algorithm", "?"), covered);
	else
		print_field(2, "TCP-AO", "%s, SendID %" PRId64 ", RecvID %" PRId64 ", %s",
			    jv_read_string(&ao, "algorithm", "?"), jv_read_int(&ao, "send_id", 0),
			    jv_read_int(&ao, "recv_id", 0), covered);
	print_ao_counts(&listener, 2, "At our port", "of all neighbors ");
}

static void print_open(const struct jv_cursor *stream)
{
	struct jv_cursor open = jv_read_object(stream, "open");
	struct jv_cursor capabilities = jv_read_array(&open, "capabilities");
	const char *role = jv_read_string(&open, "role", NULL);
	char names[512];
	size_t n = 0;

	if (!open.value)
		return;
	print_field(4, "OPEN", "AS %" PRId64 ", identifier %s, hold time %" PRId64 " s%s%s",
		    jv_read_int(&open, "as", 0), jv_read_string(&open, "router_id", "?"),
		    jv_read_int(&open, "hold_time", 0), role ? ", role " : "", role ? role : "");
	for (size_t i = 0; i < jv_size(capabilities.value) && n < sizeof(names); i++)
		n += snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "",
			      jv_read_string_item(&capabilities, i, "?"));
	if (n)
		print_field(4, "Capabilities", "%s", names);
}

static void print_stream(const struct jv_cursor *session, const char *key, const char *title)
{
	struct jv_cursor stream = jv_read_object(session, key);

	if (!stream.value)
		return;
	text_print("  %s\n", title);
	print_open(&stream);
	print_counts(&stream, "messages", 4, "Messages");
	print_int(&stream, "bytes", 4, "Bytes");
	print_string(&stream, "framing_error", 4, "FRAMING ERROR");
}

static void print_session(const struct ctl *c, const struct jv_cursor *session)
{
	const char *direction = jv_read_string(session, "direction", "?");
	const char *transport = jv_read_string(session, "transport", "?");
	int64_t established = jv_read_int(session, "established_since", 0);
	char since[TEXT_TIME_LEN], est[TEXT_TIME_LEN];

	text_print("\nSession %" PRId64 "%s, worker %" PRId64 "\n", jv_read_int(session, "id", 0),
		   strcmp(direction, "out") == 0  ? ", our daemon connected"
		   : strcmp(direction, "in") == 0 ? ", the neighbor connected"
						  : "",
		   jv_read_int(session, "worker", 0));
	print_field(2, "State", "%s since %s", jv_read_string(session, "state", "?"),
		    text_time_long(jv_read_int(session, "since", 0), since));
	print_field(2, "BGP", "%s%s%s", jv_read_string(session, "bgp", "?"),
		    established ? ", established since " : "",
		    established ? text_time_long(established, est) : "");
	print_field(2, "Connection", "%s port %" PRId64 " to %s port %" PRId64 ", %s",
		    jv_read_string(session, "local", "?"), jv_read_int(session, "local_port", 0),
		    jv_read_string(session, "peer", "?"), jv_read_int(session, "peer_port", 0),
		    strcmp(transport, "clear") == 0 ? "CLEAR TEXT" : transport);
	print_session_ao(session);
	print_tls(c, session);
	print_stream(session, "in", "BGP in, from the neighbor");
	print_stream(session, "out", "BGP out, from our daemon");
}

static void print_head(const struct ctl *c, const struct jv_cursor *neighbor)
{
	const char *description = jv_read_string(neighbor, "description", "");
	const char *name = jv_need_string(neighbor, "name");
	int64_t as = jv_read_int(neighbor, "remote_as", 0);
	char since[TEXT_TIME_LEN], expiry[TEXT_TIME_LEN];

	text_print("Neighbor %s%s%s%s\n", name ? name : "?", description[0] ? " (" : "",
		   description, description[0] ? ")" : "");
	print_field(2, "State", "%s since %s", jv_read_string(neighbor, "state", "?"),
		    text_time_long(jv_read_int(neighbor, "since", 0), since));
	print_string(neighbor, "bgp", 2, "BGP");
	print_field(2, "Mode", "%s, role %s%s", jv_read_string(neighbor, "mode", "?"),
		    jv_read_string(neighbor, "role", "?"),
		    jv_read_bool(neighbor, "dynamic", false) ? ", dynamic (a prefix)" : "");
	if (jv_read_bool(neighbor, "fallback", false))
		print_field(2, "Fallback", "CLEAR TEXT IS ALLOWED NOW");
	if (jv_read_int(neighbor, "clear_sessions", 0))
		print_field(2, "Clear text",
			    "%" PRId64 " session(s) that the daemon itself accepted",
			    jv_read_int(neighbor, "clear_sessions", 0));
	print_string(neighbor, "local_address", 2, "Local address");
	print_int(neighbor, "tls_port", 2, "TLS port");
	if (as)
		print_field(2, "Remote AS", "%" PRId64, as);
	if (jv_read_int(neighbor, "certificate_expires", 0))
		print_field(2, "Our certificate", "expires %s",
			    text_time_expiry(jv_read_int(neighbor, "certificate_expires", 0),
					     c->now, expiry));
	print_ao(neighbor);
	print_counts(neighbor, "counters", 2, "Counters");
}

static const char *direction_text(const struct jv_cursor *at, const char *in, const char *out)
{
	const char *direction = jv_read_string(at, "direction", "");

	return strcmp(direction, "in") == 0 ? in : strcmp(direction, "out") == 0 ? out : "";
}

static void print_failures(const struct jv_cursor *neighbor)
{
	struct jv_cursor failures = jv_read_object(neighbor, "failures");
	struct jv_cursor last = jv_read_object(neighbor, "last_failure");
	const char *reason = jv_read_string(&last, "reason", "");
	const char *next = ctl_advice(reason);
	char when[TEXT_TIME_LEN], counts[512];

	join_counts(&failures, counts, sizeof(counts));
	if (!last.value && !counts[0])
		return;
	text_print("\nFailures\n");
	if (counts[0])
		print_field(2, "By reason", "%s", counts);
	if (!last.value)
		return;
	print_field(2, "Last", "%s%s", text_time_long(jv_read_int(&last, "time", 0), when),
		    direction_text(&last, ", the neighbor connected", ", we connected"));
	print_field(2, "", "%s: %s", reason[0] ? reason : "?", jv_read_string(&last, "text", ""));
	if (next)
		print_field(2, "What to do", "%s", next);
}

static void print_notification(const struct jv_cursor *neighbor)
{
	struct jv_cursor last = jv_read_object(neighbor, "last_notification");
	char when[TEXT_TIME_LEN];

	if (!last.value)
		return;
	text_print("\nLast NOTIFICATION\n");
	print_field(2, "When", "%s%s", text_time_long(jv_read_int(&last, "time", 0), when),
		    direction_text(&last, ", from the neighbor", ", from our daemon"));
	print_field(2, "What", "%s (code %" PRId64 ", subcode %" PRId64 ")",
		    jv_read_string(&last, "text", "?"), jv_read_int(&last, "code", 0),
		    jv_read_int(&last, "subcode", 0));
}

void ctl_print_neighbor(const struct ctl *c, const struct jv_cursor *neighbor)
{
	struct jv_cursor sessions = jv_read_array(neighbor, "sessions");

	print_head(c, neighbor);
	for (size_t i = 0; i < jv_size(sessions.value); i++) {
		struct jv_cursor session = jv_read_item(&sessions, i);

		print_session(c, &session);
	}
	print_failures(neighbor);
	print_notification(neighbor);
}
