// SPDX-License-Identifier: Apache-2.0
/* What an error means: which of ours it is, whether to try again, what to do. */
#include "http_internal.h"

#include <errno.h>

int http_connect_error(long os)
{
	switch (os) {
	case ECONNREFUSED:
	case ETIMEDOUT:
	case ECONNRESET:
	case ENOMEM: return -(int)os;
	}
	return -EHOSTUNREACH; /* there are many, with those of packet filters */
}

const char *http_certificate_advice(const struct http_request *q, long verify_result)
{
	switch (verify_result) {
	case 0:
	case 1: /* what libcurl begins with: the chain is good */
		return "the URL must have a name or an address that the certificate has";
	case 9: /* not yet valid */
	case 10: /* expired */ return "the server needs another one, or is the clock here wrong?";
	case 2: /* issuer or root unknown, or self-signed */
	case 18:
	case 19:
	case 20:
	case 21:
		return q->ca ? "the file named by the option ca must hold its root"
			     : "name the file of a private CA with the option ca";
	}
	return "the server needs another one";
}

bool http_may_retry(int error, int status)
{
	if (error < 0)
		return error == -ETIMEDOUT || error == -ECONNREFUSED || error == -EHOSTUNREACH ||
		       error == -ECONNRESET || error == -EBUSY;
	return status == 408 || status == 425 || status == 429 ||
	       (status >= 500 && status <= 599 && status != 501);
}
