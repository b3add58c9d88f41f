// SPDX-License-Identifier: Apache-2.0
#include "ctlserver.h"
#include "sock.h"

#include <botls/botls.h>
#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#define IDLE_MS 60000
#define READ_MS 30000
#define ACCEPT_PAUSE_MS                                                                            \
	1000 /* after EMFILE and its kind: the backlog stays readable, waiting is all there is */
#define BACKLOG	 BOTLS_CONTROL_CLIENTS_MAX
#define NO_GROUP ((gid_t)-1)

struct client {
	struct ctlserver *server;
	struct client *next;
	int fd;
	struct ucred cred;
	struct io *io;
	struct timer *deadline;
	struct timer *again; /* another line is already in `in` */
	char in[BOTLS_CONTROL_REQUEST_MAX];
	size_t have;
	struct ctl_request *request; /* being answered by those above */
	char *out;
	size_t out_len, out_done;
	int out_fd;   /* goes with the first byte of `out`; -1: none */
	bool is_last; /* close once `out` has left */
};

struct ctl_request {
	struct client *client; /* NULL: gone */
	uid_t uid;
	pid_t pid;
};

struct ctlserver {
	struct ctlserver_params p;
	char *path;
	gid_t group;
	bool is_bound;
	struct stat st; /* of the socket file, to know it again */
	int fd;
	struct io *io;
	struct timer *resume;
	struct client *clients;
	size_t n_clients;
};

static void client_free(struct client *c)
{
	struct client **link = &c->server->clients;

	while (*link && *link != c)
		link = &(*link)->next;
	if (*link) {
		*link = c->next;
		c->server->n_clients--;
	}
	if (c->request)
		c->request->client = NULL;
	io_free(c->io);
	timer_free(c->deadline);
	timer_free(c->again);
	close(c->fd);
	cleanup_close(&c->out_fd);
	free(c->out);
	free(c);
}

/* A line, or as many bytes as a line may have. */
static bool has_line(const struct client *c)
{
	return c->have == sizeof(c->in) || memchr(c->in, '\n', c->have);
}

/* The one place that says what a client waits for; a client that cannot wait is dropped. The time
 * for the next request does not start anew with every byte of it. */
static void client_wait(struct client *c)
{
	const struct ctlserver_params *p = &c->server->p;
	unsigned want = c->out ? IO_WRITE : c->request || has_line(c) ? 0 : IO_READ;
	int r = io_set(c->io, want);

	if (r == 0 && c->request)
		timer_stop(c->deadline);
	else if (r == 0)
		r = timer_set_ms(c->deadline, c->out ? p->read_ms : p->idle_ms);
	if (r < 0)
		client_free(c);
}

static ssize_t send_some(struct client *c)
{
	const struct iovec part = {c->out + c->out_done, c->out_len - c->out_done};
	ssize_t n = sock_send_fds(c->fd, &part, 1, &c->out_fd, c->out_fd >= 0);

	if (n >= 0 && c->out_fd >= 0)
		close(TAKE_FD(c->out_fd));
	return n;
}

/* Sends what it can of the answer. When all has left, the next line may be looked at. */
static void client_flush(struct client *c)
{
	while (c->out_done < c->out_len) {
		ssize_t n = send_some(c);

		if (n == -EAGAIN) {
			/* The deadline is for the whole answer: it runs from the first wait on. */
			if (!(io_wanted(c->io) & IO_WRITE))
				client_wait(c);
			return;
		}
		if (n < 0) {
			client_free(c);
			return;
		}
		c->out_done += n;
	}
	free(TAKE(c->out));
	if (c->is_last || (has_line(c) && timer_defer(c->again) < 0)) {
		client_free(c);
		return;
	}
	client_wait(c);
}

static void client_send(struct client *c, const struct jv *answer)
{
	c->out_done = 0;
	c->out = jv_dump_line(answer, &c->out_len);
	if (!c->out) {
		client_free(c);
		return;
	}
	client_flush(c);
}

