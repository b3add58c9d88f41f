// SPDX-License-Identifier: Apache-2.0
#include "credentials.h"

#include "botls/botls.h"
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <sys/stat.h>

struct file {
	char *path;
	char *data;
	size_t len;
};

struct files {
	void *tree; /* tsearch(3) of struct file by path */
};

struct context {
	const struct neighbor_config *of; /* whose identity settings it was made of */
	struct tls_ctx *ctx;		  /* NULL: could not be made */
	int result;			  /* then why: -errno, in words: */
	struct errtext error;
};

struct credentials {
	void (*keylog)(const char *line, void *arg);
	void *keylog_arg;
	void *tree; /* tsearch(3) of struct context */
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void file_free(void *p)
{
	struct file *f = p;

	secret_free(f->data);
	free(f->path);
	free(f);
}

int files_new(struct files **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void files_free(struct files *f)
{
	if (!f)
		return;
	tdestroy(f->tree, file_free);
	free(f);
}

static const struct file *files_get(const struct files *f, const char *path)
{
	const struct file key = {.path = (char *)path};
	struct file **found = path ? tfind(&key, (void *const *)&f->tree, by_path) : NULL;

	return found ? *found : NULL;
}

bool files_equal(const struct files *a, const struct files *b, const char *path)
{
	const struct file *x = files_get(a, path), *y = files_get(b, path);

	return x && y && x->len == y->len && memcmp(x->data, y->data, x->len) == 0;
}

/* Takes `file` over. */
static int insert(struct files *f, struct file *file)
{
	struct file **in_tree = tsearch(file, &f->tree, by_path);
	int r = !in_tree ? -ENOMEM : *in_tree != file ? -EEXIST : 0;

	if (r < 0)
		file_free(file);
	return r;
}

static struct file *file_new(const char *path)
{
	struct file *file = calloc(1, sizeof(*file));

	if (file)
		file->path = strdup(path);
	if (!file || !file->path) {
		free(file);
		return NULL;
	}
	return file;
}

int files_add(struct files *f, const char *path, int fd, size_t len)
{
	struct file *file;
	const void *sent;
	int r;

	if (len > CREDENTIAL_FILE_MAX)
		return -EFBIG;
	file = file_new(path);
	if (!file)
		return -ENOMEM;
	r = secret_map(fd, len, &sent);
	if (r == 0) {
		file->data = secret_alloc(len + 1);
		if (file->data)
			memcpy(file->data, sent, len);
		secret_unmap(sent, len);
		file->len = len;
		r = file->data ? 0 : -ENOMEM;
	}
	if (r < 0) {
		file_free(file);
		return r;
	}
	return insert(f, file);
}

/* Reads to the end; a file that is written to while it is read is caught when it does not parse. */
static int read_all(int fd, struct file *file)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > CREDENTIAL_FILE_MAX)
		return -EFBIG;
	file->data = secret_alloc(st.st_size + 1);
	if (!file->data)
		return -ENOMEM;
	while (file->len < (size_t)st.st_size) {
		ssize_t n = read(fd, file->data + file->len, st.st_size - file->len);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		file->len += n;
	}
	return 0;
}

static int read_file(struct files *f, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct file *file;
	int r;

	if (fd < 0)
		return -errno;
	file = file_new(path);
	if (!file)
		return -ENOMEM;
	r = read_all(fd, file);
	if (r < 0) {
		file_free(file);
		return r;
	}
	return insert(f, file);
}

static int read_path(struct files *f, const char *path, const char *origin,
		     config_report_fn *report, void *arg)
{
	char text[512];
	int r;

	if (!path || files_get(f, path))
		return 0;
	r = read_file(f, path);
	if (r == 0 || r == -ENOMEM)
		return r;
	snprintf(text, sizeof(text), "cannot read %s: %s%s", path,
		 r == -EINVAL ? "it is not a regular file" : strerror(-r),
		 r == -ENOENT	? ": put it there, or correct its name here"
		 : r == -EACCES ? ": be root, or let botlsd read it"
		 : r == -EFBIG	? ": it should hold some PEM text"
				: "");
	report(arg, origin, text);
	return 1;
}

int files_read(struct files *f, const struct config *c, config_report_fn *report, void *arg)
{
	int failed = 0;

	for (size_t i = 0; i < c->n_neighbors; i++) {
		const struct neighbor_config *n = &c->neighbors[i];
		const char *const paths[] = {n->identity.certificate, n->identity.key,
					     n->identity.ca, n->identity.crl};

		if (!neighbor_has_tls(n))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(paths); k++) {
			int r = read_path(f, paths[k], n->origin, report, arg);

			if (r < 0)
				return r;
			failed += r;
		}
	}
	return failed;
}

struct each_call {
	int (*each)(void *arg, const char *path, const void *data, size_t len);
	void *arg;
	int result;
};

