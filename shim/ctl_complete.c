// SPDX-License-Identifier: Apache-2.0
/*
 * "botlsctl complete WORD... PREFIX": what may stand in place of PREFIX, one word a line; what
 * dist/completion asks. The grammar is the one that "botlsctl help" prints, so that a command
 * completes as soon as it is there. Whatever is wrong, it prints nothing: a shell's line is no
 * place for complaints.
 */
#include "ctl.h"

#include <inttypes.h>

static const char *const options[] = {"--socket",  "--json",   "--color", "--help",    "--version",
				      "--dry-run", "--config", "--count", "--interval"};
static const char *const option_values[] = {"-s",      "--socket",   "-c",	"--config",
					    "--color", "--interval", "--count", "-i"};
static const char *const colors[] = {"auto", "always", "never"};
static const char *const modes[] = {"required", "preferred", "off", "tcp-ao"};
static const char *const levels[] = {"error", "warning", "info", "debug"};

static bool is_one_of(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, list[i]) == 0)
			return true;
	return false;
}

static void offer(const char *word, const char *prefix)
{
	if (strncmp(word, prefix, strlen(prefix)) == 0)
		text_print("%s\n", word);
}

static void offer_all(const char *const *list, size_t n, const char *prefix)
{
	for (size_t i = 0; i < n; i++)
		offer(list[i], prefix);
}

/* Neighbors, or the ids of sessions, as botlsd knows them now. */
static void offer_known(const struct ctl *c, bool sessions_too, const char *prefix)
{
	_cleanup_jv_ struct jv *answer = NULL;
	const struct jv *neighbors;
	struct errtext e;

	if (ctl_fetch(c, ctl_request("show", NULL, NULL), &answer, &e) != CTL_OK)
		return;
	neighbors = jv_get(answer, "neighbors");
	for (size_t i = 0; i < jv_size(neighbors); i++) {
		const struct jv *sessions = jv_get(jv_at(neighbors, i), "sessions");

		offer(jv_get_string(jv_at(neighbors, i), "name", ""), prefix);
		for (size_t k = 0; sessions_too && k < jv_size(sessions); k++) {
			char id[24];

			snprintf(id, sizeof(id), "%" PRId64,
				 jv_get_int(jv_at(sessions, k), "id", 0));
			offer(id, prefix);
		}
	}
}

static void offer_values(const struct ctl *c, const char *kind, const char *prefix)
{
	if (strcmp(kind, "ADDRESS") == 0)
		offer_known(c, false, prefix);
	else if (strcmp(kind, "ID") == 0)
		offer_known(c, true, prefix);
	else if (strcmp(kind, "STATE") == 0)
		offer_all(ctl_states, ARRAY_SIZE(ctl_states), prefix);
	else if (strcmp(kind, "MODE") == 0)
		offer_all(modes, ARRAY_SIZE(modes), prefix);
	else if (strcmp(kind, "LEVEL") == 0)
		offer_all(levels, ARRAY_SIZE(levels), prefix);
}

static bool is_value(const char *word)
{
	return *word >= 'A' && *word <= 'Z';
}

/* The words of a command's grammar, without its brackets. */
static size_t split(char *grammar, char *ret_words[], size_t max)
{
	size_t n = 0;
	char *rest;

	for (char *word = strtok_r(grammar, " []|", &rest); word && n < max;
	     word = strtok_r(NULL, " []|", &rest))
		ret_words[n++] = word;
	return n;
}

/* A word that selects something, as "neighbor" does, is followed by its values and by nothing else;
 * anywhere else every word of the grammar fits that was not used. */
static void offer_arguments(const struct ctl *c, const struct ctl_command *command, int argc,
			    char **argv, const char *prefix)
{
	_cleanup_free_ char *copy = strdup(command->arguments);
	const char *last = argc ? argv[argc - 1] : "";
	char *words[16];
	size_t n = copy ? split(copy, words, ARRAY_SIZE(words)) : 0;

	for (size_t i = 0; i < n; i++)
		if (!is_value(words[i]) && strcmp(words[i], last) == 0 && i + 1 < n &&
		    is_value(words[i + 1])) {
			offer_values(c, words[i + 1], prefix);
			if (strcmp(last, "session") != 0) /* which may stand alone */
				return;
		}
	for (size_t i = 0; i < n; i++) {
		if (!is_value(words[i])) {
			if (!is_one_of(words[i], (const char *const *)argv, argc))
				offer(words[i], prefix);
		} else if (i == 0 && argc == 0) {
			offer_values(c, words[i], prefix);
		}
	}
}

static void offer_option_values(const char *option, const char *prefix)
{
	if (strcmp(option, "--color") == 0)
		offer_all(colors, ARRAY_SIZE(colors), prefix);
	else if (option[1] == 's' || option[1] == 'c' || strcmp(option, "--socket") == 0 ||
		 strcmp(option, "--config") == 0)
		text_print("%s\n", "FILE"); /* the shell knows better */
}

/* Takes options out of the words; *c gets the socket that they name. Returns how many words are
 * left. */
static int drop_options(struct ctl *c, int argc, char **argv)
{
	int n = 0;

	for (int i = 0; i < argc; i++) {
		bool has_value = is_one_of(argv[i], option_values, ARRAY_SIZE(option_values));

		if (argv[i][0] != '-') {
			argv[n++] = argv[i];
			continue;
		}
		if (has_value && i + 1 < argc) {
			if (strcmp(argv[i], "-s") == 0 || strcmp(argv[i], "--socket") == 0)
				c->socket = argv[i + 1];
			i++;
		}
	}
	return n;
}

enum ctl_exit ctl_complete(const struct ctl *c, int argc, char **argv)
{
	const char *prefix = argc ? argv[argc - 1] : "";
	const char *last = argc > 1 ? argv[argc - 2] : "";
	size_t n_commands;
	const struct ctl_command *commands = ctl_commands(&n_commands);
	struct ctl mine = *c;
	int n;

	if (is_one_of(last, option_values, ARRAY_SIZE(option_values))) {
		offer_option_values(last, prefix);
		return CTL_OK;
	}
	if (prefix[0] == '-') {
		offer_all(options, ARRAY_SIZE(options), prefix);
		return CTL_OK;
	}
	n = drop_options(&mine, argc ? argc - 1 : 0, argv);
	for (size_t i = 0; i < n_commands; i++) {
		if (n == 0)
			offer(commands[i].name, prefix);
		else if (strcmp(argv[0], commands[i].name) == 0)
			offer_arguments(&mine, &commands[i], n - 1, argv + 1, prefix);
	}
	return CTL_OK;
}
