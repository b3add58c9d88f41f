// SPDX-License-Identifier: Apache-2.0
/* Apart from tls_reason.c, so that who only wants the names does not link OpenSSL. */
#include "tls.h"

const char *tls_reason_name(enum tls_reason r)
{
	switch (r) {
	case TLS_REASON_NONE: return "none";
	case TLS_REASON_NOT_TLS: return "not-tls";
	case TLS_REASON_NO_ALPN: return "no-alpn";
	case TLS_REASON_WRONG_ALPN: return "wrong-alpn";
	case TLS_REASON_VERSION: return "version";
	case TLS_REASON_NO_CIPHER: return "no-cipher";
	case TLS_REASON_NO_CERTIFICATE: return "no-certificate";
	case TLS_REASON_EXPIRED: return "expired";
	case TLS_REASON_NOT_YET_VALID: return "not-yet-valid";
	case TLS_REASON_UNTRUSTED: return "untrusted";
	case TLS_REASON_REVOKED: return "revoked";
	case TLS_REASON_NAME: return "name";
	case TLS_REASON_PIN: return "pin";
	case TLS_REASON_PEER_ALERT: return "peer-alert";
	case TLS_REASON_PROTOCOL: return "protocol";
	case TLS_REASON_CLOSED: return "closed";
	case TLS_REASON_RESET: return "reset";
	case TLS_REASON_IO: return "io";
	case TLS_REASON_MEMORY: return "memory";
	case TLS_REASON_UNREACHABLE: return "unreachable";
	case TLS_REASON_TIMEOUT: return "timeout";
	case TLS_REASON_REFUSED: return "refused";
	}
	return "unknown";
}
