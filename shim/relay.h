/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves bytes both ways between two transports, and passes every end on as the same kind of end:
 * FIN as FIN (TLS: close_notify first), RST and a broken TLS stream as RST. Bytes that came before
 * an end are delivered before it, also before an RST: a NOTIFICATION in flight arrives.
 *
 * Nothing is read from one side while the other does not take what was read before, so that a stuck
 * peer stays visible to the BGP timers (RFC 4271 6.5, RFC 9687). Memory: at most 32 KiB per
 * direction, and only while a side is stuck. All that waits is bounded in time (the RELAY_*_MS
 * below).
 */
#ifndef BOTLS_RELAY_H
#define BOTLS_RELAY_H

#include "loop.h"
#include "transport.h"

#include <stddef.h>
#include <stdint.h>

/* What is readable together leaves together, up to this much. */
#define RELAY_BUFFER 32768
/* Bytes per direction and callback, before others get their turn. */
#define RELAY_BUDGET (256 * 1024)
/* A side from which piece after piece comes, each smaller than this and nothing from the other side
 * in between, is read only every RELAY_GATHER_MS: a daemon that writes a table message by message
 * costs a fraction then, and a KEEPALIVE is never held up. */
#define RELAY_PIECE	4096
#define RELAY_PIECES	8
#define RELAY_GATHER_MS 1
/* What an edit may add to what it is given. */
#define RELAY_EDIT_ROOM 8192
/* Once the session is ending: without progress, and in all, until the rest is given up with RST. */
#define RELAY_STALL_MS	5000
#define RELAY_LINGER_MS 30000
/* Half closed and no byte from the other half: as long as Linux keeps a FIN_WAIT2. */
#define RELAY_HALF_CLOSED_MS 60000

enum relay_side {
	RELAY_INNER, /* the daemon */
	RELAY_OUTER, /* the neighbor */
	RELAY_US,    /* in struct relay_end only */
};

enum relay_how {
	RELAY_EOF,     /* an orderly end */
	RELAY_RESET,   /* RST, a timeout of TCP, a broken TLS stream; the text says which */
	RELAY_ERROR,   /* our own: out of memory */
	RELAY_CLOSED,  /* relay_close() */
	RELAY_ABORTED, /* relay_abort() */
};

struct relay_end {
	enum relay_side first; /* who ended first */
	enum relay_how how;    /* and how */
	char text[256];	       /* why, "" for an orderly end */
	uint64_t bytes[2];     /* read from the inner and the outer side */
	uint64_t lost[2];      /* of these, not handed to the socket of the other side */
};

/* How long is waited for what. */
struct relay_limits {
	unsigned stall_ms, linger_ms, half_closed_ms;
};

struct relay_callbacks {
	/* Bytes read from one side, in order, before they are written to the other: as the daemon
	 * sends and gets them. May be NULL. */
	void (*on_bytes)(void *arg, enum relay_side from, const void *data, size_t len);
	/* Once, from the loop, when both sides are closed; not after relay_abort(). *end is gone
	 * with the call. */
	void (*on_end)(void *arg, const struct relay_end *end);
	/* NULL: malloc(). What it returns is freed with free(). */
	void *(*alloc)(size_t size);
	/* NULL: the RELAY_*_MS above. */
	const struct relay_limits *limits;
};

/* Both callbacks may call any function here, relay_free() too. */
struct relay;

/* Takes both transports over, also when it fails: 0 or -ENOMEM or another -errno of the loop. No
 * callback is called before the loop runs. `callbacks` outlives the relay. */
int relay_new(struct loop *loop, struct transport *inner, struct transport *outer,
	      const struct relay_callbacks *callbacks, void *arg, struct relay **ret);

/* An orderly end towards both: what was read is delivered, then close_notify and FIN; what still
 * comes is dropped. on_end follows, within RELAY_LINGER_MS; a side that took not even our end by
 * then gets RST. -ENOMEM: nothing was done, relay_abort() is left. */
int relay_close(struct relay *r);

/* From now on much may pass inside of the kernel (relay_splice.h), where both transports can. */
void relay_allow_splice(struct relay *r);

/* Puts something else in the place of what comes from a side: `len` bytes in `data`, which has room
 * for RELAY_EDIT_ROOM more. Returns how many there are now. It may keep some for later; with
 * is_last, nothing comes after these (which may be none). It ends no session. */
typedef size_t relay_edit_fn(void *arg, enum relay_side from, uint8_t *data, size_t len,
			     bool is_last);
/* NULL: as it comes, from the next read on. */
void relay_set_edit(struct relay *r, enum relay_side from, relay_edit_fn *edit);

/* Nothing is read and nothing is written until the pause is over; not from inside a callback.
 * -ENOMEM. */
int relay_pause(struct relay *r, bool is_paused);

/* RST to both at once; on_end will not be called. *ret_end, if not NULL, says how it stood. */
void relay_abort(struct relay *r, struct relay_end *ret_end);

/* Aborts what still runs. NULL is fine. */
void relay_free(struct relay *r);

/* --- a relay that goes on in another process, in mid-stream */

#define RELAY_HELD_MAX (RELAY_BUFFER + RELAY_EDIT_ROOM)
struct relay_state {
	struct {
		const uint8_t *held; /* read, not taken by the other side yet; borrowed */
		size_t held_len;     /* at most RELAY_HELD_MAX */
		uint64_t read, written, blocked_ms;
	} from[2]; /* by enum relay_side */
};

/* Nothing is read or written until relay_thaw(). -EBUSY: an end is being passed on, or a callback
 * of this relay is running. */
int relay_freeze(struct relay *r);
int relay_thaw(struct relay *r); /* -ENOMEM: it stays frozen */
/* Of a frozen one. */
void relay_get_state(const struct relay *r, struct relay_state *ret);
/* As relay_new(), with the state that another relay had; frozen. */
int relay_new_frozen(struct loop *loop, struct transport *inner, struct transport *outer,
		     const struct relay_callbacks *callbacks, void *arg,
		     const struct relay_state *state, struct relay **ret);
/* Frees a frozen relay and its transports, whose connections stay for whoever has them too: no end
 * is sent, no callback comes. NULL is fine. */
void relay_leave(struct relay *r);

/* NULL once the relay has ended. */
struct transport *relay_transport(const struct relay *r, enum relay_side side);
uint64_t relay_bytes(const struct relay *r, enum relay_side from);
/* Of these, handed to the socket of the other side. */
uint64_t relay_written(const struct relay *r, enum relay_side from);
/* For how long `side` has not taken what is ready for it; 0 when nothing waits. */
uint64_t relay_blocked_ms(const struct relay *r, enum relay_side side);
/* Memory held in buffers now. */
size_t relay_buffered(const struct relay *r);

#endif