static struct jv *refusal(const char *error, const char *hint)
{
	_cleanup_jv_ struct jv *answer = jv_object_new();
	int r;

	r = jv_set_bool(answer, "ok", false);
	r |= jv_set_string(answer, "error", error);
	r |= jv_set_string(answer, "hint", hint);
	return r < 0 ? NULL : TAKE(answer);
}

static void client_refuse(struct client *c, const char *error, const char *hint)
{
	_cleanup_jv_ struct jv *answer = refusal(error, hint);

	client_send(c, answer);
}

int ctlserver_parse(const char *line, size_t len, struct jv **ret, struct errtext *e)
{
	_cleanup_jv_ struct jv *request = NULL;
	struct errtext problem;
	struct jv_cursor at;
	int r;

	r = jv_parse(line, len, &request, e);
	if (r < 0)
		return r;
	at = jv_enter(request, &problem);
	jv_need_string(&at, "command");
	if (jv_bad(&at))
		return errtext_set(e, -EINVAL, "%s", problem.text);
	*ret = TAKE(request);
	return 0;
}

/* Hands a request to those above. The client may be gone afterwards. */
static void client_ask(struct client *c, const struct jv *request)
{
	struct ctlserver *s = c->server;
	struct ctl_request *req = calloc(1, sizeof(*req));

	if (!req) {
		client_free(c);
		return;
	}
	*req = (struct ctl_request){.client = c, .uid = c->cred.uid, .pid = c->cred.pid};
	c->request = req;
	client_wait(c);
	if (!req->client) { /* could not even wait */
		free(req);
		return;
	}
	s->p.on_request(s->p.arg, req, request);
}

/* Takes the first line out of the buffer and has it answered. */
static void client_next_line(struct client *c)
{
	_cleanup_jv_ struct jv *request = NULL;
	char *newline = memchr(c->in, '\n', c->have);
	struct errtext e;
	int r;

	if (!newline) {
		c->is_last = true; /* where the next request begins is unknown */
		errtext_set(&e, 0, "the request is longer than %zu bytes", sizeof(c->in));
		client_refuse(c, e.text, NULL);
		return;
	}
	r = ctlserver_parse(c->in, newline - c->in, &request, &e);
	c->have -= newline + 1 - c->in;
	memmove(c->in, newline + 1, c->have);
	if (r < 0)
		client_refuse(c, e.text, "a request is one line: {\"command\": \"show\"}");
	else
		client_ask(c, request);
}

static void client_read(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_free(c);
		return;
	}
	c->have += n;
	if (has_line(c))
		client_next_line(c);
}

static void on_client(void *arg, unsigned events)
{
	struct client *c = arg;

	if (events & IO_WRITE)
		client_flush(c);
	else
		client_read(c);
}

static void on_again(void *arg)
{
	client_next_line(arg);
}

static void on_deadline(void *arg)
{
	client_free(arg);
}

void ctl_request_answer_fd(struct ctl_request *req, struct jv *answer, int fd)
{
	_cleanup_jv_ struct jv *mine = answer;
	_cleanup_close_ int my_fd = fd;
	struct client *c = req->client;

	free(req);
	if (!c)
		return;
	c->request = NULL;
	c->out_fd = TAKE_FD(my_fd);
	if (!jv_get(mine, "ok") && jv_set_bool(mine, "ok", true) < 0)
		client_free(c);
	else
		client_send(c, mine);
}

void ctl_request_answer(struct ctl_request *req, struct jv *answer)
{
	ctl_request_answer_fd(req, answer, -1);
}

void ctl_request_fail(struct ctl_request *req, const char *error, const char *hint)
{
	ctl_request_answer(req, refusal(error, hint));
}

uid_t ctl_request_uid(const struct ctl_request *req)
{
	return req->uid;
}

pid_t ctl_request_pid(const struct ctl_request *req)
{
	return req->pid;
}

/* SO_PEERCRED has the primary group only; SO_PEERGROUPS (Linux 4.13) the others, as they were at
 * connect(). */
