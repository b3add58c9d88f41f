// SPDX-License-Identifier: Apache-2.0
#include "settings_schema.h"
#include "botls/botls.h"
#include "spki.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

static const char *const era_names[] = {[ERA_A] = "a", [ERA_B] = "b"};
static const char *const perspective_names[] = {
	[LOCAL_IS_REQUESTER] = "requester", [LOCAL_IS_RECEIVER] = "receiver"};
static const char *const side_names[] = {
	[SIDE_INITIATOR] = "initiator", [SIDE_RECEIVER] = "receiver"};
static const char *const auth_names[] = {[AUTH_NONE] = "none",
					 [AUTH_CLIENT_CREDENTIALS] = "client-credentials",
					 [AUTH_TOKEN_FILE] = "token-file",
					 [AUTH_TOKEN_COMMAND] = "token-command"};
static const char *const client_auth_names[] = {
	[CLIENT_SECRET_BASIC] = "basic", [CLIENT_SECRET_POST] = "post"};
static const char *const batch_names[] = {[BATCH_ARRAY] = "array", [BATCH_OBJECT] = "object"};
static const char *const location_names[] = {
	[LOCATION_OBJECT] = "object", [LOCATION_STRING] = "string"};
static const char *const field_names[] = {[SECRET_FIELD_AUTO] = "auto",
					  [SECRET_FIELD_MD5] = "md5",
					  [SECRET_FIELD_SESSION_SECRET] = "session_secret"};
static const char *const mode_names[] = {
	[PEER_REQUIRED] = "required", [PEER_PREFERRED] = "preferred", [PEER_OFF] = "off"};
static const char *const use_names[] = {[SECRET_IGNORE] = "ignore",
					[SECRET_OUTER_MD5] = "outer-md5",
					[SECRET_OUTER_AO] = "outer-ao",
					[SECRET_INSIDE] = "inside"};
/* RFC 9234 section 4.1, from -1 on */
static const char *const role_names[] = {"auto",      "provider", "rs-server",
					 "rs-client", "customer", "peer"};
static const char *const daemon_names[] = {[DAEMON_BIRD] = "bird", [DAEMON_FRR] = "frr"};

_Static_assert(PEER_PIN_LEN == SPKI_PIN_LEN, "one kind of pin");

#define FIELD(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)NULL)->field)
#define COUNT(type, field) .count_offset = offsetof(type, field)
#define GLOBAL(field)	   .scope = CONF_GLOBAL, FIELD(struct settings, field)
#define SERVER(field)	   .scope = SCOPE_SERVER, FIELD(struct server_settings, field)
#define SERVERS(field)	   .scope = CONF_GLOBAL | SCOPE_SERVER, FIELD(struct server_settings, field)
#define PEER(field)	   .scope = SCOPE_PEER, FIELD(struct peer_settings, field)
#define PEERS(field)	   .scope = CONF_GLOBAL | SCOPE_PEER, FIELD(struct peer_settings, field)
#define DAEMON(field)	   .scope = SCOPE_DAEMON, FIELD(struct daemon_settings, field)
#define RANGE(lo, hi)	   .min = (lo), .max = (hi)
#define NAMES(list)	   .names = (list), .max = ARRAY_SIZE(list) - 1
#define LENGTH(hi)	   .max = (hi)
#define AS		   RANGE(1, UINT32_MAX - 1)

/* A path is kept well below PATH_MAX; a socket's must fit a sockaddr_un. */
#define PATH_LENGTH   LENGTH(1023)
#define SOCKET_LENGTH LENGTH(107)
#define TEXT_LENGTH   LENGTH(255)
#define URL_LENGTH    LENGTH(1023)
#define SECRET_LENGTH 1023
#define DAY	      86400
#define PREFIXES_MAX  10000000 /* ten times a full table: "unlimited" is not to be had */

