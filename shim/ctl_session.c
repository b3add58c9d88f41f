// SPDX-License-Identifier: Apache-2.0
/* "botlsctl show session": one line for each, or all that is known of one, in sections; what is not
 * known is left out. */
#include "ctl.h"

#include <inttypes.h>

/* Of one that drains nobody counts them here. */
static void print_records(const struct ctl *c, const struct jv_cursor *tls)
{
	const char *why = jv_read_string(tls, "records_why", NULL);

	if (jv_read_int(tls, "records_in", -1) < 0)
		return;
	ctl_field(c, 4, "Records", "in %" PRId64 ", out %" PRId64,
		  jv_read_int(tls, "records_in", 0), jv_read_int(tls, "records_out", 0));
	ctl_field(c, 4, "Done by", "%s%s%s%s", jv_read_string(tls, "records", "?"), why ? " (" : "",
		  why ? why : "", why ? ")" : "");
	ctl_field(c, 4, "Key updates", "sent %" PRId64 ", received %" PRId64,
		  jv_read_int(tls, "key_updates_sent", 0),
		  jv_read_int(tls, "key_updates_received", 0));
}

static void print_tls(const struct ctl *c, const struct jv_cursor *session)
{
	struct jv_cursor tls = jv_read_object(session, "tls");
	const char *group = jv_read_string(&tls, "group", "");
	char expiry[TEXT_TIME_LEN];

	if (!tls.value)
		return;
	text_print("  TLS\n");
	ctl_field(c, 4, "Version", "%s, %s%s%s", jv_read_string(&tls, "version", "?"),
		  jv_read_string(&tls, "cipher", "?"), group[0] ? ", " : "", group);
	print_records(c, &tls);
	if (jv_read_bool(&tls, "past_key_limit", false))
		ctl_field_as(c, TEXT_WAIT, 4, "Key limit",
			     "passed, and TLS 1.2 cannot renew keys: reset the session");
	text_print("  Certificate of the neighbor\n");
	ctl_field_string(c, &tls, "subject", 4, "Subject");
	ctl_field_string(c, &tls, "issuer", 4, "Issuer");
	ctl_field_string(c, &tls, "san", 4, "Names");
	ctl_field_string(c, &tls, "pin", 4, "Pin");
	ctl_field(c, 4, "Expires", "%s",
		  text_time_expiry(jv_read_int(&tls, "not_after", 0), c->now, expiry));
}

/* tcp-ao = capability. */
static void print_capability(const struct ctl *c, const struct jv_cursor *session)
{
	static const struct {
		const char *state, *text;
	} texts[] = {
		{"unavailable", "not announced: "},
		{"waiting", "waits for the OPENs"},
		{"not-announced", "the neighbor has not announced it: no TCP-AO"},
		{"different", "no TCP-AO: "},
		{"agreed", "agreed, TCP-AO is about to begin"},
		{"on", "agreed, TCP-AO on since "},
		{"failed", "FAILED: "},
	};
	struct jv_cursor capability = jv_read_object(session, "tcp_ao_capability");
	const char *state = jv_read_string(&capability, "state", "?"), *text = state;
	bool is_on = strcmp(state, "on") == 0;
	char since[TEXT_TIME_LEN];

	if (!capability.value)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(texts[i].state, state) == 0)
			text = texts[i].text;
	ctl_field_as(c, is_on ? TEXT_PLAIN : TEXT_WAIT, 2, "Capability", "%s%s", text,
		     is_on ? text_time_long(jv_read_int(&capability, "since", 0), since)
			   : jv_read_string(&capability, "text", ""));
}

