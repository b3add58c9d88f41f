// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include "text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define US   64500
#define THEM 64502

/* 42 has one id; 50 is the ix of the ixlan 51; of 70 no prefix is known; in 60 we are not. */
static const char database[] =
	"{\"netixlan\": ["
	"{\"asn\": 64500, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.1\","
	" \"ipaddr6\": \"2001:db8:0:42::1\"},"
	"{\"asn\": 64500, \"ix_id\": 50, \"ixlan_id\": 51, \"ipaddr4\": \"198.51.100.1\"},"
	"{\"asn\": 64500, \"ix_id\": 70, \"ixlan_id\": 70, \"ipaddr4\": \"100.64.70.1\"},"
	"{\"asn\": 64502, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.2\","
	" \"ipaddr6\": \"2001:db8:0:42::2\"},"
	"{\"asn\": 64502, \"ix_id\": 50, \"ixlan_id\": 51, \"ipaddr4\": \"198.51.100.2\"},"
	"{\"asn\": 64502, \"ix_id\": 60, \"ixlan_id\": 60, \"ipaddr4\": \"203.0.113.2\"},"
	"{\"asn\": 64502, \"ix_id\": 70, \"ixlan_id\": 70, \"ipaddr4\": \"100.64.70.2\"},"
	"{\"asn\": 64502, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"10.0.0.2\"},"
	"{\"asn\": 64666, \"ix_id\": 42, \"ixlan_id\": 42, \"ipaddr4\": \"192.0.2.66\"}],"
	"\"ixpfx\": [{\"ixlan_id\": 42, \"prefix\": \"192.0.2.0/24\"},"
	"{\"ixlan_id\": 42, \"prefix\": \"2001:db8:0:42::/64\"},"
	"{\"ixlan_id\": 51, \"prefix\": \"198.51.100.0/24\"},"
	"{\"ixlan_id\": 60, \"prefix\": \"203.0.113.0/24\"}],"
	"\"net\": [{\"asn\": 64502, \"name\": \"Example Net\", \"info_prefixes4\": 1000}]}";

/* An API that nobody can reach: nothing is known. */
static int no_answer(void *arg, const struct http_request *q, struct http_response *ret,
		     struct errtext *e)
{
	(void)arg;
	(void)q;
	(void)ret;
	return errtext_set(e, -ECONNREFUSED, "no answer");
}

static struct peeringdb *db, *silent;
static struct http *http;
static char dir[] = "/tmp/botls-test-XXXXXX", dump[64], folder[64];
static struct settings dump_settings = {.path = "test", .peeringdb = dump};
static struct settings api_settings = {.path = "test", .peeringdb = "https://pdb.example/api"};

