// SPDX-License-Identifier: Apache-2.0
/* "botlsctl show neighbor ADDRESS": all that is known, in sections; what is not known is left out.
 */
#include "ctl.h"

#include <inttypes.h>

void ctl_field_ao(const struct ctl *c, const struct jv_cursor *ao, int indent, const char *label,
		  const char *others)
{
	if (ao->value)
		ctl_field(c, indent, label,
			  "%" PRId64 " good, %" PRId64 " bad; %s%" PRId64
			  " of an unknown id, %" PRId64 " without TCP-AO",
			  jv_read_int(ao, "good", 0), jv_read_int(ao, "bad", 0), others,
			  jv_read_int(ao, "key_not_found", 0), jv_read_int(ao, "required", 0));
}

/* Of a chain: " until 2026-12-01 00:00:00", or from when; nothing when there is no limit. */
static void print_key(const struct ctl *c, const struct jv_cursor *key)
{
	const char *state = jv_read_string(key, "state", "?");
	bool is_later = strcmp(state, "later") == 0;
	int64_t end =
		jv_read_int(key, strcmp(state, "sent") == 0 ? "send_until" : "accept_until", 0);
	int64_t begin = jv_read_int(key, "accept_from", 0), limit = is_later ? begin : end;
	char at[TEXT_TIME_LEN];

	ctl_field(c, 4, jv_read_string(key, "name", "?"),
		  "SendID %" PRId64 ", RecvID %" PRId64 ", %s%s%s", jv_read_int(key, "send_id", 0),
		  jv_read_int(key, "recv_id", 0), state,
		  !limit			? ""
		  : is_later			? ", from "
		  : strcmp(state, "ended") == 0 ? " at "
						: " until ",
		  limit ? text_time_long(limit, at) : "");
}

static void print_ao_capability(const struct ctl *c, const struct jv_cursor *ao,
				const char *covered)
{
	if (!jv_read_bool(ao, "active", true))
		ctl_field_as(c, TEXT_WAIT, 2, "TCP-AO", "MISSING in this kernel, so not announced");
	else
		ctl_field(c, 2, "TCP-AO", "capability %" PRId64 " (an experiment), %s, %s",
			  jv_read_int(ao, "capability_code", 0),
			  jv_read_string(ao, "algorithm", "?"), covered);
}

static void print_ao(const struct ctl *c, const struct jv_cursor *neighbor)
{
	struct jv_cursor ao = jv_read_object(neighbor, "tcp_ao");
	struct jv_cursor listener = jv_read_object(&ao, "listener"), keys;
	const char *covered = jv_read_bool(&ao, "options", true) ? "TCP options covered"
								 : "TCP options not covered";
	const char *chain = jv_read_string(&ao, "chain", NULL);

	if (!ao.value)
		return;
	if (strcmp(jv_read_string(&ao, "mode", ""), "capability") == 0) {
		print_ao_capability(c, &ao, covered);
		return;
	}
	if (!jv_read_bool(&ao, "active", true))
		ctl_field_as(c, TEXT_BAD, 2, "TCP-AO",
			     "MISSING in this kernel, tcp-ao-policy is %s",
			     jv_read_string(&ao, "policy", "?"));
	if (chain)
		ctl_field(c, 2, "TCP-AO", "chain %s", chain);
	if (strcmp(jv_read_string(&ao, "mode", ""), "exporter") == 0)
		ctl_field(c, 2, "TCP-AO", "%s, keys derived from TLS, %s%s",
			  jv_read_string(&ao, "algorithm", "?"), covered,
			  strcmp(jv_read_string(&ao, "policy", ""), "preferred") == 0 ? "; or none"
										      : "");
	else if (jv_get(ao.value, "send_id"))
		ctl_field(c, 2, chain ? "" : "TCP-AO",
			  "%s, SendID %" PRId64 ", RecvID %" PRId64 ", %s",
			  jv_read_string(&ao, "algorithm", "?"), jv_read_int(&ao, "send_id", 0),
			  jv_read_int(&ao, "recv_id", 0), covered);
	else
		ctl_field_as(c, TEXT_BAD, 2, "", "NO KEY MAY BE SENT NOW");
	keys = jv_read_array(&ao, "keys");
	for (size_t i = 0; i < jv_size(keys.value); i++) {
		struct jv_cursor key = jv_read_item(&keys, i);

		print_key(c, &key);
	}
	ctl_field_ao(c, &listener, 2, "At our port", "of all neighbors ");
}

/* botlsd counts those on the wire; the ones that go through it are among the sessions. */
static int64_t clear_past_us(const struct jv_cursor *neighbor)
{
	struct jv_cursor sessions = jv_read_array(neighbor, "sessions");
	int64_t n = jv_read_int(neighbor, "clear_sessions", 0);

	for (size_t i = 0; i < jv_size(sessions.value); i++) {
		struct jv_cursor session = jv_read_item(&sessions, i);

		n -= strcmp(jv_read_string(&session, "state", ""), "clear") == 0;
	}
	return n > 0 ? n : 0;
}

