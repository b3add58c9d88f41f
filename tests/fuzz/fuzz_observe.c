// SPDX-License-Identifier: Apache-2.0
/*
 * What birdc, vtysh and botlsctl print, and FRR's running configuration. The first line says which
 * of them the rest is; a line "--" parts FRR's running configuration from a text of ours.
 */
#include "frr_config_internal.h"
#include "target_internal.h"
#include "text.h"
#include "wipe.h"

#include <errno.h>

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *s)
{
	while (*s) {
		size_t n = text_printable_at((const unsigned char *)s);

		MUST(n);
		s += n;
	}
}

static void check_observation(struct observation *o)
{
	struct addr address;
	char canonical[ADDR_STRLEN];

	for (size_t i = 0; i < o->n; i++) {
		const struct observed *it = &o->items[i];

		MUST(addr_parse(it->neighbor, &address, NULL) == 0);
		MUST(strcmp(addr_format(&address, canonical), it->neighbor) == 0);
		check_printable(it->state);
		check_printable(it->mode);
	}
	observation_done(o);
}

static void check_error(int r, const struct errtext *e)
{
	MUST(r == 0 || (r < 0 && e->text[0]));
	check_printable(e->text);
}

static void observe(const char *kind, const char *text)
{
	static const char file[] = "protocol bgp p1 {\nneighbor \"192.0.2.2\" {\n";
	struct observation o = {};
	struct errtext e = {};
	int r;

	if (strcmp(kind, "bird") == 0)
		r = bird_observe(text, file, &o, &e);
	else if (strcmp(kind, "frr") == 0)
		r = frr_observe(text, strlen(text), &o, &e);
	else
		r = shim_observe(text, strlen(text), file, &o, &e);
	check_error(r, &e);
	check_observation(&o);
}

static void judge(const char *text)
{
	static const struct daemon_settings settings = {.name = "d", .config = (char *)"/c"};
	const struct daemon_target d = {.daemon = &settings};
	struct errtext e = {};

	check_error(bird_judge(text, "configure", &d, &e), &e);
	e = (struct errtext){};
	check_error(shim_judge(text, strlen(text), 0, &e), &e);
	e = (struct errtext){};
	check_error(frr_judge("", text, 2, "neighbor x password secret\n", "f", &e), &e);
	MUST(!strstr(e.text, "secret") || strstr(text, "secret"));
	e = (struct errtext){};
	check_error(frr_judge(text, "", 0, "", "f", &e), &e);
}

/* A neighbor that has no mark of ours, and that no text of ours has, is never spoken of. */
static void check_script(const char *script, const struct frr_config *running,
			 const struct frr_config *wanted)
{
	bool is_bgp = false;
	const char *line;
	char name[128];
	size_t len;

	while ((line = target_next_line(&script, &len))) {
		if (strncmp(line, "router ", 7) == 0 || strncmp(line, "route-map ", 10) == 0)
			is_bgp = strncmp(line, "router bgp 64501\n", 17) == 0;
		if (strncmp(line, "exit\n", 5) == 0)
			is_bgp = false;
		line += strncmp(line, "no ", 3) == 0 ? 3 : 0;
		if (!is_bgp || strncmp(line, "neighbor ", 9) != 0 ||
		    sscanf(line + 9, "%127s", name) != 1)
			continue;
		MUST(addr_parse(name, &(struct addr){}, NULL) < 0 ||
		     frr_config_neighbor(wanted, 64501, name) ||
		     frr_config_is_marked(running, 64501, name, "m:"));
	}
}

static void configure(char *text)
{
	_cleanup_frr_config_ struct frr_config *running = NULL, *wanted = NULL;
	_cleanup_wiped_ char *script = NULL;
	char *ours = strstr(text, "\n--\n");
	struct errtext e = {};
	int r;

	if (ours) {
		*ours = '\0';
		ours += 4;
	}
	r = frr_config_parse(text, true, &running, &e);
	check_error(r, &e);
	MUST(r == 0);
	r = frr_config_parse(ours ? ours : "", false, &wanted, &e);
	check_error(r, &e);
	if (r < 0)
		return;
	r = frr_config_commands(64501, "m:", running, NULL, wanted, &script, &e);
	check_error(r, &e);
	if (r == 0)
		check_script(script, running, wanted);
	wipe_free(script);
	script = NULL;
	if (frr_config_commands(64501, "m:", running, wanted, wanted, &script, &e) == 0)
		check_script(script, running, wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	char *rest;

	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	rest = strchr(text, '\n');
	if (!rest)
		return 0;
	*rest++ = '\0';
	if (strcmp(text, "judge") == 0)
		judge(rest);
	else if (strcmp(text, "config") == 0)
		configure(rest);
	else
		observe(text, rest);
	return 0;
}
