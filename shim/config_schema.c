// SPDX-License-Identifier: Apache-2.0
#include "config_schema.h"
#include "botls/botls.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

static const char *const mode_names[] = {[MODE_REQUIRED] = "required",
					 [MODE_PREFERRED] = "preferred",
					 [MODE_OFF] = "off",
					 [MODE_TCP_AO] = "tcp-ao"};
static const char *const role_names[] = {
	[ROLE_BOTH] = "both", [ROLE_CONNECT] = "connect", [ROLE_ACCEPT] = "accept"};
static const char *const version_names[] = {[TLS_MIN_1_2] = "1.2", [TLS_MIN_1_3] = "1.3"};
static const char *const ktls_names[] = {[KTLS_OFF] = "off", [KTLS_ON] = "on"};
static const char *const ao_mode_names[] = {[AO_OFF] = "off",
					    [AO_STATIC] = "static",
					    [AO_EXPORTER] = "exporter",
					    [AO_CAPABILITY] = "capability"};
static const char *const ao_policy_names[] = {
	[AO_REQUIRED] = "required", [AO_PREFERRED] = "preferred"};
static const char *const ao_algorithm_names[] = {
	[TCP_AO_AES_128_CMAC_96] = "aes-128-cmac-96",
	[TCP_AO_HMAC_SHA1_96] = "hmac-sha1-96",
	[TCP_AO_HMAC_SHA256_96] = "hmac-sha256-96",
};
static const char *const steering_names[] = {
	[STEERING_AUTO] = "auto", [STEERING_CGROUP] = "cgroup", [STEERING_ROUTE] = "route"};
static const char *const level_names[] = {[CONFIG_LOG_ERROR] = "error",
					  [CONFIG_LOG_WARNING] = "warning",
					  [CONFIG_LOG_INFO] = "info",
					  [CONFIG_LOG_DEBUG] = "debug"};

static const char *const capture_names[] = {[CAPTURE_OFF] = "off", [CAPTURE_ROOT] = "root"};

#define FIELD(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)NULL)->field)
#define COUNT(type, field) .count_offset = offsetof(type, field)
#define GLOBAL(field)	   .scope = CONF_GLOBAL, FIELD(struct config, field)
#define NEIGHBOR(field)	   .scope = SCOPE_NEIGHBOR, FIELD(struct neighbor_config, field)
#define KEY(field)	   .scope = SCOPE_KEY, FIELD(struct keychain_key, field)
#define BOTH(field)	   .scope = CONF_GLOBAL | SCOPE_NEIGHBOR, FIELD(struct neighbor_config, field)
#define RANGE(lo, hi)	   .min = (lo), .max = (hi)
#define NAMES(list)	   .names = (list), .max = ARRAY_SIZE(list) - 1
#define LENGTH(hi)	   .max = (hi)
#define TIMES		   RANGE(1, 253402300799) /* to the end of the year 9999 */

/* A path is kept well below PATH_MAX; the control socket's must fit a sockaddr_un. */
#define PATH_LENGTH   LENGTH(1023)
#define SOCKET_LENGTH LENGTH(107)

