// SPDX-License-Identifier: Apache-2.0
#include "metrics_text_internal.h"

#include <errno.h>

#define SNAPSHOT_MAX ((off_t)1 << 30)

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool is_consistent(const struct metrics_snapshot *s)
{
	const struct botls_metrics_head *h = &s->head;

	if (!is_text(h->version, sizeof(h->version)) || !is_text(h->steering, sizeof(h->steering)))
		return false;
	for (size_t i = 0; i < h->n_neighbors; i++) {
		const struct botls_metrics_neighbor *n = &s->neighbors[i];

		if (!is_text(n->name, sizeof(n->name)) ||
		    !is_text(n->description, sizeof(n->description)) ||
		    !is_text(n->mode, sizeof(n->mode)) || !is_text(n->role, sizeof(n->role)))
			return false;
	}
	for (size_t i = 0; i < h->n_rows; i++)
		if (s->rows[i].neighbor >= h->n_neighbors ||
		    (i && s->rows[i].neighbor < s->rows[i - 1].neighbor))
			return false;
	return true;
}

static int find_rows(struct metrics_snapshot *s)
{
	size_t row = 0;

	s->first_row = calloc(s->head.n_neighbors + 1, sizeof(*s->first_row));
	if (!s->first_row)
		return -ENOMEM;
	s->worker_sums = calloc(s->head.n_workers + 1, sizeof(*s->worker_sums));
	if (!s->worker_sums)
		return -ENOMEM;
	for (size_t r = 0; r < s->head.n_rows; r++)
		for (size_t w = 0; w < s->head.n_workers; w++)
			for (size_t k = 0; s->workers[w].id == s->rows[r].worker && k < BM_VALUES;
			     k++)
				s->worker_sums[w][k] += s->rows[r].v[k];
	for (size_t i = 0; i <= s->head.n_neighbors; i++) {
		while (row < s->head.n_rows && s->rows[row].neighbor < i)
			row++;
		s->first_row[i] = row;
	}
	return 0;
}

static int read_whole(int fd, char *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, buf + done, len - done, done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EINVAL;
		done += n;
	}
	return 0;
}

static void cleanup_snapshot(struct metrics_snapshot **s)
{
	metrics_snapshot_free(*s);
}

int metrics_snapshot_read(int fd, struct metrics_snapshot **ret, struct errtext *e)
{
	__attribute__((cleanup(cleanup_snapshot))) struct metrics_snapshot *s =
		calloc(1, sizeof(*s));
	uint64_t len = sizeof(s->head);
	off_t size;
	int r;

	if (!s)
		return errtext_set(e, -ENOMEM, "out of memory");
	size = lseek(fd, 0, SEEK_END); /* fstat() is not for a confined process */
	if (size < 0)
		return errtext_set(e, -errno, "%s", strerror(errno));
	if (size < (off_t)sizeof(s->head) || size > SNAPSHOT_MAX)
		return errtext_set(e, -EINVAL, "this is no snapshot of metrics");
	s->data = malloc(size);
	if (!s->data)
		return errtext_set(e, -ENOMEM, "out of memory");
	r = read_whole(fd, s->data, size);
	if (r < 0)
		return errtext_set(e, r, "%s", strerror(-r));
	memcpy(&s->head, s->data, sizeof(s->head));
	if (s->head.magic != BOTLS_METRICS_MAGIC || s->head.format != BOTLS_METRICS_FORMAT)
		return errtext_set(e, -EINVAL, "botlsd has another version");
	s->workers = (const void *)(s->data + len);
	len += (uint64_t)s->head.n_workers * sizeof(*s->workers);
	s->neighbors = (const void *)(s->data + len);
	len += (uint64_t)s->head.n_neighbors * sizeof(*s->neighbors);
	s->rows = (const void *)(s->data + len);
	len += (uint64_t)s->head.n_rows * sizeof(*s->rows);
	if (len != (uint64_t)size || !is_consistent(s))
		return errtext_set(e, -EINVAL, "this is no snapshot of metrics");
	if (find_rows(s) < 0)
		return errtext_set(e, -ENOMEM, "out of memory");
	*ret = TAKE(s);
	return 0;
}

void metrics_snapshot_free(struct metrics_snapshot *s)
{
	if (!s)
		return;
	free(s->data);
	free(s->first_row);
	free(s->worker_sums);
	free(s);
}
