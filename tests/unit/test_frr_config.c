// SPDX-License-Identifier: Apache-2.0
/* The commands that lead from one configuration of FRR to another. */
#include "files.h"
#include "frr_config.h"
#include "wipe.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MARK "ours:"
#define BGP  "router bgp 64501\n bgp router-id 10.0.0.1\n neighbor 192.0.2.9 remote-as 9\n"
#define X    " neighbor 192.0.2.2 "
#define ONE  X "remote-as 2\n" X "description ours: x\n"
#define V4   " address-family ipv4 unicast\n"
#define END  " exit-address-family\nexit\n"

static struct frr_config *parse(const char *text, bool is_running)
{
	struct frr_config *c = NULL;
	struct errtext e = {};

	if (text && frr_config_parse(text, is_running, &c, &e) < 0)
		fail_msg("%s\n%s", e.text, text);
	return c;
}

static int commands(const char *running, const char *before, const char *wanted, char **ret,
		    struct errtext *e)
{
	_cleanup_frr_config_ struct frr_config *r = parse(running, true);
	_cleanup_frr_config_ struct frr_config *b = parse(before, false);
	_cleanup_frr_config_ struct frr_config *w = parse(wanted, false);

	return frr_config_commands(64501, MARK, r, b, w, ret, e);
}

