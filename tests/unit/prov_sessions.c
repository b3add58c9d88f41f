// SPDX-License-Identifier: Apache-2.0
#include "prov_sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct jv *prov_mapping(const char *neighbor, const char *server, const char *session_id,
			const char *daemon)
{
	struct jv *m = jv_object_new();
	bool is_6 = strchr(neighbor, ':');
	char name[80];
	int r;

	snprintf(name, sizeof(name), "as64502_%s", neighbor);
	for (char *c = name; *c; c++)
		if (strchr(".:%-", *c))
			*c = '_';
	r = jv_set_string(m, "neighbor", neighbor);
	r |= jv_set_string(m, "local", is_6 ? "2001:db8::1" : "192.0.2.1");
	r |= jv_set_int(m, "family", is_6 ? 6 : 4);
	r |= jv_set_bool(m, "ipv4", !is_6);
	r |= jv_set_bool(m, "ipv6", is_6);
	r |= jv_set_string(m, "name", name);
	r |= jv_set_int(m, "remote_as", 64502);
	r |= jv_set_int(m, "local_as", 64501);
	r |= jv_set_string(m, "server", server);
	r |= jv_set_string(m, "session_id", session_id);
	r |= jv_set_string(m, "description", "AS64502 Example Net, pdb:ix:42");
	r |= jv_set_string(m, "mode", "required");
	r |= jv_set_string(m, "daemon", daemon);
	r |= jv_set_int(m, "max_prefix", 1000);
	r |= jv_set_string(m, "role", "peer");
	assert_int_equal(r, 0);
	return m;
}

static const char *session_id(const char *neighbor, char *buf, size_t size)
{
	snprintf(buf, size, "s-%s", neighbor);
	return buf;
}

struct owned prov_owned(const char *neighbor, const char *server, const char *daemon)
{
	char id[80];

	return (struct owned){
		.mapping = prov_mapping(neighbor, server, session_id(neighbor, id, sizeof(id)),
					daemon),
		.since = PROV_NOW - 1000,
		.created = PROV_NOW - 1000,
		.established = PROV_NOW - 900,
		.time_window = -1,
		.was_asked = true,
	};
}

struct judgement prov_judgement(const struct server_settings *server, const char *neighbor,
				enum verdict verdict, const char *daemon)
{
	struct judgement j = {.server = server, .verdict = verdict};

	session_id(neighbor, j.record.session_id, sizeof(j.record.session_id));
	j.record.time_window = -1;
	snprintf(j.neighbor, sizeof(j.neighbor), "%s", neighbor);
	if (verdict == VERDICT_WANT)
		j.mapping = prov_mapping(neighbor, server->name, j.record.session_id, daemon);
	else
		snprintf(j.reason, sizeof(j.reason), "because of %s", neighbor);
	return j;
}
