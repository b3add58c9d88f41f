// SPDX-License-Identifier: Apache-2.0
#include "control_internal.h"

#include "ao.h"
#include "log.h"
#include "messages.h"
#include "notify.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define POLL_CLEAR_MS  1000
#define EXPIRY_MS      (12 * 3600 * 1000)
#define APPLY_WAIT_MS  10000
#define GATHER_WAIT_MS 5000
#define BUSY_RETRIES                                                                               \
	40 /* a predecessor that was killed takes its sockets with it, but not at once */
#define BUSY_WAIT_MS 50

/* --- state
 * --------------------------------------------------------------------------------------------------------------
 */

int state_init(struct state *s, struct config *config)
{
	s->config = config;
	s->peers = calloc(config->n_neighbors + 1, sizeof(*s->peers));
	if (!s->peers)
		return -ENOMEM;
	return files_new(&s->files);
}

void state_done(struct state *s)
{
	config_free(s->config);
	files_free(s->files);
	free(s->peers);
	*s = (struct state){};
}

/* --- what the clock tells
 * ---------------------------------------------------------------------------------- */

static void log_warning_at(void *arg, const char *where, const char *text)
{
	(void)arg;
	log_warning("%s: %s", where, text);
}

static void warn_expiry(const struct control *c, const struct neighbor_config *n, time_t not_after)
{
	long days = (not_after - time(NULL)) / 86400;

	if (days < c->now.config->expiry_warning_days)
		log_warning("neighbor %s: our certificate %s expires in %ld day%s", n->name,
			    n->identity.certificate, days, days == 1 ? "" : "s");
}

static void warn_certificates(struct control *c)
{
	const struct config *config = c->now.config;
	struct credentials *credentials = NULL;
	const char *last = NULL;

	timer_set_ms(c->expiry, EXPIRY_MS);
	if (credentials_new(NULL, NULL, &credentials) < 0)
		return;
	for (size_t i = 0; i < config->n_neighbors; i++) {
		const struct neighbor_config *n = &config->neighbors[i];
		struct tls_ctx *ctx;
		struct errtext e;
		int r;

		/* Neighbors mostly share one certificate: one line is enough. */
		if (!neighbor_has_tls(n) || (last && strcmp(last, n->identity.certificate) == 0))
			continue;
		r = credentials_get(credentials, c->now.files, n, &ctx, &e);
		if (r == -EKEYEXPIRED)
			log_error("neighbor %s: %s; sessions live on, new ones fail", n->name,
				  e.text);
		if (r == 0) {
			warn_expiry(c, n, tls_ctx_not_after(ctx));
			tls_ctx_unref(ctx);
		}
		if (r == 0 || r == -EKEYEXPIRED)
			last = n->identity.certificate;
	}
	credentials_free(credentials);
}

void control_warn_expiry(struct control *c)
{
	warn_certificates(c);
	ao_warn_expiry(c->now.config, time(NULL), log_warning_at, NULL);
}

static void on_expiry(void *arg)
{
	control_warn_expiry(arg);
}

unsigned control_clear_count(const struct control *c, size_t at)
{
	return c->now.peers[at].allow_clear
		       ? steering_clear_count(c->steering, &c->now.config->neighbors[at].address)
		       : 0;
}

/* Preferred neighbors that may be in clear: see sessions come, and the guard closes again when they
 * have gone. */
static void on_poll_clear(void *arg)
{
	struct control *c = arg;
	bool any = false;

	for (size_t i = 0; i < c->now.config->n_neighbors; i++) {
		const struct neighbor_config *n = &c->now.config->neighbors[i];
		struct peer *p = &c->now.peers[i];
		unsigned count;

		if (!p->allow_clear)
			continue;
		any = true;
		count = control_clear_count(c, i);
		if (count && !p->clear_since)
			log_warning("neighbor %s: a session in CLEAR TEXT is up (mode preferred)",
				    n->name);
		if (!count && p->clear_since)
			control_clear_ended(c, n->name);
		if (!count || !p->clear_since)
			p->clear_since = count ? time(NULL) : 0;
	}
	if (any)
		timer_set_ms(c->poll_clear, POLL_CLEAR_MS);
}

static void on_watchdog(void *arg)
{
	struct control *c = arg;

	notify_watchdog();
	timer_set_ms(c->watchdog, notify_watchdog_ms());
}

static void on_sigchld(void *arg, int signo)
{
	struct control *c = arg;
	int status;
	pid_t pid;

	(void)signo;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		control_metrics_reaped(c, pid, status);
		for (size_t i = 0; i < c->n_children; i++)
			if (child_reaped(c->children[i], pid, status))
				break;
	}
}

static void on_sighup(void *arg, int signo)
{
	(void)signo;
	control_reload(arg, NULL, false);
}