static const struct conf_option options[] = {
	{"steering", CONF_ENUM, GLOBAL(steering), NAMES(steering_names), .effect = EFFECT_RESTART,
	 .initial = "auto", .help = "how the daemon's connections reach botlsd"},
	{"tls-port", CONF_NUMBER, GLOBAL(tls_port), RANGE(1, 65535), .effect = EFFECT_RESTART,
	 .initial = TEXT_OF(BOTLS_PORT_TLS), .help = "port on which neighbors reach us with TLS"},
	{"inner-port", CONF_NUMBER, GLOBAL(inner_port), RANGE(1, 1023), .effect = EFFECT_RESTART,
	 .initial = TEXT_OF(BOTLS_PORT_INNER),
	 .help = "port on which the daemon's own connections arrive"},
	{"workers", CONF_NUMBER, GLOBAL(workers), RANGE(1, 64), .effect = EFFECT_RESTART,
	 .initial = "1", .help = "processes that carry sessions"},
	{"user", CONF_ACCOUNT, GLOBAL(user), LENGTH(32), .effect = EFFECT_RESTART,
	 .initial = "botls", .help = "user that the workers run as"},
	{"daemon-users", CONF_ACCOUNTS, GLOBAL(daemon_users), COUNT(struct config, n_daemon_users),
	 LENGTH(64), .effect = EFFECT_RESTART, .help = "users whose BGP connections are taken"},
	{"control-socket", CONF_PATH, GLOBAL(control_socket), SOCKET_LENGTH,
	 .effect = EFFECT_RESTART, .initial = BOTLS_CONTROL_PATH,
	 .help = "where botlsctl reaches botlsd"},
	{"control-group", CONF_ACCOUNT, GLOBAL(control_group), LENGTH(32),
	 .help = "group that may use the control socket besides root"},
	{"bpffs", CONF_PATH, GLOBAL(bpffs), PATH_LENGTH, .effect = EFFECT_RESTART,
	 .initial = BOTLS_BPFFS_PATH, .help = "where BPF objects are pinned"},
	{"handshakes-max", CONF_NUMBER, GLOBAL(handshakes_max), RANGE(1, 10000), .initial = "256",
	 .help = "handshakes at once in one worker"},
	{"handshake-rate", CONF_NUMBER, GLOBAL(handshake_rate), RANGE(1, 1000), .initial = "10",
	 .help = "handshakes per source and second"},
	{"drain-time", CONF_SECONDS, GLOBAL(drain_time), RANGE(1, 86400), .zero = true,
	 .initial = "60", .help = "how long sessions wait for botlsd to come back; 0: not at all"},
	{"expiry-warning-days", CONF_NUMBER, GLOBAL(expiry_warning_days), RANGE(0, 365),
	 .initial = "30", .help = "days before its end that a certificate is warned of"},
	{"metrics-listen", CONF_TEXT, GLOBAL(metrics_listen), LENGTH(80),
	 .help = "address and port where metrics are to be had by HTTP"},
	{"capture", CONF_ENUM, GLOBAL(capture), NAMES(capture_names), .initial = "root",
	 .help = "who may see decrypted BGP (botlsctl capture)"},
	{"log-level", CONF_ENUM, GLOBAL(log_level), NAMES(level_names), .initial = "info",
	 .help = "least severe lines that are logged"},

	{"description", CONF_TEXT, NEIGHBOR(description), LENGTH(255), .help = "free text"},
	{"mode", CONF_ENUM, BOTH(mode), NAMES(mode_names), .effect = EFFECT_RESET,
	 .initial = "required", .help = "whether clear text is allowed"},
	{"role", CONF_ENUM, BOTH(role), NAMES(role_names), .effect = EFFECT_RESET,
	 .initial = "both", .help = "who opens the connection"},
	{"local-address", CONF_ADDRESS, NEIGHBOR(local_address), .effect = EFFECT_RESET,
	 .help = "our address towards the neighbor"},
	{"port", CONF_NUMBER, BOTH(tls_port), RANGE(1, 65535), .effect = EFFECT_RESET,
	 .help = "the neighbor's TLS port"},

	{"certificate", CONF_PATH, BOTH(identity.certificate), PATH_LENGTH,
	 .help = "our certificate chain"},
	{"key", CONF_PATH, BOTH(identity.key), PATH_LENGTH, .help = "our private key"},
	{"ca", CONF_PATH, BOTH(identity.ca), PATH_LENGTH, .effect = EFFECT_RESET,
	 .help = "who may have issued the neighbor's certificate"},
	{"crl", CONF_PATH, BOTH(identity.crl), PATH_LENGTH, .help = "revocation lists"},
	{"dns-names", CONF_DNS_NAMES, BOTH(identity.dns_names),
	 COUNT(struct neighbor_config, identity.n_dns_names), LENGTH(64), .effect = EFFECT_TIGHTEN,
	 .help = "names of which the neighbor's certificate must hold one"},
	{"check-address", CONF_BOOL, BOTH(identity.check_address), .effect = EFFECT_TIGHTEN,
	 .help = "whether its certificate must hold the neighbor's address"},
	{"pins", CONF_PINS, BOTH(identity.pins), COUNT(struct neighbor_config, identity.n_pins),
	 LENGTH(64), .effect = EFFECT_TIGHTEN,
	 .help = "public keys of which the neighbor must have one"},
	{"check-eku", CONF_BOOL, BOTH(identity.check_eku), .effect = EFFECT_TIGHTEN,
	 .initial = "true", .help = "whether the extended key usage must fit"},
	{"min-version", CONF_ENUM, BOTH(min_version), NAMES(version_names),
	 .effect = EFFECT_TIGHTEN, .initial = "1.2",
	 .help = "the oldest TLS version that is accepted"},
	{"ktls", CONF_ENUM, BOTH(ktls), NAMES(ktls_names), .initial = "off",
	 .help = "whether the kernel does the records of TLS 1.3"},
	{"remote-as", CONF_AS, NEIGHBOR(remote_as), RANGE(1, UINT32_MAX), .effect = EFFECT_TIGHTEN,
	 .help = "AS that the neighbor's OPEN must carry"},

	{"ttl-security", CONF_NUMBER, BOTH(ttl_security), RANGE(0, 254), .effect = EFFECT_RESET,
	 .initial = "0", .help = "how many hops away the neighbor may be; 0 is off"},
	{"ttl", CONF_NUMBER, BOTH(ttl), RANGE(1, 255), .effect = EFFECT_RESET, .initial = "255",
	 .help = "TTL or hop limit of what is sent"},
	{"tcp-md5", CONF_SECRET, NEIGHBOR(tcp_md5), LENGTH(MD5_KEY_MAX), .effect = EFFECT_RESET,
	 .help = "TCP-MD5 key towards the neighbor"},
	{"tcp-md5-file", CONF_SECRET_FILE, NEIGHBOR(tcp_md5), PATH_LENGTH,
	 .secret_max = MD5_KEY_MAX, .effect = EFFECT_RESET,
	 .help = "file whose first line is the TCP-MD5 key"},
	{"tcp-ao", CONF_ENUM, BOTH(ao.mode), NAMES(ao_mode_names), .effect = EFFECT_RESET,
	 .initial = "off", .help = "whether connections to the neighbor carry TCP-AO"},
	{"tcp-ao-policy", CONF_ENUM, BOTH(ao.policy), NAMES(ao_policy_names), .initial = "required",
	 .help = "whether connections to the neighbor may go without TCP-AO"},
	{"tcp-ao-chain", CONF_NAME, BOTH(ao.chain_name), LENGTH(CONF_NAME_MAX),
	 .help = "chain of TCP-AO keys towards the neighbor"},
	{"tcp-ao-key", CONF_SECRET, NEIGHBOR(ao.own.secret), LENGTH(TCP_AO_SECRET_MAX),
	 .help = "TCP-AO key towards the neighbor"},
	{"tcp-ao-key-file", CONF_SECRET_FILE, NEIGHBOR(ao.own.secret), PATH_LENGTH,
	 .secret_max = TCP_AO_SECRET_MAX, .help = "file whose first line is the TCP-AO key"},
	{"tcp-ao-send-id", CONF_NUMBER, BOTH(ao.own.send_id), RANGE(0, 255), .initial = "0",
	 .help = "SendID of the TCP-AO key"},
	{"tcp-ao-recv-id", CONF_NUMBER, BOTH(ao.own.recv_id), RANGE(0, 255), .initial = "0",
	 .help = "RecvID of the TCP-AO key"},
	{"tcp-ao-algorithm", CONF_ENUM, BOTH(ao.own.algorithm), NAMES(ao_algorithm_names),
	 .initial = "aes-128-cmac-96", .help = "algorithm of the TCP-AO key"},
	{"tcp-ao-options", CONF_BOOL, BOTH(ao.own.covers_options), .initial = "true",
	 .help = "whether TCP-AO covers the other TCP options"},
	{"tcp-ao-rekey", CONF_SECONDS, BOTH(ao.rekey), RANGE(10, 604800), .zero = true,
	 .initial = "86400", .help = "how long a key that follows from TLS is used; 0: all along"},
	{"tcp-ao-capability-code", CONF_NUMBER, BOTH(ao.capability_code), RANGE(239, 254),
	 .effect = EFFECT_RESET, .initial = "247",
	 .help = "BGP capability by which tcp-ao = capability is agreed upon"},
	{"inner-tcp-md5", CONF_SECRET, NEIGHBOR(inner_tcp_md5), LENGTH(MD5_KEY_MAX),
	 .effect = EFFECT_RESET, .help = "TCP-MD5 key of the daemon's own configuration"},
	{"inner-tcp-md5-file", CONF_SECRET_FILE, NEIGHBOR(inner_tcp_md5), PATH_LENGTH,
	 .secret_max = MD5_KEY_MAX, .effect = EFFECT_RESET,
	 .help = "file whose first line is that key"},

	{"handshake-timeout", CONF_SECONDS, BOTH(handshake_timeout), RANGE(1, 120), .initial = "10",
	 .help = "how long a TLS handshake may take"},
	{"hold-time", CONF_SECONDS, BOTH(hold_time), RANGE(0, 600), .initial = "60",
	 .help = "how long the daemon's connection is held while TLS is retried"},
	{"fallback-after", CONF_SECONDS, BOTH(fallback_after), RANGE(1, 600), .initial = "30",
	 .help = "how long TLS is tried before clear text, mode preferred only"},
	{"user-timeout", CONF_SECONDS, BOTH(user_timeout), RANGE(10, 3600), .zero = true,
	 .initial = "0", .help = "how long sent bytes may stay unacknowledged"},
	{"keepalive", CONF_SECONDS, BOTH(keepalive), RANGE(5, 3600), .zero = true, .initial = "60",
	 .help = "idle time before a TCP keepalive; 0 is off"},
	{"key-update-records", CONF_NUMBER, BOTH(key_update_records), RANGE(16, 1 << 24),
	 .initial = "8388608", .help = "TLS 1.3 records sent before the key is updated"},
	{"max-sessions", CONF_NUMBER, BOTH(max_sessions), RANGE(1, 10000), .initial = "100",
	 .help = "sessions at once from a prefix"},

	{"chain", CONF_NAME, KEY(chain), LENGTH(CONF_NAME_MAX),
	 .help = "chain that the key belongs to"},
	{"secret", CONF_SECRET, KEY(secret), LENGTH(TCP_AO_SECRET_MAX), .help = "the key itself"},
	{"secret-file", CONF_SECRET_FILE, KEY(secret), PATH_LENGTH, .secret_max = TCP_AO_SECRET_MAX,
	 .help = "file whose first line is the key"},
	{"send-id", CONF_NUMBER, KEY(send_id), RANGE(0, 255), .initial = "0", .help = "its SendID"},
	{"recv-id", CONF_NUMBER, KEY(recv_id), RANGE(0, 255), .initial = "0", .help = "its RecvID"},
	{"algorithm", CONF_ENUM, KEY(algorithm), NAMES(ao_algorithm_names),
	 .initial = "aes-128-cmac-96", .help = "its algorithm"},
	{"options", CONF_BOOL, KEY(covers_options), .initial = "true",
	 .help = "whether it covers the other TCP options"},
	{"send-from", CONF_TIME, KEY(send_from), TIMES, .help = "when it begins to be sent"},
	{"send-until", CONF_TIME, KEY(send_until), TIMES, .help = "when it ends to be sent"},
	{"accept-from", CONF_TIME, KEY(accept_from), TIMES,
	 .help = "when it begins to be accepted"},
	{"accept-until", CONF_TIME, KEY(accept_until), TIMES,
	 .help = "when it ends to be accepted"},
};
_Static_assert(ARRAY_SIZE(options) <= CONF_OPTIONS_MAX, "the parser's limit");

