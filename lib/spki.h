/* SPDX-License-Identifier: Apache-2.0 */
/* Pins of public keys as text: "sha256/" and base64 (RFC 4648 section 4) of the hash. */
#ifndef BOTLS_SPKI_H
#define BOTLS_SPKI_H

#include <stdint.h>

#define SPKI_PIN_LEN	32 /* SHA-256 of the DER SubjectPublicKeyInfo */
#define SPKI_PIN_STRLEN (sizeof("sha256/") - 1 + 44 + 1) /* with the terminating zero */

/* A pin has one spelling. 0 or -EINVAL. */
int spki_pin_parse(const char *text, uint8_t ret[static SPKI_PIN_LEN]);
/* Returns buf. */
const char *spki_pin_format(const uint8_t pin[static SPKI_PIN_LEN],
			    char buf[static SPKI_PIN_STRLEN]);

#endif
