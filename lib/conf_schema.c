// SPDX-License-Identifier: Apache-2.0
#include "conf.h"

const struct conf_option *conf_option(const struct conf_schema *s, const char *name, unsigned scope)
{
	for (size_t i = 0; i < s->n_options; i++)
		if ((s->options[i].scope & scope) && !strcmp(s->options[i].name, name))
			return &s->options[i];
	return NULL;
}

bool conf_is_list(const struct conf_option *o)
{
	switch (o->type) {
	case CONF_ACCOUNTS:
	case CONF_NAMES:
	case CONF_DNS_NAMES:
	case CONF_WORDS:
	case CONF_ADDRESSES:
	case CONF_PINS: return true;
	case CONF_BOOL:
	case CONF_NUMBER:
	case CONF_SECONDS:
	case CONF_TIME:
	case CONF_ENUM:
	case CONF_AS:
	case CONF_TEXT:
	case CONF_ACCOUNT:
	case CONF_NAME:
	case CONF_PATH:
	case CONF_URL:
	case CONF_SOURCE:
	case CONF_PROGRAM:
	case CONF_ADDRESS:
	case CONF_SECRET:
	case CONF_SECRET_FILE: break;
	}
	return false;
}

bool conf_is_string(const struct conf_option *o)
{
	return o->type == CONF_TEXT || o->type == CONF_ACCOUNT || o->type == CONF_NAME ||
	       o->type == CONF_PATH || o->type == CONF_URL || o->type == CONF_SOURCE ||
	       o->type == CONF_PROGRAM || conf_is_secret(o);
}

bool conf_is_secret(const struct conf_option *o)
{
	return o->type == CONF_SECRET || o->type == CONF_SECRET_FILE;
}

static const char *names_expected(const struct conf_option *o, char *buf, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i <= o->max; i++)
		n += snprintf(buf + n, len - n, "%s%s",
			      i == 0	    ? ""
			      : i == o->max ? " or "
					    : ", ",
			      o->names[i]);
	return buf;
}

const char *conf_expects(const struct conf_option *o, char buf[static CONF_EXPECTS_LEN])
{
	const char *text = NULL;

	switch (o->type) {
	case CONF_NUMBER:
	case CONF_SECONDS:
		snprintf(buf, CONF_EXPECTS_LEN, "%s%llu to %llu%s", o->zero ? "0, or " : "",
			 (unsigned long long)o->min, (unsigned long long)o->max,
			 o->type == CONF_SECONDS ? " seconds" : "");
		return buf;
	case CONF_ENUM: return names_expected(o, buf, CONF_EXPECTS_LEN);
	case CONF_PATH:
	case CONF_SECRET_FILE:
		snprintf(buf, CONF_EXPECTS_LEN, "a path of at most %llu bytes",
			 (unsigned long long)o->max);
		return buf;
	case CONF_TEXT:
		snprintf(buf, CONF_EXPECTS_LEN, "printable UTF-8 of at most %llu bytes",
			 (unsigned long long)o->max);
		return buf;
	case CONF_SECRET:
		snprintf(buf, CONF_EXPECTS_LEN, "a %s of 1 to %llu bytes",
			 o->noun ? o->noun : "key", (unsigned long long)o->max);
		return buf;
	case CONF_BOOL: text = "true or false"; break;
	case CONF_TIME:
		text = "a date, or a date and time with its offset, as in 2026-12-01 or "
		       "2026-12-01T00:00:00Z";
		break;
	case CONF_AS: text = "an AS number, as in 64500 or 1.10"; break;
	case CONF_ACCOUNTS:
	case CONF_ACCOUNT: text = "a name of letters, digits, '_', '-' and '.'"; break;
	case CONF_ADDRESS:
	case CONF_ADDRESSES: text = "a single IPv4 or IPv6 address"; break;
	case CONF_NAME:
	case CONF_NAMES:
		snprintf(buf, CONF_EXPECTS_LEN,
			 "a name of letters, digits, '_', '.', ':' and '-' of at most %d bytes",
			 CONF_NAME_MAX);
		return buf;
	case CONF_URL:
		snprintf(buf, CONF_EXPECTS_LEN,
			 "an http or https URL with a host, without user, password and fragment, "
			 "of at most %llu bytes",
			 (unsigned long long)o->max);
		return buf;
	case CONF_SOURCE:
		snprintf(buf, CONF_EXPECTS_LEN,
			 "an http or https URL without user, password and fragment, or a path, of "
			 "at most %llu bytes",
			 (unsigned long long)o->max);
		return buf;
	case CONF_PROGRAM:
		snprintf(buf, CONF_EXPECTS_LEN,
			 "the name of a program, or a path of at most %llu bytes",
			 (unsigned long long)o->max);
		return buf;
	case CONF_WORDS:
		snprintf(buf, CONF_EXPECTS_LEN,
			 "a command and its arguments, each printable UTF-8 of at most %d bytes",
			 CONF_WORD_MAX);
		return buf;
	case CONF_DNS_NAMES: text = "a host name (wildcards are not possible)"; break;
	case CONF_PINS: text = "\"sha256/\" and the 44 base64 characters of the key's hash"; break;
	}
	snprintf(buf, CONF_EXPECTS_LEN, "%s", text);
	return buf;
}

/* Levenshtein distance, words that are too long count as far. */
static unsigned distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	unsigned row[33];

	if (na > 32 || nb > 32)
		return 99;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nb];
}

/* Takes `name` when it is nearer to `word` than what was found before. */
static void consider(const char *word, const char *name, unsigned *best, const char **ret)
{
	unsigned d = distance(word, name);

	if (d < *best) {
		*best = d;
		*ret = name;
	}
}

const char *conf_suggest(const struct conf_schema *s, const char *word, unsigned scope)
{
	unsigned best = strlen(word) > 5 ? 3 : 2;
	const char *name = NULL;

	for (size_t i = 0; i < s->n_options; i++)
		if (s->options[i].scope & scope)
			consider(word, s->options[i].name, &best, &name);
	for (size_t i = 0; (scope & CONF_GLOBAL) && i < s->n_kinds; i++)
		consider(word, s->kinds[i].name, &best, &name);
	return name;
}