static void print_ao(const struct ctl *c, const struct jv_cursor *session)
{
	struct jv_cursor ao = jv_read_object(session, "tcp_ao");
	const char *lack = jv_read_string(session, "tcp_ao_lack", NULL);
	int64_t generation = jv_read_int(&ao, "generation", 0);

	if (!ao.value && !lack)
		return;
	text_print("  TCP-AO\n");
	if (lack)
		ctl_field_as(c, TEXT_WAIT, 4, ao.value ? "NOT PROTECTED" : "NONE", "%s", lack);
	if (!ao.value)
		return;
	ctl_field(c, 4, "Key in use", "SendID %" PRId64 ", RecvID %" PRId64 "%s",
		  jv_read_int(&ao, "send_id", 0), jv_read_int(&ao, "recv_id", 0),
		  !jv_get(ao.value, "derived")		? ""
		  : jv_read_bool(&ao, "derived", false) ? ", derived from TLS"
							: " (the default key, which is no secret)");
	ctl_field_string(c, &ao, "send_key", 4, "Sent with");
	ctl_field_string(c, &ao, "recv_key", 4, "Asked for");
	if (jv_read_bool(&ao, "old", false))
		ctl_field_as(c, TEXT_BAD, 4, "OLD KEY",
			     "the neighbor goes on with a key that is no longer accepted: give it "
			     "the next one");
	if (generation > 1)
		ctl_field(c, 4, "Renewed", "%" PRId64 " times", generation - 1);
	ctl_field_ao(c, &ao, 4, "Segments", "");
}

static void print_open(const struct ctl *c, const struct jv_cursor *stream)
{
	struct jv_cursor open = jv_read_object(stream, "open");
	struct jv_cursor capabilities = jv_read_array(&open, "capabilities");
	const char *role = jv_read_string(&open, "role", NULL);
	char names[512];
	size_t n = 0;

	if (!open.value)
		return;
	ctl_field(c, 4, "OPEN", "AS %" PRId64 ", identifier %s, hold time %" PRId64 " s%s%s",
		  jv_read_int(&open, "as", 0), jv_read_string(&open, "router_id", "?"),
		  jv_read_int(&open, "hold_time", 0), role ? ", role " : "", role ? role : "");
	for (size_t i = 0; i < jv_size(capabilities.value) && n < sizeof(names); i++)
		n += snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "",
			      jv_read_string_item(&capabilities, i, "?"));
	if (n)
		ctl_field(c, 4, "Capabilities", "%s", names);
}

static void print_stream(const struct ctl *c, const struct jv_cursor *session, const char *key,
			 const char *title)
{
	struct jv_cursor stream = jv_read_object(session, key);
	struct jv_cursor counts = jv_read_object(&stream, "messages");
	int64_t bytes = jv_read_int(&stream, "bytes", 0);
	char text[512], size[TEXT_COUNT_LEN];

	if (!stream.value)
		return;
	text_print("  %s\n", title);
	print_open(c, &stream);
	ctl_join_counts(&counts, text, sizeof(text));
	if (text[0])
		ctl_field(c, 4, "Messages", "%s", text);
	if (bytes < 1000)
		ctl_field(c, 4, "Bytes", "%" PRId64, bytes);
	else
		ctl_field(c, 4, "Bytes", "%" PRId64 " (%s)", bytes, text_bytes(bytes, size));
	if (jv_read_string(&stream, "framing_error", NULL))
		ctl_field_as(c, TEXT_BAD, 4, "FRAMING ERROR", "%s",
			     jv_read_string(&stream, "framing_error", ""));
}

/* What the kernel knows of one of the two connections. */
static void print_leg(const struct ctl *c, const struct jv_cursor *session, const char *key,
		      const char *title)
{
	struct jv_cursor leg = jv_read_object(session, key);
	int64_t rtt = jv_read_int(&leg, "rtt_us", 0), blocked = jv_read_int(&leg, "blocked_ms", 0);

	if (!leg.value)
		return;
	text_print("  %s\n", title);
	ctl_field(c, 4, "TCP", "%s port %" PRId64 " to %s port %" PRId64,
		  jv_read_string(&leg, "local", "?"), jv_read_int(&leg, "local_port", 0),
		  jv_read_string(&leg, "peer", "?"), jv_read_int(&leg, "peer_port", 0));
	if (rtt)
		ctl_field(c, 4, "Round trip", "%.3f ms", rtt / 1000.0);
	ctl_field(c, 4, "Retransmits", "%" PRId64 " segments; MSS %" PRId64,
		  jv_read_int(&leg, "retransmits", 0), jv_read_int(&leg, "mss", 0));
	ctl_field(c, 4, "Unacknowledged", "%" PRId64 " bytes", jv_read_int(&leg, "unacked", 0));
	if (blocked)
		ctl_field_as(c, TEXT_WAIT, 4, "BLOCKED",
			     "for %.1f s it has not taken what waits for it", blocked / 1000.0);
}

