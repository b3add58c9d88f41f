// SPDX-License-Identifier: Apache-2.0
/* An OPEN of a daemon or a neighbor: what is put in is taken out again, and nothing else changes.
 */
#include "check.h"
#include "bgp.h"
#include "bgp_open_edit.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct bgp_capability ours = {247, 6, (const uint8_t *)"bAO\x01\x01\x00"};
static const struct bgp_capability mark = {247, 4, (const uint8_t *)"bAO\x01"};

static int take(uint8_t *open, size_t len, size_t *ret_len)
{
	uint8_t value[6];

	return bgp_open_take_capability(open, len, &mark, value, sizeof(value), ret_len);
}

/* As the shim, which sees both sides of it, reads it. */
static void read_open(const uint8_t *open, size_t len, struct bgp_open *ret)
{
	struct bgp_stream s;

	bgp_init(&s);
	bgp_feed(&s, open, len, false);
	*ret = s.open;
	bgp_done(&s);
}

/* `without` came of `open`, and only our capability may be missing. */
static void check_same(const uint8_t *open, size_t len, const uint8_t *without, size_t without_len)
{
	struct bgp_open a, b;

	read_open(open, len, &a);
	read_open(without, without_len, &b);
	CHECK(a.seen == b.seen && a.malformed == b.malformed);
	CHECK(a.as == b.as && a.hold_time == b.hold_time && a.role == b.role);
	a.capabilities[247 / 8] &= ~(1 << 247 % 8);
	b.capabilities[247 / 8] &= ~(1 << 247 % 8);
	CHECK(memcmp(a.capabilities, b.capabilities, sizeof(a.capabilities)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t stripped[BGP_OPEN_MAX], both[BGP_OPEN_MAX];
	size_t found = 0;
	int n, with;

	if (size > BGP_OPEN_MAX)
		return 0;
	memcpy(stripped, data, size);
	n = take(stripped, size, &found);
	memcpy(both, data, size);
	with = bgp_open_add_capability(both, size, &ours);
	if (n < 0) {
		CHECK(memcmp(stripped, data, size) == 0 && memcmp(both, data, size) == 0);
		CHECK(n == with);
		return 0;
	}
	CHECK(found ? (size_t)n < size : (size_t)n == size && memcmp(stripped, data, size) == 0);
	check_same(data, size, stripped, n);
	memcpy(both, stripped, n);
	CHECK(take(both, n, &found) == n && !found);

	with = bgp_open_add_capability(both, n, &ours);
	if (with < 0)
		return 0;
	CHECK(with > n && with <= BGP_OPEN_MAX);
	check_same(both, with, stripped, n);
	with = take(both, with, &found);
	CHECK(with == n && found == 6 && memcmp(both, stripped, n) == 0);
	return 0;
}