static void on_stop(void *arg, int signo)
{
	struct control *c = arg;

	c->keep_steering = signo == SIGUSR1;
	if (!c->keep_steering)
		control_handover_stop(c);
	log_info(c->keep_steering ? "stopping for a restart: what is programmed stays, required "
				    "neighbors stay closed"
				  : "stopping: removing all that was programmed");
	notify_stopping();
	loop_stop(c->loop);
}

/* --- start
 * ----------------------------------------------------------------------------------------------------------------
 */

static void log_problem(void *arg, const char *where, const char *text)
{
	(void)arg;
	log_error("%s: %s", where, text);
}

static int open_keylog(struct control *c, const char *path, struct errtext *e)
{
	if (!path)
		return 0;
	c->keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->keylog_fd < 0)
		return errtext_set(e, -errno, "cannot open the key log %s: %s", path,
				   strerror(errno));
	log_warning("DEBUGGING: TLS secrets of every session are written to %s", path);
	return 0;
}

static int make_timers(struct control *c)
{
	int r;

	if ((r = timer_new(c->loop, control_on_network_settled, c, &c->network_changed)) < 0 ||
	    (r = timer_new(c->loop, on_poll_clear, c, &c->poll_clear)) < 0 ||
	    (r = timer_new(c->loop, control_on_audit, c, &c->audit)) < 0 ||
	    (r = timer_new(c->loop, on_expiry, c, &c->expiry)) < 0 ||
	    (r = timer_new(c->loop, on_watchdog, c, &c->watchdog)) < 0 ||
	    (r = loop_on_signal(c->loop, SIGHUP, on_sighup, c)) < 0 ||
	    (r = loop_on_signal(c->loop, SIGTERM, on_stop, c)) < 0 ||
	    (r = loop_on_signal(c->loop, SIGINT, on_stop, c)) < 0 ||
	    (r = loop_on_signal(c->loop, SIGUSR1, on_stop, c)) < 0 ||
	    (r = loop_on_signal(c->loop, SIGCHLD, on_sigchld, c)) < 0)
		return r;
	if (notify_watchdog_ms())
		return timer_set_ms(c->watchdog, 0);
	return 0;
}

/* Runs `step` until it no longer fails because a dying predecessor still has the socket. */
static int when_free(int (*step)(struct control *c, struct errtext *e), struct control *c,
		     struct errtext *e)
{
	const struct timespec wait = {.tv_nsec = BUSY_WAIT_MS * 1000000L};
	int r = step(c, e);

	for (int i = 0; i < BUSY_RETRIES && r == -EADDRINUSE; i++) {
		nanosleep(&wait, NULL);
		r = step(c, e);
	}
	return r;
}

static int open_tls(struct control *c, struct errtext *e)
{
	return tls_listeners_open(c->now.config->tls_port, &c->tls, e);
}

/* The first TLS listeners have the keys of mode tcp-ao, too. */
static int give_carriers(struct control *c, struct errtext *e)
{
	size_t n = 0;

	while (n < c->tls.n && !c->tls.what[n].kind)
		n++;
	return c->tls.has_ao ? steering_set_carriers(c->steering, c->tls.fds, n, e) : 0;
}

static int open_metrics(struct control *c, struct errtext *e)
{
	int fd, r = control_metrics_open(c->now.config, &fd, e);

	if (r == 0 && fd >= 0)
		control_metrics_listen(c, fd);
	return r;
}

static void log_lack(void *arg, const struct steering_item *item)
{
	(void)arg;
	if (strcmp(item->kind, "kernel") == 0 &&
	    (item->state != STEERING_OK || strncmp(item->detail, "lacks", 5) == 0))
		log_warning("kernel, %s: %s", item->name, item->detail);
}

static int open_steering(struct control *c, struct errtext *e)
{
	int r = c->parts->steering_new(c->now.config, &c->steering, e);

	if (r < 0)
		return r;
	/* steering = auto says why it did not take the first mechanism. */
	if (e->text[0])
		log_warning("steering by %s, because: %s", steering_name(c->steering), e->text);
	e->text[0] = '\0';
	steering_check(c->steering, log_lack, NULL, NULL);
	return 0;
}

static int open_netwatch(struct control *c, struct errtext *e)
{
	int r = netwatch_new(&c->watch, e);

	if (r == 0)
		r = io_add(c->loop, netwatch_fd(c->watch), control_on_netlink, c, &c->watch_io);
	return r < 0 ? r : io_set(c->watch_io, IO_READ);
}

static int start_workers(struct control *c, struct errtext *e)
{
	struct child_callbacks callbacks = control_child_callbacks;
	const struct config *config = c->now.config;

	callbacks.start_process = c->parts->start_process;
	c->children = calloc(config->workers, sizeof(*c->children));
	if (!c->children)
		return -ENOMEM;
	for (; c->n_children < config->workers; c->n_children++) {
		int r = child_new(c->loop, c->n_children, config->user, &callbacks, c,
				  &c->children[c->n_children]);

		if (r < 0)
			return errtext_set(e, r, "cannot start worker %zu: %s", c->n_children,
					   strerror(-r));
	}
	for (size_t i = 0; i < c->n_children; i++)
		callbacks.on_started(c, c->children[i]);
	return 0;
}