static int group_up(void **state)
{
	struct errtext e;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(dump, sizeof(dump), "%s/dump.json", dir);
	snprintf(folder, sizeof(folder), "%s/pdb", dir);
	f = fopen(dump, "w");
	assert_non_null(f);
	fputs(database, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(http_new_answered(no_answer, NULL, &http), 0);
	assert_int_equal(peeringdb_new(&dump_settings, NULL, NULL, &db, &e), 0);
	assert_int_equal(peeringdb_new(&api_settings, http, folder, &silent, &e), 0);
	return 0;
}

static int group_down(void **state)
{
	(void)state;
	peeringdb_free(db);
	peeringdb_free(silent);
	http_free(http);
	unlink(dump);
	rmdir(folder);
	rmdir(dir);
	return 0;
}

struct world {
	struct addr addresses[5];
	char *locations[2];
	struct peer_settings peers[2];
	struct server_settings server;
	struct settings s;
	struct record r;
	const struct peeringdb *db;
	struct policy_background b;
	struct record_end *ours, *theirs; /* in r */
};

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

/* A session that is wanted, seen from this side and written with that perspective. */
static void world_init(struct world *w, enum our_side side, enum wire_perspective perspective)
{
	static const char *const addresses[] = {"192.0.2.1", "2001:db8:0:42::1", "198.51.100.1",
						"100.64.70.1", "203.0.113.1"};
	const struct record_end us = {.asn = US,
				      .ip = address("192.0.2.1"),
				      .role = BGP_ROLE_UNKNOWN,
				      .insert_asn = true};
	const struct record_end them = {.asn = THEM,
					.ip = address("192.0.2.2"),
					.role = BGP_ROLE_UNKNOWN,
					.insert_asn = true};

	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		w->addresses[i] = address(addresses[i]);
	w->peers[0] = (struct peer_settings){.asn = THEM, .role = BGP_ROLE_UNKNOWN};
	w->peers[1] = (struct peer_settings){.asn = 64510, .role = BGP_ROLE_UNKNOWN};
	w->server = (struct server_settings){.name = "ex",
					     .asn = side == SIDE_INITIATOR ? THEM : US,
					     .side = side,
					     .perspective = perspective};
	w->s = (struct settings){.asn = US,
				 .addresses = w->addresses,
				 .n_addresses = ARRAY_SIZE(w->addresses),
				 .max_prefix_headroom = 25,
				 .max_prefix_default_4 = 700,
				 .max_prefix_default_6 = 300,
				 .servers = &w->server,
				 .n_servers = 1,
				 .peers = w->peers,
				 .n_peers = 2};
	w->r = (struct record){.location = {.id = "pdb:ix:42"},
			       .session_id = "s-1",
			       .admin = ADMIN_APPROVED,
			       .status_raw = "Approved",
			       .time_window = -1};
	w->ours = side == SIDE_INITIATOR ? &w->r.initiator : &w->r.receiver;
	w->theirs = side == SIDE_INITIATOR ? &w->r.receiver : &w->r.initiator;
	*w->ours = us;
	*w->theirs = them;
	w->db = db;
	w->b = (struct policy_background){.is_requested = true};
}

static void allow(struct world *w, const char *a, const char *b)
{
	w->locations[0] = (char *)a;
	w->locations[1] = (char *)b;
	w->peers[0].locations = w->locations;
	w->peers[0].n_locations = b ? 2 : 1;
}

/* What is changed, one function for each row below. */

static void nothing(struct world *w)
{
	(void)w;
}
static void ipv6(struct world *w)
{
	w->ours->ip = address("2001:db8:0:42::1");
	w->theirs->ip = address("2001:db8:0:42::2");
}
static void swapped(struct world *w)
{
	const struct record_end end = *w->ours;

	*w->ours = *w->theirs;
	*w->theirs = end;
}
static void our_as_missing(struct world *w)
{
	w->ours->asn = 0;
}
static void our_as_wrong(struct world *w)
{
	w->ours->asn = 64501;
}
static void our_address_missing(struct world *w)
{
	w->ours->ip = (struct addr){};
}
static void our_address_of_another_router(struct world *w)
{
	w->ours->ip = address("192.0.2.9");
}
static void their_as_missing(struct world *w)
{
	w->theirs->asn = 0;
}
static void their_as_wrong(struct world *w)
{
	w->theirs->asn = 64666;
	w->theirs->ip = address("192.0.2.66");
}
static void their_as_with_a_block(struct world *w)
{
	w->theirs->asn = 64510;
}
static void their_as_ours(struct world *w)
{
	w->theirs->asn = US;
}
static void status(struct world *w, enum admin_state admin, const char *raw)
{
	w->r.admin = admin;
	snprintf(w->r.status_raw, sizeof(w->r.status_raw), "%s", raw);
}
static void deleted(struct world *w)
{
	status(w, ADMIN_DELETED, "deleted");
}
static void deleting(struct world *w)
{
	status(w, ADMIN_DELETING, "deleting");
}
static void rejected(struct world *w)
{
	status(w, ADMIN_REJECTED, "rejected");
	strcpy(w->r.reason, "no capacity");
}
static void rejected_with_a_long_reason(struct world *w)
{
	rejected(w);
	for (size_t i = 0; i + 3 < sizeof(w->r.reason); i += 2)
		strcpy(w->r.reason + i, "\xc3\xa4");
}
static void deleted_by_somebody_else(struct world *w)
{
	deleted(w);
	w->theirs->asn = 64666;
}
static void deleted_of_somebody_else(struct world *w)
{
	deleted(w);
	w->ours->asn = 64501;
}
static void deleted_without_block(struct world *w)
{
	deleted(w);
	w->s.n_peers = 0;
}
static void no_block(struct world *w)
{
	w->s.n_peers = 0;
}
static void no_block_and_unknown_status(struct world *w)
{
	status(w, ADMIN_UNKNOWN, "Frobnicated");
	w->s.n_peers = 0;
}
static void location_allowed(struct world *w)
{
	allow(w, "pdb:ix:50", "PDB:IX:42");
}
static void location_not_allowed(struct world *w)
{
	allow(w, "pdb:ix:50", "pdb:fac:42");
}
static void location_not_allowed_unchecked(struct world *w)
{
	location_not_allowed(w);
	w->db = NULL;
}
static void location_not_allowed_private(struct world *w)
{
	location_not_allowed(w);
	w->r.location = (struct location){LOCATION_PRIVATE, "pdb:fac:17"};
}
static void location_not_told(struct world *w)
{
	w->r.location.id[0] = '\0';
}
static void location_not_told_but_found(struct world *w)
{
	location_not_told(w);
	allow(w, "pdb:ix:42", NULL);
}
static void location_not_told_and_another(struct world *w)
{
	location_not_told(w);
	allow(w, "pdb:ix:50", NULL);
}
static void location_not_told_unchecked(struct world *w)
{
	location_not_told(w);
	allow(w, "pdb:ix:42", NULL);
	w->db = NULL;
}
static void at_50(struct world *w)
{
	w->ours->ip = address("198.51.100.1");
	w->theirs->ip = address("198.51.100.2");
	strcpy(w->r.location.id, "pdb:ix:50");
}
static void at_50_called_51(struct world *w)
{
	at_50(w);
	strcpy(w->r.location.id, "pdb:ix:51");
}
static void at_51_allowed_as_50(struct world *w)
{
	at_50_called_51(w);
	allow(w, "pdb:ix:50", NULL);
}
static void at_50_allowed_as_51(struct world *w)
{
	at_50(w);
	allow(w, "pdb:ix:51", NULL);
}
static void at_50_called_51_unchecked(struct world *w)
{
	at_51_allowed_as_50(w);
	w->db = NULL;
}
static void location_unclear_while_silent(struct world *w)
{
	at_51_allowed_as_50(w);
	w->db = silent;
}
static void location_not_told_while_silent(struct world *w)
{
	location_not_told_but_found(w);
	w->db = silent;
}
static void location_wrong_and_not_allowed(struct world *w)
{
	allow(w, "pdb:ix:42", NULL);
	strcpy(w->r.location.id, "pdb:ix:50");
}
static void their_address(struct world *w, const char *ip)
{
	w->theirs->ip = address(ip);
	w->db = NULL; /* it is refused without anybody's help */
}
static void neighbor_missing(struct world *w)
{
	w->theirs->ip = (struct addr){};
}
static void neighbor_prefix(struct world *w)
{
	their_address(w, "192.0.2.0/24");
}
static void neighbor_linklocal(struct world *w)
{
	their_address(w, "fe80::2%lo");
}
static void neighbor_linklocal_4(struct world *w)
{
	their_address(w, "169.254.1.1");
}
static void neighbor_169(struct world *w)
{
	their_address(w, "169.253.1.1");
}
static void neighbor_multicast(struct world *w)
{
	their_address(w, "224.0.0.5");
}
static void neighbor_multicast_end(struct world *w)
{
	their_address(w, "239.255.255.255");
}
static void neighbor_multicast_6(struct world *w)
{
	their_address(w, "ff02::1");
}
static void neighbor_any(struct world *w)
{
	their_address(w, "0.0.0.0");
}
static void neighbor_any_6(struct world *w)
{
	their_address(w, "::");
}
static void neighbor_loopback(struct world *w)
{
	their_address(w, "127.0.0.1");
}
static void neighbor_loopback_6(struct world *w)
{
	their_address(w, "::1");
}
static void neighbor_broadcast(struct world *w)
{
	their_address(w, "255.255.255.255");
}
static void neighbor_last_unicast(struct world *w)
{
	their_address(w, "223.255.255.254");
}
static void neighbor_ourselves(struct world *w)
{
	their_address(w, "192.0.2.1");
}
static void neighbor_another_of_ours(struct world *w)
{
	their_address(w, "198.51.100.1");
}
static void neighbor_of_other_family(struct world *w)
{
	their_address(w, "2001:db8:0:42::2");
}
static void neighbor_of_other_family_6(struct world *w)
{
	w->ours->ip = address("2001:db8:0:42::1");
	w->db = NULL;
}
static void not_registered(struct world *w)
{
	w->theirs->ip = address("192.0.2.66");
}
static void not_registered_unchecked(struct world *w)
{
	not_registered(w);
	w->db = NULL;
}
static void not_registered_and_not_allowed(struct world *w)
{
	not_registered(w);
	allow(w, "pdb:ix:50", NULL);
}
static void registered_elsewhere(struct world *w)
{
	w->theirs->ip = address("198.51.100.2");
}
static void not_in_prefix(struct world *w)
{
	w->theirs->ip = address("10.0.0.2");
}
static void nothing_known(struct world *w)
{
	w->db = silent;
}
static void prefixes_unknown(struct world *w)
{
	w->ours->ip = address("100.64.70.1");
	w->theirs->ip = address("100.64.70.2");
	strcpy(w->r.location.id, "pdb:ix:70");
}
static void we_are_not_registered(struct world *w)
{
	w->addresses[0] = w->ours->ip = address("192.0.2.5");
}
static void we_are_registered_elsewhere(struct world *w)
{
	w->ours->ip = address("198.51.100.1");
}
static void at_60_without_us(struct world *w)
{
	w->theirs->ip = address("203.0.113.2");
	w->ours->ip = address("203.0.113.1");
	strcpy(w->r.location.id, "pdb:ix:60");
}
static void at_two_exchanges(struct world *w)
{
	location_not_told(w);
	w->ours->ip = address("198.51.100.1");
}
static void private_location(struct world *w)
{
	w->r.location = (struct location){LOCATION_PRIVATE, "pdb:fac:17"};
}
static void private_location_without_id(struct world *w)
{
	w->r.location = (struct location){LOCATION_PRIVATE, ""};
}
static void private_location_unchecked(struct world *w)
{
	private_location(w);
	allow(w, "pdb:fac:17", NULL);
	w->db = NULL;
}
static void roles(struct world *w, enum bgp_role ours, enum bgp_role theirs, int block)
{
	w->ours->role = ours;
	w->theirs->role = theirs;
	w->peers[0].role = block;
}
static void roles_fit(struct world *w)
{
	roles(w, BGP_ROLE_CUSTOMER, BGP_ROLE_PROVIDER, BGP_ROLE_CUSTOMER);
}
static void roles_fit_rs(struct world *w)
{
	roles(w, BGP_ROLE_RS_CLIENT, BGP_ROLE_RS, BGP_ROLE_UNKNOWN);
}
static void roles_do_not_fit(struct world *w)
{
	roles(w, BGP_ROLE_CUSTOMER, BGP_ROLE_CUSTOMER, BGP_ROLE_UNKNOWN);
}
static void roles_do_not_fit_peer(struct world *w)
{
	roles(w, BGP_ROLE_PEER, BGP_ROLE_RS, BGP_ROLE_UNKNOWN);
}
static void role_not_the_blocks(struct world *w)
{
	roles(w, BGP_ROLE_CUSTOMER, BGP_ROLE_UNKNOWN, BGP_ROLE_PEER);
}
static void their_role_not_the_blocks(struct world *w)
{
	roles(w, BGP_ROLE_UNKNOWN, BGP_ROLE_PROVIDER, BGP_ROLE_PEER);
}
static void their_role_the_blocks(struct world *w)
{
	roles(w, BGP_ROLE_UNKNOWN, BGP_ROLE_PROVIDER, BGP_ROLE_CUSTOMER);
}
static void role_of_the_block_alone(struct world *w)
{
	roles(w, BGP_ROLE_UNKNOWN, BGP_ROLE_UNKNOWN, BGP_ROLE_PROVIDER);
}
static void pending(struct world *w)
{
	status(w, ADMIN_REQUESTED, "Pending");
}
static void pending_and_wrong(struct world *w)
{
	pending(w);
	not_registered(w);
}
static void unknown_status(struct world *w)
{
	status(w, ADMIN_UNKNOWN, "Frobnicated");
}
static void no_status(struct world *w)
{
	status(w, ADMIN_UNKNOWN, "");
}
static void extra(struct world *w)
{
	w->b.is_requested = false;
}
static void extra_accepted(struct world *w)
{
	extra(w);
	w->b.is_accepted = true;
}
static void extra_taken(struct world *w)
{
	extra(w);
	w->server.accept_extra = true;
}
static void bad_secret(struct world *w)
{
	w->peers[0].session_secret = SECRET_OUTER_MD5;
	strcpy(w->r.secret, "it's");
}
static void inside_without_daemon(struct world *w)
{
	w->peers[0].session_secret = SECRET_INSIDE;
	strcpy(w->r.secret, "sekrit");
}
static void mode_off_with_md5(struct world *w)
{
	w->peers[0].session_secret = SECRET_OUTER_MD5;
	w->peers[0].mode = PEER_OFF;
	w->b.secret = "sekrit";
}

static const struct row {
	const char *name;
	void (*change)(struct world *w);
	enum verdict verdict;
	const char *reason; /* a part of it; NULL: none */
} rows[] = {
#define ROW(f, verdict, reason)                                                                    \
	{                                                                                          \
#f, f, VERDICT_##verdict, reason                                                   \
	}
	ROW(nothing, WANT, NULL),
	ROW(ipv6, WANT, NULL),
	/* our side */
	ROW(swapped, REFUSE, "try the other one"),
	ROW(our_as_missing, REFUSE, "does not say AS 64500 on our side"),
	ROW(our_as_wrong, REFUSE, "the server says AS 64501 on our side, but we are AS 64500"),
	ROW(our_address_missing, REFUSE, "does not say which of our addresses"),
	ROW(our_address_of_another_router, REFUSE,
	    "192.0.2.9 on our side is not one of this router's"),
	/* their AS */
	ROW(their_as_missing, REFUSE, "does not say the neighbor's AS"),
	ROW(their_as_ours, REFUSE, "our own AS 64500 on both sides"),
	/* gone */
	ROW(deleted, GONE, "the server has deleted it"),
	ROW(deleting, GONE, "the server is deleting it"),
	ROW(rejected, GONE, "the server has rejected it: no capacity"),
	ROW(rejected_with_a_long_reason, GONE, "rejected it: \xc3\xa4"),
	ROW(deleted_of_somebody_else, REFUSE, "AS 64501"),
	ROW(deleted_without_block, GONE, "deleted"),
	/* the peer block */
	ROW(no_block, FORBID, "there is no peer block for AS 64502"),
	ROW(no_block_and_unknown_status, FORBID, "no peer block"),
	/* the location */
	ROW(location_allowed, WANT, NULL),
	ROW(location_not_allowed, FORBID,
	    "pdb:ix:42 is not among the locations of the block of AS 64502"),
	ROW(location_not_allowed_unchecked, FORBID, "pdb:ix:42 is not among"),
	ROW(location_not_allowed_private, FORBID, "pdb:fac:17 is not among"),
	ROW(location_not_told, WANT, NULL),
	ROW(location_not_told_but_found, WANT, NULL),
	ROW(location_not_told_and_another, FORBID, "pdb:ix:42 is not among"),
	ROW(location_not_told_unchecked, REFUSE, "does not say where"),
	ROW(at_50, WANT, NULL),
	ROW(at_50_called_51, WANT, NULL),
	ROW(at_51_allowed_as_50, WANT, NULL),
	ROW(at_50_allowed_as_51, WANT, NULL),
	ROW(at_50_called_51_unchecked, FORBID, "pdb:ix:51 is not among"),
	ROW(location_unclear_while_silent, HOLD, "PeeringDB cannot tell whether pdb:ix:51"),
	ROW(location_not_told_while_silent, HOLD, "PeeringDB cannot tell whether this"),
	ROW(location_wrong_and_not_allowed, REFUSE,
	    "registered to AS 64502 at pdb:ix:42, not at "
	    "pdb:ix:50"),
	/* the neighbor's address */
	ROW(neighbor_missing, REFUSE, "does not say the neighbor's address"),
	ROW(neighbor_prefix, REFUSE, "192.0.2.0/24 is not the address of one neighbor"),
	ROW(neighbor_linklocal, REFUSE, "fe80::2%lo is link-local"),
	ROW(neighbor_linklocal_4, REFUSE, "169.254.1.1 is link-local"),
	ROW(neighbor_169, WANT, NULL),
	ROW(neighbor_multicast, REFUSE, "224.0.0.5 is multicast"),
	ROW(neighbor_multicast_end, REFUSE, "239.255.255.255 is multicast"),
	ROW(neighbor_multicast_6, REFUSE, "ff02::1 is multicast"),
	ROW(neighbor_any, REFUSE, "0.0.0.0 is reserved"),
	ROW(neighbor_any_6, REFUSE, ":: is reserved"),
	ROW(neighbor_loopback, REFUSE, "127.0.0.1 is reserved"),
	ROW(neighbor_loopback_6, REFUSE, "::1 is reserved"),
	ROW(neighbor_broadcast, REFUSE, "255.255.255.255 is reserved"),
	ROW(neighbor_last_unicast, WANT, NULL),
	ROW(neighbor_ourselves, REFUSE, "192.0.2.1 is our own address on both sides"),
	ROW(neighbor_another_of_ours, REFUSE, "198.51.100.1 is our own"),
	ROW(neighbor_of_other_family, REFUSE,
	    "2001:db8:0:42::2 is not of the address family of 192.0.2.1"),
	ROW(neighbor_of_other_family_6, REFUSE, "192.0.2.2 is not of the address family of 2001:"),
	/* where it is registered */
	ROW(not_registered, REFUSE,
	    "the neighbor's address 192.0.2.66 is not registered to the AS (AS 64502, pdb:ix:42"),
	ROW(not_registered_unchecked, WANT, NULL),
	ROW(not_registered_and_not_allowed, REFUSE, "192.0.2.66 is not registered"),
	ROW(registered_elsewhere, REFUSE, "198.51.100.2 is registered to AS 64502 at pdb:ix:50"),
	ROW(not_in_prefix, REFUSE, "10.0.0.2 lies in no prefix of the exchange"),
	ROW(nothing_known, HOLD, "the neighbor's address 192.0.2.2 could not be looked up"),
	ROW(prefixes_unknown, HOLD, "100.64.70.2 could not be looked up"),
	ROW(we_are_not_registered, REFUSE,
	    "our address 192.0.2.5 is not registered to the AS (AS 64500"),
	ROW(we_are_registered_elsewhere, REFUSE,
	    "our address 198.51.100.1 is registered to AS "
	    "64500 at pdb:ix:50"),
	ROW(at_60_without_us, REFUSE, "our address 203.0.113.1 is not registered"),
	ROW(at_two_exchanges, REFUSE,
	    "192.0.2.2 is registered at pdb:ix:42, but our address at "
	    "pdb:ix:50"),
	ROW(private_location, REFUSE, "pdb:fac:17 is a private interconnect"),
	ROW(private_location_without_id, REFUSE, "this is a private interconnect"),
	ROW(private_location_unchecked, WANT, NULL),
	/* roles */
	ROW(roles_fit, WANT, NULL),
	ROW(roles_fit_rs, WANT, NULL),
	ROW(roles_do_not_fit, REFUSE, "our role customer does not fit the neighbor's, customer"),
	ROW(roles_do_not_fit_peer, REFUSE, "our role peer does not fit the neighbor's, rs-server"),
	ROW(role_not_the_blocks, REFUSE,
	    "our role is customer for the server, but peer in the block of AS 64502"),
	ROW(their_role_not_the_blocks, REFUSE, "our role is customer for the server"),
	ROW(their_role_the_blocks, WANT, NULL),
	ROW(role_of_the_block_alone, WANT, NULL),
	/* the server's word */
	ROW(pending, WAIT, "has not approved it yet"),
	ROW(pending_and_wrong, REFUSE, "192.0.2.66 is not registered"),
	ROW(unknown_status, HOLD, "the server says status 'Frobnicated', which is not known"),
	ROW(no_status, HOLD, "does not say its status"),
	/* who wanted it */
	ROW(extra_accepted, WANT, NULL),
	ROW(extra_taken, WANT, NULL),
	/* the mapping */
	ROW(bad_secret, REFUSE, "secret holds a quote"),
	ROW(inside_without_daemon, REFUSE, "needs a daemon block"),
	ROW(mode_off_with_md5, REFUSE, "mode = off"),
};

/* These depend on the side. */
static const struct row initiator_rows[] = {
	ROW(their_as_wrong, REFUSE, "the server says AS 64666, but speaks for AS 64502"),
	ROW(their_as_with_a_block, REFUSE, "the server says AS 64510, but speaks for AS 64502"),
	ROW(deleted_by_somebody_else, REFUSE, "AS 64666"),
	ROW(extra, WAIT,
	    "it was not asked for: accept it, or set accept-extra = true for server ex"),
};
static const struct row receiver_rows[] = {
	ROW(their_as_wrong, FORBID, "there is no peer block for AS 64666"),
	ROW(their_as_with_a_block, REFUSE, "192.0.2.2 is not registered to the AS (AS 64510"),
	ROW(deleted_by_somebody_else, GONE, "deleted"),
	ROW(extra, WANT, NULL), /* who asks our server has asked */
};

static void judge_row(const struct row *row, enum our_side side, enum wire_perspective perspective)
{
	struct judgement j;
	struct world w;

	world_init(&w, side, perspective);
	row->change(&w);
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &j), 0);
	if (j.verdict != row->verdict || !strstr(j.reason, row->reason ? row->reason : ""))
		fail_msg("%s: %s, '%s'", row->name, verdict_name(j.verdict), j.reason);
	assert_int_equal(j.verdict == VERDICT_WANT, j.mapping != NULL);
	assert_int_equal(j.reason[0] == '\0', row->reason == NULL);
	assert_null(strstr(j.reason, "sekrit"));
	for (size_t i = 0, n; j.reason[i]; i += n) {
		n = text_printable_at((const unsigned char *)j.reason + i);
		assert_true(n);
	}
	assert_ptr_equal(j.server, &w.server);
	assert_memory_equal(&j.record, &w.r, sizeof(w.r));
	assert_int_equal(j.is_extra, side == SIDE_INITIATOR && !w.b.is_requested);
	if (j.mapping)
		assert_string_equal(jv_get_string(j.mapping, "neighbor", ""), j.neighbor);
	judgement_done(&j);
	assert_null(j.mapping);
}

