// SPDX-License-Identifier: Apache-2.0
#include "bgp_open_edit.h"
#include "util.h"

#include <errno.h>

#define TYPE_OPEN	   1
#define LENGTH_AT	   16 /* of the message, in its header */
#define PARAMS_AT	   28 /* the octet with the length of the optional parameters */
#define PARAM_CAPABILITIES 2
#define PARAM_EXTENDED	   255 /* as the first type: lengths of two octets follow (RFC 9072) */

/* Where the optional parameters of a message are, and how their lengths are written. */
struct params {
	uint8_t *first;
	size_t len;
	size_t octets; /* of each length: 1, or 2 (RFC 9072) */
};

static size_t number(const uint8_t *p, size_t octets)
{
	return octets == 2 ? (size_t)p[0] << 8 | p[1] : p[0];
}

static void put_number(uint8_t *p, size_t octets, size_t n)
{
	if (octets == 2)
		*p++ = n >> 8;
	*p = n;
}

static bool check_capabilities(const uint8_t *p, size_t len)
{
	for (size_t at = 0; at < len;) {
		if (len - at < 2 || len - at - 2 < p[at + 1])
			return false;
		at += 2 + p[at + 1];
	}
	return true;
}

static bool check_params(const struct params *p)
{
	size_t head = 1 + p->octets;

	for (size_t at = 0; at < p->len;) {
		size_t n;

		if (p->len - at < head)
			return false;
		n = number(p->first + at + 1, p->octets);
		if (p->len - at - head < n)
			return false;
		if (p->first[at] == PARAM_CAPABILITIES &&
		    !check_capabilities(p->first + at + head, n))
			return false;
		at += head + n;
	}
	return true;
}

static bool has_marker(const uint8_t *message)
{
	for (size_t i = 0; i < LENGTH_AT; i++)
		if (message[i] != 255)
			return false;
	return true;
}

static int find_params(uint8_t *open, size_t len, struct params *ret)
{
	struct params p = {.first = open + PARAMS_AT + 1, .octets = 1};

	if (len <= PARAMS_AT || len > BGP_OPEN_MAX || !has_marker(open) ||
	    open[BGP_HEADER_LEN - 1] != TYPE_OPEN || number(open + LENGTH_AT, 2) != len)
		return -EBADMSG;
	p.len = open[PARAMS_AT];
	if (p.len && len > PARAMS_AT + 1 && *p.first == PARAM_EXTENDED) {
		if (len < PARAMS_AT + 4)
			return -EBADMSG;
		p.len = number(p.first + 1, 2);
		p.first += 3;
		p.octets = 2;
	}
	if (p.first + p.len != open + len || !check_params(&p))
		return -EBADMSG;
	*ret = p;
	return 0;
}

static void set_lengths(uint8_t *open, size_t len, const struct params *p, size_t params_len)
{
	put_number(open + LENGTH_AT, 2, len);
	put_number(p->octets == 2 ? p->first - 2 : open + PARAMS_AT, p->octets, params_len);
}

int bgp_open_add_capability(uint8_t open[static BGP_OPEN_MAX], size_t len,
			    const struct bgp_capability *c)
{
	size_t within = 2 + (size_t)c->len, gain;
	struct params p;
	uint8_t *at = open + len;
	int r = find_params(open, len, &p);

	if (r < 0)
		return r;
	gain = 1 + p.octets + within;
	if (p.octets == 1 ? within > UINT8_MAX || p.len + gain > UINT8_MAX
			  : len + gain > BGP_OPEN_MAX)
		return -ENOSPC;
	*at++ = PARAM_CAPABILITIES;
	put_number(at, p.octets, within);
	at += p.octets;
	*at++ = c->code;
	*at++ = c->len;
	memcpy(at, c->value, c->len);
	set_lengths(open, len + gain, &p, p.len + gain);
	return len + gain;
}

struct taken {
	const struct bgp_capability *mark;
	uint8_t *value;
	size_t size, *len;
	bool is_any;
};

static bool is_marked(const uint8_t *capability, const struct bgp_capability *mark)
{
	return capability[0] == mark->code && capability[1] >= mark->len &&
	       memcmp(capability + 2, mark->value, mark->len) == 0;
}

/* Moves what stays to the front. Returns its length. */
static size_t take_from(uint8_t *p, size_t len, struct taken *t)
{
	size_t kept = 0;

	for (size_t at = 0, n; at < len; at += n) {
		n = 2 + (size_t)p[at + 1];
		if (!is_marked(p + at, t->mark)) {
			memmove(p + kept, p + at, n);
			kept += n;
			continue;
		}
		if (!t->is_any) {
			*t->len = n - 2;
			memcpy(t->value, p + at + 2, n - 2 < t->size ? n - 2 : t->size);
		}
		t->is_any = true;
	}
	return kept;
}

int bgp_open_take_capability(uint8_t *open, size_t len, const struct bgp_capability *mark,
			     uint8_t *ret_value, size_t size, size_t *ret_len)
{
	struct taken t = {.mark = mark, .value = ret_value, .size = size, .len = ret_len};
	size_t kept = 0, head, n, stays;
	struct params p;
	int r = find_params(open, len, &p);

	if (r < 0)
		return r;
	*ret_len = 0;
	head = 1 + p.octets;
	for (size_t at = 0; at < p.len; at += head + n) {
		uint8_t *param = p.first + at;

		n = stays = number(param + 1, p.octets);
		if (param[0] == PARAM_CAPABILITIES)
			stays = take_from(param + head, n, &t);
		if (n && !stays)
			continue;
		put_number(param + 1, p.octets, stays);
		memmove(p.first + kept, param, head + stays);
		kept += head + stays;
	}
	if (!t.is_any)
		return len;
	if (!kept && p.octets == 2) {
		/* Nothing is left that would need long lengths. */
		p = (struct params){.first = open + PARAMS_AT + 1, .octets = 1};
	}
	len = p.first + kept - open;
	set_lengths(open, len, &p, kept);
	return len;
}