static bool is_member(int fd, const struct ucred *cred, gid_t group)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t len = 0;

	if (group == NO_GROUP)
		return false;
	if (cred->gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE)
		return false;
	groups = malloc(len);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* A client that is not served is told why; what does not fit into an empty socket buffer at once is
 * not sent. */
static void turn_away(int fd, const char *error, const char *hint)
{
	_cleanup_jv_ struct jv *answer = refusal(error, hint);
	_cleanup_free_ char *line = answer ? jv_dump_line(answer, NULL) : NULL;
	ssize_t n = line ? send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	(void)n;
}

/* Takes `fd` over. */
static int client_new(struct ctlserver *s, int fd, const struct ucred *cred)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->server = s;
	c->fd = fd;
	c->out_fd = -1;
	c->cred = *cred;
	if (io_add(s->p.loop, fd, on_client, c, &c->io) < 0 ||
	    timer_new(s->p.loop, on_deadline, c, &c->deadline) < 0 ||
	    timer_new(s->p.loop, on_again, c, &c->again) < 0) {
		client_free(c);
		return -ENOMEM;
	}
	c->next = s->clients;
	s->clients = c;
	s->n_clients++;
	client_wait(c);
	return 0;
}

static void welcome(struct ctlserver *s, int fd)
{
	_cleanup_close_ int mine = fd;
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(mine, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return;
	if (cred.uid != 0 && !is_member(mine, &cred, s->group))
		turn_away(mine, "not allowed",
			  "be root, or a member of the control-group of botlsd.conf");
	else if (s->n_clients >= BOTLS_CONTROL_CLIENTS_MAX)
		turn_away(mine, "too many clients of the control socket", "try again");
	else
		client_new(s, TAKE_FD(mine), &cred);
}

/* One per turn: the socket stays readable while more are waiting. */
static void on_accept(void *arg, unsigned events)
{
	struct ctlserver *s = arg;
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0) {
		welcome(s, fd);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	if (timer_set_ms(s->resume, ACCEPT_PAUSE_MS) == 0)
		io_set(s->io, 0);
}

static void on_resume(void *arg)
{
	struct ctlserver *s = arg;

	if (io_set(s->io, IO_READ) < 0)
		timer_set_ms(s->resume, ACCEPT_PAUSE_MS);
}

static int find_group(const char *name, gid_t *ret, struct errtext *e)
{
	const struct group *gr;

	if (!name) {
		*ret = NO_GROUP;
		return 0;
	}
	gr = getgrnam(name);
	if (!gr)
		return errtext_set(e, -EINVAL, "control-group: there is no group '%s'", name);
	*ret = gr->gr_gid;
	return 0;
}

static int set_owner(const char *path, gid_t group, struct errtext *e)
{
	if (lchown(path, -1, group == NO_GROUP ? 0 : group) < 0 || chmod(path, 0660) < 0)
		return errtext_set(e, -errno, "%s: cannot set owner and mode: %s", path,
				   strerror(errno));
	return 0;
}

int ctlserver_set_group(struct ctlserver *s, const char *group, struct errtext *e)
{
	gid_t gid = NO_GROUP;
	int r;

	r = find_group(group, &gid, e);
	if (r < 0)
		return r;
	r = set_owner(s->path, gid, e);
	if (r < 0)
		return r;
	s->group = gid;
	return 0;
}

/* Removes a socket file that a crash left behind; refuses when it is alive, or no socket at all. */
static int clear_path(const struct sockaddr_un *sun, struct errtext *e)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(sun->sun_path, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : errtext_set(e, -errno, "%s: %s", sun->sun_path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return errtext_set(e, -EEXIST, "%s exists and is not a socket", sun->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errtext_set(e, -errno, "cannot make a socket: %s", strerror(errno));
	/* EAGAIN: there is a listener, and its backlog is full. */
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 || errno == EAGAIN)
		return errtext_set(e, -EADDRINUSE,
				   "%s: another process answers there; is botlsd already running?",
				   sun->sun_path);
	if (errno != ECONNREFUSED && errno != ENOENT)
		return errtext_set(e, -errno, "%s: %s", sun->sun_path, strerror(errno));
	if (unlink(sun->sun_path) < 0 && errno != ENOENT)
		return errtext_set(e, -errno, "%s: cannot remove: %s", sun->sun_path,
				   strerror(errno));
	return 0;
}

static int make_directory(const char *path, struct errtext *e)
{
	_cleanup_free_ char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!dir)
		return errtext_set(e, -ENOMEM, "out of memory");
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, 0755) < 0)
		return errno == EEXIST ? 0
				       : errtext_set(e, -errno, "%s: cannot make the directory: %s",
						     dir, strerror(errno));
	/* Whatever the umask is: members of the group must come through. */
	if (chmod(dir, 0755) < 0)
		return errtext_set(e, -errno, "%s: cannot set the mode: %s", dir, strerror(errno));
	return 0;
}

