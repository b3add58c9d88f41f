/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by relay.c (its life, events), relay_move.c (bytes in one direction), relay_end.c (how it
 * ends, and when), relay_state.c (in another process), and by nobody else. */
#ifndef BOTLS_RELAY_INTERNAL_H
#define BOTLS_RELAY_INTERNAL_H

#include "relay.h"

/* What a sink has not taken yet: from `at` on. */
struct held {
	uint64_t since_ms; /* when it took something last */
	size_t at, len;
	uint8_t data[];
};

struct direction {
	enum relay_side from;
	/* IO_READ or IO_WRITE: what it waits for at its source, at its sink */
	uint8_t want_in, want_out;
	bool again;	     /* goes on in a continuation */
	bool is_gathering;   /* goes on after RELAY_GATHER_MS */
	uint8_t pieces;	     /* small ones that came in a row */
	bool is_bulk;	     /* the last read brought much: the next one splices, if it may */
	bool is_spliced;     /* what was read is in the pipe as well */
	bool has_ended;	     /* the source has, there is nothing more to read */
	bool is_done;	     /* nothing more will be written, the end was passed on or cannot be */
	uint64_t piece_ms;   /* when the last of the pieces came */
	struct held *held;   /* NULL: nothing */
	relay_edit_fn *edit; /* NULL: none */
	uint64_t read, written;
};

struct end {
	struct relay *relay;
	struct transport *transport;
	struct io *io;
	bool is_dead;	  /* cannot be written to; what it sent may still be read */
	bool has_hung_up; /* its FIN is queued behind bytes that we do not read yet */
};

struct relay {
	const struct relay_callbacks *callbacks;
	void *arg;
	struct end ends[2];
	struct direction directions[2]; /* by source */
	struct loop *loop;
	struct timer *again;	/* NULL: nothing of its own accord */
	struct timer *deadline; /* from its first use on */
	uint64_t progress;	/* bytes moved less bytes unacknowledged, when it last changed: */
	uint64_t progress_ms, ending_ms, poll_ms;
	enum relay_side end_first; /* of struct relay_end */
	enum relay_how end_how;
	char *end_text;	  /* NULL: none */
	bool has_end;	  /* these are set */
	bool may_splice;  /* relay_allow_splice() */
	bool is_closing;  /* relay_close() */
	bool is_paused;	  /* relay_pause() */
	bool is_over;	  /* both transports are gone */
	bool tell_end;	  /* on_end is due */
	bool in_callback; /* of the loop: relay_free() leaves the memory to it */
	bool free_later;
};

static inline enum relay_side relay_other(enum relay_side side)
{
	return side == RELAY_INNER ? RELAY_OUTER : RELAY_INNER;
}

/* relay.c */
/* Takes both transports over; NULL: out of memory, and they are closed. */
struct relay *relay_make(struct transport *inner, struct transport *outer,
			 const struct relay_callbacks *callbacks, void *arg);
/* It waits for its sides, and looks at them once without waiting. 0 or -errno. */
int relay_start(struct relay *r, struct loop *loop);
/* It looks at both sides again by itself, after so long. 0 or -ENOMEM. */
int relay_again(struct relay *r, uint64_t ms);
/* Its memory, once the sides are closed. */
void relay_destroy(struct relay *r);
/* Time has passed: from the timer r->deadline. */
void relay_on_deadline(void *arg);

/* relay_move.c */
/* Moves what there is, up to RELAY_BUDGET; says in `d` what to wait for. May end the relay. */
void relay_pump(struct relay *r, struct direction *d);
/* Keeps what the sink has not taken; 0 or -ENOMEM. */
int relay_hold(struct relay *r, struct direction *d, const uint8_t *data, size_t len);
/* Nothing more is written in this direction. */
void relay_direction_done(struct direction *d);

/* relay_end.c */
/* Who ended first, and how; later ends are not noted. */
void relay_note_end(struct relay *r, enum relay_side first, enum relay_how how, const char *text);
void relay_get_end(const struct relay *r, struct relay_end *ret);
/* Nothing more goes to this side. What it sent before it died is still read and delivered. */
void relay_side_died(struct relay *r, enum relay_side side, const char *text);
/* Something of our own failed: this session ends, no other. */
void relay_fail(struct relay *r, int error);
/* Closes both sides now, by RST or as they are, and tells nobody. */
void relay_close_ends(struct relay *r, bool reset);
/* After anything has moved: is it over, and if not, what is next to wait for. */
void relay_settle(struct relay *r);

#endif
