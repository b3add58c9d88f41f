// SPDX-License-Identifier: Apache-2.0
/* Any text: no crash, no leak, and what loads prints as text that loads again as the same. */
#include "settings_schema.h"

static void on_report(void *arg, const char *where, const char *text)
{
	/* read what is handed over */
	*(size_t *)arg += strlen(where) + strlen(text);
}

static void check_equal(unsigned scope, const void *a, const void *b)
{
	for (size_t i = 0; i < settings_schema.n_options; i++) {
		const struct conf_option *o = &settings_schema.options[i];

		/* secrets are printed as "<hidden>" */
		if (scope == CONF_GLOBAL ? o->scope != scope : !(o->scope & scope))
			continue;
		if (!conf_is_secret(o) && !conf_equal(o, a, b))
			abort();
	}
}

static void check_same(const struct settings *a, const struct settings *b)
{
	if (a->n_servers != b->n_servers || a->n_peers != b->n_peers ||
	    a->n_daemons != b->n_daemons)
		abort();
	check_equal(CONF_GLOBAL, a, b);
	for (size_t i = 0; i < a->n_servers; i++) {
		check_equal(SCOPE_SERVER, &a->servers[i], &b->servers[i]);
		if (settings_server(b, a->servers[i].name) != &b->servers[i])
			abort();
	}
	for (size_t i = 0; i < a->n_peers; i++) {
		const struct daemon_settings *d = settings_daemon(a, &a->peers[i]);

		check_equal(SCOPE_PEER, &a->peers[i], &b->peers[i]);
		if (settings_peer(b, a->peers[i].asn) != &b->peers[i] || (a->n_daemons && !d))
			abort();
	}
	for (size_t i = 0; i < a->n_daemons; i++) {
		check_equal(SCOPE_DAEMON, &a->daemons[i], &b->daemons[i]);
		if (strcmp(a->daemons[i].name, b->daemons[i].name) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_settings_ struct settings *s = NULL, *again = NULL;
	_cleanup_free_ char *text = malloc(size + 1), *printed = NULL;
	size_t printed_len, reported = 0;
	FILE *f;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (settings_load_text(text, on_report, &reported, &s) < 0) {
		if (!reported)
			abort();
		return 0;
	}
	f = open_memstream(&printed, &printed_len);
	if (!f)
		return 0;
	settings_print(s, f);
	fclose(f);
	if (settings_load_text(printed, on_report, &reported, &again) < 0)
		abort();
	check_same(s, again);
	return 0;
}
