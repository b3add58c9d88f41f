// SPDX-License-Identifier: Apache-2.0
/* botlsd: neighbor blocks in a file of its folder neighbors.d, as in botlsd.conf(5). */
#include "target_internal.h"
#include "text.h"
#include "textbuf.h"
#include "wipe.h"

#include <errno.h>
#include <inttypes.h>

#define CHECK_TIMEOUT 60
#define CTL_TIMEOUT   30 /* botlsctl gives up after 10 seconds by itself */

struct shim_target {
	struct target target;
	const struct settings *settings;
};

static const struct settings *settings_of(const struct target *t)
{
	return ((const struct shim_target *)t->impl)->settings;
}

static void write_quoted(struct textbuf *out, const char *s)
{
	textbuf_add(out, "\"", 1);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			textbuf_add(out, "\\", 1);
		textbuf_add(out, s, 1);
	}
	textbuf_add(out, "\"", 1);
}

static void write_string(struct textbuf *out, const struct jv *m, const char *key,
			 const char *option)
{
	const char *value = jv_get_string(m, key, NULL);

	if (!value)
		return;
	textbuf_printf(out, "\t%s = ", option);
	write_quoted(out, value);
	textbuf_printf(out, "\n");
}

static void write_number(struct textbuf *out, const struct jv *m, const char *key,
			 const char *option)
{
	if (jv_is_int(jv_get(m, key)))
		textbuf_printf(out, "\t%s = %" PRId64 "\n", option, jv_get_int(m, key, 0));
}

static void write_list(struct textbuf *out, const struct jv *m, const char *key, const char *option)
{
	const struct jv *list = jv_get(m, key);

	if (!jv_size(list))
		return;
	textbuf_printf(out, "\t%s = {", option);
	for (size_t i = 0; i < jv_size(list); i++) {
		textbuf_printf(out, i ? ", " : " ");
		write_quoted(out, jv_string(jv_at(list, i), ""));
	}
	textbuf_printf(out, " }\n");
}

static void write_neighbor(struct textbuf *out, const struct selected *s)
{
	const struct jv *m = s->mapping;

	textbuf_printf(out, "\nneighbor ");
	write_quoted(out, s->neighbor);
	textbuf_printf(out, " {\n");
	write_string(out, m, "description", "description");
	textbuf_printf(out, "\tmode = %s\n", jv_get_string(m, "mode", "required"));
	write_number(out, m, "remote_as", "remote-as");
	write_string(out, m, "local", "local-address");
	write_number(out, m, "port", "port");
	write_string(out, m, "certificate", "certificate");
	write_string(out, m, "key", "key");
	write_string(out, m, "ca", "ca");
	write_list(out, m, "dns_names", "dns-names");
	write_list(out, m, "pins", "pins");
	write_number(out, m, "ttl_security", "ttl-security");
	write_string(out, m, "md5", "tcp-md5");
	if (jv_get_string(m, "ao", NULL))
		textbuf_printf(out, "\ttcp-ao = static\n");
	write_string(out, m, "ao", "tcp-ao-key");
	textbuf_printf(out, "}\n");
}

static int render(const struct target *t, const struct owned *const *sessions, size_t n,
		  char **ret_text, struct errtext *e)
{
	_cleanup_free_ struct selected *items = NULL;
	_cleanup_textbuf_ struct textbuf out = {};
	char *text;
	size_t m;
	int r;

	(void)t;
	r = target_select(sessions, n, NULL, &items, &m, e);
	if (r < 0)
		return r;
	textbuf_printf(&out, "%s", TARGET_HEADER);
	for (size_t i = 0; i < m; i++)
		write_neighbor(&out, &items[i]);
	text = textbuf_take(&out);
	if (!text)
		return errtext_set(e, -ENOMEM, "out of memory");
	*ret_text = text;
	return 0;
}

static int read_file(const struct target *t, char **ret_text, struct errtext *e)
{
	return target_file_read(t->file, ret_text, e);
}

static int write_file(struct target *t, const char *text, struct errtext *e)
{
	return target_file_write(t->file, text, 0600, -1, e);
}

static int check(struct target *t, struct errtext *e)
{
	const struct settings *s = settings_of(t);
	const char *argv[] = {s->botlsd, "-n", "-c", s->shim_config, NULL};
	const struct program p = {.argv = argv, .timeout = CHECK_TIMEOUT};
	_cleanup_program_result_ struct program_result result = {};
	char complaint[200];
	bool is_read;
	int r;

	r = target_run_reader(&p, t->file, &result, &is_read, e);
	if (r < 0)
		return r;
	if (result.status != 0)
		return errtext_set(e, -EINVAL, "botlsd refuses its configuration: %s",
				   program_complaint(&result, complaint, sizeof(complaint)));
	if (!is_read)
		return errtext_set(e, -EINVAL,
				   "botlsd does not read %s: it must stand in neighbors.d beside "
				   "%s, and its name must end in .conf",
				   t->file, s->shim_config);
	return 0;
}