static const char *direction_text(const struct jv_cursor *session)
{
	const char *direction = jv_read_string(session, "direction", "");

	return strcmp(direction, "out") == 0  ? ", our daemon connected"
	       : strcmp(direction, "in") == 0 ? ", the neighbor connected"
					      : "";
}

/* ", worker 0", or which one of the botlsd before. */
static const char *worker_text(const struct jv_cursor *session, char *buf, size_t size)
{
	struct jv_cursor draining = jv_read_object(session, "draining");
	int64_t worker = jv_read_int(session, "worker", -1);

	buf[0] = '\0';
	if (draining.value)
		snprintf(buf, size, ", worker %s of the botlsd before",
			 jv_read_string(&draining, "worker", "?"));
	else if (worker >= 0)
		snprintf(buf, size, ", worker %" PRId64, worker);
	return buf;
}

/* Why it has not moved, and until when it may go on. */
static void print_draining(const struct ctl *c, const struct jv_cursor *session)
{
	struct jv_cursor draining = jv_read_object(session, "draining");
	int64_t until = jv_read_int(&draining, "until", 0);
	char at[TEXT_TIME_LEN];

	if (!draining.value)
		return;
	ctl_field(c, 2, "Stayed", "%s", jv_read_string(&draining, "why", "?"));
	if (until)
		ctl_field_as(c, TEXT_WAIT, 2, "Ends", "%s at the latest",
			     text_time_long(until, at));
}

void ctl_print_session(const struct ctl *c, const struct jv_cursor *session, const char *neighbor)
{
	const char *transport = jv_read_string(session, "transport", "?");
	const char *state = jv_read_string(session, "state", "?");
	int64_t established = jv_read_int(session, "established_since", 0);
	bool is_clear = strcmp(transport, "clear") == 0;
	char since[TEXT_TIME_LEN], ago[TEXT_TIME_LEN], worker[64];

	text_print_as(TEXT_HEAD, "Session %" PRId64 "%s%s%s%s\n", jv_read_int(session, "id", 0),
		      neighbor ? " of " : "", neighbor ? neighbor : "", direction_text(session),
		      worker_text(session, worker, sizeof(worker)));
	ctl_field_as(c, ctl_state_style(state), 2, "State", "%s for %s, since %s", state,
		     ctl_ago(c, jv_read_int(session, "since", 0), ago),
		     text_time_long(jv_read_int(session, "since", 0), since));
	print_draining(c, session);
	ctl_field(c, 2, "BGP", "%s%s%s", jv_read_string(session, "bgp", "?"),
		  established ? ", established since " : "",
		  established ? text_time_long(established, since) : "");
	ctl_field_as(c, is_clear ? TEXT_BAD : TEXT_PLAIN, 2, "Connection",
		     "%s port %" PRId64 " to %s port %" PRId64 ", %s",
		     jv_read_string(session, "local", "?"), jv_read_int(session, "local_port", 0),
		     jv_read_string(session, "peer", "?"), jv_read_int(session, "peer_port", 0),
		     is_clear ? "CLEAR TEXT" : transport);
	print_capability(c, session);
	if (jv_read_int(session, "buffered", -1) >= 0)
		ctl_field(c, 2, "Buffered", "%" PRId64 " bytes wait in botlsd",
			  jv_read_int(session, "buffered", 0));
	print_leg(c, session, "outer", "Outer connection, with the neighbor");
	print_leg(c, session, "inner", "Inner connection, with our daemon (as the neighbor)");
	print_ao(c, session);
	print_tls(c, session);
	print_stream(c, session, "in", "BGP in, from the neighbor");
	print_stream(c, session, "out", "BGP out, from our daemon");
}