/* Nobody can connect before owner and mode are right: listen() comes last. */
static int open_listener(struct ctlserver *s, struct errtext *e)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int r;

	if (strlen(s->path) >= sizeof(sun.sun_path))
		return errtext_set(e, -ENAMETOOLONG, "%s: longer than %zu bytes", s->path,
				   sizeof(sun.sun_path) - 1);
	strcpy(sun.sun_path, s->path);
	r = make_directory(s->path, e);
	if (r < 0)
		return r;
	r = clear_path(&sun, e);
	if (r < 0)
		return r;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return errtext_set(e, -errno, "cannot make a socket: %s", strerror(errno));
	if (bind(s->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return errtext_set(e, -errno, "%s: cannot bind: %s", s->path, strerror(errno));
	if (lstat(s->path, &s->st) < 0)
		return errtext_set(e, -errno, "%s: %s", s->path, strerror(errno));
	s->is_bound = true;
	r = set_owner(s->path, s->group, e);
	if (r < 0)
		return r;
	if (listen(s->fd, BACKLOG) < 0)
		return errtext_set(e, -errno, "%s: cannot listen: %s", s->path, strerror(errno));
	return 0;
}

static void remove_file(struct ctlserver *s)
{
	struct stat st;

	if (!s->is_bound || lstat(s->path, &st) < 0)
		return;
	if (st.st_dev == s->st.st_dev && st.st_ino == s->st.st_ino)
		unlink(s->path);
}

void ctlserver_free(struct ctlserver *s)
{
	struct client *c;

	if (!s)
		return;
	while ((c = s->clients)) {
		s->clients = c->next;
		client_free(c);
	}
	io_free(s->io);
	timer_free(s->resume);
	remove_file(s);
	if (s->fd >= 0)
		close(s->fd);
	free(s->path);
	free(s);
}

static void cleanup_ctlserver(struct ctlserver **s)
{
	ctlserver_free(*s);
}

int ctlserver_new(const struct ctlserver_params *p, struct ctlserver **ret, struct errtext *e)
{
	__attribute__((cleanup(cleanup_ctlserver))) struct ctlserver *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return errtext_set(e, -ENOMEM, "out of memory");
	s->p = *p;
	s->p.path = s->p.group = NULL; /* the caller's; not kept */
	s->p.idle_ms = p->idle_ms ? p->idle_ms : IDLE_MS;
	s->p.read_ms = p->read_ms ? p->read_ms : READ_MS;
	s->fd = -1;
	s->path = strdup(p->path);
	if (!s->path)
		return errtext_set(e, -ENOMEM, "out of memory");
	r = find_group(p->group, &s->group, e);
	if (r < 0)
		return r;
	r = open_listener(s, e);
	if (r < 0)
		return r;
	r = io_add(p->loop, s->fd, on_accept, s, &s->io);
	if (r == 0)
		r = timer_new(p->loop, on_resume, s, &s->resume);
	if (r == 0)
		r = io_set(s->io, IO_READ);
	if (r < 0)
		return errtext_set(e, r, "%s: %s", p->path, strerror(-r));
	*ret = TAKE(s);
	return 0;
}
