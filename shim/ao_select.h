/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several listeners of one port, and a BPF program (sk_reuseport) that says which of them a
 * connection comes to: by its source, and by whether it carries TCP-AO. So one port serves
 * neighbors whose TCP-AO keys would exclude each other, and those that may come without.
 *
 * Without an entry for its source a connection comes to listener 0. Nothing is pinned: it ends with
 * the listeners.
 */
#ifndef BOTLS_AO_SELECT_H
#define BOTLS_AO_SELECT_H

#include "addr.h"
#include "util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ao_select;

struct ao_select_entry {
	const struct addr *source; /* host or prefix; its interface does not count */
	unsigned listener;	   /* 1 ... BOTLS_AO_KINDS (botls/bpf.h) */
	bool may_go_without;	   /* without TCP-AO it comes to listener 0, else to its own */
};

/* -errno with *e: the kernel does not take the program. */
int ao_select_new(struct ao_select **ret, struct errtext *e);
/* What was attached stays in force for as long as there are listeners. NULL is fine. */
void ao_select_free(struct ao_select *s);

/* Listener 0 of a family, which listens and has SO_REUSEPORT: those that join its group later get
 * nothing that is not theirs. The descriptor is borrowed. -errno. */
int ao_select_attach(struct ao_select *s, sa_family_t family, int fd);
/* Another one, of its group; it leaves when it is closed. */
int ao_select_add(struct ao_select *s, sa_family_t family, unsigned listener, int fd);

/* Exactly these from now on; one after the other. On error some of them may not be in force. */
int ao_select_set(struct ao_select *s, const struct ao_select_entry *entries, size_t n);

#endif
