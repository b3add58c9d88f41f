// SPDX-License-Identifier: Apache-2.0
/* botlsctl: asks a running botlsd, through its control socket. docs/control-protocol.md,
 * botlsctl(8). */
#include "ctl.h"

#include "addr.h"

#include <botls/botls.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <sys/ioctl.h>

static enum ctl_exit ctl_help(const struct ctl *c, int argc, char **argv);
static enum ctl_exit ctl_version(const struct ctl *c, int argc, char **argv);

static const struct ctl_command commands[] = {
	{"show", "[neighbor ADDRESS] [session [ID|ADDRESS]] [state STATE] [mode MODE]",
	 "all neighbors, or all about one, or a session", 0, ctl_show},
	{"watch", "[neighbor ADDRESS] [state STATE] [mode MODE]",
	 "the same, live, with rates; q ends it", CTL_INTERVAL, ctl_watch},
	{"doctor", "", "looks for what is wrong, says what to do", CTL_CONFIG, ctl_doctor},
	{"steering", "", "what the kernel has of our programs and rules", 0, ctl_steering},
	{"reload", "[--dry-run]", "read the configuration again; or only tell", CTL_DRY_RUN,
	 ctl_reload},
	{"reset", "ADDRESS", "end the sessions of a neighbor", 0, ctl_reset},
	{"log", "level [LEVEL]", "show or set: error, warning, info, debug", 0, ctl_log},
	{"capture", "ADDRESS", "its decrypted BGP, for tshark; --help tells more", CTL_OPTIONS,
	 ctl_capture},
	{"metrics", "[openmetrics|text]", "what botlsd counts, for Prometheus", 0, ctl_metrics},
	{"help", "", "this text", 0, ctl_help},
	{"version", "", "the version of botlsctl", 0, ctl_version},
};

/* Not for people, and so not in the list: what a shell may write next. */
static const struct ctl_command completion = {.name = "complete", .run = ctl_complete};

const struct ctl_command *ctl_commands(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(commands);
	return commands;
}

static void print_help(FILE *out)
{
	fputs("Usage: botlsctl [OPTION ...] COMMAND\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const char *arguments = commands[i].arguments;
		bool fits = strlen(commands[i].name) + 1 + strlen(arguments) < 26;

		if (!fits)
			fprintf(out, "  %s %s\n", commands[i].name, arguments);
		fprintf(out, "  %-*s %-*s %s\n", fits ? (int)strlen(commands[i].name) : 0,
			fits ? commands[i].name : "",
			fits ? 25 - (int)strlen(commands[i].name) : 25, fits ? arguments : "",
			commands[i].help);
	}
	fputs("\nCommands and their words may be shortened as long as they stay unique.\n"
	      "  -s, --socket SOCKET     instead of " BOTLS_CONTROL_PATH "\n"
	      "  -j, --json              print the answer as JSON\n"
	      "      --color WHEN        auto (on a terminal), always or never\n"
	      "  -n, --dry-run           reload: only tell what would change\n"
	      "  -i, --interval SECONDS  watch: between two looks, default 2\n"
	      "      --count N           watch: end after so many looks\n"
	      "  -c, --config FILE       doctor: instead of what botlsd says\n"
	      "  -h, --help; -V, --version\n"
	      "Exit code: 0 ok, 1 botlsd refused, or something is wrong, 2 usage, 3 botlsd not\n"
	      "reached.\n",
	      out);
}

static enum ctl_exit ctl_help(const struct ctl *c, int argc, char **argv)
{
	(void)c;
	(void)argc;
	(void)argv;
	print_help(stdout);
	return CTL_OK;
}

static enum ctl_exit ctl_version(const struct ctl *c, int argc, char **argv)
{
	(void)argv;
	if (argc)
		return ctl_usage("version");
	puts(c->json ? "{\n  \"version\": \"" BOTLS_VERSION "\"\n}" : "botlsctl " BOTLS_VERSION);
	return CTL_OK;
}

int ctl_match(const char *word, const char *const *names, size_t n, const char *what)
{
	char candidates[128] = "";
	int found = -1;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(word, names[i]) == 0)
			return i;
		if (!*word || strncmp(word, names[i], strlen(word)) != 0)
			continue;
		snprintf(candidates + strlen(candidates), sizeof(candidates) - strlen(candidates),
			 "%s%s", candidates[0] ? ", " : "", names[i]);
		found = found == -1 ? (int)i : -2;
	}
	if (found == -2)
		text_complain("%s '%s' is ambiguous: %s", what, word, candidates);
	else if (found == -1)
		text_complain("unknown %s '%s'", what, word);
	return found < 0 ? -1 : found;
}

static const struct ctl_command *find_command(const char *word)
{
	const char *names[ARRAY_SIZE(commands)];
	int i;

	for (size_t k = 0; k < ARRAY_SIZE(commands); k++)
		names[k] = commands[k].name;
	i = ctl_match(word, names, ARRAY_SIZE(names), "command");
	return i < 0 ? NULL : &commands[i];
}

enum ctl_exit ctl_usage(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			text_complain("usage: botlsctl %s %s", name, commands[i].arguments);
	text_complain("'botlsctl help' lists the commands, botlsctl(8) explains them");
	return CTL_USAGE;
}

const char *ctl_neighbor_argument(const char *text)
{
	static char name[ADDR_STRLEN];
	struct errtext e;
	struct addr a;

	if (addr_parse(text, &a, &e) < 0) {
		text_complain("%s; 'botlsctl show' lists the neighbors", e.text);
		return NULL;
	}
	return addr_format(&a, name);
}

/* Only a terminal is filled and not overrun; a pipe gets whole lines unless COLUMNS says otherwise.
 */
