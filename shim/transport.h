/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream that a relay reads and writes: TLS or plain TCP behind the same few functions.
 * A transport owns its descriptor. The relay never knows which kind it has.
 */
#ifndef BOTLS_TRANSPORT_H
#define BOTLS_TRANSPORT_H

#include "util.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum transport_result {
	IO_OK,	      /* *ret_n bytes moved, more than 0 */
	IO_WANT_READ, /* wait until the descriptor is readable */
	IO_WANT_WRITE,
	IO_EOF,	  /* an orderly end: FIN, for TLS after close_notify */
	IO_RESET, /* RST, or a truncated or broken TLS stream: pass it on as RST */
};

struct transport;
struct transport_ops {
	enum transport_result (*read)(struct transport *t, void *buf, size_t len, size_t *ret_n);
	/* Never IO_EOF. After a wait the same bytes are offered again; they may have moved. */
	enum transport_result (*write)(struct transport *t, const void *buf, size_t len,
				       size_t *ret_n);
	/* Ends our direction in an orderly way (close_notify, then FIN); reading goes on. IO_EOF
	 * when done, else what it waits for, or IO_RESET. */
	enum transport_result (*shutdown)(struct transport *t);
	/* Bytes to read that no event of the descriptor will announce. */
	bool (*has_pending)(const struct transport *t);
	/* False when the last read is known to have left nothing: another one would say
	 * IO_WANT_READ.
	 */
	bool (*may_have_more)(const struct transport *t);
	/* As the source or as the sink, the next two would work now. NULL: never. */
	bool (*can_splice)(const struct transport *t, bool is_source);
	/* Bytes to a pipe, without waiting. -EAGAIN: nothing is there (or the pipe is full);
	 * anything else below 1: read() will say what it is. */
	ssize_t (*splice_in)(struct transport *t, int pipe, size_t len);
	/* As write(), of bytes that are in the pipe. */
	enum transport_result (*splice_out)(struct transport *t, int pipe, size_t len,
					    size_t *ret_n);
	/* Bytes were written that TCP was not given yet. NULL: never. */
	bool (*has_unsent)(const struct transport *t);
	/* Why IO_RESET was returned, in words; valid until the next call. */
	const char *(*error)(const struct transport *t);
	void (*free)(struct transport *t); /* closes the descriptor */
};

struct transport {
	const struct transport_ops *ops;
	int fd;
	int error; /* errno of the IO_RESET; 0: none, or it says more than that */
};

/* Makes close() send RST instead of FIN. */
void transport_set_reset(struct transport *t);
/* Bytes written that the other end's TCP has not acknowledged yet; 0 when unknown, or when none
 * ever will be. */
size_t transport_unacked(const struct transport *t);

/* Both take `fd` over (also when they fail: it is closed). NULL when out of memory. */
struct transport *transport_tcp_new(int fd);
struct tls;
struct transport *
transport_tls_new(int fd, struct tls *tls); /* after the handshake; takes `tls` over too */
/* The struct tls inside, for the status; NULL for TCP. */
struct tls *transport_get_tls(struct transport *t);

#endif
