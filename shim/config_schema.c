// SPDX-License-Identifier: Apache-2.0
#include "config_schema.h"
#include "botls/botls.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

static const char *const mode_names[] = {
	[MODE_REQUIRED] = "required", [MODE_PREFERRED] = "preferred", [MODE_OFF] = "off"};
static const char *const role_names[] = {
	[ROLE_BOTH] = "both", [ROLE_CONNECT] = "connect", [ROLE_ACCEPT] = "accept"};
static const char *const version_names[] = {[TLS_MIN_1_2] = "1.2", [TLS_MIN_1_3] = "1.3"};
static const char *const steering_names[] = {
	[STEERING_AUTO] = "auto", [STEERING_CGROUP] = "cgroup", [STEERING_ROUTE] = "route"};
static const char *const level_names[] = {[CONFIG_LOG_ERROR] = "error",
					  [CONFIG_LOG_WARNING] = "warning",
					  [CONFIG_LOG_INFO] = "info",
					  [CONFIG_LOG_DEBUG] = "debug"};

#define FIELD(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)NULL)->field)
#define COUNT(type, field) .count_offset = offsetof(type, field)
#define GLOBAL(field)	   .scope = SCOPE_GLOBAL, FIELD(struct config, field)
#define NEIGHBOR(field)	   .scope = SCOPE_NEIGHBOR, FIELD(struct neighbor_config, field)
#define BOTH(field)	   .scope = SCOPE_BOTH, FIELD(struct neighbor_config, field)
#define RANGE(lo, hi)	   .min = (lo), .max = (hi)
#define NAMES(list)	   .names = (list), .max = ARRAY_SIZE(list) - 1
#define LENGTH(hi)	   .max = (hi)

/* A path is kept well below PATH_MAX; the control socket's must fit a sockaddr_un. */
#define PATH_LENGTH   LENGTH(1023)
#define SOCKET_LENGTH LENGTH(107)

