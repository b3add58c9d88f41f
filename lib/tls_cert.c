// SPDX-License-Identifier: Apache-2.0
/* One certificate: its names in words, its dates, the pin of its key. */
#include "tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>

void tls_text_print(const void *text, size_t text_len, char *buf, size_t len)
{
	const uint8_t *p = text;
	size_t n = text_len < len ? text_len : len - 1;

	for (size_t i = 0; i < n; i++)
		buf[i] = p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '?';
	buf[n] = '\0';
	if (n < text_len && n >= 3)
		strcpy(buf + n - 3, "...");
}

void tls_name_print(const X509_NAME *name, char *buf, size_t len)
{
	_cleanup_bio_ BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;

	buf[0] = '\0';
	if (!bio || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0)
		return;
	n = BIO_get_mem_data(bio, &text);
	if (n > 0)
		tls_text_print(text, n, buf, len);
}

static void general_name_print(const GENERAL_NAME *name, char *buf, size_t len)
{
	char text[256] = "";
	const char *type;
	int kind;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &kind);

	switch (kind) {
	case GEN_DNS: type = "DNS"; break;
	case GEN_EMAIL: type = "email"; break;
	case GEN_URI: type = "URI"; break;
	case GEN_IPADD:
		type = "IP";
		if (ASN1_STRING_length(s) == 4)
			inet_ntop(AF_INET, ASN1_STRING_get0_data(s), text, sizeof(text));
		else if (ASN1_STRING_length(s) == 16)
			inet_ntop(AF_INET6, ASN1_STRING_get0_data(s), text, sizeof(text));
		else
			strcpy(text, "<bad length>");
		break;
	default: type = "other"; strcpy(text, "<not shown>");
	}
	if (!text[0])
		tls_text_print(ASN1_STRING_get0_data(s), ASN1_STRING_length(s), text, sizeof(text));
	snprintf(buf, len, "%s:%s", type, text);
}

void tls_san_print(X509 *x, char *buf, size_t len)
{
	_cleanup_names_ GENERAL_NAMES *names =
		X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	size_t used = 0;

	buf[0] = '\0';
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		char one[280];
		int n;

		general_name_print(sk_GENERAL_NAME_value(names, i), one, sizeof(one));
		n = snprintf(buf + used, len - used, "%s%s", used ? ", " : "", one);
		if ((size_t)n >= len - used) {
			strcpy(buf + len - 4, "...");
			return;
		}
		used += n;
	}
}

int tls_time(const ASN1_TIME *at, time_t *ret)
{
	struct tm tm;

	if (!at || !ASN1_TIME_to_tm(at, &tm))
		return -EINVAL;
	*ret = timegm(&tm);
	return 0;
}

const char *tls_date_print(const ASN1_TIME *at, char buf[static TLS_DATE_STRLEN])
{
	struct tm tm;

	if (!at || !ASN1_TIME_to_tm(at, &tm))
		return "an unreadable date";
	strftime(buf, TLS_DATE_STRLEN, "%Y-%m-%d", &tm);
	return buf;
}

static int pin_of_der(uint8_t *der, int der_len, uint8_t ret[static TLS_PIN_LEN])
{
	int ok;

	if (der_len < 0)
		return -ENOMEM;
	ok = EVP_Digest(der, der_len, ret, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	return ok ? 0 : -ENOMEM;
}

int tls_pin_of_key(const EVP_PKEY *key, uint8_t ret[static TLS_PIN_LEN])
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	return pin_of_der(der, len, ret);
}

int tls_pin_of_cert(X509 *x, uint8_t ret[static TLS_PIN_LEN])
{
	uint8_t *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	return pin_of_der(der, len, ret);
}

void tls_pin_print(const uint8_t pin[static TLS_PIN_LEN], char buf[static 48])
{
	EVP_EncodeBlock((uint8_t *)buf, pin, TLS_PIN_LEN);
}

/* Returns where the next text begins. */
static char *put_text(char *at, const char *text, const char **ret)
{
	*ret = at;
	return stpcpy(at, text) + 1;
}

struct tls_peer *tls_peer_make(const char *subject, const char *issuer, const char *san)
{
	struct tls_peer *p =
		calloc(1, sizeof(*p) + strlen(subject) + strlen(issuer) + strlen(san) + 3);

	if (p)
		put_text(put_text(put_text(p->texts, subject, &p->subject), issuer, &p->issuer),
			 san, &p->san);
	return p;
}

struct tls_peer *tls_peer_new(X509 *x)
{
	struct tls_info info; /* only for the sizes of its fields */
	struct tls_peer *p;

	tls_name_print(X509_get_subject_name(x), info.peer_subject, sizeof(info.peer_subject));
	tls_name_print(X509_get_issuer_name(x), info.peer_issuer, sizeof(info.peer_issuer));
	tls_san_print(x, info.peer_san, sizeof(info.peer_san));
	p = tls_peer_make(info.peer_subject, info.peer_issuer, info.peer_san);
	if (!p || tls_pin_of_cert(x, p->pin) < 0) {
		tls_peer_free(p);
		return NULL;
	}
	tls_time(X509_get0_notAfter(x), &p->not_after);
	return p;
}

void tls_peer_free(struct tls_peer *p)
{
	free(p);
}
