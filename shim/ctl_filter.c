// SPDX-License-Identifier: Apache-2.0
/* Words that select neighbors, as birdc and bgpctl take them: in any order, short if unique. */
#include "ctl.h"

#include <errno.h>

const char *const ctl_states[10] = {"up",   "draining", "clear", "handshake", "connecting",
				    "held", "idle",	"off",	 "error",     "not-up"};
static const char *const modes[] = {"required", "preferred", "off", "tcp-ao"};

enum { WORD_NEIGHBOR, WORD_SESSION, WORD_STATE, WORD_MODE };
static const char *const words[] = {"neighbor", "session", "state", "mode"};

static enum ctl_exit choose(const char *word, const char *const *names, size_t n, const char *what,
			    const char **ret)
{
	int i = ctl_match(word, names, n, what);

	if (i < 0) {
		char list[128] = "";

		for (size_t k = 0; k < n; k++)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
				 k ? ", " : "", names[k]);
		text_complain("a %s is one of %s", what, list);
		return CTL_USAGE;
	}
	*ret = names[i];
	return CTL_OK;
}

static enum ctl_exit parse_neighbor(const char *text, struct ctl_filter *f)
{
	f->neighbor = ctl_neighbor_argument(text);
	return f->neighbor ? CTL_OK : CTL_USAGE;
}

/* Its number, or an address; true when *text was one of them. */
static bool take_session(const char *text, struct ctl_filter *f, enum ctl_exit *ret_code)
{
	char *end;

	if (strspn(text, "0123456789") == strlen(text)) {
		errno = 0;
		f->session = strtoll(text, &end, 10);
		*ret_code = CTL_OK;
		if (errno) {
			text_complain("session %s: there is no such number; 'botlsctl show "
				      "session' lists them",
				      text);
			*ret_code = CTL_USAGE;
		}
		return true;
	}
	if (!strpbrk(text, ".:"))
		return false;
	*ret_code = parse_neighbor(text, f);
	return true;
}

enum ctl_exit ctl_filter_parse(const char *command, int argc, char **argv, struct ctl_filter *ret)
{
	bool takes_session = strcmp(command, "show") == 0;
	enum ctl_exit code = CTL_OK;

	*ret = (struct ctl_filter){.session = -1};
	for (int i = 0; i < argc && code == CTL_OK; i++) {
		int word = ctl_match(argv[i], words, ARRAY_SIZE(words), "argument");
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (word < 0 || (word == WORD_SESSION && !takes_session) ||
		    (word != WORD_SESSION && !value))
			return ctl_usage(command);
		if (word == WORD_SESSION) {
			ret->wants_sessions = true;
			i += value && take_session(value, ret, &code);
			continue;
		}
		i++;
		if (word == WORD_NEIGHBOR)
			code = parse_neighbor(value, ret);
		else if (word == WORD_STATE)
			code = choose(value, ctl_states, ARRAY_SIZE(ctl_states), "state",
				      &ret->state);
		else
			code = choose(value, modes, ARRAY_SIZE(modes), "mode", &ret->mode);
	}
	return code;
}

static bool is_in_state(const char *wanted, const char *state)
{
	if (strcmp(wanted, "not-up") == 0)
		return strcmp(state, "up") != 0 && strcmp(state, "off") != 0;
	return strcmp(wanted, state) == 0;
}

bool ctl_filter_fits(const struct ctl_filter *f, const struct jv_cursor *neighbor)
{
	if (f->neighbor && strcmp(f->neighbor, jv_read_string(neighbor, "name", "")) != 0)
		return false;
	if (f->state && !is_in_state(f->state, jv_read_string(neighbor, "state", "")))
		return false;
	return !f->mode || strcmp(f->mode, jv_read_string(neighbor, "mode", "")) == 0;
}
