// SPDX-License-Identifier: Apache-2.0
/* Errors of OpenSSL and alerts of the peer, as a reason to count and words to read. */
#include "tls_internal.h"

enum tls_reason tls_reason_of_error(unsigned long code, const char *function)
{
	if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
		return TLS_REASON_MEMORY;
	if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		return TLS_REASON_PROTOCOL;
	switch (ERR_GET_REASON(code)) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_WRONG_SSL_VERSION:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_VERSION_TOO_HIGH:
	case SSL_R_NO_PROTOCOLS_AVAILABLE:
	case SSL_R_UNKNOWN_PROTOCOL: return TLS_REASON_VERSION;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SHARED_GROUPS:
	case SSL_R_NO_SUITABLE_GROUPS:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM: return TLS_REASON_NO_CIPHER;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return TLS_REASON_NO_CERTIFICATE;
	case SSL_R_BAD_EXTENSION:
		/* How newer releases say that the server chose what we did not offer. */
		if (function && !strcmp(function, "tls_parse_stoc_alpn"))
			return TLS_REASON_WRONG_ALPN;
		break;
	}
	return TLS_REASON_PROTOCOL;
}

int tls_alert_of_error(unsigned long code)
{
	int alert = ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET;

	return ERR_GET_LIB(code) == ERR_LIB_SSL && alert >= 0 && alert <= 255 ? alert : -1;
}

const char *tls_error_text(unsigned long code)
{
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	return text ? text : "unknown error";
}

static const struct alert {
	uint8_t number;
	bool is_about_certificate;
	const char *name;
	const char *meaning;
} alerts[] = {
	{10, false, "unexpected_message", "it and we disagree about the protocol"},
	{20, false, "bad_record_mac", "what arrived was altered on the way"},
	{22, false, "record_overflow", "a record was too long for it"},
	{40, false, "handshake_failure",
	 "no common cipher, group or signature algorithm, or a check of its own failed"},
	{42, true, "bad_certificate",
	 "ours does not name what it expects (address, name or pin), is not "
	 "valid yet, or is damaged"},
	{43, true, "unsupported_certificate",
	 "its key usage does not allow this (clientAuth, serverAuth)"},
	{44, true, "certificate_revoked", "ours is on its revocation list"},
	{45, true, "certificate_expired", "ours is out of date, or its clock is wrong"},
	{46, true, "certificate_unknown", "it does not say why"},
	{47, false, "illegal_parameter", "it and we disagree about the protocol"},
	{48, true, "unknown_ca", "it does not trust the CA that signed ours"},
	{49, true, "access_denied", "ours is valid but not allowed there"},
	{50, false, "decode_error", "it could not read a message of ours"},
	{51, false, "decrypt_error", "a signature or a Finished of ours did not verify"},
	{70, false, "protocol_version", "no TLS version in common"},
	{71, false, "insufficient_security", "it wants stronger ciphers"},
	{80, false, "internal_error", "something failed inside the peer"},
	{86, false, "inappropriate_fallback", "it speaks a higher version than we tried"},
	{90, false, "user_canceled", "it gave up"},
	{109, false, "missing_extension", "it misses an extension of ours"},
	{112, false, "unrecognized_name", "it does not know the server name"},
	{115, false, "unknown_psk_identity", "it expects a pre-shared key"},
	{116, false, "certificate_required", "it wants a certificate and got none"},
	{120, false, "no_application_protocol",
	 "it does not speak our application protocol (ALPN)"},
};

void tls_alert_print(int alert, bool is_established, char *buf, size_t len)
{
	const char *what = is_established ? "ended the session" : "refused the connection";

	for (size_t i = 0; i < ARRAY_SIZE(alerts); i++) {
		const struct alert *a = &alerts[i];

		if (a->number != alert)
			continue;
		snprintf(buf, len, "the peer %s: alert %s (%d): %s",
			 a->is_about_certificate ? "refused our certificate" : what, a->name, alert,
			 a->meaning);
		return;
	}
	snprintf(buf, len, "the peer %s: alert %d", what, alert);
}