const struct option options[] = {
	{"steering", OPTION_ENUM, GLOBAL(steering), NAMES(steering_names), .effect = EFFECT_RESTART,
	 .initial = "auto", .help = "how the daemon's connections reach botlsd"},
	{"tls-port", OPTION_NUMBER, GLOBAL(tls_port), RANGE(1, 65535), .effect = EFFECT_RESTART,
	 .initial = TEXT_OF(BOTLS_PORT_TLS), .help = "port on which neighbors reach us with TLS"},
	{"inner-port", OPTION_NUMBER, GLOBAL(inner_port), RANGE(1, 1023), .effect = EFFECT_RESTART,
	 .initial = TEXT_OF(BOTLS_PORT_INNER),
	 .help = "port on which the daemon's own connections arrive"},
	{"workers", OPTION_NUMBER, GLOBAL(workers), RANGE(1, 64), .effect = EFFECT_RESTART,
	 .initial = "1", .help = "processes that carry sessions"},
	{"user", OPTION_ACCOUNT, GLOBAL(user), LENGTH(32), .effect = EFFECT_RESTART,
	 .initial = "botls", .help = "user that the workers run as"},
	{"daemon-users", OPTION_ACCOUNTS, GLOBAL(daemon_users),
	 COUNT(struct config, n_daemon_users), LENGTH(64), .effect = EFFECT_RESTART,
	 .help = "users whose BGP connections are taken"},
	{"control-socket", OPTION_PATH, GLOBAL(control_socket), SOCKET_LENGTH,
	 .effect = EFFECT_RESTART, .initial = BOTLS_CONTROL_PATH,
	 .help = "where botlsctl reaches botlsd"},
	{"control-group", OPTION_ACCOUNT, GLOBAL(control_group), LENGTH(32),
	 .help = "group that may use the control socket besides root"},
	{"bpffs", OPTION_PATH, GLOBAL(bpffs), PATH_LENGTH, .effect = EFFECT_RESTART,
	 .initial = BOTLS_BPFFS_PATH, .help = "where BPF objects are pinned"},
	{"handshakes-max", OPTION_NUMBER, GLOBAL(handshakes_max), RANGE(1, 10000), .initial = "256",
	 .help = "handshakes at once in one worker"},
	{"handshake-rate", OPTION_NUMBER, GLOBAL(handshake_rate), RANGE(1, 1000), .initial = "10",
	 .help = "handshakes per source and second"},
	{"expiry-warning-days", OPTION_NUMBER, GLOBAL(expiry_warning_days), RANGE(0, 365),
	 .initial = "30", .help = "days before its end that a certificate is warned of"},
	{"log-level", OPTION_ENUM, GLOBAL(log_level), NAMES(level_names), .initial = "info",
	 .help = "least severe lines that are logged"},

	{"description", OPTION_TEXT, NEIGHBOR(description), LENGTH(255), .help = "free text"},
	{"mode", OPTION_ENUM, BOTH(mode), NAMES(mode_names), .effect = EFFECT_RESET,
	 .initial = "required", .help = "whether clear text is allowed"},
	{"role", OPTION_ENUM, BOTH(role), NAMES(role_names), .effect = EFFECT_RESET,
	 .initial = "both", .help = "who opens the connection"},
	{"local-address", OPTION_ADDRESS, NEIGHBOR(local_address), .effect = EFFECT_RESET,
	 .help = "our address towards the neighbor"},
	{"port", OPTION_NUMBER, BOTH(tls_port), RANGE(1, 65535), .effect = EFFECT_RESET,
	 .help = "the neighbor's TLS port"},

	{"certificate", OPTION_PATH, BOTH(identity.certificate), PATH_LENGTH,
	 .help = "our certificate chain"},
	{"key", OPTION_PATH, BOTH(identity.key), PATH_LENGTH, .help = "our private key"},
	{"ca", OPTION_PATH, BOTH(identity.ca), PATH_LENGTH, .effect = EFFECT_RESET,
	 .help = "who may have issued the neighbor's certificate"},
	{"crl", OPTION_PATH, BOTH(identity.crl), PATH_LENGTH, .help = "revocation lists"},
	{"dns-names", OPTION_DNS_NAMES, BOTH(identity.dns_names),
	 COUNT(struct neighbor_config, identity.n_dns_names), LENGTH(64), .effect = EFFECT_TIGHTEN,
	 .help = "names of which the neighbor's certificate must hold one"},
	{"check-address", OPTION_BOOL, BOTH(identity.check_address), .effect = EFFECT_TIGHTEN,
	 .help = "whether its certificate must hold the neighbor's address"},
	{"pins", OPTION_PINS, BOTH(identity.pins), COUNT(struct neighbor_config, identity.n_pins),
	 LENGTH(64), .effect = EFFECT_TIGHTEN,
	 .help = "public keys of which the neighbor must have one"},
	{"check-eku", OPTION_BOOL, BOTH(identity.check_eku), .effect = EFFECT_TIGHTEN,
	 .initial = "true", .help = "whether the extended key usage must fit"},
	{"min-version", OPTION_ENUM, BOTH(min_version), NAMES(version_names),
	 .effect = EFFECT_TIGHTEN, .initial = "1.2",
	 .help = "the oldest TLS version that is accepted"},
	{"remote-as", OPTION_AS, NEIGHBOR(remote_as), RANGE(1, UINT32_MAX),
	 .effect = EFFECT_TIGHTEN, .help = "AS that the neighbor's OPEN must carry"},

	{"ttl-security", OPTION_NUMBER, BOTH(ttl_security), RANGE(0, 254), .effect = EFFECT_RESET,
	 .initial = "0", .help = "how many hops away the neighbor may be; 0 is off"},
	{"ttl", OPTION_NUMBER, BOTH(ttl), RANGE(1, 255), .effect = EFFECT_RESET, .initial = "255",
	 .help = "TTL or hop limit of what is sent"},
	{"tcp-md5", OPTION_SECRET, NEIGHBOR(tcp_md5), LENGTH(MD5_KEY_MAX), .effect = EFFECT_RESET,
	 .help = "TCP-MD5 key towards the neighbor"},
	{"tcp-md5-file", OPTION_SECRET_FILE, NEIGHBOR(tcp_md5), PATH_LENGTH, .effect = EFFECT_RESET,
	 .help = "file whose first line is the TCP-MD5 key"},
	{"inner-tcp-md5", OPTION_SECRET, NEIGHBOR(inner_tcp_md5), LENGTH(MD5_KEY_MAX),
	 .effect = EFFECT_RESET, .help = "TCP-MD5 key of the daemon's own configuration"},
	{"inner-tcp-md5-file", OPTION_SECRET_FILE, NEIGHBOR(inner_tcp_md5), PATH_LENGTH,
	 .effect = EFFECT_RESET, .help = "file whose first line is that key"},

	{"handshake-timeout", OPTION_SECONDS, BOTH(handshake_timeout), RANGE(1, 120),
	 .initial = "10", .help = "how long a TLS handshake may take"},
	{"hold-time", OPTION_SECONDS, BOTH(hold_time), RANGE(0, 600), .initial = "60",
	 .help = "how long the daemon's connection is held while TLS is retried"},
	{"fallback-after", OPTION_SECONDS, BOTH(fallback_after), RANGE(1, 600), .initial = "30",
	 .help = "how long TLS is tried before clear text, mode preferred only"},
	{"user-timeout", OPTION_SECONDS, BOTH(user_timeout), RANGE(10, 3600), .zero = true,
	 .initial = "0", .help = "how long sent bytes may stay unacknowledged"},
	{"keepalive", OPTION_SECONDS, BOTH(keepalive), RANGE(5, 3600), .zero = true,
	 .initial = "60", .help = "idle time before a TCP keepalive; 0 is off"},
	{"key-update-records", OPTION_NUMBER, BOTH(key_update_records), RANGE(16, 1 << 24),
	 .initial = "8388608", .help = "TLS 1.3 records sent before the key is updated"},
	{"max-sessions", OPTION_NUMBER, BOTH(max_sessions), RANGE(1, 10000), .initial = "100",
	 .help = "sessions at once from a prefix"},
};
const size_t n_options = ARRAY_SIZE(options);
_Static_assert(ARRAY_SIZE(options) <= OPTIONS_MAX, "a set of options must fit a uint64_t");

