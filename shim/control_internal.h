/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one struct behind control*.c:
 *   control.c           start, stop, what the clock tells
 *   control_steering.c  what is programmed, while addresses, interfaces and others change
 *   control_check.c     botlsd -n
 *   control_reload.c    from one configuration to the next
 *   control_workers.c   what workers ask for
 *   control_ao.c        TCP-AO keys as time goes by
 *   control_ao_turn_on.c  TCP-AO for connections that began without
 *   control_commands.c  what botlsctl asks for
 *   control_capture.c   captures: who has one, where its records go
 *   control_handover.c  sessions of a predecessor, and for a successor
 *   control_metrics.c   snapshots of what is counted, the metrics process
 */
#ifndef BOTLS_CONTROL_INTERNAL_H
#define BOTLS_CONTROL_INTERNAL_H

#include "control.h"

#include "botls/capture.h"
#include "child.h"
#include "credentials.h"
#include "ctlserver.h"
#include "dial.h"
#include "ktls.h"
#include "netwatch.h"
#include "plan.h"
#include "steering.h"

/* A configuration with what was read for it and what is known of its neighbors now. */
struct state {
	struct config *config;
	struct files *files;
	struct peer {		       /* in the order of config->neighbors */
		struct addr own;       /* our address towards it, AF_UNSPEC: unknown */
		uint64_t clear_votes;  /* bit per worker: no TLS there for its time (preferred) */
		bool allow_clear;      /* all of them say so */
		uint64_t clear_since;  /* a session in clear text is there, seconds since the epoch;
					  0: none */
		bool ao_rest;	       /* a connection waits for keys to come or to go */
		bool ao_had_rest;      /* the same, a look ago */
		uint64_t ao_since;     /* when that began, seconds since the epoch */
		int ao_warned;	       /* the key that was warned of, as a number above 0 */
		uint64_t ao_wrong;     /* of ao_follow() */
		uint64_t ao_ask_after; /* no asking for another key before: it was wrong */
	} * peers;
};

/* Where control gets what needs privileges; tests have their own. */
struct control_parts {
	int (*steering_new)(const struct config *c, struct steering **ret, struct errtext *e);
	pid_t (*start_process)(void *arg, struct child *c, int fd); /* child.h */
};

struct control {
	const struct control_parts *parts;
	struct loop *loop;
	struct state now;
	struct reload *reload; /* one in progress, or NULL */
	bool reload_again;     /* SIGHUP came meanwhile */
	struct steering *steering;
	struct tls_listeners tls;
	struct netwatch *watch;
	struct io *watch_io;
	int ao_fd; /* timer: the next TCP-AO key begins or ends */
	struct io *ao_io;
	struct timer *ao_again;
	struct ctlserver *ctl;
	struct child **children;
	size_t n_children;
	int keylog_fd;
	struct ktls_support ktls; /* as it was last tried */
	struct timer *network_changed, *poll_clear, *audit, *expiry, *watchdog;
	struct gather *gathers;
	struct control_capture *captures[BOTLS_CAPTURES_MAX];
	struct control_metrics *metrics;
	struct control_handover *handover;
	unsigned steering_wrong; /* objects, as the last audit found them */
	uint64_t steering_found; /* all of them, in all audits */
	uint32_t last_id;
	uint64_t generation;
	int64_t started, loaded; /* the configuration: at the start, or by the last reload */
	uint64_t apply_wait_ms, gather_wait_ms; /* for the answers of workers */
	bool keep_steering, steer_again;
};

/* control.c */
/* As control_new(). `parts` must outlive it. */
int control_new_of(const struct control_parts *parts, struct config *config, const char *keylog,
		   struct control **ret, struct errtext *e);
int state_init(struct state *s, struct config *config); /* takes the configuration over */
void state_done(struct state *s);
void control_warn_expiry(struct control *c);
/* Sessions in clear text of the neighbor at `at` of the configuration now; 0 where none may be. */
unsigned control_clear_count(const struct control *c, size_t at);

/* control_steering.c */
#define AUDIT_MS 30000 /* is what we programmed still there? */
bool control_resolve(
	struct control *c,
	struct state *s); /* own addresses as the kernel has them now; true: others than before */
int control_steer(struct control *c, const struct state *s, struct errtext *e);
void control_steer_later(struct control *c); /* it failed: once more in a while */
/* For the loop: of control.watch, .network_changed and .audit. */
void control_on_netlink(void *arg, unsigned events);
void control_on_network_settled(void *arg);
void control_on_audit(void *arg);

