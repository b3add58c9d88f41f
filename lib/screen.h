/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal as one page that is drawn again and again: the alternate screen, keys without Enter.
 * What the terminal was before is put back by screen_close(), by exit(), and before any signal that
 * ends the program does so; a stopped program (Ctrl-Z) gives the terminal back until it goes on.
 *
 * There is one terminal, so there is one screen: it is opened at most once at a time. Plain ANSI
 * (ECMA-48) and DEC's private modes for the alternate screen, as every terminal of the last thirty
 * years has them.
 */
#ifndef BOTLS_SCREEN_H
#define BOTLS_SCREEN_H

#include <signal.h>
#include <stddef.h>

/* -ENOTTY: standard output is no terminal; or another -errno. Keys come from standard input, if
 * that is a terminal too. */
int screen_open(void);
void screen_close(void);

/* Columns and rows now; 80 and 24 when the terminal does not say. */
void screen_size(unsigned *ret_columns, unsigned *ret_rows);

/* Shows the text, which may hold ANSI colours: the first `head` lines always, of those behind them
 * as many as fit, from the one numbered `*first` (0 on), which is corrected when it lies past the
 * end. 0, or -errno when the terminal is gone. */
int screen_draw(const char *text, unsigned head, unsigned *first);

enum screen_event {
	SCREEN_TIMEOUT,
	SCREEN_RESIZED, /* or back in the foreground: draw again */
	SCREEN_UP,	/* a key: arrow or k */
	SCREEN_DOWN,	/* arrow, j, or blank */
	SCREEN_QUIT,	/* q, or Ctrl-C */
	SCREEN_GONE,	/* another signal that ends programs, or the terminal is gone */
};
/* Waits for at most that many milliseconds. */
enum screen_event screen_wait(unsigned ms);

/* Not 0 once a signal wants the program to end: its number. For other waits than screen_wait(). */
const volatile sig_atomic_t *screen_signal(void);

#endif
