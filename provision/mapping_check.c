// SPDX-License-Identifier: Apache-2.0
/* The members of a mapping: what each may be, and what of them people get to see. */
#include "mapping_internal.h"
#include "spki.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>

#define SECRET_MAX 80

enum form {
	FORM_ADDRESS,
	FORM_BOOL,
	FORM_NUMBER, /* min..max */
	FORM_NAME,   /* 1..max characters */
	FORM_TEXT,   /* min..max characters */
	FORM_PATH,   /* likewise; settings take UTF-8 and apostrophes */
	FORM_SECRET,
	FORM_MODE,
	FORM_ROLE,
	FORM_PINS,  /* min..max items */
	FORM_NAMES, /* DNS names, likewise */
};

static const struct member {
	const char *name;
	enum form form;
	bool is_needed;
	int64_t min, max;
} members[] = {
	{"neighbor", FORM_ADDRESS, true, 0, 0},
	{"local", FORM_ADDRESS, true, 0, 0},
	{"family", FORM_NUMBER, true, 4, 6},
	{"ipv4", FORM_BOOL, true, 0, 0},
	{"ipv6", FORM_BOOL, true, 0, 0},
	{"name", FORM_NAME, true, 1, MAPPING_NAME_MAX - 1},
	{"remote_as", FORM_NUMBER, true, 1, UINT32_MAX},
	{"local_as", FORM_NUMBER, true, 1, UINT32_MAX},
	{"server", FORM_NAME, true, 1, 63},
	{"session_id", FORM_TEXT, true, 0, RECORD_ID_MAX - 1},
	{"request_id", FORM_TEXT, false, 1, RECORD_ID_MAX - 1},
	{"location", FORM_TEXT, false, 1, 63},
	{"description", FORM_TEXT, true, 1, MAPPING_TEXT_MAX},
	{"mode", FORM_MODE, true, 0, 0},
	{"port", FORM_NUMBER, false, 1, 65535},
	{"certificate", FORM_PATH, false, 1, PATH_MAX - 1},
	{"key", FORM_PATH, false, 1, PATH_MAX - 1},
	{"ca", FORM_PATH, false, 1, PATH_MAX - 1},
	{"dns_names", FORM_NAMES, false, 1, MAPPING_LIST_MAX},
	{"pins", FORM_PINS, false, 1, MAPPING_LIST_MAX},
	{"ttl_security", FORM_NUMBER, false, 1, 254},
	{"md5", FORM_SECRET, false, 1, SECRET_MAX},
	{"ao", FORM_SECRET, false, 1, SECRET_MAX},
	{"daemon", FORM_NAME, false, 1, 64},
	{"password", FORM_SECRET, false, 1, SECRET_MAX},
	{"max_prefix", FORM_NUMBER, true, 1, UINT32_MAX},
	{"import", FORM_NAME, false, 1, 64},
	{"export", FORM_NAME, false, 1, 64},
	{"role", FORM_ROLE, true, 0, 0},
	{"rs_client", FORM_BOOL, false, 0, 0},
	{"monitoring", FORM_BOOL, false, 0, 0},
};

static const struct member *find_member(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (strcmp(members[i].name, name) == 0)
			return &members[i];
	return NULL;
}

bool mapping_is_secret(const char *member)
{
	const struct member *m = find_member(member);

	return m && m->form == FORM_SECRET;
}

int mapping_check_secret(const char *secret, struct errtext *e)
{
	size_t len = strlen(secret);

	if (len == 0 || len > SECRET_MAX)
		return errtext_set(e, -EINVAL,
				   "the session's secret has %zu bytes: a key of TCP-MD5 or TCP-AO "
				   "has 1 to %d: agree on another one",
				   len, SECRET_MAX);
	for (const char *c = secret; *c; c++)
		if (*c < ' ' || *c > '~' || strchr("\"'\\", *c))
			return errtext_set(
				e, -EINVAL,
				"the session's secret holds a quote, a backslash, or what "
				"is not printable ASCII: agree on another one");
	if (secret[0] == ' ' || secret[len - 1] == ' ')
		return errtext_set(e, -EINVAL,
				   "the session's secret begins or ends with a blank: agree on "
				   "another one");
	return 0;
}

static bool is_name(const char *s)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
			return false;
	return true;
}

static bool is_text(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~' || strchr("\"'\\", *s))
			return false;
	return true;
}

static bool is_path(const char *s)
{
	for (size_t n; *s; s += n) {
		n = text_printable_at((const unsigned char *)s);
		if (!n || *s == '"' || *s == '\\')
			return false;
	}
	return true;
}