static void print_head(const struct ctl *c, const struct jv_cursor *neighbor)
{
	const char *description = jv_read_string(neighbor, "description", "");
	const char *name = jv_need_string(neighbor, "name");
	int64_t as = jv_read_int(neighbor, "remote_as", 0), past_us = clear_past_us(neighbor);
	struct jv_cursor counters = jv_read_object(neighbor, "counters");
	const char *state = jv_read_string(neighbor, "state", "?");
	char since[TEXT_TIME_LEN], ago[TEXT_TIME_LEN], expiry[TEXT_TIME_LEN], text[512];

	text_print_as(TEXT_HEAD, "Neighbor %s%s%s%s\n", name ? name : "?",
		      description[0] ? " (" : "", description, description[0] ? ")" : "");
	ctl_field_as(c, ctl_state_style(state), 2, "State", "%s for %s, since %s", state,
		     ctl_ago(c, jv_read_int(neighbor, "since", 0), ago),
		     text_time_long(jv_read_int(neighbor, "since", 0), since));
	ctl_field_string(c, neighbor, "bgp", 2, "BGP");
	ctl_field(c, 2, "Mode", "%s, role %s%s", jv_read_string(neighbor, "mode", "?"),
		  jv_read_string(neighbor, "role", "?"),
		  jv_read_bool(neighbor, "dynamic", false) ? ", dynamic (a prefix)" : "");
	if (jv_read_bool(neighbor, "fallback", false))
		ctl_field_as(c, TEXT_BAD, 2, "Fallback", "CLEAR TEXT IS ALLOWED NOW");
	if (past_us)
		ctl_field_as(c, TEXT_BAD, 2, "Clear text",
			     "%" PRId64 " session(s) that the daemon itself accepted", past_us);
	ctl_field_string(c, neighbor, "local_address", 2, "Local address");
	ctl_field_int(c, neighbor, "tls_port", 2, "TLS port");
	if (as)
		ctl_field(c, 2, "Remote AS", "%" PRId64, as);
	if (jv_read_int(neighbor, "certificate_expires", 0))
		ctl_field(c, 2, "Our certificate", "expires %s",
			  text_time_expiry(jv_read_int(neighbor, "certificate_expires", 0), c->now,
					   expiry));
	print_ao(c, neighbor);
	ctl_join_counts(&counters, text, sizeof(text));
	if (text[0])
		ctl_field(c, 2, "Counters", "%s", text);
}

static const char *direction_text(const struct jv_cursor *at, const char *in, const char *out)
{
	const char *direction = jv_read_string(at, "direction", "");

	return strcmp(direction, "in") == 0 ? in : strcmp(direction, "out") == 0 ? out : "";
}

static void print_failures(const struct ctl *c, const struct jv_cursor *neighbor)
{
	struct jv_cursor failures = jv_read_object(neighbor, "failures");
	struct jv_cursor last = jv_read_object(neighbor, "last_failure");
	const char *reason = jv_read_string(&last, "reason", "");
	const char *next = ctl_advice(reason);
	char when[TEXT_TIME_LEN], counts[512];

	ctl_join_counts(&failures, counts, sizeof(counts));
	if (!last.value && !counts[0])
		return;
	text_print("\n");
	text_print_as(TEXT_HEAD, "Failures\n");
	if (counts[0])
		ctl_field(c, 2, "By reason", "%s", counts);
	if (!last.value)
		return;
	ctl_field(c, 2, "Last", "%s%s", text_time_long(jv_read_int(&last, "time", 0), when),
		  direction_text(&last, ", the neighbor connected", ", we connected"));
	ctl_field(c, 2, "", "%s: %s", reason[0] ? reason : "?", jv_read_string(&last, "text", ""));
	if (next)
		ctl_field(c, 2, "What to do", "%s", next);
}

static void print_notification(const struct ctl *c, const struct jv_cursor *neighbor)
{
	struct jv_cursor last = jv_read_object(neighbor, "last_notification");
	char when[TEXT_TIME_LEN];

	if (!last.value)
		return;
	text_print("\n");
	text_print_as(TEXT_HEAD, "Last NOTIFICATION\n");
	ctl_field(c, 2, "When", "%s%s", text_time_long(jv_read_int(&last, "time", 0), when),
		  direction_text(&last, ", from the neighbor", ", from our daemon"));
	ctl_field(c, 2, "What", "%s (code %" PRId64 ", subcode %" PRId64 ")",
		  jv_read_string(&last, "text", "?"), jv_read_int(&last, "code", 0),
		  jv_read_int(&last, "subcode", 0));
}

void ctl_print_neighbor(const struct ctl *c, const struct jv_cursor *neighbor)
{
	struct jv_cursor sessions = jv_read_array(neighbor, "sessions");

	print_head(c, neighbor);
	for (size_t i = 0; i < jv_size(sessions.value); i++) {
		struct jv_cursor session = jv_read_item(&sessions, i);

		text_print("\n");
		ctl_print_session(c, &session, NULL);
	}
	print_failures(c, neighbor);
	print_notification(c, neighbor);
}
