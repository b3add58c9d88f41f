// SPDX-License-Identifier: Apache-2.0
#include "http_server.h"
#include "loop.h"
#include "loop_internal.h"
#include "sock.h"
#include "util.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <sys/socket.h>

#define LOOK_MS	 200  /* how often is seen which connections have gone */
#define PAUSE_MS 1000 /* after accept() failed: no descriptor, no memory */

/* A connection from its accept on. evhttp tells of one only when it has brought a request, so we
 * hold the bufferevent: it has lost its callbacks when evhttp has given it up. */
struct connection {
	struct connection *next;
	struct bufferevent *bev;
	uint64_t begun_ms;
	bool is_ended; /* by us */
};

struct http_request {
	struct http_server *server;
	struct http_request *next, **link;
	struct evhttp_request *ev;
	struct http_stream stream;
	bool is_streaming;
};

struct http_server {
	struct http_server_params p;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct connection *connections;
	size_t n_connections;
	struct http_request *requests;
	struct timer *look;
	uint64_t paused_until;
};

/* --- connections
 * -------------------------------------------------------------------------------------------------------
 */

static bool has_gone(const struct connection *c)
{
	bufferevent_data_cb read, write;
	bufferevent_event_cb event;

	bufferevent_getcb(c->bev, &read, &write, &event, NULL);
	return !read && !write && !event;
}

static void drop_connection(struct http_server *s, struct connection **p)
{
	struct connection *c = *p;

	*p = c->next;
	s->n_connections--;
	bufferevent_decref(c->bev);
	free(c);
}

/* evhttp then sees the end of the stream. */
static void end_if_old(const struct http_server *s, struct connection *c)
{
	if (c->is_ended || loop_now_ms() - c->begun_ms < s->p.life_ms)
		return;
	c->is_ended = true;
	shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
}

static void look(struct http_server *s)
{
	for (struct connection **p = &s->connections; *p;) {
		if (has_gone(*p)) {
			drop_connection(s, p);
			continue;
		}
		end_if_old(s, *p);
		p = &(*p)->next;
	}
	if (s->n_connections < s->p.max_connections && loop_now_ms() >= s->paused_until)
		evconnlistener_enable(s->listener);
	if (s->n_connections || loop_now_ms() < s->paused_until)
		timer_set_ms(s->look, LOOK_MS);
}

static void on_look(void *arg)
{
	look(arg);
}

static void pause_accept(struct http_server *s)
{
	evconnlistener_disable(s->listener);
	timer_set_ms(s->look, LOOK_MS);
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct http_server *s = arg;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct connection *c = bev ? calloc(1, sizeof(*c)) : NULL;

	if (c) {
		c->bev = bev;
		c->begun_ms = loop_now_ms();
		bufferevent_incref(bev);
		c->next = s->connections;
		s->connections = c;
		s->n_connections++;
	}
	if (!c || s->n_connections >= s->p.max_connections)
		pause_accept(s);
	else if (!timer_is_set(s->look))
		timer_set_ms(s->look, LOOK_MS);
	return bev;
}

static void on_accept_error(struct evconnlistener *l, void *arg)
{
	struct http_server *s = arg;

	(void)l;
	s->paused_until = loop_now_ms() + PAUSE_MS;
	pause_accept(s);
}

/* --- answers
 * -----------------------------------------------------------------------------------------------------------
 */

static void request_end(struct http_request *r)
{
	if (r->is_streaming && r->stream.on_done)
		r->stream.on_done(r->stream.arg);
	free(r);
}

static void request_free(struct http_request *r)
{
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	request_end(r);
}

/* Frees evhttp's request too when its client has gone. */
static void end_reply(struct http_request *r)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(r->ev);

	if (connection)
		evhttp_connection_set_closecb(connection, NULL, NULL);
	evhttp_send_reply_end(r->ev);
	request_free(r);
}

static bool is_head(const struct http_request *r)
{
	return evhttp_request_get_command(r->ev) == EVHTTP_REQ_HEAD;
}

static void set_header(const struct http_request *r, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(r->ev), name, value);
}

void http_answer(struct http_request *r, int status, const char *reason, const char *text)
{
	struct evbuffer *body = is_head(r) ? NULL : evbuffer_new();

	set_header(r, "Content-Type", "text/plain; charset=utf-8");
	if (body)
		evbuffer_add_printf(body, "%s\n", text);
	evhttp_send_reply(r->ev, status, reason, body);
	if (body)
		evbuffer_free(body);
	request_free(r);
}

static void send_more(struct http_request *r);

static void on_sent(struct evhttp_connection *connection, void *arg)
{
	(void)connection;
	send_more(arg);
}