static unsigned output_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (columns && atoi(columns) > 0)
		return atoi(columns);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		return size.ws_col;
	return 0;
}

/* Colours only where somebody looks at them (https://no-color.org). JSON is never printed through
 * what makes them. */
static int set_color(const char *when)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool is_on = isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && term &&
		     strcmp(term, "dumb") != 0;

	if (strcmp(when, "always") == 0)
		is_on = true;
	else if (strcmp(when, "never") == 0)
		is_on = false;
	else if (strcmp(when, "auto") != 0) {
		text_complain("--color %s: it is one of auto, always, never", when);
		return -EINVAL;
	}
	text_set_color(is_on);
	return 0;
}

static int parse_seconds(const char *text, unsigned *ret_ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600)) {
		text_complain("--interval %s: seconds from 0.1 to 3600", text);
		return -EINVAL;
	}
	*ret_ms = seconds * 1000;
	return 0;
}

static int parse_count(const char *text, unsigned *ret)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !n || n > 1000000) {
		text_complain("--count %s: a number from 1 to 1000000", text);
		return -EINVAL;
	}
	*ret = n;
	return 0;
}

/* What the command line says besides struct ctl. */
struct options {
	const char *color;
	unsigned taken; /* enum ctl_takes that were given */
	bool help, version;
};

enum { OPTION_COLOR = 256, OPTION_COUNT };

static int parse_options(int argc, char **argv, struct ctl *c, struct options *o)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"dry-run", no_argument, NULL, 'n'},
		{"interval", required_argument, NULL, 'i'},
		{"count", required_argument, NULL, OPTION_COUNT},
		{"config", required_argument, NULL, 'c'},
		{"color", required_argument, NULL, OPTION_COLOR},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{},
	};
	int opt, r = 0;

	while (r == 0 && (opt = getopt_long(argc, argv, "s:jni:c:hV", options, NULL)) != -1) {
		switch (opt) {
		case 's': c->socket = optarg; break;
		case 'j': c->json = true; break;
		case 'n':
			c->dry_run = true;
			o->taken |= CTL_DRY_RUN;
			break;
		case 'i':
			r = parse_seconds(optarg, &c->interval_ms);
			o->taken |= CTL_INTERVAL;
			break;
		case OPTION_COUNT:
			r = parse_count(optarg, &c->count);
			o->taken |= CTL_INTERVAL;
			break;
		case 'c':
			c->config = optarg;
			o->taken |= CTL_CONFIG;
			break;
		case OPTION_COLOR: o->color = optarg; break;
		case 'h': o->help = true; break;
		case 'V': o->version = true; break;
		default:
			fputs("botlsctl: 'botlsctl help' lists the options\n", stderr);
			return -EINVAL; /* getopt has said why */
		}
	}
	return r;
}

static const struct ctl_command *choose_command(const char *word, unsigned taken)
{
	static const char *const names[] = {"--dry-run", "--interval and --count", "--config"};
	const struct ctl_command *command = find_command(word);

	if (!command) {
		fputs("botlsctl: 'botlsctl help' lists the commands\n", stderr);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!(taken & ~command->takes & (1U << i)))
			continue;
		text_complain("%s has no %s; 'botlsctl help' says which command does",
			      command->name, names[i]);
		return NULL;
	}
	return command;
}

/* Where the first word is that is no option, nor the value of one. */
static int first_word(int argc, char **argv)
{
	static const char *const with_value[] = {"-s",	       "--socket", "--color", "-i",
						 "--interval", "--count",  "-c",      "--config"};
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++)
		for (size_t k = 0; k < ARRAY_SIZE(with_value); k++)
			if (strcmp(argv[i], with_value[k]) == 0) {
				i++;
				break;
			}
	return i < argc ? i : argc;
}

/* The command there, if it has options of its own. */
static const struct ctl_command *command_with_options(const char *word)
{
	for (size_t i = 0; word && word[0] && i < ARRAY_SIZE(commands); i++)
		if ((commands[i].takes & CTL_OPTIONS) &&
		    strncmp(word, commands[i].name, strlen(word)) == 0)
			return &commands[i];
	return NULL;
}

static enum ctl_exit run(struct ctl *c, int argc, char **argv)
{
	struct options o = {.color = "auto"};
	int at = first_word(argc, argv), n_own = argc - at;
	const struct ctl_command *own = command_with_options(argv[at]), *command;

	if (parse_options(own ? at : argc, argv, c, &o) < 0 || set_color(o.color) < 0)
		return CTL_USAGE;
	if (o.help)
		return ctl_help(c, 0, NULL);
	if (o.version)
		return ctl_version(c, 0, NULL);
	if (own)
		return own->run(c, n_own, argv + at);
	if (optind == argc) {
		print_help(stderr);
		return CTL_USAGE;
	}
	command = choose_command(argv[optind], o.taken);
	if (!command)
		return CTL_USAGE;
	return command->run(c, argc - optind - 1, argv + optind + 1);
}

int main(int argc, char **argv)
{
	struct ctl c = {.socket = BOTLS_CONTROL_PATH,
			.now = time(NULL),
			.width = output_width(),
			.interval_ms = 2000};
	enum ctl_exit code;

	setlocale(LC_CTYPE, "");
	text_init("botlsctl");
	/* Its words are those of another command line, options too. */
	if (argc > 1 && strcmp(argv[1], completion.name) == 0)
		code = completion.run(&c, argc - 2, argv + 2);
	else
		code = run(&c, argc, argv);
	/* An answer that did not arrive on a full disk or a closed pipe is not a success. */
	if (fflush(stdout) == EOF || ferror(stdout)) {
		text_complain("cannot write the output: %m");
		return code ? code : CTL_NO;
	}
	return code;
}