/* control_reload.c */
/* `req` is answered when it is over; NULL: the log tells. */
void control_reload(struct control *c, struct ctl_request *req, bool dry_run);
/* A worker answered a batch, or died while its answer was due. */
void control_on_applied(struct control *c, struct child *child, uint32_t id, const char *error);
void control_reload_free(struct control *c);
/* Checks certificates and keys of every neighbor; reports each bad one. Returns their number or
 * -ENOMEM. A certificate of ours that expired while it was in force (`in_force` may be NULL) is
 * reported but does not count: it must not stand in the way of changes elsewhere. A new one that
 * has expired does. */
int check_credentials(const struct config *config, const struct files *files,
		      const struct files *in_force, config_report_fn *report, void *arg);

/* control_workers.c */
extern const struct child_callbacks control_child_callbacks;
/* Sends configuration, files and listeners; the answer carries `id`. */
int control_send_batch(struct control *c, struct child *child, const struct state *s, uint32_t id);
/* The same with what is in force now and id 0. A worker that cannot have it is of no use: it is
 * started again. */
void control_give(struct control *c, struct child *child);
/* It ends with its sessions, and another one is started. */
void control_end_worker(struct child *child);
void control_clear_ended(struct control *c, const char *name);

/* control_ao.c */
int control_ao_start(struct control *c);
void control_ao_stop(struct control *c);
/* Keys as they are to be now, on listeners and connections; may be called at any time. */
void control_ao_follow(struct control *c);
/* Sessions that a new key does not end after all. */
void control_ao_plan(const struct control *c, struct plan *p);
/* A reload has changed neighbors: their connections get their keys. */
void control_ao_reloaded(struct control *c, const struct plan *p);
void control_on_ao_connection(struct control *c, const struct ipc_message *m);
bool control_ao_is_connection(struct control *c, int fd, const struct neighbor_config *n);
/* control_ao_turn_on.c */
void control_on_want_ao(struct control *c, struct child *child, const struct ipc_message *m);

/* control_commands.c */
void control_on_request(void *arg, struct ctl_request *req, const struct jv *request);
void control_on_status(struct control *c, struct child *child, struct ipc_message *m);
void control_on_child_silent(struct control *c, struct child *child);
/* The configuration is another one: what is being shown of the neighbors begins anew. */
void control_gathers_renew(struct control *c);
void control_gathers_free(struct control *c);

/* control_capture.c */
void control_capture(struct control *c, struct ctl_request *req, const struct neighbor_config *n);
/* A worker that was started takes part in what is being captured; of one that died it is said. */
void control_captures_resume(struct control *c, struct child *child);
void control_captures_tell_death(struct control *c, struct child *child);
/* The configuration is another one: what it no longer allows ends. */
void control_captures_recheck(struct control *c);
void control_captures_free(struct control *c);

/* control_handover.c */
/* Takes what a predecessor has left with the service manager. */
int control_handover_new(struct control *c);
void control_handover_free(struct control *c);
/* A worker has its configuration: it gets an end where a successor can ask it, and the sessions of
 * workers that are without control. */
void control_handover_started(struct control *c, struct child *child);
void control_handover_died(struct control *c, struct child *child);
void control_handover_on_taken(struct control *c, struct child *child, const struct ipc_message *m);
/* A successor can ask this worker: it may live on without us. */
bool control_handover_has(const struct control *c, const struct child *child);
/* Which neighbors may be in clear text has changed. */
void control_handover_fallback(struct control *c);
/* No successor is to come. */
void control_handover_stop(struct control *c);
/* Adds `draining` to an answer: old workers with sessions of their own. 0 or -ENOMEM. */
int control_handover_status(const struct control *c, struct jv *o);

/* control_metrics.c */
int control_metrics_new(struct control *c);
void control_metrics_free(struct control *c);
/* What metrics-listen says: *ret_fd is a listener, or -1 without one. -errno with *e. */
int control_metrics_open(const struct config *config, int *ret_fd, struct errtext *e);
/* The listener from now on (taken over); -1: no HTTP. Starts and stops the process. */
void control_metrics_listen(struct control *c, int fd);
void control_metrics_ask(struct control *c, struct ctl_request *req);
void control_metrics_on_message(struct control *c, struct child *child,
				const struct ipc_message *m);
void control_metrics_on_death(struct control *c, struct child *child);
bool control_metrics_reaped(struct control *c, pid_t pid, int status);
/* The configuration is another one: a snapshot that is being made begins anew. */
void control_metrics_renew(struct control *c);

#endif
