// SPDX-License-Identifier: Apache-2.0
#include "addr.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct addr parsed(const char *text)
{
	struct addr a;
	struct errtext e;

	if (addr_parse(text, &a, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	return a;
}

static void good_texts(void **state)
{
	static const char *const same[] = {"192.0.2.2",	   "0.0.0.0/0", "10.0.0.0/8",
					   "2001:db8::2",  "::/0",	"2001:db8::/32",
					   "fe80::2%eth0", "::1"};
	char text[ADDR_STRLEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		struct addr a = parsed(same[i]);

		assert_string_equal(addr_format(&a, text), same[i]);
	}
	assert_string_equal(addr_format(&(struct addr){0}, text), "-");
	struct addr a = parsed("2001:DB8:0:0::2");
	assert_string_equal(addr_format(&a, text), "2001:db8::2");
	a = parsed("192.0.2.2/32");
	assert_string_equal(addr_format(&a, text), "192.0.2.2");
	assert_false(addr_is_prefix(&a));
}

static void bad_texts(void **state)
{
	static const struct {
		const char *text, *reason;
	} bad[] = {
		{"", "not an IPv4 or IPv6"},
		{"192.0.2", "not an IPv4 or IPv6"},
		{"192.0.2.2/33", "prefix length"},
		{"192.0.2.2/", "prefix length"},
		{"192.0.2.2/-1", "prefix length"},
		{"192.0.2.2/24x", "prefix length"},
		{"192.0.2.2/24", "beyond its prefix"},
		{"2001:db8::1/64", "beyond its prefix"},
		{"fe80::2", "name its interface"},
		{"fe80::2%", "name its interface"},
		{"fe80::2%an-interface-name-too-long", "too long"},
		{"2001:db8::2%eth0", "not link-local"},
		{"192.0.2.2%eth0", "not link-local"},
		{"::ffff:192.0.2.2", "IPv4 address itself"},
		{"2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001",
		 "too long"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct addr a = {.family = 99};
		struct errtext e = {};

		assert_int_equal(addr_parse(bad[i].text, &a, &e), -EINVAL);
		assert_int_equal(a.family, 99);
		if (!strstr(e.text, bad[i].reason))
			fail_msg("'%s': said '%s', not '%s'", bad[i].text, e.text, bad[i].reason);
	}
}

static void containment(void **state)
{
	static const struct {
		const char *net, *host;
		bool inside;
	} cases[] = {
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"10.128.0.0/9", "10.128.0.1", true},
		{"10.128.0.0/9", "10.127.255.255", false},
		{"0.0.0.0/0", "203.0.113.9", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"192.0.2.2", "192.0.2.2", true},
		{"192.0.2.2", "192.0.2.3", false},
		{"2001:db8::/33", "2001:db8:7fff::1", true},
		{"2001:db8::/33", "2001:db8:8000::1", false},
		{"fe80::2%eth0", "fe80::2%eth0", true},
		{"fe80::2%eth0", "fe80::2%eth1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct addr net = parsed(cases[i].net), host = parsed(cases[i].host);

		if (addr_contains(&net, &host) != cases[i].inside)
			fail_msg("%s in %s", cases[i].host, cases[i].net);
	}
}

static void sockaddrs(void **state)
{
	struct addr a = parsed("2001:db8::2"), back;
	struct sockaddr_storage ss;
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(179)};
	uint16_t port;

	(void)state;
	assert_int_equal(addr_to_sockaddr(&a, 179, &ss), sizeof(struct sockaddr_in6));
	assert_int_equal(addr_from_sockaddr(&ss, &back, &port), 0);
	assert_true(addr_equal(&a, &back));
	assert_int_equal(port, 179);

	a = parsed("192.0.2.2");
	assert_int_equal(addr_to_sockaddr(&a, 1, &ss), sizeof(struct sockaddr_in));
	assert_int_equal(addr_from_sockaddr(&ss, &back, NULL), 0);
	assert_true(addr_equal(&a, &back));

	/* What a dual-stack socket reports is the IPv4 address. */
	inet_pton(AF_INET6, "::ffff:192.0.2.2", &mapped.sin6_addr);
	memset(&ss, 0, sizeof(ss));
	memcpy(&ss, &mapped, sizeof(mapped));
	assert_int_equal(addr_from_sockaddr(&ss, &back, NULL), 0);
	assert_true(addr_equal(&a, &back));

	a = parsed("fe80::2%lo");
	assert_int_equal(addr_to_sockaddr(&a, 1, &ss), sizeof(struct sockaddr_in6));
	assert_int_equal(((struct sockaddr_in6 *)&ss)->sin6_scope_id, 1);
	assert_int_equal(addr_from_sockaddr(&ss, &back, NULL), 0);
	assert_true(addr_equal(&a, &back));
	a = parsed("fe80::2%nosuch0");
	assert_int_equal(addr_to_sockaddr(&a, 1, &ss), -ENODEV);

	ss.ss_family = AF_UNIX;
	assert_int_equal(addr_from_sockaddr(&ss, &back, NULL), -EAFNOSUPPORT);
}

static void loopback(void **state)
{
	static const char *const yes[] = {"127.0.0.1", "127.255.255.255", "::1"};
	static const char *const no[] = {"126.255.255.255", "128.0.0.0", "0.0.0.0", "::", "::2",
					 "7f00::1",	    "fe80::1%lo"};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		assert_int_equal(addr_parse(yes[i], &a, NULL), 0);
		assert_true(addr_is_loopback(&a));
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		assert_int_equal(addr_parse(no[i], &a, NULL), 0);
		assert_false(addr_is_loopback(&a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_texts),  cmocka_unit_test(bad_texts),
		cmocka_unit_test(containment), cmocka_unit_test(sockaddrs),
		cmocka_unit_test(loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