/* Fail closed: the kernel is programmed before anything else can go wrong. A certificate that
 * cannot be used is its neighbor's trouble; the neighbor stays closed, the others start. */
static int start(struct control *c, const char *keylog, struct errtext *e)
{
	const struct ctlserver_params ctl = {
		.loop = c->loop,
		.path = c->now.config->control_socket,
		.group = c->now.config->control_group,
		.on_request = control_on_request,
		.arg = c,
	};
	const struct ao_report ao = {log_problem, log_warning_at, NULL};
	int r;

	if ((r = make_timers(c)) < 0 || (r = control_handover_new(c)) < 0 ||
	    (r = open_keylog(c, keylog, e)) < 0 || (r = open_netwatch(c, e)) < 0 ||
	    (r = when_free(open_steering, c, e)) < 0)
		return r;
	control_resolve(c, &c->now);
	if ((r = control_steer(c, &c->now, e)) < 0 || (r = when_free(open_tls, c, e)) < 0 ||
	    (r = tls_listeners_set_keys(&c->tls, NULL, c->now.config, time(NULL), e)) < 0 ||
	    (r = give_carriers(c, e)) < 0 || (r = control_ao_start(c)) < 0 ||
	    (r = files_read(c->now.files, c->now.config, log_problem, NULL)) < 0 ||
	    (r = check_credentials(c->now.config, c->now.files, NULL, log_problem, NULL)) < 0 ||
	    (r = ctlserver_new(&ctl, &c->ctl, e)) < 0 || (r = control_metrics_new(c)) < 0 ||
	    (r = when_free(open_metrics, c, e)) < 0 || (r = start_workers(c, e)) < 0)
		return r;
	ao_report(c->now.config, NULL, c->tls.has_ao, time(NULL), &ao);
	warn_certificates(c);
	return timer_set_ms(c->audit, AUDIT_MS);
}

int control_new_of(const struct control_parts *parts, struct config *config, const char *keylog,
		   struct control **ret, struct errtext *e)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	e->text[0] = '\0';
	if (!c) {
		config_free(config);
		return errtext_set(e, -ENOMEM, "out of memory");
	}
	c->parts = parts;
	c->keylog_fd = -1;
	c->ao_fd = -1;
	c->apply_wait_ms = APPLY_WAIT_MS;
	c->gather_wait_ms = GATHER_WAIT_MS;
	c->keep_steering = true; /* only a signal that asks for it opens what is closed */
	c->generation = 1;
	c->started = c->loaded = time(NULL);
	r = state_init(&c->now, config);
	if (r == 0)
		r = loop_new(&c->loop);
	if (r == 0)
		r = start(c, keylog, e);
	if (r < 0) {
		if (!e->text[0])
			errtext_set(e, r, "%s", strerror(-r));
		control_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int control_new(struct config *config, const char *keylog, struct control **ret, struct errtext *e)
{
	static const struct control_parts parts = {.steering_new = steering_new};

	return control_new_of(&parts, config, keylog, ret, e);
}

int control_run(struct control *c)
{
	struct errtext e = {};
	int r;

	log_info("botlsd runs: %zu neighbor%s, steering %s, TLS port %u",
		 c->now.config->n_neighbors, c->now.config->n_neighbors == 1 ? "" : "s",
		 steering_name(c->steering), c->now.config->tls_port);
	notify_ready();
	r = loop_run(c->loop);
	if (!c->keep_steering && steering_remove(c->steering, &e) < 0) {
		log_error("cannot remove all that was programmed: %s", e.text);
		return -EIO;
	}
	return r;
}

static void free_children(struct control *c)
{
	for (size_t i = 0; i < c->n_children; i++)
		child_stop(c->children[i]);
	for (size_t i = 0; i < c->n_children; i++) {
		if (c->keep_steering && control_handover_has(c, c->children[i]))
			child_leave(c->children[i]);
		else
			child_free(c->children[i]);
	}
	free(c->children);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	control_reload_free(c);
	control_gathers_free(c);
	control_captures_free(c);
	control_metrics_free(c);
	ctlserver_free(c->ctl);
	free_children(c);
	control_handover_free(c);
	control_ao_stop(c);
	tls_listeners_close(&c->tls);
	steering_free(c->steering);
	io_free(c->watch_io);
	netwatch_free(c->watch);
	timer_free(c->network_changed);
	timer_free(c->poll_clear);
	timer_free(c->audit);
	timer_free(c->expiry);
	timer_free(c->watchdog);
	cleanup_close(&c->keylog_fd);
	state_done(&c->now);
	if (c->loop)
		loop_free(c->loop);
	free(c);
}
