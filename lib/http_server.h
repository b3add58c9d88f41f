/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server for reading: GET and HEAD, everything else is refused. Only
 * http_server.c sees evhttp.
 *
 * Whoever connects is a stranger: connections, the bytes of a request, the time without a byte and
 * the time in all are limited (below); who is above the number waits in the listen queue. SIGPIPE
 * must be ignored.
 */
#ifndef BOTLS_HTTP_SERVER_H
#define BOTLS_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct loop;
struct http_server;
struct http_request;

#define HTTP_CONNECTIONS_MAX 32
#define HTTP_HEADERS_MAX     8192  /* bytes */
#define HTTP_IDLE_S	     10	   /* without a byte, either way */
#define HTTP_LIFE_MS	     60000 /* of a connection */

/* A request has come. It is answered exactly once, now or later, with one of the functions below,
 * whether its client is still there or not. `accept` is the header, "" without. */
typedef void http_request_fn(void *arg, struct http_request *r, const char *path,
			     const char *accept);

struct http_server_params {
	struct loop *loop;
	int fd; /* listening; taken over, also on failure */
	http_request_fn *on_request;
	void *arg;
	unsigned max_connections, life_ms; /* 0: as above */
};

int http_server_new(const struct http_server_params *p, struct http_server **ret);
/* Ends all connections. Requests that are not answered are gone then; those that stream get their
 * on_done. NULL is fine. */
void http_server_free(struct http_server *s);
size_t http_server_connections(const struct http_server *s);

/* A whole answer, text/plain. */
void http_answer(struct http_request *r, int status, const char *reason, const char *text);

struct http_stream {
	const char *type; /* Content-Type */
	/* Writes the next piece into `buf`; returns its length, 0 at the end. Asked when the one
	 * before has left. */
	size_t (*more)(void *arg, char *buf, size_t size);
	void (*on_done)(void *arg); /* the last call; the client may have taken all or nothing */
	void *arg;
};
#define HTTP_PIECE 65536 /* `size` of more() */
/* 200, piece by piece. */
void http_answer_stream(struct http_request *r, const struct http_stream *stream);

#endif
