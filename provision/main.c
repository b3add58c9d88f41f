// SPDX-License-Identifier: Apache-2.0
/*
 * botls-provision: sessions that other networks' Peering API servers approved become neighbors of
 * the shim and of the BGP daemon, and go away with them. botls-provision(8), docs/provisioning.md.
 */
#include "cmd.h"
#include "text.h"

#include <botls/botls.h>
#include <getopt.h>
#include <locale.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/prctl.h>

static enum cmd_exit cmd_help(const struct cmd *c, int argc, char **argv);
static enum cmd_exit cmd_version(const struct cmd *c, int argc, char **argv);

static const struct cmd_entry commands[] = {
	{"check", "[--print]", "check the configuration; print what is in effect", cmd_check},
	{"probe", "SERVER", "find out which era a server speaks, and whether it lets us in",
	 cmd_probe},
	{"locations", "SERVER [--type public|private]", "where a server would peer", cmd_locations},
	{"sessions", "[SERVER...]", "what servers list, and what becomes of it here", cmd_sessions},
	{"request", "SERVER --common|PEER-ADDRESS...", "ask for sessions", cmd_request},
	{"accept", "SERVER PEER-ADDRESS...", "take sessions that a server proposed", cmd_accept},
	{"status", "[PEER-ADDRESS...]", "sessions of ours, and what they wait for", cmd_status},
	{"plan", "[--exit-code] [--force N]", "show what apply would do", cmd_plan},
	{"apply", "[--force N]", "do it", cmd_apply},
	{"watch", "[--apply] [--interval SECONDS]", "follow, or apply, again and again", cmd_watch},
	{"delete", "PEER-ADDRESS...", "take sessions away, and tell the server", cmd_delete},
	{"hold", "[--off] PEER-ADDRESS...", "keep sessions although they do not come up", cmd_hold},
	{"register", "SERVER IDP-URL", "register our identity provider with a server",
	 cmd_register},
	{"template", "bird|frr", "print the built-in template", cmd_template},
	{"help", "", "this text", cmd_help},
	{"version", "", "the version of botls-provision", cmd_version},
};

static void print_help(FILE *out)
{
	fputs("Usage: botls-provision [-c FILE] [--json] COMMAND\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s%s%s\n", commands[i].name, commands[i].arguments,
			*commands[i].arguments ? "\n             " : "", commands[i].help);
	fputs("\n  -c, --config FILE  instead of " SETTINGS_PATH "\n"
	      "  -j, --json         print JSON\n"
	      "  -q, --quiet        no progress\n"
	      "Exit code: 0 done, 1 failed, 2 changes (plan --exit-code),\n"
	      "3 something needs a human, 64 usage.\n",
	      out);
}

static enum cmd_exit cmd_help(const struct cmd *c, int argc, char **argv)
{
	(void)c;
	(void)argc;
	(void)argv;
	print_help(stdout);
	return CMD_OK;
}

static enum cmd_exit cmd_version(const struct cmd *c, int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		return cmd_usage("version");
	puts(c->json ? "{\n  \"version\": \"" BOTLS_VERSION "\"\n}"
		     : "botls-provision " BOTLS_VERSION);
	return CMD_OK;
}

static const struct cmd_entry *find_command(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, word) == 0)
			return &commands[i];
	text_complain("unknown command '%s'; 'botls-provision help' lists them", word);
	return NULL;
}

enum cmd_exit cmd_usage(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			text_complain("usage: botls-provision %s %s", name, commands[i].arguments);
	return CMD_USAGE;
}

enum cmd_exit cmd_print_json(struct jv *v, enum cmd_exit code)
{
	_cleanup_free_ char *text = v ? jv_dump_pretty(v, NULL) : NULL;

	jv_free(v);
	if (!text) {
		text_complain("out of memory");
		return CMD_FAILED;
	}
	fputs(text, stdout);
	return code;
}

int64_t cmd_number(const char *option, const char *text, int64_t max)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end && n <= max)
		return n;
	text_complain("%s: '%s' is not a number from 0 to %lld", option, text, (long long)max);
	return -1;
}

const char *cmd_duration(int64_t seconds, char buf[static 32])
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(units) && seconds < 2 * units[i].seconds)
		i++;
	snprintf(buf, 32, "%lld %s", (long long)(seconds / units[i].seconds), units[i].name);
	return buf;
}

/* Only a terminal is filled and not overrun. */
static unsigned output_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (columns && atoi(columns) > 0)
		return atoi(columns);
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* Session secrets and tokens are in memory. */
static void guard_secrets(void)
{
	struct rlimit none = {};

	umask(077);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},
		{"quiet", no_argument, NULL, 'q'},	  {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},	  {},
	};
	struct cmd c = {.config = SETTINGS_PATH, .width = output_width()};
	const struct cmd_entry *command;
	enum cmd_exit code;
	int opt;

	setlocale(LC_CTYPE, "");
	text_init("botls-provision");
	guard_secrets();
	c.is_quiet = !isatty(STDERR_FILENO);
	while ((opt = getopt_long(argc, argv, "+c:jqhV", options, NULL)) != -1) {
		switch (opt) {
		case 'c': c.config = optarg; break;
		case 'j': c.json = true; break;
		case 'q': c.is_quiet = true; break;
		case 'h': return cmd_help(&c, 1, NULL);
		case 'V': return cmd_version(&c, 1, NULL);
		default: return CMD_USAGE; /* getopt has said why */
		}
	}
	if (optind == argc) {
		print_help(stderr);
		return CMD_USAGE;
	}
	command = find_command(argv[optind]);
	if (!command)
		return CMD_USAGE;
	argc -= optind;
	argv += optind;
	optind = 0; /* glibc: begin anew */
	code = command->run(&c, argc, argv);
	/* An answer that did not arrive on a full disk or a closed pipe is not a success. */
	if (fflush(stdout) == EOF || ferror(stdout)) {
		text_complain("cannot write the output: %m");
		return code ? code : CMD_FAILED;
	}
	return code;
}
