// SPDX-License-Identifier: Apache-2.0
/*
 * botlsd(8): BGP over TLS beside an unmodified daemon. Options, and which process this is.
 */
#include "botls/botls.h"
#include "config.h"
#include "control.h"
#include "exporter.h"
#include "log.h"
#include "sandbox.h"
#include "secret.h"
#include "steering.h"
#include "tls.h"
#include "worker.h"

#include <errno.h>
#include <getopt.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { EXIT_USAGE = 2, EXIT_CONFIG = 3 };

static const char usage[] =
	"usage: botlsd [-dhnV] [-c file] [--keylog file]\n"
	"  -c, --config FILE   configuration, default " BOTLS_CONFIG_PATH "\n"
	"  -n, --check         check the configuration and all that it names, and end; -nn also\n"
	"                      prints the effective configuration\n"
	"  -d, --debug         log at level debug\n"
	"      --keylog FILE   DEBUGGING: append TLS secrets (SSLKEYLOGFILE format) to FILE\n"
	"  -V, --version       print the version\n"
	"  -h, --help          this text\n";

static void report(void *arg, const char *where, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", where, text);
}

/* "--worker FD NUMBER USER": started by control, never by hand. */
static int run_worker(char **args)
{
	return worker_main(atoi(args[0]), strtoul(args[1], NULL, 10), args[2]);
}

/* "--metrics FD NUMBER USER": likewise. */
static int run_metrics(char **args)
{
	return exporter_main(atoi(args[0]), args[2]);
}

static int check(const struct config *config, bool print)
{
	int r = control_check(config, report, NULL);

	if (r == -ENOMEM)
		report(NULL, config->path, "out of memory");
	if (r < 0)
		return EXIT_CONFIG;
	if (print)
		config_print(config, stdout);
	else
		printf("%s: %zu neighbors, no problems\n", config->path, config->n_neighbors);
	return EXIT_SUCCESS;
}

static void set_log_level(const struct config *config, bool is_debug)
{
	static const enum log_level levels[] = {
		[CONFIG_LOG_ERROR] = LOG_LEVEL_ERROR,
		[CONFIG_LOG_WARNING] = LOG_LEVEL_WARNING,
		[CONFIG_LOG_INFO] = LOG_LEVEL_INFO,
		[CONFIG_LOG_DEBUG] = LOG_LEVEL_DEBUG,
	};

	log_set_level(is_debug ? LOG_LEVEL_DEBUG : levels[config->log_level]);
}

/* A session takes two descriptors, a listener's backlog more: what we may have, we take. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the limit of open descriptors: %s", strerror(errno));
}

/* What control never gives up again; each was left out once, and something failed. The same list is
 * in dist/botlsd.service. */
static const int capabilities[] = {
	CAP_NET_ADMIN,	      /* BPF at sockets and packets, rules, routes, transparent sockets */
	CAP_BPF,	      /* programs and maps, and what is pinned */
	CAP_PERFMON,	      /* programs that read kernel memory */
	CAP_NET_BIND_SERVICE, /* the inner port; connections from port 179 */
	CAP_SETUID,	      /* workers become somebody else, ... */
	CAP_SETGID,
	CAP_SETPCAP,	     /* ... empty their bounding set, ... */
	CAP_KILL,	     /* ... and may have to be ended then */
	CAP_CHOWN,	     /* the group of the control socket */
	CAP_DAC_READ_SEARCH, /* keys that belong to the user who renews them */
};

/* Files in the places of others (the BPF file system, --keylog) come before. */
static int confine(const struct config *config)
{
	struct errtext e;
	int r = steering_prepare(config, &e);

	if (r == 0)
		r = sandbox_control(capabilities, ARRAY_SIZE(capabilities), &e);
	if (r == 0)
		r = tls_start(&e);
	if (r < 0)
		log_error("cannot start: %s", e.text);
	else if (r == 0)
		log_warning("private keys may be swapped to disk: raise LimitMEMLOCK= (ulimit -l) "
			    "to %zu MB",
			    SECRET_LIMIT >> 20);
	else if (r < TLS_KEY_HEAP)
		log_info("memory for private keys: %d MB; for more raise LimitMEMLOCK= (ulimit "
			 "-l) to %zu MB",
			 r >> 20, SECRET_LIMIT >> 20);
	return r < 0 ? r : 0;
}

static int run(struct config *config, const char *keylog)
{
	struct control *control;
	struct errtext e;
	int r;

	signal(SIGPIPE, SIG_IGN);
	umask(0077);
	raise_descriptor_limit();
	secret_raise_limit();
	if (confine(config) < 0) {
		config_free(config);
		return EXIT_FAILURE;
	}
	if (control_new(config, keylog, &control, &e) < 0) {
		log_error("cannot start: %s", e.text);
		return EXIT_FAILURE;
	}
	r = control_run(control);
	control_free(control);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'n'},
		{"debug", no_argument, NULL, 'd'},
		{"keylog", required_argument, NULL, 'k'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	const char *path = BOTLS_CONFIG_PATH, *keylog = NULL;
	struct config *config;
	bool is_debug = false;
	int n_checks = 0, o;

	if (argc == 5 && strcmp(argv[1], "--worker") == 0)
		return run_worker(argv + 2);
	if (argc == 5 && strcmp(argv[1], "--metrics") == 0)
		return run_metrics(argv + 2);
	while ((o = getopt_long(argc, argv, "c:dhnV", options, NULL)) != -1) {
		switch (o) {
		case 'c': path = optarg; break;
		case 'd': is_debug = true; break;
		case 'n': n_checks++; break;
		case 'k': keylog = optarg; break;
		case 'V': printf("botlsd %s\n", BOTLS_VERSION); return EXIT_SUCCESS;
		case 'h': fputs(usage, stdout); return EXIT_SUCCESS;
		default: fputs(usage, stderr); return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	log_init("control");
	if (config_load(path, report, NULL, &config) < 0)
		return EXIT_CONFIG;
	if (n_checks) {
		o = check(config, n_checks > 1);
		config_free(config);
		return o;
	}
	set_log_level(config, is_debug);
	return run(config, keylog);
}