static void assert_commands(const char *running, const char *before, const char *wanted,
			    const char *expected)
{
	_cleanup_wiped_ char *script = NULL;
	struct errtext e = {};

	if (commands(running, before, wanted, &script, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(script, expected);
}

static void assert_refused(const char *running, const char *wanted, int error, const char *problem)
{
	char *script = (char *)"untouched";
	struct errtext e = {};

	assert_int_equal(commands(running, NULL, wanted, &script, &e), error);
	assert_string_equal(e.text, problem);
	assert_string_equal(script, "untouched");
}

/* Shut down until the last line is there; lists before what names them. */
static void test_new_neighbor(void **state)
{
	static const char wanted[] =
		"router bgp 64501\n" ONE X "password p\n" V4 "  neighbor 192.0.2.2 activate\n"
		"  neighbor 192.0.2.2 route-map botls_in in\n" END
		"route-map botls_in deny 10\nexit\n"
		"bgp as-path access-list own permit ^$\n";

	(void)state;
	assert_commands(BGP "exit\n", NULL, wanted,
			"route-map botls_in deny 10\nexit\n"
			"bgp as-path access-list own permit ^$\n"
			"router bgp 64501\nneighbor 192.0.2.2 remote-as 2\n"
			"neighbor 192.0.2.2 shutdown\n"
			"neighbor 192.0.2.2 description ours: x\n"
			"neighbor 192.0.2.2 password p\nexit\n"
			"router bgp 64501\naddress-family ipv4 unicast\n"
			"neighbor 192.0.2.2 activate\n"
			"neighbor 192.0.2.2 route-map botls_in in\n"
			"exit-address-family\nexit\n"
			"router bgp 64501\nno neighbor 192.0.2.2 shutdown\nexit\n");
	/* one that is to be shut down stays so */
	assert_commands(BGP "exit\n", NULL, "router bgp 64501\n" ONE X "shutdown message bye\n",
			"router bgp 64501\nneighbor 192.0.2.2 remote-as 2\n"
			"neighbor 192.0.2.2 shutdown\n"
			"neighbor 192.0.2.2 description ours: x\n"
			"neighbor 192.0.2.2 shutdown message bye\nexit\n");
}

static void test_nothing_to_do(void **state)
{
	static const char text[] = "router bgp 64501\n" ONE V4 "  neighbor 192.0.2.2 activate\n" END
				   "route-map botls_x deny 10\nexit\n";

	(void)state;
	assert_commands(BGP ONE V4 "  neighbor 192.0.2.2 activate\n" END
				   "!\nroute-map botls_x deny 10\nexit\n!\nend\n",
			text, text, "");
	assert_commands(BGP "exit\n", NULL, "# nothing\n", "");
	assert_commands("hostname x\n", NULL, "# nothing\n", "");
	/* blanks and the short form of a family are no difference */
	assert_commands(BGP ONE V4 "  neighbor 192.0.2.2 activate\n" END
				   "route-map botls_x deny 10\nexit\n",
			NULL,
			"router  bgp 64501\n neighbor\t192.0.2.2 remote-as 2\n" X
			"description   ours: x\n"
			" address-family ipv4\n   neighbor 192.0.2.2 activate \n exit\nexit\n"
			"route-map botls_x deny 10\nexit\n",
			"");
}

/* What has another value is overwritten; what is gone is removed afterwards. */
static void test_changes(void **state)
{
	static const char before[] =
		"router bgp 64501\n" ONE X "password old\n" X "local-role peer\n" V4
		"  neighbor 192.0.2.2 route-map botls_a in\n" END
		"route-map botls_a permit 10\n set local-preference 0\nexit\n";
	static const char running[] = BGP ONE X
		"password old\n" X "local-role peer\n" X "timers 3 9\n" V4
		"  neighbor 192.0.2.2 route-map botls_a in\n" END "route-map botls_a permit 10\n"
		" set local-preference 0\nexit\n";

	(void)state;
	assert_commands(running, before,
			"router bgp 64501\n" ONE X "password new\n" V4
			"  neighbor 192.0.2.2 route-map botls_b in\n" END
			"route-map botls_b deny 10\n",
			"route-map botls_b deny 10\nexit\n"
			"router bgp 64501\nneighbor 192.0.2.2 password new\nexit\n"
			"router bgp 64501\naddress-family ipv4 unicast\n"
			"neighbor 192.0.2.2 route-map botls_b in\nexit-address-family\nexit\n"
			"router bgp 64501\nno neighbor 192.0.2.2 local-role peer\nexit\n"
			"no route-map botls_a permit 10\n");
	/* clauses of an entry that stays */
	assert_commands(running, before,
			"router bgp 64501\n" ONE X "password old\n" X "local-role peer\n" V4
			"  neighbor 192.0.2.2 route-map botls_a in\n" END
			"route-map botls_a permit 10\n set community no-export\nexit\n",
			"route-map botls_a permit 10\nset community no-export\n"
			"no set local-preference 0\nexit\n");
}

/* Which families a neighbor is active in is said only where it is not the default. */
static void test_activation(void **state)
{
	static const char want[] = "router bgp 64501\n" ONE V4 "  neighbor 192.0.2.2 activate\n"
				   " exit-address-family\n address-family ipv6 unicast\n"
				   "  no neighbor 192.0.2.2 activate\n" END;
	static const char want_not[] =
		"router bgp 64501\n" ONE V4 "  no neighbor 192.0.2.2 activate\n" END;
	static const char running[] = BGP " no bgp default ipv4-unicast\n" ONE;

	(void)state;
	assert_commands(BGP ONE "exit\n", NULL, want, "");
	assert_commands(running, NULL, want,
			"router bgp 64501\naddress-family ipv4 unicast\n"
			"neighbor 192.0.2.2 activate\nexit-address-family\nexit\n");
	assert_commands(running, NULL, want_not, "");
	assert_commands(BGP ONE "exit\n", NULL, want_not,
			"router bgp 64501\naddress-family ipv4 unicast\n"
			"no neighbor 192.0.2.2 activate\nexit-address-family\nexit\n");
}

static void test_not_known_what_was_before(void **state)
{
	(void)state;
	/* what the built-in template makes goes, what an operator added stays */
	assert_commands(BGP ONE X "shutdown message bye\n" X "timers 3 9\n" X "password p\n" V4
				  "  no neighbor 192.0.2.2 send-community\n" END,
			NULL, "router bgp 64501\n" ONE X "password p\n",
			"router bgp 64501\nno neighbor 192.0.2.2 shutdown message bye\nexit\n");
	/* neighbors with our mark, and route-maps of our name, that nobody wants */
	assert_commands(BGP ONE " neighbor 192.0.2.9 description x ours:\nexit\n"
				"route-map botls_a deny 10\nexit\nroute-map other deny 10\nexit\n",
			NULL, "# nothing\n",
			"router bgp 64501\nno neighbor 192.0.2.2\nexit\n"
			"no route-map botls_a deny 10\n");
}

/* Lists, and whatever else an operator's template says, are known by `before` alone. */
static void test_what_only_before_tells(void **state)
{
	static const char before[] =
		"router bgp 64501\n neighbor pg peer-group\n network 10.0.0.0/8\n"
		"exit\nroute-map other permit 5\n call x\nexit\n"
		"ip prefix-list p seq 5 permit any\n";
	static const char running[] = BGP " neighbor pg peer-group\n network 10.0.0.0/8\nexit\n"
					  "ip prefix-list p seq 5 permit any\n"
					  "route-map other permit 5\n call x\nexit\n";

	(void)state;
	assert_commands(running, NULL, "# nothing\n", "");
	assert_commands(running, before, "# nothing\n",
			"router bgp 64501\nno neighbor pg peer-group\nno network 10.0.0.0/8\nexit\n"
			"no ip prefix-list p seq 5 permit any\nno route-map other permit 5\n");
	/* gone already: there is nothing to say no to */
	assert_commands(BGP "exit\n", before, "# nothing\n", "");
}

static void test_refusals(void **state)
{
	static const char wanted[] = "router bgp 64501\n" ONE;

	(void)state;
	assert_refused("hostname x\n", wanted, -EINVAL,
		       "FRR has no 'router bgp 64501': configure it there first");
	assert_refused(
		"router bgp 64501 vrf x\n neighbor 192.0.2.2 remote-as 2\n", wanted, -EINVAL,
		"FRR has 'router bgp 64501 vrf x', and our AS is 64501: correct one of them");
	assert_refused("router bgp 1\n", wanted, -EINVAL,
		       "FRR has 'router bgp 1', and our AS is 64501: correct one of them");
	assert_refused(BGP, "router bgp 64502\n" ONE, -EINVAL,
		       "the text has 'router bgp 64502', not 'router bgp 64501'");
	assert_refused(BGP X "remote-as 2\n" X "description theirs\n", wanted, -EEXIST,
		       "FRR has neighbor 192.0.2.2 already, and not from botls-provision (its "
		       "description does not begin with 'ours:'): remove it there first");
	assert_refused(
		BGP, "router bgp 64501\n" ONE V4 "  neighbor 192.0.2.2 route-map no in\n", -ENOENT,
		"FRR has no route-map no, which 192.0.2.2 names: define it there, or correct "
		"import and export of the peer");
	assert_refused(BGP, "route-map botls_a permit 10\n call no\nexit\n", -ENOENT,
		       "FRR has no route-map no, which botls_a names: define it there, or correct "
		       "import and export of the peer");
}

static void assert_not_understood(const char *text, const char *problem)
{
	struct frr_config *c = NULL;
	struct errtext e = {};

	assert_int_equal(frr_config_parse(text, false, &c, &e), -EINVAL);
	assert_string_equal(e.text, problem);
	assert_null(c);
}

static void test_parse(void **state)
{
	static const char here[] = "only router bgp and route-map, with what is indented below "
				   "them, and lists of prefixes, communities and paths can stand "
				   "here";
	_cleanup_free_ char *long_line = malloc(5000);
	char problem[300];

	(void)state;
	snprintf(problem, sizeof(problem), "line 2: %s", here);
	assert_not_understood("# x\nhostname x\n", problem);
	assert_not_understood("!\ninterface eth0\n", problem);
	assert_not_understood("router bgp 1\nneighbor 192.0.2.2 remote-as 2\n", problem);
	assert_not_understood("ip prefix-list a seq 5 permit any\n neighbor x\n", problem);
	snprintf(problem, sizeof(problem), "line 4: %s", here);
	assert_not_understood("router bgp 1\n x y\nexit\n address-family ipv4\n", problem);
	memset(long_line, 'x', 4999);
	long_line[4999] = '\0';
	assert_not_understood(long_line, "line 1: this line is too long");
	/* all of that is in FRR's own, and none of our business */
	frr_config_free(parse("hostname x\ninterface eth0\n ip address 1.2.3.4/5\nexit\n"
			      "vrf x\nexit-vrf\nline vty\n x\n!\nend\n",
			      true));
	frr_config_free(parse(long_line, true));
	frr_config_free(parse("", true));
	/* a neighbor in another instance is none of ours */
	{
		_cleanup_frr_config_ struct frr_config *c =
			parse("router bgp 64501 vrf v\n" ONE "exit\nrouter bgp 645010\n" ONE, true);

		assert_false(frr_config_is_marked(c, 64501, "192.0.2.2", MARK));
		assert_true(frr_config_is_marked(c, 645010, "192.0.2.2", MARK));
		assert_false(frr_config_is_marked(c, 645010, "192.0.2.2", "ours: y"));
		assert_false(frr_config_is_marked(c, 645010, "192.0.2.3", MARK));
	}
}

static char *read_text(const char *scene, const char *suffix)
{
	char name[100], path[512];

	snprintf(name, sizeof(name), "target/%s.%s", scene, suffix);
	return file_read(golden_path(name, path));
}

/* What FRR 8.4.4 says of the golden files after it was given them: nothing is left to do, and of
 * the operator's own neighbor nothing is ever said. */
static void test_what_frr_says_itself(void **state)
{
	static const char *const scenes[] = {"phases", "roles", "filters", "secrets"};
	static const char mark[] = "botls-provision:";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scenes) * ARRAY_SIZE(scenes); i++) {
		const char *from = scenes[i / ARRAY_SIZE(scenes)],
			   *to = scenes[i % ARRAY_SIZE(scenes)];
		_cleanup_free_ char *said = read_text(from, "running");
		_cleanup_free_ char *had = read_text(from, "frr.expected");
		_cleanup_free_ char *want = read_text(to, "frr.expected");
		_cleanup_frr_config_ struct frr_config *r = parse(said, true);
		_cleanup_frr_config_ struct frr_config *b = parse(had, false);
		_cleanup_frr_config_ struct frr_config *w = parse(want, false);
		_cleanup_wiped_ char *known = NULL, *unknown = NULL;
		struct errtext e = {};
		int error;

		error = frr_config_commands(64501, mark, r, b, w, &known, &e);
		if (!error)
			error = frr_config_commands(64501, mark, r, NULL, w, &unknown, &e);
		/* the operator has these only where they were needed */
		if (error == -ENOENT && strcmp(to, "filters") == 0 && strstr(e.text, "other_"))
			continue;
		if (error)
			fail_msg("%s to %s: %s", from, to, e.text);
		/* not knowing makes no difference while the built-in template is used */
		assert_string_equal(known, unknown);
		assert_null(strstr(known, "192.0.2.250"));
		if (!known[0] != (from == to))
			fail_msg("%s to %s: %s", from, to, known);
	}
}

/* A text without `exit`, as older versions have it. */
static void test_old_form(void **state)
{
	(void)state;
	assert_commands(BGP ONE " !\n" V4 "  neighbor 192.0.2.2 activate\n exit-address-family\n!\n"
				"route-map botls_a permit 10\n call x\n!\nline vty\n!\nend\n",
			NULL,
			"router bgp 64501\n" ONE V4 "  neighbor 192.0.2.2 activate\n" END
			"route-map botls_a permit 10\n call x\n",
			"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_neighbor),
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_activation),
		cmocka_unit_test(test_not_known_what_was_before),
		cmocka_unit_test(test_what_only_before_tells),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_what_frr_says_itself),
		cmocka_unit_test(test_old_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