/* botlsctl's exit status 3: no botlsd, or none that answers. */
static int run_ctl(const struct settings *s, const char *command, struct program_result *ret,
		   struct errtext *e)
{
	const char *argv[] = {s->botlsctl, "--json", command, NULL, NULL, NULL};
	const struct program p = {
		.argv = argv, .timeout = CTL_TIMEOUT, .output_max = TARGET_OUTPUT_MAX};
	char complaint[200];
	int r;

	if (s->shim_socket) {
		argv[3] = "-s";
		argv[4] = s->shim_socket;
	}
	r = program_run(&p, ret, e);
	if (r < 0 || ret->status == 0 || ret->status == 1)
		return r;
	return errtext_set(e, ret->status == 3 ? -ENOTCONN : -EINVAL, "%s",
			   program_complaint(ret, complaint, sizeof(complaint)));
}

/* What a reload that was refused says: the first error with its place, or all that there is. */
static int explain_refusal(const struct jv *answer, struct errtext *e)
{
	const struct jv *first = jv_at(jv_get(answer, "errors"), 0);
	const char *hint = jv_get_string(answer, "hint", NULL);
	char text[256];

	if (first)
		snprintf(text, sizeof(text), "%s: %s", jv_get_string(first, "where", "?"),
			 jv_get_string(first, "text", "?"));
	else
		snprintf(text, sizeof(text), "%s%s%s",
			 jv_get_string(answer, "error", "no reason was told"), hint ? "; " : "",
			 hint ? hint : "");
	errtext_set(e, 0, "botlsd refuses the reload: ");
	text_copy(e->text + strlen(e->text), sizeof(e->text) - strlen(e->text), text);
	return -EINVAL;
}

int shim_judge(const char *output, size_t len, int status, struct errtext *e)
{
	_cleanup_jv_ struct jv *answer = NULL;
	int r;

	r = target_parse_json(output, len, &answer, e);
	if (r < 0)
		return r;
	if (status == 0 && jv_get_bool(answer, "applied", false))
		return 0;
	return explain_refusal(answer, e);
}

static int load(struct target *t, const char *before, const char *text, struct errtext *e)
{
	_cleanup_program_result_ struct program_result result = {};
	int r;

	(void)before;
	(void)text;
	r = run_ctl(settings_of(t), "reload", &result, e);
	return r < 0 ? r : shim_judge(result.out, result.out_len, result.status, e);
}

static int observe_neighbor(const struct jv *n, const struct names *ours, struct observation *ret)
{
	const char *state = jv_get_string(n, "state", "");
	bool carries = strcmp(state, "up") == 0 || strcmp(state, "clear") == 0 ||
		       strcmp(state, "draining") == 0;
	struct observed *o;
	int r;

	r = observation_add(ret, jv_get_string(n, "name", ""), &o);
	if (r == -EINVAL) /* dynamic ones, by prefix */
		return 0;
	if (r < 0)
		return r;
	o->is_ours = names_have(ours, o->neighbor);
	o->is_established = carries && strcmp(jv_get_string(n, "bgp", ""), "established") == 0;
	o->remote_as = jv_get_int(n, "remote_as", 0);
	text_copy(o->mode, sizeof(o->mode), jv_get_string(n, "mode", ""));
	text_copy(o->state, sizeof(o->state), state);
	return 0;
}

int shim_observe(const char *output, size_t len, const char *file, struct observation *ret,
		 struct errtext *e)
{
	_cleanup_names_ struct names ours = {};
	_cleanup_jv_ struct jv *answer = NULL;
	const struct jv *neighbors;
	int r;

	r = names_find(file, "neighbor \"", &ours);
	if (r < 0)
		return r;
	r = target_parse_json(output, len, &answer, e);
	if (r < 0)
		return r;
	neighbors = jv_get(answer, "neighbors");
	if (!jv_is_array(neighbors))
		return errtext_set(e, -EPROTO, "an answer without neighbors");
	for (size_t i = 0; !r && i < jv_size(neighbors); i++)
		r = observe_neighbor(jv_at(neighbors, i), &ours, ret);
	return r;
}

static int ask_neighbors(struct target *t, struct observation *ret, struct errtext *e)
{
	_cleanup_program_result_ struct program_result result = {};
	_cleanup_wiped_ char *file = NULL;
	int r;

	r = target_read(t, &file, e);
	/* A file that is not ours holds no block of ours. */
	if (r < 0 && r != -EEXIST)
		return r;
	r = run_ctl(settings_of(t), "show", &result, e);
	if (r < 0)
		return r;
	return shim_observe(result.out, result.out_len, file, ret, e);
}

static int observe(struct target *t, struct observation *ret)
{
	return target_observe_by(t, ask_neighbors, ret);
}

static void free_target(struct target *t)
{
	free(t->impl);
}

static const struct target_ops ops = {
	.render = render,
	.read = read_file,
	.write = write_file,
	.check = check,
	.load = load,
	.observe = observe,
	.free = free_target,
};

int target_new_shim(const struct settings *s, struct target **ret)
{
	struct shim_target *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*t = (struct shim_target){
		.target = {.ops = &ops,
			   .name = "botlsd",
			   .file = s->shim_file,
			   .is_shim = true,
			   .impl = t},
		.settings = s,
	};
	*ret = &t->target;
	return 0;
}