static bool is_long_enough(const struct member *m, const char *s)
{
	int64_t len = strlen(s);

	return len >= m->min && len <= m->max;
}

static bool is_host(const char *text)
{
	struct addr a;

	return addr_parse(text, &a, NULL) == 0 && !addr_is_prefix(&a);
}

static bool is_mode(const char *s)
{
	for (enum peer_mode mode = PEER_REQUIRED; mode <= PEER_OFF; mode++)
		if (strcmp(s, peer_mode_name(mode)) == 0)
			return true;
	return false;
}

static bool is_role(const char *s)
{
	for (enum bgp_role role = BGP_ROLE_PROVIDER; role <= BGP_ROLE_PEER; role++)
		if (strcmp(s, bgp_role_name(role)) == 0)
			return true;
	return false;
}

static const char *check_list(const struct member *m, const struct jv *v)
{
	uint8_t pin[SPKI_PIN_LEN];
	int64_t n = jv_size(v);

	if (!jv_is_array(v) || n < m->min || n > m->max)
		return "must be a list of 1 to 64 texts";
	for (int64_t i = 0; i < n; i++) {
		const char *s = jv_string(jv_at(v, i), "");

		if (m->form == FORM_PINS && spki_pin_parse(s, pin) < 0)
			return "must hold pins, as in sha256/BASE64";
		if (m->form == FORM_NAMES && (!s[0] || strlen(s) > 253 || !is_name(s)))
			return "must hold DNS names";
	}
	return NULL;
}

static const char *check_string(const struct member *m, const char *s)
{
	switch (m->form) {
	case FORM_ADDRESS: return is_host(s) ? NULL : "must be an address";
	case FORM_NAME:
		return is_long_enough(m, s) && is_name(s)
			       ? NULL
			       : "must be a name: letters, digits, and _ . - (64 characters at "
				 "most)";
	case FORM_TEXT:
		return is_long_enough(m, s) && is_text(s)
			       ? NULL
			       : "must be printable ASCII, not too long, without quotes and "
				 "backslashes";
	case FORM_PATH:
		return is_long_enough(m, s) && is_path(s)
			       ? NULL
			       : "must be a path without double quotes, backslashes and control "
				 "characters";
	case FORM_SECRET:
		return mapping_check_secret(s, NULL) == 0 ? NULL
							  : "is a secret that cannot be used";
	case FORM_MODE: return is_mode(s) ? NULL : "must be required, preferred or off";
	case FORM_ROLE: return is_role(s) ? NULL : "must be a role of RFC 9234";
	case FORM_BOOL:
	case FORM_NUMBER:
	case FORM_PINS:
	case FORM_NAMES: break;
	}
	return NULL;
}

/* What is wrong with the value, NULL: nothing. */
static const char *check_value(const struct member *m, const struct jv *o)
{
	const struct jv *v = jv_get(o, m->name);
	int64_t n = jv_int(v, 0);

	switch (m->form) {
	case FORM_BOOL:
		return jv_get_bool(o, m->name, false) == jv_get_bool(o, m->name, true)
			       ? NULL
			       : "must be true or false";
	case FORM_NUMBER:
		return jv_is_int(v) && n >= m->min && n <= m->max ? NULL : "is out of range";
	case FORM_PINS:
	case FORM_NAMES: return check_list(m, v);
	case FORM_ADDRESS:
	case FORM_NAME:
	case FORM_TEXT:
	case FORM_PATH:
	case FORM_SECRET:
	case FORM_MODE:
	case FORM_ROLE: break;
	}
	return jv_string(v, NULL) ? check_string(m, jv_string(v, NULL)) : "must be a text";
}

/* Members that say the same thing, or exclude each other. */
static int check_together(const struct jv *m, struct errtext *e)
{
	static const char *const outer[] = {"port", "certificate",  "key", "ca", "dns_names",
					    "pins", "ttl_security", "md5", "ao"};
	bool is_off = strcmp(jv_get_string(m, "mode", ""), peer_mode_name(PEER_OFF)) == 0;
	char name[MAPPING_NAME_MAX];
	struct addr neighbor, local;
	bool is_v4;

	if (addr_parse(jv_get_string(m, "neighbor", ""), &neighbor, e) < 0 ||
	    addr_parse(jv_get_string(m, "local", ""), &local, e) < 0)
		return -EINVAL;
	is_v4 = neighbor.family == AF_INET;
	if (local.family != neighbor.family || jv_get_int(m, "family", 0) != (is_v4 ? 4 : 6) ||
	    jv_get_bool(m, "ipv4", false) != is_v4 || jv_get_bool(m, "ipv6", false) == is_v4)
		return errtext_set(e, -EINVAL, "family: does not fit the addresses");
	mapping_name(jv_get_int(m, "remote_as", 0), &neighbor, name);
	if (strcmp(jv_get_string(m, "name", ""), name) != 0)
		return errtext_set(e, -EINVAL, "name: must be %s", name);
	for (size_t i = 0; is_off && i < ARRAY_SIZE(outer); i++)
		if (jv_get(m, outer[i]))
			return errtext_set(e, -EINVAL, "%s: makes no sense with mode off",
					   outer[i]);
	if (jv_get(m, "password") && !jv_get(m, "daemon"))
		return errtext_set(e, -EINVAL, "password: without a daemon");
	return 0;
}

