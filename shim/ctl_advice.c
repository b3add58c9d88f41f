// SPDX-License-Identifier: Apache-2.0
/* What to do next, by reason; the names are those of tls_reason_name(). */
#include "ctl.h"

static const struct {
	const char *reason;
	const char *text;
} advice[] = {
	{"not-tls", "the other end does not speak TLS on this port: check its 'port' in our "
		    "configuration, and that botlsd or a BGP/TLS speaker listens there"},
	{"no-alpn", "the other end speaks TLS but does not know \"botls\": check that the port is "
		    "not another service"},
	{"wrong-alpn", "the other end speaks TLS but another protocol than \"botls\": check that "
		       "the port is not another service"},
	{"version", "no TLS version in common: compare min-version on both sides"},
	{"no-cipher", "no cipher in common: TLS 1.2 needs an ECDHE suite with AES-GCM or ChaCha20 "
		      "on the other side"},
	{"no-certificate", "the neighbor must be given a certificate: both sides authenticate"},
	{"expired",
	 "the neighbor must renew its certificate; if it is valid, check the clock here"},
	{"not-yet-valid", "check the clocks of both routers, then the certificate of the neighbor"},
	{"untrusted",
	 "the certificate of the neighbor does not lead to our 'ca': compare its issuer with that "
	 "file, and that the neighbor sends its intermediate certificates"},
	{"revoked",
	 "the certificate of the neighbor is on our 'crl': the neighbor needs a new one"},
	{"name", "the certificate is valid but not for this neighbor: it needs the address (or a "
		 "configured 'dns-names') in its subjectAltName"},
	{"pin", "the key of the neighbor is not a pinned one: after a change of keys that the "
		"neighbor confirms by other means, add its new pin and 'botlsctl reload'"},
	{"peer-alert", "the neighbor refused us: its log says why; usually our certificate does "
		       "not lead to its CA or is not for our address"},
	{"protocol", "broken TLS from the other end: if it comes again, capture it with tcpdump"},
	{"closed", "the neighbor closed TCP during the handshake: its log says why; it may not "
		   "know our address"},
	{"reset", "the neighbor reset TCP: nothing listens on its TLS port, a filter is between "
		  "us, or it does not know our address"},
	{"io",
	 "check the route to the neighbor, filters for its TLS port on the way, and that it is up"},
	{"unreachable",
	 "nothing answers on the neighbor's TLS port: is botlsd running there, does its "
	 "tls-port equal our 'port', does a filter, tcp-md5 or tcp-ao stand between"},
	{"timeout",
	 "the other end accepts TCP but does not finish the handshake: look at its log and "
	 "load, and at the MTU of the path"},
	{"refused", "our own configuration refuses it: see the text, then role, mode, remote-as, "
		    "max-sessions, tcp-ao or the certificate files"},
	{"memory", "this router is short of memory: see the log of botlsd"},
};

const char *ctl_advice(const char *reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++)
		if (strcmp(advice[i].reason, reason) == 0)
			return advice[i].text;
	return NULL;
}
