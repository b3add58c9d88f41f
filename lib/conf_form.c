// SPDX-License-Identifier: Apache-2.0
/* The forms of values that are text. */
#include "addr.h"
#include "conf_internal.h"
#include "text.h"

#include <ctype.h>

bool conf_is_printable(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		size_t n = text_printable_at(s);

		if (!n)
			return false;
		s += n;
	}
	return true;
}

/* What useradd(8) takes, digits in front too. */
bool conf_is_account(const char *s)
{
	if (*s == '-' || !*s || strlen(s) > 32)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_-.$", *s))
			return false;
	return true;
}

bool conf_is_name(const char *s)
{
	if (!*s || strlen(s) > CONF_NAME_MAX)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_.:-", *s))
			return false;
	return true;
}

/* RFC 1123 section 2.1; no trailing dot. */
bool conf_is_host_name(const char *s)
{
	size_t label = 0;

	if (strlen(s) > 253)
		return false;
	for (;; s++) {
		if (*s == '.' || !*s) {
			if (label == 0 || label > 63 || s[-1] == '-')
				return false;
			if (!*s)
				return true;
			label = 0;
		} else if (isalnum((unsigned char)*s) || (*s == '-' && label > 0)) {
			label++;
		} else {
			return false;
		}
	}
}

/* RFC 3986 section 2; a percent sign begins two hexadecimal digits. */
static bool has_url_characters(const char *s)
{
	for (; *s; s++) {
		if (*s == '%' && !(isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2])))
			return false;
		if (!isalnum((unsigned char)*s) && !strchr("-._~:/?[]@!$&'()*+,;=%", *s))
			return false;
	}
	return true;
}

static bool is_port(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && n <= 5 && !s[n] && atoi(s) >= 1 && atoi(s) <= 65535;
}

/* "host", "host:port", "[2001:db8::1]", "[2001:db8::1]:port"; RFC 3986 section 3.2. */
static bool is_authority(const char *authority)
{
	char text[256], *host = text, *behind;
	struct addr a;

	if (strlen(authority) >= sizeof(text))
		return false;
	strcpy(text, authority);
	if (*text == '[') {
		host++;
		behind = strchr(host, ']');
		if (!behind)
			return false;
		*behind++ = '\0';
		if (strchr(host, '%') || addr_parse(host, &a, NULL) < 0 || a.family != AF_INET6 ||
		    addr_is_prefix(&a))
			return false;
	} else {
		behind = host + strcspn(host, ":");
	}
	if (*behind) {
		if (*behind != ':' || !is_port(behind + 1))
			return false;
		*behind = '\0';
	}
	return *text == '[' || conf_is_host_name(host);
}

bool conf_is_url(const char *s)
{
	char authority[256];
	size_t n;

	if (!has_url_characters(s))
		return false;
	if (!strncasecmp(s, "https://", 8))
		s += 8;
	else if (!strncasecmp(s, "http://", 7))
		s += 7;
	else
		return false;
	n = strcspn(s, "/?");
	if (n >= sizeof(authority))
		return false;
	memcpy(authority, s, n);
	authority[n] = '\0';
	return is_authority(authority);
}
