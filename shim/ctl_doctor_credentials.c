// SPDX-License-Identifier: Apache-2.0
/* Certificates, keys, CAs and revocation lists that the configuration names: all that a handshake
 * would find wrong with them, before it does. Each file is looked at once. */
#include "ctl_doctor.h"

#include "credentials.h"
#include "tls_inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <sys/stat.h>

#define DAY 86400

/* A file in memory, for the time of a check. */
struct text {
	char *data;
	size_t len;
};

static void text_done(struct text *t)
{
	free(t->data);
}
#define _cleanup_text_ __attribute__((cleanup(text_done)))

static int read_file(const char *path, struct text *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *data = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > CREDENTIAL_FILE_MAX)
		return -EFBIG;
	data = malloc(st.st_size + 1);
	if (!data)
		return -ENOMEM;
	n = read(fd, data, st.st_size);
	if (n < 0)
		return -errno;
	ret->len = n;
	ret->data = TAKE(data);
	return 0;
}

static void cleanup_certificates(struct tls_certificates **c)
{
	tls_certificates_free(*c);
}
#define _cleanup_certificates_ __attribute__((cleanup(cleanup_certificates)))

/* NULL: it cannot be read, which check_files() says. */
static struct tls_certificates *load(const char *path)
{
	_cleanup_text_ struct text t = {};
	struct tls_certificates *c;
	struct tls_blob blob;
	struct errtext e;