static void on_each(const void *node, VISIT visit, void *arg)
{
	const struct file *file = *(struct file *const *)node;
	struct each_call *call = arg;

	if ((visit == postorder || visit == leaf) && call->result == 0)
		call->result = call->each(call->arg, file->path, file->data, file->len);
}

int files_each(const struct files *f,
	       int (*each)(void *arg, const char *path, const void *data, size_t len), void *arg)
{
	struct each_call call = {each, arg, 0};

	twalk_r(f->tree, on_each, &call);
	return call.result;
}

static int compare_text(const char *a, const char *b)
{
	if (!a || !b)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

/* Orders neighbors by everything that goes into a context. */
static int by_identity(const void *pa, const void *pb)
{
	const struct neighbor_config *na = ((const struct context *)pa)->of;
	const struct neighbor_config *nb = ((const struct context *)pb)->of;
	const struct identity_config *a = &na->identity, *b = &nb->identity;
	int r;

	if ((r = compare_text(a->certificate, b->certificate)) ||
	    (r = compare_text(a->key, b->key)) || (r = compare_text(a->ca, b->ca)) ||
	    (r = compare_text(a->crl, b->crl)) ||
	    (r = (int)na->min_version - (int)nb->min_version) ||
	    (r = a->check_eku - b->check_eku) || (r = a->check_address - b->check_address) ||
	    (r = (a->n_pins > b->n_pins) - (a->n_pins < b->n_pins)) ||
	    (r = a->n_pins ? memcmp(a->pins, b->pins, a->n_pins * SPKI_PIN_LEN) : 0) ||
	    (r = (a->n_dns_names > b->n_dns_names) - (a->n_dns_names < b->n_dns_names)))
		return r;
	for (size_t i = 0; i < a->n_dns_names; i++)
		if ((r = strcmp(a->dns_names[i], b->dns_names[i])))
			return r;
	return 0;
}

static void context_free(void *p)
{
	struct context *c = p;

	if (c->ctx)
		tls_ctx_unref(c->ctx);
	free(c);
}

int credentials_new(void (*keylog)(const char *line, void *arg), void *arg,
		    struct credentials **ret)
{
	struct credentials *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->keylog = keylog;
	c->keylog_arg = arg;
	*ret = c;
	return 0;
}

void credentials_free(struct credentials *c)
{
	if (!c)
		return;
	tdestroy(c->tree, context_free);
	free(c);
}

static int blob_of(const struct files *f, const char *path, struct tls_blob *ret, struct errtext *e)
{
	const struct file *file = files_get(f, path);

	if (!path)
		return 0;
	if (!file)
		return errtext_set(e, -EINVAL, "%s could not be read", path);
	*ret = (struct tls_blob){.path = file->path, .data = file->data, .len = file->len};
	return 0;
}

static int make_context(struct credentials *c, const struct files *f, struct context *new)
{
	const struct identity_config *id = &new->of->identity;
	struct tls_params p = {
		.allow_tls12 = new->of->min_version == TLS_MIN_1_2,
		.alpn = BOTLS_ALPN,
		.check_eku = id->check_eku,
		.pins = (const uint8_t(*)[TLS_PIN_LEN])id->pins,
		.n_pins = id->n_pins,
		.dns_names = (const char *const *)id->dns_names,
		.n_dns_names = id->n_dns_names,
		.check_address = id->check_address,
		.keylog = c->keylog,
		.keylog_arg = c->keylog_arg,
	};
	int r;

	if ((r = blob_of(f, id->certificate, &p.certificate, &new->error)) < 0 ||
	    (r = blob_of(f, id->key, &p.key, &new->error)) < 0 ||
	    (r = blob_of(f, id->ca, &p.ca, &new->error)) < 0 ||
	    (r = blob_of(f, id->crl, &p.crl, &new->error)) < 0)
		return r;
	return tls_ctx_new(&p, &new->ctx, &new->error);
}

int credentials_get(struct credentials *c, const struct files *f, const struct neighbor_config *n,
		    struct tls_ctx **ret, struct errtext *e)
{
	struct context *new, **in_tree;
	int r;

	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->of = n;
	in_tree = tsearch(new, &c->tree, by_identity);
	if (!in_tree) {
		free(new);
		return -ENOMEM;
	}
	if (*in_tree != new) {
		free(new);
	} else {
		r = make_context(c, f, new);
		if (r == -ENOMEM) {
			tdelete(new, &c->tree, by_identity);
			free(new);
			return r;
		}
		new->result = r;
	}
	if (!(*in_tree)->ctx)
		return errtext_set(e, (*in_tree)->result, "%s", (*in_tree)->error.text);
	*ret = tls_ctx_ref((*in_tree)->ctx);
	return 0;
}