static void send_more(struct http_request *r)
{
	struct evbuffer *piece = evbuffer_new();
	struct evbuffer_iovec v;
	size_t n = 0;

	if (piece && evbuffer_reserve_space(piece, HTTP_PIECE, &v, 1) == 1) {
		n = r->stream.more(r->stream.arg, v.iov_base, HTTP_PIECE);
		v.iov_len = n;
		evbuffer_commit_space(piece, &v, 1);
	}
	if (n)
		evhttp_send_reply_chunk_with_cb(r->ev, piece, on_sent, r);
	else
		end_reply(r);
	if (piece)
		evbuffer_free(piece);
}

/* The client has gone in the middle. */
static void on_closed(struct evhttp_connection *connection, void *arg)
{
	struct http_request *r = arg;

	(void)connection;
	if (!evhttp_request_get_connection(r->ev))
		end_reply(r);
}

void http_answer_stream(struct http_request *r, const struct http_stream *stream)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(r->ev);

	r->stream = *stream;
	r->is_streaming = true;
	if (!connection) {
		end_reply(r);
		return;
	}
	set_header(r, "Content-Type", stream->type);
	if (is_head(r)) {
		evhttp_send_reply(r->ev, 200, "OK", NULL);
		request_free(r);
		return;
	}
	evhttp_connection_set_closecb(connection, on_closed, r);
	evhttp_send_reply_start(r->ev, 200, "OK");
	send_more(r);
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	struct http_server *s = arg;
	struct http_request *r = calloc(1, sizeof(*r));
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(ev);
	const char *accept = evhttp_find_header(evhttp_request_get_input_headers(ev), "Accept");
	enum evhttp_cmd_type command = evhttp_request_get_command(ev);

	if (!r) {
		evhttp_send_reply(ev, 503, "Service Unavailable", NULL);
		return;
	}
	r->server = s;
	r->ev = ev;
	r->next = s->requests;
	r->link = &s->requests;
	if (r->next)
		r->next->link = &r->next;
	s->requests = r;
	set_header(r, "Connection", "close");
	set_header(r, "Cache-Control", "no-store");
	if (command != EVHTTP_REQ_GET && command != EVHTTP_REQ_HEAD) {
		set_header(r, "Allow", "GET, HEAD");
		http_answer(r, 405, "Method Not Allowed", "only GET and HEAD");
		return;
	}
	s->p.on_request(s->p.arg, r,
			uri && evhttp_uri_get_path(uri) ? evhttp_uri_get_path(uri) : "",
			accept ? accept : "");
}

/* --- life
 * --------------------------------------------------------------------------------------------------------------
 */

static int open_server(struct http_server *s)
{
	struct evhttp_bound_socket *bound;

	s->http = evhttp_new(loop_base(s->p.loop));
	if (!s->http)
		return -ENOMEM;
	evhttp_set_max_headers_size(s->http, HTTP_HEADERS_MAX);
	evhttp_set_max_body_size(s->http, 0);
	evhttp_set_timeout(s->http, HTTP_IDLE_S);
	evhttp_set_default_content_type(s->http, NULL);
	/* All of them, so that the answer can be 405. */
	evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
						    EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
						    EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
						    EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_set_gencb(s->http, on_request, s);
	evhttp_set_bevcb(s->http, on_connection, s);
	bound = evhttp_accept_socket_with_handle(s->http, s->p.fd);
	if (!bound)
		return -ENOMEM;
	s->p.fd = -1; /* evhttp's from now on */
	s->listener = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	return 0;
}

int http_server_new(const struct http_server_params *p, struct http_server **ret)
{
	struct http_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		close(p->fd);
		return -ENOMEM;
	}
	s->p = *p;
	s->p.max_connections = p->max_connections ? p->max_connections : HTTP_CONNECTIONS_MAX;
	s->p.life_ms = p->life_ms ? p->life_ms : HTTP_LIFE_MS;
	/* Connections inherit it. Without, the end of each piece waits for the client's delayed
	 * ACK. */
	sock_set_nodelay(p->fd);
	r = timer_new(p->loop, on_look, s, &s->look);
	if (r == 0)
		r = open_server(s);
	if (r < 0) {
		http_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void http_server_free(struct http_server *s)
{
	struct http_request *r, *next;

	if (!s)
		return;
	/* evhttp frees its requests with their connections; those without one are ours. */
	for (r = s->requests; r; r = r->next) {
		struct evhttp_connection *c = evhttp_request_get_connection(r->ev);

		if (c)
			evhttp_connection_set_closecb(c, NULL, NULL);
		else
			evhttp_request_free(r->ev);
	}
	if (s->http)
		evhttp_free(s->http);
	for (r = s->requests; r; r = next) {
		next = r->next;
		request_end(r);
	}
	while (s->connections)
		drop_connection(s, &s->connections);
	timer_free(s->look);
	cleanup_close(&s->p.fd);
	free(s);
}

size_t http_server_connections(const struct http_server *s)
{
	return s->n_connections;
}