static void judge_rows(enum our_side side, enum wire_perspective perspective)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		judge_row(&rows[i], side, perspective);
	if (side == SIDE_INITIATOR)
		for (size_t i = 0; i < ARRAY_SIZE(initiator_rows); i++)
			judge_row(&initiator_rows[i], side, perspective);
	else
		for (size_t i = 0; i < ARRAY_SIZE(receiver_rows); i++)
			judge_row(&receiver_rows[i], side, perspective);
}

static void every_rule_as_initiator(void **state)
{
	(void)state;
	judge_rows(SIDE_INITIATOR, LOCAL_IS_REQUESTER);
	judge_rows(SIDE_INITIATOR, LOCAL_IS_RECEIVER);
}

static void every_rule_as_receiver(void **state)
{
	(void)state;
	judge_rows(SIDE_RECEIVER, LOCAL_IS_REQUESTER);
	judge_rows(SIDE_RECEIVER, LOCAL_IS_RECEIVER);
}

/* From the wire: what a server writes is ours only with the perspective that it writes in. */
static void perspectives(void **state)
{
	static const struct {
		enum our_side side;
		enum wire_perspective server, configured;
		enum verdict verdict;
	} cases[] = {
		{SIDE_INITIATOR, LOCAL_IS_REQUESTER, LOCAL_IS_REQUESTER, VERDICT_WANT},
		{SIDE_INITIATOR, LOCAL_IS_RECEIVER, LOCAL_IS_RECEIVER, VERDICT_WANT},
		{SIDE_INITIATOR, LOCAL_IS_REQUESTER, LOCAL_IS_RECEIVER, VERDICT_REFUSE},
		{SIDE_INITIATOR, LOCAL_IS_RECEIVER, LOCAL_IS_REQUESTER, VERDICT_REFUSE},
		{SIDE_RECEIVER, LOCAL_IS_REQUESTER, LOCAL_IS_REQUESTER, VERDICT_WANT},
		{SIDE_RECEIVER, LOCAL_IS_RECEIVER, LOCAL_IS_RECEIVER, VERDICT_WANT},
		{SIDE_RECEIVER, LOCAL_IS_REQUESTER, LOCAL_IS_RECEIVER, VERDICT_REFUSE},
		{SIDE_RECEIVER, LOCAL_IS_RECEIVER, LOCAL_IS_REQUESTER, VERDICT_REFUSE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool we_are_local = (cases[i].side == SIDE_INITIATOR) ==
				    (cases[i].server == LOCAL_IS_REQUESTER);
		_cleanup_jv_ struct jv *v = NULL;
		struct record_profile p;
		struct judgement j;
		struct errtext e;
		struct world w;
		char text[512];

		snprintf(text, sizeof(text),
			 "{\"local_asn\": %d, \"local_ip\": \"%s\", \"peer_asn\": %d,"
			 " \"peer_ip\": \"%s\", \"location\": \"pdb:ix:42\","
			 " \"status\": \"Approved\", \"session_id\": \"s-1\"}",
			 we_are_local ? US : THEM, we_are_local ? "192.0.2.1" : "192.0.2.2",
			 we_are_local ? THEM : US, we_are_local ? "192.0.2.2" : "192.0.2.1");
		world_init(&w, cases[i].side, cases[i].configured);
		p = record_profile_of(&w.server);
		assert_int_equal(jv_parse(text, strlen(text), &v, &e), 0);
		assert_int_equal(record_decode(v, &p, &w.r, &e), 0);
		assert_int_equal(policy_judge(&w.s, &w.server, &w.r, db, &w.b, &j), 0);
		assert_int_equal(j.verdict, cases[i].verdict);
		if (j.verdict == VERDICT_WANT)
			assert_string_equal(j.neighbor, "192.0.2.2");
		else
			assert_non_null(
				strstr(j.reason, cases[i].configured == LOCAL_IS_REQUESTER
							 ? "perspective of server ex is requester"
							 : "perspective of server ex is receiver"));
		judgement_done(&j);
	}
}

static void mapping_has_what_is_known(void **state)
{
	struct judgement j;
	struct world w;

	(void)state;
	world_init(&w, SIDE_INITIATOR, LOCAL_IS_REQUESTER);
	at_50(&w);
	location_not_told(&w);
	w.peers[0].session_secret = SECRET_OUTER_MD5;
	w.b.secret = "sekrit";
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &j), 0);
	assert_int_equal(j.verdict, VERDICT_WANT);
	/* where it was found, what PeeringDB says, what we proposed */
	assert_string_equal(jv_get_string(j.mapping, "location", ""), "pdb:ix:50");
	assert_string_equal(jv_get_string(j.mapping, "description", ""),
			    "AS64502 Example Net, pdb:ix:50");
	assert_int_equal(jv_get_int(j.mapping, "max_prefix", 0), 1250);
	assert_string_equal(jv_get_string(j.mapping, "md5", ""), "sekrit");
	assert_string_equal(j.record.location.id, ""); /* that is the server's */
	judgement_done(&j);

	strcpy(w.r.location.id, "pdb:ix:51"); /* the server's name for it stays */
	w.b.secret = NULL;
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &j), 0);
	assert_string_equal(jv_get_string(j.mapping, "location", ""), "pdb:ix:51");
	assert_null(jv_get(j.mapping, "md5"));
	judgement_done(&j);

	w.db = NULL;
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &j), 0);
	assert_string_equal(jv_get_string(j.mapping, "description", ""), "AS64502, pdb:ix:51");
	assert_int_equal(jv_get_int(j.mapping, "max_prefix", 0), 700);
	judgement_done(&j);
}