	if (!path || read_file(path, &t) < 0)
		return NULL;
	blob = (struct tls_blob){.path = path, .data = t.data, .len = t.len};
	return tls_certificates_new(&blob, &c, &e) < 0 ? NULL : c;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void nothing(void *p)
{
	(void)p;
}

/* True the first time that this path is asked about. */
static bool is_new(void **seen, const char *path)
{
	const char **node;

	if (!path || tfind(path, seen, by_text))
		return false;
	node = tsearch(path, seen, by_text);
	return node != NULL;
}

static void on_problem(void *arg, const char *where, const char *text)
{
	doctor_say(arg, DOCTOR_FAIL, NULL, "%s: %s", where, text);
}

/* What botlsd -n would say: unreadable, damaged, the key of another certificate. */
static void check_files(struct doctor *d)
{
	struct credentials *credentials = NULL;
	struct files *files = NULL;
	size_t before = d->counts[DOCTOR_FAIL];
	const char *said = "";
	struct errtext e = {};

	if (!d->config || !d->config->n_neighbors)
		return;
	if (files_new(&files) < 0 || credentials_new(NULL, NULL, &credentials) < 0) {
		files_free(files);
		d->is_out_of_memory = true;
		return;
	}
	files_read(files, d->config, on_problem, d);
	for (size_t i = 0; d->counts[DOCTOR_FAIL] == before && i < d->config->n_neighbors; i++) {
		const struct neighbor_config *n = &d->config->neighbors[i];
		struct tls_ctx *ctx;

		if (!neighbor_has_tls(n))
			continue;
		if (credentials_get(credentials, files, n, &ctx, &e) == 0) {
			tls_ctx_unref(ctx);
		} else if (said != n->identity.certificate) {
			/* Others with the same files would say the same. */
			said = n->identity.certificate;
			doctor_say(d, DOCTOR_FAIL,
				   "correct the files, or their names in the configuration; "
				   "'botlsd -n' tells what else is wrong",
				   "%s: %s", n->origin, e.text);
			before = d->counts[DOCTOR_FAIL];
		}
	}
	if (d->counts[DOCTOR_FAIL] == before && !e.text[0])
		doctor_say(d, DOCTOR_OK, NULL, "all can be read, and keys fit certificates");
	credentials_free(credentials);
	files_free(files);
}

/* The dates of all certificates in a file. */
static bool check_dates(struct doctor *d, const struct tls_certificates *c, const char *path,
			const char *renew)
{
	time_t warn = (d->config ? d->config->expiry_warning_days : 30) * (time_t)DAY;
	bool good = true;

	for (size_t i = 0; i < tls_certificates_count(c); i++) {
		struct tls_certificate x;
		char text[TEXT_TIME_LEN];

		tls_certificates_get(c, i, &x);
		if (x.not_before > d->c->now)
			doctor_say(d, DOCTOR_FAIL,
				   "if it should be valid, the clock of this router is behind: "
				   "set it; else wait, or issue it anew",
				   "%s: %s is valid only from %s on", path, x.subject,
				   text_time_long(x.not_before, text));
		else if (x.not_after < d->c->now)
			doctor_say(d, DOCTOR_FAIL, renew, "%s: %s expired on %s", path, x.subject,
				   text_time_expiry(x.not_after, d->c->now, text));
		else if (x.not_after - d->c->now < warn)
			doctor_say(d, DOCTOR_WARN, renew, "%s: %s expires on %s", path, x.subject,
				   text_time_expiry(x.not_after, d->c->now, text));
		else
			continue;
		good = false;
	}
	return good;
}

static const char renew_ours[] =
	"renew it, then 'botlsctl reload': live sessions stay, but none could be set up again";

static bool check_use(struct doctor *d, const struct tls_certificates *c, const char *path)
{
	struct tls_certificate x;
	int gap = tls_certificates_gap(c);

	tls_certificates_get(c, 0, &x);
	if (gap >= 0)
		doctor_say(d, DOCTOR_FAIL,
			   "put our certificate first, then each one's issuer, without the root",
			   "%s: certificate %d was not issued by the next one in the file", path,
			   gap + 1);
	if (!x.is_for_client || !x.is_for_server)
		doctor_say(d, DOCTOR_WARN,
			   "issue it with clientAuth and serverAuth, or without an extended key "
			   "usage",
			   "%s: not for a TLS %s, which we are when %s", path,
			   x.is_for_client ? "server" : "client",
			   x.is_for_client ? "the neighbor connects" : "our daemon connects");
	return gap < 0 && x.is_for_client && x.is_for_server;
}

static void check_certificates(struct doctor *d)
{
	size_t n = 0, good = 0;
	time_t first = 0;
	void *seen = NULL;

	for (size_t i = 0; d->config && i < d->config->n_neighbors; i++) {
		const struct neighbor_config *of = &d->config->neighbors[i];
		const char *path = !neighbor_has_tls(of) ? NULL : of->identity.certificate;
		_cleanup_certificates_ struct tls_certificates *c = NULL;
		struct tls_certificate x;
		bool is_good;

		if (!is_new(&seen, path) || !(c = load(path)))
			continue;
		n++;
		tls_certificates_get(c, 0, &x);
		if (!first || x.not_after < first)
			first = x.not_after;
		is_good = check_dates(d, c, path, renew_ours);
		good += check_use(d, c, path) && is_good;
	}
	if (n && good == n) {
		char text[TEXT_TIME_LEN];

		doctor_say(d, DOCTOR_OK, NULL, "%zu of ours, the first expires %s", n,
			   text_time_expiry(first, d->c->now, text));
	}
	tdestroy(seen, nothing);
}

/* Our address towards the neighbor, as it is configured or as botlsd found it. */
static bool own_address(const struct doctor *d, size_t at, struct addr *ret)
{
	const struct neighbor_config *n = &d->config->neighbors[at];
	const char *text;

	if (n->local_address.family != AF_UNSPEC) {
		*ret = n->local_address;
		return true;
	}
	text = jv_get_string(doctor_status(d, at), "local_address", NULL);
	return text && addr_parse(text, ret, NULL) == 0;
}

/* The neighbor may go by a DNS name or a pin instead: without an address in it this is no more than
 * a warning; with other addresses, and not ours, the default check of the other side fails. */
static void check_names(struct doctor *d)
{
	_cleanup_certificates_ struct tls_certificates *c = NULL;
	const char *path = "";
	size_t good = 0;

	for (size_t i = 0; d->config && i < d->config->n_neighbors; i++) {
		const struct neighbor_config *n = &d->config->neighbors[i];
		char text[ADDR_STRLEN];
		struct tls_certificate x;
		struct addr own;

		if (!neighbor_has_tls(n) || !own_address(d, i, &own))
			continue;
		if (strcmp(path, n->identity.certificate) != 0) {
			tls_certificates_free(c);
			path = n->identity.certificate;
			c = load(path);
		}
		if (!c)
			continue;
		tls_certificates_get(c, 0, &x);
		if (tls_certificates_have_address(c, &own))
			good++;
		else
			doctor_say(d, strstr(x.san, "IP:") ? DOCTOR_FAIL : DOCTOR_WARN,
				   "issue it with our address as subjectAltName; or the neighbor "
				   "goes by a name (dns-names) or our key (pins)",
				   "%s is not for our address %s towards %s, but for %s", path,
				   addr_format(&own, text), n->name,
				   x.san[0] ? x.san : "no name at all");
	}
	if (good)
		doctor_say(d, DOCTOR_OK, NULL,
			   "our address towards %zu neighbor%s is in our certificate", good,
			   good == 1 ? "" : "s");
}

/* Neighbors may trust another CA than we do: no more than worth to know. */
static bool is_of_another_ca(const struct neighbor_config *n,
			     const struct tls_certificates *anchors)
{
	_cleanup_certificates_ struct tls_certificates *c = load(n->identity.certificate);

	return c && !tls_certificates_lead_to(c, anchors);
}

static void check_cas(struct doctor *d)
{
	static const char renew[] = "get the new one from whoever runs the CA; until then every "
				    "neighbor's certificate under it is refused";
	size_t other = 0, n = 0;
	void *seen = NULL;

	for (size_t i = 0; d->config && i < d->config->n_neighbors; i++) {
		const struct neighbor_config *of = &d->config->neighbors[i];
		const char *path = !neighbor_has_tls(of) ? NULL : of->identity.ca;
		_cleanup_certificates_ struct tls_certificates *anchors = NULL;

		if (!is_new(&seen, path) || !(anchors = load(path)))
			continue;
		n += check_dates(d, anchors, path, renew);
		other += is_of_another_ca(of, anchors);
	}
	if (n)
		doctor_say(d, DOCTOR_OK, NULL, "%zu valid", n);
	if (other)
		doctor_say(d, DOCTOR_OK, NULL,
			   "our own certificate is of another CA than our 'ca' %zu time%s: the "
			   "neighbor must trust that one",
			   other, other == 1 ? "" : "s");
	tdestroy(seen, nothing);
}

static void check_crls(struct doctor *d)
{
	void *seen = NULL;

	for (size_t i = 0; d->config && i < d->config->n_neighbors; i++) {
		const struct neighbor_config *n = &d->config->neighbors[i];
		const char *path = !neighbor_has_tls(n) ? NULL : n->identity.crl;
		_cleanup_text_ struct text t = {};
		char when[TEXT_TIME_LEN];
		struct tls_blob blob;
		struct errtext e;
		time_t next;

		if (!is_new(&seen, path) || read_file(path, &t) < 0)
			continue;
		blob = (struct tls_blob){.path = path, .data = t.data, .len = t.len};
		if (tls_crl_next_update(&blob, &next, &e) < 0 || !next)
			continue;
		if (next < d->c->now)
			doctor_say(d, DOCTOR_FAIL,
				   "fetch the new list, then 'botlsctl reload': with an old one "
				   "every handshake fails",
				   "%s should have been replaced on %s", path,
				   text_time_long(next, when));
		else
			doctor_say(d, next - d->c->now < DAY ? DOCTOR_WARN : DOCTOR_OK,
				   next - d->c->now < DAY ? "fetch the new one in time" : NULL,
				   "%s: the next one is due on %s", path,
				   text_time_long(next, when));
	}
	tdestroy(seen, nothing);
}

static void check_keys(struct doctor *d)
{
	size_t good = 0;
	void *seen = NULL;

	for (size_t i = 0; d->config && i < d->config->n_neighbors; i++) {
		const struct neighbor_config *n = &d->config->neighbors[i];
		const char *path = !neighbor_has_tls(n) ? NULL : n->identity.key;
		struct stat st;

		if (!is_new(&seen, path) || stat(path, &st) < 0)
			continue;
		if (st.st_mode & (S_IRWXO | S_IWGRP))
			doctor_say(d, DOCTOR_FAIL,
				   "chmod 0600 it (0640 with a group that may read it); whoever "
				   "read it can pose as this router: consider a new key",
				   "%s has mode %04o: others can %s it", path, st.st_mode & 07777,
				   st.st_mode & (S_IWOTH | S_IWGRP) ? "change" : "read");
		else
			good++;
	}
	if (good)
		doctor_say(d, DOCTOR_OK, NULL, "%zu, which nobody else can read", good);
	tdestroy(seen, nothing);
}

/* Those that live sessions were set up with. */
static void check_theirs(struct doctor *d)
{
	const struct jv *neighbors = jv_get(d->show, "neighbors");
	time_t warn = (d->config ? d->config->expiry_warning_days : 30) * (time_t)DAY;
	size_t good = 0;

	for (size_t i = 0; i < jv_size(neighbors); i++) {
		const struct jv *n = jv_at(neighbors, i);
		const struct jv *sessions = jv_get(n, "sessions");
		time_t end = 0;
		char when[TEXT_TIME_LEN];

		for (size_t k = 0; k < jv_size(sessions); k++) {
			time_t t = jv_get_int(jv_get(jv_at(sessions, k), "tls"), "not_after", 0);

			if (t > end)
				end = t;
		}
		if (end && end - d->c->now < warn)
			doctor_say(d, DOCTOR_WARN,
				   "tell its operator: the session lives on, but cannot be set up "
				   "again after that",
				   "the certificate of %s ends on %s",
				   jv_get_string(n, "name", "?"),
				   text_time_expiry(end, d->c->now, when));
		good += end && end - d->c->now >= warn;
	}
	if (good)
		doctor_say(d, DOCTOR_OK, NULL, "%zu neighbor%s: all stay valid", good,
			   good == 1 ? "" : "s");
}

static const struct doctor_check checks[] = {
	{"files", check_files},	      {"certificates", check_certificates},
	{"names", check_names},	      {"CAs", check_cas},
	{"CRLs", check_crls},	      {"keys", check_keys},
	{"neighbors'", check_theirs},
};
const struct doctor_group doctor_credentials = {"Certificates", checks, ARRAY_SIZE(checks)};