const struct option *option_find(const char *name)
{
	for (size_t i = 0; i < n_options; i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

bool option_is_list(const struct option *o)
{
	return o->type == OPTION_ACCOUNTS || o->type == OPTION_DNS_NAMES || o->type == OPTION_PINS;
}

bool option_is_string(const struct option *o)
{
	return o->type == OPTION_TEXT || o->type == OPTION_ACCOUNT || o->type == OPTION_PATH ||
	       o->type == OPTION_SECRET || o->type == OPTION_SECRET_FILE;
}

uint64_t option_number(const struct option *o, const void *base)
{
	const void *f = option_field(o, base);

	switch (o->size) {
	case 1: return *(const uint8_t *)f;
	case 2: return *(const uint16_t *)f;
	case 4: return *(const uint32_t *)f;
	default: return *(const uint64_t *)f;
	}
}

static const char *names_expected(const struct option *o, char *buf, size_t len)
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

const char *option_expects(const struct option *o, char buf[static 192])
{
	const char *text = NULL;

	switch (o->type) {
	case OPTION_NUMBER:
	case OPTION_SECONDS:
		snprintf(buf, 192, "%s%llu to %llu%s", o->zero ? "0, or " : "",
			 (unsigned long long)o->min, (unsigned long long)o->max,
			 o->type == OPTION_SECONDS ? " seconds" : "");
		return buf;
	case OPTION_ENUM: return names_expected(o, buf, 192);
	case OPTION_PATH:
	case OPTION_SECRET_FILE:
		snprintf(buf, 192, "a path of at most %llu bytes", (unsigned long long)o->max);
		return buf;
	case OPTION_TEXT:
		snprintf(buf, 192, "printable UTF-8 of at most %llu bytes",
			 (unsigned long long)o->max);
		return buf;
	case OPTION_SECRET:
		snprintf(buf, 192, "a key of 1 to %llu bytes", (unsigned long long)o->max);
		return buf;
	case OPTION_BOOL: text = "true or false"; break;
	case OPTION_AS: text = "an AS number, as in 64500 or 1.10"; break;
	case OPTION_ACCOUNTS:
	case OPTION_ACCOUNT: text = "a name of letters, digits, '_', '-' and '.'"; break;
	case OPTION_ADDRESS: text = "a single IPv4 or IPv6 address"; break;
	case OPTION_DNS_NAMES: text = "a host name (wildcards are not possible)"; break;
	case OPTION_PINS:
		text = "\"sha256/\" and the 44 base64 characters of the key's hash";
		break;
	}
	snprintf(buf, 192, "%s", text);
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

const char *option_suggest(const char *word, enum option_scope scope)
{
	unsigned best = strlen(word) > 5 ? 3 : 2;
	const char *name = NULL;

	for (size_t i = 0; i < n_options; i++) {
		unsigned d = distance(word, options[i].name);

		if ((options[i].scope & scope) && d < best) {
			best = d;
			name = options[i].name;
		}
	}
	return name;
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