static int add_session(const struct ctl *c, struct table *t, const struct jv_cursor *session,
		       const char *neighbor)
{
	struct jv_cursor in = jv_read_object(session, "in"), out = jv_read_object(session, "out");
	struct jv_cursor tls = jv_read_object(session, "tls");
	const char *state = jv_read_string(session, "state", "?");
	const char *bgp = jv_read_string(session, "bgp", "-");
	bool is_clear = strcmp(jv_read_string(session, "transport", ""), "clear") == 0;
	char id[24], since[TEXT_TIME_LEN], bytes[2][TEXT_COUNT_LEN];
	const char *cells[] = {
		neighbor,
		id,
		jv_read_string(session, "direction", "?"),
		state,
		bgp,
		ctl_ago(c, jv_read_int(session, "since", 0), since),
		in.value ? text_bytes(jv_read_int(&in, "bytes", 0), bytes[0]) : "-",
		out.value ? text_bytes(jv_read_int(&out, "bytes", 0), bytes[1]) : "-",
		is_clear ? "CLEAR" : jv_read_string(&tls, "version", "-"),
	};
	int r;

	snprintf(id, sizeof(id), "%" PRId64, jv_read_int(session, "id", 0));
	r = table_add(t, cells);
	if (r < 0)
		return r;
	table_style(t, 3, ctl_state_style(state));
	table_style(t, 4, ctl_bgp_style(bgp));
	table_style(t, 8, is_clear ? TEXT_BAD : TEXT_PLAIN);
	return 0;
}

/* Calls `each` for every session that is asked for; returns how many there were, or what it
 * returned below 0. */
static int for_each(const struct ctl *c, const struct jv_cursor *at, const struct ctl_filter *f,
		    struct table *t)
{
	struct jv_cursor neighbors = jv_read_array(at, "neighbors");
	int n = 0, r = 0;

	for (size_t i = 0; i < jv_size(neighbors.value); i++) {
		struct jv_cursor neighbor = jv_read_item(&neighbors, i);
		struct jv_cursor sessions = jv_read_array(&neighbor, "sessions");
		const char *name = jv_need_string(&neighbor, "name");

		if (!name || !ctl_filter_fits(f, &neighbor))
			continue;
		for (size_t k = 0; r == 0 && k < jv_size(sessions.value); k++) {
			struct jv_cursor session = jv_read_item(&sessions, k);

			if (f->session >= 0 && jv_read_int(&session, "id", -1) != f->session)
				continue;
			if (t)
				r = add_session(c, t, &session, name);
			else
				text_print("%s", n ? "\n" : "");
			if (!t)
				ctl_print_session(c, &session, name);
			n++;
		}
	}
	return r < 0 ? r : n;
}

static enum ctl_exit print_table(const struct ctl *c, const struct jv_cursor *at,
				 const struct ctl_filter *f)
{
	static const char *const titles[] = {"Neighbor", "ID",	 "Dir",	 "State", "BGP",
					     "For",	 "Rcvd", "Sent", "TLS"};
	static const size_t right[] = {1, 5, 6, 7};
	_cleanup_table_ struct table *t = table_new(titles, ARRAY_SIZE(titles));
	int n = t ? for_each(c, at, f, t) : -1;

	if (n < 0) {
		text_complain("out of memory: this router is short of it");
		return CTL_UNREACHABLE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(right); i++)
		table_align_right(t, right[i]);
	if (n) {
		table_print(t, c->width);
		text_print("\n");
	}
	text_print("%d session%s\n", n, n == 1 ? "" : "s");
	return CTL_OK;
}

enum ctl_exit ctl_print_sessions(const struct ctl *c, const struct jv_cursor *at,
				 const struct ctl_filter *f)
{
	if (f->session < 0 && !f->neighbor)
		return print_table(c, at, f);
	if (for_each(c, at, f, NULL) || jv_bad(at))
		return CTL_OK; /* the caller looks */
	if (f->session >= 0)
		text_complain("no session %" PRId64 "; 'botlsctl show session' lists them",
			      f->session);
	else
		text_complain("%s has no session; 'botlsctl show neighbor %s' may tell why",
			      f->neighbor, f->neighbor);
	return CTL_NO;
}
