// SPDX-License-Identifier: Apache-2.0
#include "spki.h"

#include <errno.h>
#include <string.h>

static const char prefix[] = "sha256/";
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 43 characters are 258 bits: the last two must be zero, so that a pin has one spelling. */
int spki_pin_parse(const char *text, uint8_t ret[static SPKI_PIN_LEN])
{
	unsigned bits = 0, n_bits = 0, n = 0;
	uint8_t pin[SPKI_PIN_LEN];

	if (strncmp(text, prefix, strlen(prefix)) != 0)
		return -EINVAL;
	text += strlen(prefix);
	if (strlen(text) != 44 || text[43] != '=')
		return -EINVAL;
	for (int i = 0; i < 43; i++) {
		const char *p = strchr(alphabet, text[i]);

		if (!p)
			return -EINVAL;
		bits = (bits << 6 | (p - alphabet)) & 0xffff;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			pin[n++] = bits >> n_bits;
		}
	}
	if (bits & 3)
		return -EINVAL;
	memcpy(ret, pin, sizeof(pin));
	return 0;
}

const char *spki_pin_format(const uint8_t pin[static SPKI_PIN_LEN],
			    char buf[static SPKI_PIN_STRLEN])
{
	char *to = stpcpy(buf, prefix);

	for (int bit = 0; bit < 258; bit += 6) {
		unsigned two =
			pin[bit / 8] << 8 | (bit / 8 + 1 < SPKI_PIN_LEN ? pin[bit / 8 + 1] : 0);

		*to++ = alphabet[two >> (10 - bit % 8) & 0x3f];
	}
	strcpy(to, "=");
	return buf;
}