static void what_is_configured_stays_wanted(void **state)
{
	struct judgement first, j;
	struct world w;

	(void)state;
	world_init(&w, SIDE_INITIATOR, LOCAL_IS_REQUESTER);
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &first), 0);
	/* An extra one that was taken, while no more of them are. */
	w.b = (struct policy_background){.mapping = first.mapping};
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &j), 0);
	assert_int_equal(j.verdict, VERDICT_WANT);
	assert_true(j.is_extra);
	assert_true(mapping_equal(j.mapping, first.mapping));
	judgement_done(&j);
	/* It is what max_prefix and secrets fall back on. */
	assert_int_equal(jv_set_int(first.mapping, "max_prefix", 1300), 0);
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &j), 0);
	assert_int_equal(jv_get_int(j.mapping, "max_prefix", 0), 1300);
	judgement_done(&j);
	w.db = silent;
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &j), 0);
	assert_int_equal(j.verdict, VERDICT_HOLD);
	judgement_done(&j);
	w.db = NULL; /* where PeeringDB is not asked it is not silent */
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &j), 0);
	assert_int_equal(jv_get_int(j.mapping, "max_prefix", 0), 700);
	judgement_done(&j);
	judgement_done(&first);
}

static void unsaid_address_has_a_sign(void **state)
{
	struct judgement j;
	struct world w;

	(void)state;
	world_init(&w, SIDE_INITIATOR, LOCAL_IS_REQUESTER);
	neighbor_missing(&w);
	assert_int_equal(policy_judge(&w.s, &w.server, &w.r, w.db, &w.b, &j), 0);
	assert_string_equal(j.neighbor, "-");
	judgement_done(&j);
}

static void verdicts_have_names(void **state)
{
	(void)state;
	for (enum verdict v = VERDICT_WANT; v <= VERDICT_HOLD; v++)
		for (enum verdict other = VERDICT_WANT; other < v; other++)
			assert_string_not_equal(verdict_name(v), verdict_name(other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_as_initiator),
		cmocka_unit_test(every_rule_as_receiver),
		cmocka_unit_test(perspectives),
		cmocka_unit_test(mapping_has_what_is_known),
		cmocka_unit_test(what_is_configured_stays_wanted),
		cmocka_unit_test(unsaid_address_has_a_sign),
		cmocka_unit_test(verdicts_have_names),
	};

	return cmocka_run_group_tests_name("policy", tests, group_up, group_down);
}
