/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From configuration files to blocks of settings that are not interpreted yet, and the list of what
 * is wrong with them. config_scan.c makes a text safe for libconfuse, config_parse.c is the one
 * file that sees libconfuse.
 */
#ifndef BOTLS_CONFIG_PARSE_H
#define BOTLS_CONFIG_PARSE_H

#include "config_schema.h"

#define CONFIG_BYTES_MAX    (32 << 20) /* of all files together */
#define CONFIG_FILES_MAX    BOTLS_NEIGHBORS_MAX
#define CONFIG_PROBLEMS_MAX 1000 /* the rest is counted */

/* Where something stands. `file` numbers the files in the order of reading; line 0: the file as
 * such. */
struct place {
	unsigned file, line;
};

struct problems;
int problems_new(struct problems **ret);
void problems_free(struct problems *p);
/* Names the next file; returns its number, or -ENOMEM. */
int problems_add_file(struct problems *p, const char *name);
const char *problems_file(const struct problems *p, unsigned file);
void problems_add(struct problems *p, struct place at, const char *fmt, ...) PRINTF(3, 4);
/* Zero when nothing is wrong. */
size_t problems_count(const struct problems *p);
/* Hands all of them over by file and line; those of one line in the order in which they were found.
 */
void problems_report(struct problems *p, config_report_fn *report, void *arg);

static inline void cleanup_problems(struct problems **p)
{
	problems_free(*p);
}

/* An option as it was written. */
struct setting {
	const struct option *option;
	char **values;
	size_t n_values;
	unsigned line;
	bool is_bad; /* its value was refused */
};

/* A neighbor block, or what stands outside of all of them. */
struct block {
	struct place begin;
	char *title; /* NULL: could not be read */
	struct setting *settings;
	size_t n_settings;
	uint64_t set;	    /* option_bit() of the settings */
	bool is_incomplete; /* something in it was not understood: what is missing is not to be
			       complained about */
};

struct blocks {
	struct block globals;
	struct block *neighbors;
	size_t n_neighbors;
};
void blocks_done(struct blocks *b);

/* A part of a scanned text that libconfuse parses by itself, so that an error spoils only this
 * part. */
struct chunk {
	char *text; /* in the scanned text, not terminated */
	size_t len;
	unsigned line; /* of its first byte */
	bool is_neighbor;
	bool is_incomplete;
};
struct scanned {
	char *text;
	struct chunk *chunks;
	size_t n_chunks;
};

/* Reports what libconfuse would swallow, and takes it out. 0 or -ENOMEM. `only_neighbors`: a file
 * of neighbors.d. */
int config_scan(const char *text, size_t len, unsigned file, bool only_neighbors,
		struct problems *p, struct scanned *ret);
void scanned_done(struct scanned *s);

/* Adds what the text says to `b`. Everything that is wrong goes to `p`. 0 or -ENOMEM. */
int config_parse(const char *text, size_t len, unsigned file, bool only_neighbors,
		 struct problems *p, struct blocks *b);

/* Reads and parses `path` and its neighbors.d. 0, -ENOMEM, or -errno of the first file that cannot
 * be read (also in `p`). */
int config_parse_files(const char *path, struct problems *p, struct blocks *b);

/* What one option alone does not show. */
void config_check_globals(const struct config *c, const struct block *globals, struct problems *p);
/* `n` is complete; `globals` is what it inherits from. */
void config_check_neighbor(const struct neighbor_config *n, const struct block *block,
			   const struct block *globals, struct problems *p);

#endif
