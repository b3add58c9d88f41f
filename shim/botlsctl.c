// SPDX-License-Identifier: Apache-2.0
/* botlsctl: asks a running botlsd, through its control socket. docs/control-protocol.md,
 * botlsctl(8). */
#include "ctl.h"

#include "addr.h"

#include <botls/botls.h>
#include <getopt.h>
#include <locale.h>
#include <sys/ioctl.h>

static enum ctl_exit ctl_help(const struct ctl *c, int argc, char **argv);
static enum ctl_exit ctl_version(const struct ctl *c, int argc, char **argv);

static const struct ctl_command commands[] = {
	{"show", "[neighbor ADDRESS]", "all neighbors, or everything about one", false, ctl_show},
	{"steering", "", "what the kernel has of what steers the daemon's traffic", false,
	 ctl_steering},
	{"reload", "[--dry-run]", "read the configuration again; or only tell what would change",
	 true, ctl_reload},
	{"reset", "ADDRESS", "end the sessions of a neighbor", false, ctl_reset},
	{"log", "level [LEVEL]", "show or set: error, warning, info, debug", false, ctl_log},
	{"help", "", "this text", false, ctl_help},
	{"version", "", "the version of botlsctl", false, ctl_version},
};

static void print_help(FILE *out)
{
	fputs("Usage: botlsctl [-s SOCKET] [--json] COMMAND\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char left[48];

		snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].arguments);
		fprintf(out, "  %-28s%s\n", left, commands[i].help);
	}
	fputs("\nCommands may be shortened as long as they stay unique.\n"
	      "  -s, --socket SOCKET  instead of " BOTLS_CONTROL_PATH "\n"
	      "  -j, --json           print botlsd's answer as JSON\n"
	      "Exit code: 0 ok, 1 botlsd refused or the kernel disagrees, 2 usage, 3 botlsd not "
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
	return CTL_USAGE;
}

const char *ctl_neighbor_argument(const char *text)
{
	static char name[ADDR_STRLEN];
	struct errtext e;
	struct addr a;

	if (addr_parse(text, &a, &e) < 0) {
		text_complain("%s", e.text);
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

static int parse_options(int argc, char **argv, struct ctl *c, bool *ret_help, bool *ret_version)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
		{"dry-run", no_argument, NULL, 'n'},	  {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},	  {},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "s:jnhV", options, NULL)) != -1) {
		switch (opt) {
		case 's': c->socket = optarg; break;
		case 'j': c->json = true; break;
		case 'n': c->dry_run = true; break;
		case 'h': *ret_help = true; break;
		case 'V': *ret_version = true; break;
		default: return -1; /* getopt has said why */
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct ctl c = {.socket = BOTLS_CONTROL_PATH, .now = time(NULL), .width = output_width()};
	bool help = false, version = false;
	const struct ctl_command *command;
	enum ctl_exit code;

	setlocale(LC_CTYPE, "");
	text_init("botlsctl");
	if (parse_options(argc, argv, &c, &help, &version) < 0)
		return CTL_USAGE;
	if (help)
		return ctl_help(&c, 0, NULL);
	if (version)
		return ctl_version(&c, 0, NULL);
	if (optind == argc) {
		print_help(stderr);
		return CTL_USAGE;
	}
	command = find_command(argv[optind]);
	if (!command) {
		fputs("botlsctl: 'botlsctl help' lists the commands\n", stderr);
		return CTL_USAGE;
	}
	if (c.dry_run && !command->takes_dry_run) {
		text_complain("%s has no --dry-run", command->name);
		return CTL_USAGE;
	}
	code = command->run(&c, argc - optind - 1, argv + optind + 1);
	/* An answer that did not arrive on a full disk or a closed pipe is not a success. */
	if (fflush(stdout) == EOF || ferror(stdout)) {
		text_complain("cannot write the output: %m");
		return code ? code : CTL_NO;
	}
	return code;
}