static const struct conf_kind kinds[] = {
	[KIND_NEIGHBOR] = {.name = "neighbor", .max = BOTLS_NEIGHBORS_MAX},
	[KIND_KEY] = {.name = "key", .max = BOTLS_KEYS_MAX},
};

const struct conf_schema config_schema = {
	.manual = "botlsd.conf(5)",
	.no_include = "put neighbor and key blocks into files in neighbors.d",
	.options = options,
	.n_options = ARRAY_SIZE(options),
	.kinds = kinds,
	.n_kinds = ARRAY_SIZE(kinds),
};

bool config_is_wider(const struct conf_option *o, const void *new, const void *old)
{
	switch (o->type) {
	case CONF_BOOL: return !*(const bool *)conf_field(o, new); /* all are checks */
	case CONF_ENUM: return conf_number(o, new) <= conf_number(o, old);
	case CONF_AS: return conf_number(o, new) == 0;
	case CONF_PINS:
	case CONF_DNS_NAMES: /* an empty list means another kind of check */
		return conf_count(o, old) > 0 && conf_contains_all(o, new, old);
	case CONF_NUMBER:
	case CONF_SECONDS:
	case CONF_TIME:
	case CONF_TEXT:
	case CONF_ACCOUNT:
	case CONF_NAME:
	case CONF_PATH:
	case CONF_URL:
	case CONF_SOURCE:
	case CONF_PROGRAM:
	case CONF_ADDRESS:
	case CONF_SECRET:
	case CONF_SECRET_FILE:
	case CONF_ACCOUNTS:
	case CONF_NAMES:
	case CONF_WORDS:
	case CONF_ADDRESSES: break;
	}
	return false;
}

const char *neighbor_mode_name(enum neighbor_mode m)
{
	return mode_names[m];
}

const char *neighbor_role_name(enum neighbor_role r)
{
	return role_names[r];
}

const char *steering_kind_name(enum steering_kind k)
{
	return steering_names[k];
}

const char *ktls_mode_name(enum ktls_mode k)
{
	return ktls_names[k];
}

const char *ao_mode_name(enum ao_mode m)
{
	return ao_mode_names[m];
}

const char *ao_policy_name(enum ao_policy p)
{
	return ao_policy_names[p];
}

const char *ao_algorithm_name(enum tcp_ao_algorithm a)
{
	return ao_algorithm_names[a];
}
