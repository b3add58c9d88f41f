// SPDX-License-Identifier: Apache-2.0
/* The secrets of a TLS 1.3 connection, as OpenSSL writes them for a key log (RFC 9850): label,
 * random, secret. */
#include "tls_internal.h"

#include <errno.h>

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, uint8_t *to, size_t size)
{
	size_t len = strlen(text);

	if (len % 2 || len / 2 > size)
		return false;
	for (size_t i = 0; i < len / 2; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = high << 4 | low;
	}
	return true;
}

void tls_secrets_add(struct tls_secrets **s, const char *line)
{
	static const char *const labels[] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 ",
					     "EXPORTER_SECRET "};
	const char *last = strrchr(line, ' ');

	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		if (strncmp(line, labels[i], strlen(labels[i])) != 0)
			continue;
		if (!*s)
			*s = calloc(1, sizeof(**s));
		/* Without memory the connection goes on with OpenSSL's record layer. */
		if (*s && read_hex(last + 1, (*s)->each[i], TLS_SECRET_MAX))
			(*s)->seen |= 1 << i;
	}
}

void tls_secrets_free(struct tls_secrets *s)
{
	if (!s)
		return;
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
}
