// SPDX-License-Identifier: Apache-2.0
#include "http_internal.h"

#include "addr.h"
#include "wipe.h"

#include <errno.h>
#include <strings.h>

#define HOST_MAX 255

/* Not isalnum(), which asks the locale. */
static bool is_one_of(char c, const char *others)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr(others, c));
}

static bool consists_of(const char *text, size_t len, const char *others)
{
	for (size_t i = 0; i < len; i++)
		if (!is_one_of(text[i], others))
			return false;
	return len > 0;
}

/* ":443" or nothing. */
static int parse_port(const char *text, const char *end, unsigned *port)
{
	unsigned n = 0;

	if (text == end)
		return 0;
	if (*text != ':' || text + 1 == end || end - text > 6)
		return -EINVAL;
	for (text++; text < end; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + *text - '0';
	}
	if (n == 0 || n > 65535)
		return -EINVAL;
	*port = n;
	return 0;
}

static bool looks_loopback(const char *host, size_t len)
{
	char name[ADDR_STRLEN];
	struct addr a;

	if (len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (strcasecmp(name, "localhost") == 0)
		return true;
	return addr_parse(name, &a, NULL) == 0 && addr_is_loopback(&a);
}

static bool is_escaped(const char *url)
{
	for (const char *p = url; (p = strchr(p, '%')); p++)
		if (strspn(p + 1, "0123456789ABCDEFabcdef") < 2)
			return false;
	return true;
}

/* The host without its brackets, and where the port begins. */
static int parse_host(const char *start, const char *end, struct http_target *t,
		      const char **ret_end, struct errtext *e)
{
	const char *host_end;

	if (*start == '[') {
		start++;
		host_end = memchr(start, ']', end - start);
		if (!host_end || !consists_of(start, host_end - start, ":.%-_~"))
			return errtext_set(e, -EINVAL, "the URL's IPv6 address is not one");
		*ret_end = host_end + 1;
	} else {
		host_end = memchr(start, ':', end - start);
		host_end = host_end ? host_end : end;
		if (!consists_of(start, host_end - start, "-._") || host_end - start > HOST_MAX)
			return errtext_set(e, -EINVAL, "the URL has no host, or none that is one");
		*ret_end = host_end;
	}
	t->is_loopback = looks_loopback(start, host_end - start);
	return 0;
}

/* What libcurl would make of a strange URL is not for us to find out: nothing is accepted that is
 * not as RFC 3986 has it. */
static int parse_url(const char *url, struct http_target *t, struct errtext *e)
{
	const char *host, *end, *host_end;
	unsigned port;
	int r;

	if (strlen(url) > HTTP_URL_MAX)
		return errtext_set(e, -EINVAL, "the URL is longer than %d bytes", HTTP_URL_MAX);
	if (!consists_of(url, strlen(url), "-._~:/?[]@!$&'()*+,;=%") || !is_escaped(url))
		return errtext_set(e, -EINVAL,
				   "the URL is empty, or has characters that must be escaped or do "
				   "not belong there");
	t->is_plain = strncasecmp(url, "http://", 7) == 0;
	if (!t->is_plain && strncasecmp(url, "https://", 8) != 0)
		return errtext_set(e, -EINVAL, "the URL does not begin with https://");
	host = strchr(url, ':') + 3;
	host_end = end = host + strcspn(host, "/?");
	if (memchr(host, '@', end - host))
		return errtext_set(
			e, -EINVAL,
			"the URL has a user name or a password, which do not belong there");
	r = parse_host(host, end, t, &host_end, e);
	if (r < 0)
		return r;
	port = t->is_plain ? 80 : 443;
	if (parse_port(host_end, end, &port) < 0)
		return errtext_set(e, -EINVAL, "the URL's port is not 1 to 65535");
	if (strpbrk(end, "[]"))
		return errtext_set(e, -EINVAL, "the URL's path has brackets: they must be escaped");
	snprintf(t->where, sizeof(t->where), "%.*s:%u",
		 host_end - host > 110 ? 110 : (int)(host_end - host), host, port);
	return 0;
}

static bool is_header_value(const char *value)
{
	for (; *value; value++)
		if ((unsigned char)*value < ' ' || (unsigned char)*value > '~')
			return false;
	return true;
}

static int check_headers(const struct http_request *q, const char *where, struct errtext *e)
{
	const struct {
		const char *name, *value;
	} values[] = {
		{"Authorization", q->authorization},
		{"user name", q->basic_user},
		{"password", q->basic_password},
		{"Content-Type", q->content_type},
		{"Accept", q->accept},
		{"X-Request-Id", q->request_id},
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		if (values[i].value && !is_header_value(values[i].value))
			return errtext_set(e, -EINVAL,
					   "%s: the %s has characters that cannot be sent", where,
					   values[i].name);
	if (q->basic_user && strchr(q->basic_user, ':'))
		return errtext_set(e, -EINVAL, "%s: a user name must not have a colon (RFC 7617)",
				   where);
	return 0;
}

int http_check(const struct http_request *q, struct http_target *ret, struct errtext *e)
{
	struct http_target target = {};
	int r;

	if (strcmp(q->method, "GET") != 0 && strcmp(q->method, "POST") != 0 &&
	    strcmp(q->method, "DELETE") != 0)
		return errtext_set(e, -EINVAL, "no such method");
	r = parse_url(q->url, &target, e);
	if (r < 0)
		return r;
	if (target.is_plain && !q->allow_http)
		return errtext_set(e, -EACCES,
				   "%s: http:// is not allowed: use https:// (or allow-http for a "
				   "server on this machine)",
				   target.where);
	r = check_headers(q, target.where, e);
	if (r < 0)
		return r;
	*ret = target;
	return 0;
}

/* RFC 4648 section 4. */
static void to_base64(const unsigned char *from, size_t len, char *to)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t at = 0; at < len; at += 3) {
		size_t n = len - at < 3 ? len - at : 3;
		unsigned bits = from[at] << 16 | (n > 1 ? from[at + 1] << 8 : 0) |
				(n > 2 ? from[at + 2] : 0);

		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = n > 1 ? digits[bits >> 6 & 63] : '=';
		*to++ = n > 2 ? digits[bits & 63] : '=';
	}
	*to = '\0';
}

char *http_basic(const char *user, const char *password)
{
	static const char scheme[] = "Basic ";
	size_t len = strlen(user) + 1 + strlen(password);
	_cleanup_wiped_ char *both = malloc(len + 1);
	char *value = malloc(sizeof(scheme) + (len + 2) / 3 * 4);

	if (!both || !value) {
		free(value);
		return NULL;
	}
	snprintf(both, len + 1, "%s:%s", user, password);
	strcpy(value, scheme);
	to_base64((unsigned char *)both, len, value + strlen(scheme));
	return value;
}

int http_escape(const char *text, char *buf, size_t size)
{
	size_t start = strlen(buf), at = start;

	if (!*text || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return -EINVAL;
	for (; *text; text++) {
		bool is_plain = is_one_of(*text, "-._~");

		if (size - at <= (is_plain ? 1 : 3)) {
			buf[start] = '\0';
			return -ENAMETOOLONG;
		}
		if (is_plain)
			buf[at++] = *text;
		else
			at += snprintf(buf + at, 4, "%%%02X", (unsigned char)*text);
		buf[at] = '\0';
	}
	return 0;
}