static const struct conf_option options[] = {
	{"asn", CONF_AS, GLOBAL(asn), AS, .help = "our AS"},
	{"addresses", CONF_ADDRESSES, GLOBAL(addresses), COUNT(struct settings, n_addresses),
	 LENGTH(256), .help = "our addresses at the exchanges, on this router"},
	{"state-folder", CONF_PATH, GLOBAL(state_folder), PATH_LENGTH,
	 .initial = "/var/lib/botls/provision", .help = "what is remembered between two runs"},
	{"audit-log", CONF_PATH, GLOBAL(audit_log), PATH_LENGTH,
	 .help = "what was done, one JSON object a line; else audit.jsonl in state-folder"},

	{"peeringdb", CONF_SOURCE, GLOBAL(peeringdb), URL_LENGTH,
	 .initial = "https://www.peeringdb.com/api",
	 .help = "PeeringDB's API, or a file with a dump of it"},
	{"check-addresses", CONF_BOOL, GLOBAL(check_addresses), .initial = "true",
	 .help = "whether addresses must be registered at PeeringDB"},
	{"peeringdb-key", CONF_SECRET, GLOBAL(peeringdb_key), LENGTH(SECRET_LENGTH),
	 .help = "API key for PeeringDB"},
	{"peeringdb-key-file", CONF_SECRET_FILE, GLOBAL(peeringdb_key), PATH_LENGTH,
	 .secret_max = SECRET_LENGTH, .help = "file whose first line is that key"},
	{"peeringdb-ca", CONF_PATH, GLOBAL(peeringdb_ca), PATH_LENGTH,
	 .help = "who may have issued PeeringDB's certificate"},
	{"peeringdb-allow-http", CONF_BOOL, GLOBAL(peeringdb_allow_http), .initial = "false",
	 .help = "whether it may be http to a loopback address"},
	{"peeringdb-max-age", CONF_SECONDS, GLOBAL(peeringdb_max_age), RANGE(0, 30 * DAY),
	 .initial = "1h", .help = "how long an answer of PeeringDB is used again"},
	{"max-prefix-headroom", CONF_NUMBER, GLOBAL(max_prefix_headroom), RANGE(0, 1000),
	 .initial = "25", .help = "percent on top of what PeeringDB says"},
	{"max-prefix-default-4", CONF_NUMBER, GLOBAL(max_prefix_default_4), RANGE(1, PREFIXES_MAX),
	 .initial = "1000", .help = "IPv4 prefixes where PeeringDB says nothing"},
	{"max-prefix-default-6", CONF_NUMBER, GLOBAL(max_prefix_default_6), RANGE(1, PREFIXES_MAX),
	 .initial = "500", .help = "IPv6 prefixes where PeeringDB says nothing"},

	{"shim-config", CONF_PATH, GLOBAL(shim_config), PATH_LENGTH, .initial = BOTLS_CONFIG_PATH,
	 .help = "botlsd's configuration"},
	{"shim-file", CONF_PATH, GLOBAL(shim_file), PATH_LENGTH,
	 .help = "the file in its neighbors.d that is ours"},
	{"shim-socket", CONF_PATH, GLOBAL(shim_socket), SOCKET_LENGTH,
	 .help = "botlsd's control socket; else botlsctl's default"},
	{"botlsd", CONF_PROGRAM, GLOBAL(botlsd), PATH_LENGTH, .initial = "botlsd",
	 .help = "program"},
	{"botlsctl", CONF_PROGRAM, GLOBAL(botlsctl), PATH_LENGTH, .initial = "botlsctl",
	 .help = "program"},
	{"bird", CONF_PROGRAM, GLOBAL(bird), PATH_LENGTH, .initial = "bird", .help = "program"},
	{"birdc", CONF_PROGRAM, GLOBAL(birdc), PATH_LENGTH, .initial = "birdc", .help = "program"},
	{"vtysh", CONF_PROGRAM, GLOBAL(vtysh), PATH_LENGTH, .initial = "vtysh", .help = "program"},
	{"pin-certificate", CONF_PATH, GLOBAL(certificate), PATH_LENGTH,
	 .help = "certificate whose pin our requests carry"},
	{"tls-port", CONF_NUMBER, GLOBAL(tls_port), RANGE(1, 65535),
	 .initial = TEXT_OF(BOTLS_PORT_TLS), .help = "our TLS port, as botlsd.conf has it"},

	{"max-deletions", CONF_NUMBER, GLOBAL(max_deletions), RANGE(0, 10000), .initial = "5",
	 .help = "sessions that one run may begin to take away"},
	{"time-window", CONF_SECONDS, GLOBAL(time_window), RANGE(60, 366 * DAY), .initial = "7d",
	 .help = "how long a new session may take to establish"},
	{"drain-time", CONF_SECONDS, GLOBAL(drain_time), RANGE(0, DAY), .initial = "5m",
	 .help = "graceful shutdown before a removal"},
	{"verify-timeout", CONF_SECONDS, GLOBAL(verify_timeout), RANGE(1, 300), .initial = "20",
	 .help = "how long a reload may take to be seen"},
	{"interval", CONF_SECONDS, GLOBAL(interval), RANGE(10, DAY), .initial = "5m",
	 .help = "time between two runs of watch"},

	{"url", CONF_URL, SERVER(url), URL_LENGTH, .help = "where the API is, with its version"},
	{"asn", CONF_AS, SERVER(asn), AS, .help = "the AS that the server speaks for"},
	{"era", CONF_ENUM, SERVERS(era), NAMES(era_names), .initial = "b",
	 .help = "generation of the API"},
	{"perspective", CONF_ENUM, SERVER(perspective), NAMES(perspective_names),
	 .initial = "requester", .help = "whose side is local on the wire"},
	{"side", CONF_ENUM, SERVER(side), NAMES(side_names), .initial = "initiator",
	 .help = "which side we are"},
	{"allow-http", CONF_BOOL, SERVER(allow_http), .initial = "false",
	 .help = "whether it may be http to a loopback address"},
	{"https-ca", CONF_PATH, SERVER(ca), PATH_LENGTH,
	 .help = "who may have issued the server's certificate"},
	{"auth", CONF_ENUM, SERVER(auth), NAMES(auth_names), .initial = "none",
	 .help = "where the bearer token comes from"},
	{"token-url", CONF_URL, SERVER(token_url), URL_LENGTH, .help = "token endpoint"},
	{"issuer", CONF_URL, SERVER(issuer), URL_LENGTH,
	 .help = "issuer whose metadata name the token endpoint"},
	{"client-id", CONF_TEXT, SERVER(client_id), TEXT_LENGTH, .help = "who we are to it"},
	{"client-secret", CONF_SECRET, SERVER(client_secret), LENGTH(SECRET_LENGTH),
	 .noun = "secret", .help = "what proves it"},
	{"client-secret-file", CONF_SECRET_FILE, SERVER(client_secret), PATH_LENGTH,
	 .secret_max = SECRET_LENGTH, .noun = "secret", .help = "file whose first line is that"},
	{"client-auth", CONF_ENUM, SERVER(client_auth), NAMES(client_auth_names),
	 .initial = "basic", .help = "how they are sent"},
	{"scope", CONF_TEXT, SERVER(scope), URL_LENGTH, .help = "scope that is asked for"},
	{"audience", CONF_TEXT, SERVER(audience), URL_LENGTH, .help = "audience that is asked for"},
	{"resource", CONF_TEXT, SERVER(resource), URL_LENGTH, .help = "resource that is asked for"},
	{"token-file", CONF_PATH, SERVER(token_file), PATH_LENGTH,
	 .help = "file whose first line is a bearer token"},
	{"token-command", CONF_WORDS, SERVER(token_command),
	 COUNT(struct server_settings, n_token_command), LENGTH(32),
	 .help = "command that prints a bearer token"},
	{"batch-form", CONF_ENUM, SERVER(batch_form), NAMES(batch_names), .initial = "array",
	 .help = "body of a request for sessions"},
	{"location-form", CONF_ENUM, SERVER(location_form), NAMES(location_names),
	 .initial = "object", .help = "how a location is written"},
	{"secret-field", CONF_ENUM, SERVER(secret_field), NAMES(field_names), .initial = "auto",
	 .help = "how the session's secret is called"},
	{"batch-delete", CONF_BOOL, SERVER(batch_delete), .initial = "false",
	 .help = "whether several sessions are deleted by one request"},
	{"tls-extension", CONF_BOOL, SERVERS(tls_extension), .initial = "false",
	 .help = "whether requests carry our TLS port and pin"},
	{"accept-extra", CONF_BOOL, SERVER(accept_extra), .initial = "false",
	 .help = "whether sessions that nobody asked for are taken"},
	{"timeout", CONF_SECONDS, SERVERS(timeout), RANGE(1, 300), .initial = "30",
	 .help = "how long one request may take"},
	{"max-pages", CONF_NUMBER, SERVERS(max_pages), RANGE(1, 10000), .initial = "200",
	 .help = "pages of one listing"},
	{"page-size", CONF_NUMBER, SERVERS(page_size), RANGE(1, 100), .initial = "100",
	 .help = "sessions or locations that we ask for at once"},
	{"max-sessions", CONF_NUMBER, SERVERS(max_sessions), RANGE(1, 100000), .initial = "10000",
	 .help = "sessions of one listing"},
	{"retries", CONF_NUMBER, SERVERS(retries), RANGE(0, 10), .initial = "3",
	 .help = "further attempts at a request that failed"},

	{"description", CONF_TEXT, PEER(description), TEXT_LENGTH, .help = "free text"},
	{"mode", CONF_ENUM, PEERS(mode), NAMES(mode_names), .initial = "required",
	 .help = "whether clear text is allowed"},
	{"certificate", CONF_PATH, PEERS(certificate), PATH_LENGTH,
	 .help = "our certificate chain; else that of botlsd.conf"},
	{"key", CONF_PATH, PEERS(key), PATH_LENGTH,
	 .help = "our private key; else that of botlsd.conf"},
	{"ca", CONF_PATH, PEERS(ca), PATH_LENGTH,
	 .help = "who may have issued the peer's certificate; else that of botlsd.conf"},
	{"dns-names", CONF_DNS_NAMES, PEER(dns_names), COUNT(struct peer_settings, n_dns_names),
	 LENGTH(64), .help = "names of which the peer's certificate must hold one"},
	{"pins", CONF_PINS, PEER(pins), COUNT(struct peer_settings, n_pins), LENGTH(64),
	 .help = "public keys of which the peer must have one"},
	{"pins-from-api", CONF_BOOL, PEERS(pins_from_api), .initial = "false",
	 .help = "whether pins that the server tells are used too"},
	{"port", CONF_NUMBER, PEERS(port), RANGE(1, 65535), .zero = true, .initial = "0",
	 .help = "the peer's TLS port; 0: what the API or botlsd.conf says"},
	{"ttl-security", CONF_NUMBER, PEERS(ttl_security), RANGE(0, 254), .initial = "0",
	 .help = "how many hops away the peer may be; 0 is off"},
	{"session-secret", CONF_ENUM, PEERS(session_secret), NAMES(use_names), .initial = "ignore",
	 .help = "what becomes of a session's secret"},
	{"propose-secret", CONF_BOOL, PEERS(propose_secret), .initial = "false",
	 .help = "whether our requests carry a new secret"},
	{"locations", CONF_NAMES, PEERS(locations), COUNT(struct peer_settings, n_locations),
	 LENGTH(256), .help = "where we peer; else everywhere"},
	{"daemon", CONF_NAME, PEERS(daemon), LENGTH(CONF_NAME_MAX),
	 .help = "daemon block of the sessions"},
	{"max-prefix-4", CONF_NUMBER, PEER(max_prefix_4), RANGE(1, PREFIXES_MAX), .zero = true,
	 .initial = "0", .help = "IPv4 prefixes; 0: from PeeringDB"},
	{"max-prefix-6", CONF_NUMBER, PEER(max_prefix_6), RANGE(1, PREFIXES_MAX), .zero = true,
	 .initial = "0", .help = "IPv6 prefixes; 0: from PeeringDB"},
	{"import", CONF_NAME, PEERS(import), LENGTH(CONF_NAME_MAX),
	 .help = "filter or route-map for what we take"},
	{"export", CONF_NAME, PEERS(export), LENGTH(CONF_NAME_MAX),
	 .help = "filter or route-map for what we announce"},
	{"role", CONF_ENUM, PEER(role), NAMES(role_names), .first = -1, .initial = "auto",
	 .help = "our BGP role"},

	{"kind", CONF_ENUM, DAEMON(kind), NAMES(daemon_names), .help = "which BGP daemon it is"},
	{"file", CONF_PATH, DAEMON(file), PATH_LENGTH, .help = "the file that is ours"},
	{"config", CONF_PATH, DAEMON(config), PATH_LENGTH, .help = "the daemon's configuration"},
	{"socket", CONF_PATH, DAEMON(socket), SOCKET_LENGTH, .help = "where it is reached"},
	{"template", CONF_PATH, DAEMON(template_file), PATH_LENGTH,
	 .help = "how a session is written; else as built in"},
	{"group", CONF_ACCOUNT, DAEMON(group), LENGTH(32), .help = "group that may read the file"},
};
_Static_assert(ARRAY_SIZE(options) <= CONF_OPTIONS_MAX, "the parser's limit");

static const struct conf_kind kinds[] = {
	[SERVER_BLOCK] = {.name = "server", .max = 100},
	[PEER_BLOCK] = {.name = "peer", .max = BOTLS_NEIGHBORS_MAX},
	[DAEMON_BLOCK] = {.name = "daemon", .max = 16},
};
_Static_assert(ARRAY_SIZE(kinds) == N_BLOCKS, "one for each");

const struct conf_schema settings_schema = {
	.manual = "botls-provision.conf(5)",
	.no_include = "everything stands in this file",
	.options = options,
	.n_options = ARRAY_SIZE(options),
	.kinds = kinds,
	.n_kinds = ARRAY_SIZE(kinds),
};

const char *wire_era_name(enum wire_era e)
{
	return era_names[e];
}

const char *peer_mode_name(enum peer_mode m)
{
	return mode_names[m];
}

const char *daemon_kind_name(enum daemon_kind k)
{
	return daemon_names[k];
}