int mapping_check(const struct jv *m, struct errtext *e)
{
	if (!jv_is_object(m))
		return errtext_set(e, -EINVAL, "a mapping must be an object");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct member *member = &members[i];
		const char *problem = NULL;

		if (jv_get(m, member->name))
			problem = check_value(member, m);
		else if (member->is_needed)
			problem = "is missing";
		if (problem)
			return errtext_set(e, -EINVAL, "%s: %s", member->name, problem);
	}
	for (struct jv_iter it = {}; jv_next(m, &it);)
		if (!find_member(it.key))
			return errtext_set(e, -EINVAL, "%.40s: no member of a mapping", it.key);
	return check_together(m, e);
}

static bool list_equal(const struct jv *a, const struct jv *b)
{
	if (jv_size(a) != jv_size(b))
		return false;
	for (size_t i = 0; i < jv_size(a); i++)
		if (strcmp(jv_string(jv_at(a, i), ""), jv_string(jv_at(b, i), "")) != 0)
			return false;
	return true;
}

static bool member_equal(const struct member *m, const struct jv *a, const struct jv *b)
{
	const struct jv *x = jv_get(a, m->name), *y = jv_get(b, m->name);

	if (!x || !y)
		return x == y;
	if (m->form == FORM_NUMBER)
		return jv_int(x, 0) == jv_int(y, 0);
	if (m->form == FORM_BOOL)
		return jv_get_bool(a, m->name, false) == jv_get_bool(b, m->name, false);
	if (m->form == FORM_PINS || m->form == FORM_NAMES)
		return list_equal(x, y);
	return strcmp(jv_string(x, ""), jv_string(y, "")) == 0;
}

bool mapping_equal(const struct jv *a, const struct jv *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (!member_equal(&members[i], a, b))
			return false;
	return true;
}

static const char *format_value(const struct member *m, const struct jv *o, char *buf, size_t size)
{
	const struct jv *v = jv_get(o, m->name);

	if (!v)
		return "none";
	if (m->form == FORM_BOOL)
		return jv_get_bool(o, m->name, false) ? "true" : "false";
	if (m->form != FORM_NUMBER)
		return jv_string(v, "")[0] ? jv_string(v, "") : "none";
	snprintf(buf, size, "%lld", (long long)jv_int(v, 0));
	return buf;
}

static void format_difference(const struct member *m, const struct jv *a, const struct jv *b,
			      char *buf, size_t size)
{
	char x[24], y[24];

	if (m->form == FORM_SECRET || m->form == FORM_PINS || m->form == FORM_NAMES)
		snprintf(buf, size, "%s", m->name);
	else
		snprintf(buf, size, "%s %s -> %s", m->name, format_value(m, a, x, sizeof(x)),
			 format_value(m, b, y, sizeof(y)));
}

const char *mapping_difference(const struct jv *a, const struct jv *b, char *buf, size_t size)
{
	static const char cut[] = "...";
	char text[2 * PATH_MAX];
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (member_equal(&members[i], a, b))
			continue;
		format_difference(&members[i], a, b, text, sizeof(text));
		used += snprintf(buf + used, size - used, "%s%s", used ? ", " : "", text);
		if (used < size)
			continue;
		if (size >= sizeof(cut))
			memcpy(buf + size - sizeof(cut), cut, sizeof(cut));
		break;
	}
	return buf;
}

struct jv *mapping_describe(const struct jv *m)
{
	_cleanup_jv_ struct jv *copy = jv_copy(m);
	int r = copy ? 0 : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (members[i].form == FORM_SECRET && jv_get(copy, members[i].name))
			r |= jv_set_string(copy, members[i].name, "<hidden>");
	return r ? NULL : TAKE(copy);
}
