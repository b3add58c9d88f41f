// SPDX-License-Identifier: Apache-2.0
#include "http_internal.h"

#include "addr.h"
#include "text.h"
#include "wipe.h"

#include <botls/botls.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define TIMEOUT_DEFAULT 30
#define CONNECT_DEFAULT 10

struct http {
	CURL *easy; /* NULL: answered by perform */
	http_perform_fn *perform;
	void *arg;
};

/* One request under way. */
struct transfer {
	const struct http_request *q;
	struct http_target target;
	unsigned timeout, connect_timeout;
	struct curl_slist *headers;
	char *body;
	size_t len, size, max;
	size_t header_bytes;
	bool is_refused;  /* an address that plain http is not for */
	int error;	  /* found by a callback, which can only say that it failed */
	int socket_error; /* errno of socket(2) */
	char text[CURL_ERROR_SIZE];
};

static volatile sig_atomic_t is_cancelled;

/* libcurl says "out of memory" also of a line that is too long for it. */
static atomic_bool is_out_of_memory;

static void *note(void *p)
{
	if (!p)
		is_out_of_memory = true;
	return p;
}

static void *curl_malloc(size_t size)
{
	return note(malloc(size));
}

static void *curl_calloc(size_t n, size_t size)
{
	return note(calloc(n, size));
}

static char *curl_strdup(const char *text)
{
	return note(strdup(text));
}

static void *curl_realloc(void *p, size_t size)
{
	return note(wipe_realloc(p, size));
}

void http_cancel(void)
{
	is_cancelled = 1;
}

static int new_http(struct http **ret)
{
	struct http *h;

	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc, wipe_free, curl_realloc,
				 curl_strdup, curl_calloc) != CURLE_OK)
		return -ENOMEM;
	h = calloc(1, sizeof(*h));
	if (!h) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

int http_new(struct http **ret)
{
	struct http *h;
	int r = new_http(&h);

	if (r < 0)
		return r;
	h->easy = curl_easy_init();
	if (!h->easy) {
		http_free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

int http_new_answered(http_perform_fn *perform, void *arg, struct http **ret)
{
	struct http *h;
	int r = new_http(&h);

	if (r < 0)
		return r;
	h->perform = perform;
	h->arg = arg;
	*ret = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	if (h->easy)
		curl_easy_cleanup(h->easy);
	curl_global_cleanup();
	free(h);
}

void http_response_done(struct http_response *r)
{
	wipe_free(r->body);
	r->body = NULL;
	r->len = 0;
}

static void transfer_done(struct transfer *t)
{
	curl_slist_free_all(t->headers);
	wipe_free(t->body);
}

/* Room for `more` bytes and the zero behind them. */
static int reserve(struct transfer *t, size_t more)
{
	size_t need = t->len + more + 1, size = t->size ? t->size : 4096;
	char *body;

	if (need <= t->size)
		return 0;
	while (size < need)
		size *= 2;
	body = wipe_realloc(t->body, size);
	if (!body)
		return -ENOMEM;
	t->body = body;
	t->size = size;
	return 0;
}

static size_t on_body(char *data, size_t one, size_t n, void *arg)
{
	struct transfer *t = arg;

	(void)one;
	if (n > t->max - t->len)
		t->error = -EFBIG;
	else
		t->error = reserve(t, n);
	if (t->error < 0)
		return 0;
	memcpy(t->body + t->len, data, n);
	t->len += n;
	return n;
}

static size_t on_header(char *data, size_t one, size_t n, void *arg)
{
	struct transfer *t = arg;

	(void)data;
	(void)one;
	t->header_bytes += n;
	if (t->header_bytes > HTTP_HEADERS_MAX) {
		t->error = -EFBIG;
		return 0;
	}
	return n;
}

/* Called at least once a second, and after each signal. */
static int on_progress(void *arg, curl_off_t down, curl_off_t now_down, curl_off_t up,
		       curl_off_t now_up)
{
	(void)arg;
	(void)down;
	(void)now_down;
	(void)up;
	(void)now_up;
	return is_cancelled;
}

static bool may_connect(const struct transfer *t, const struct curl_sockaddr *to)
{
	struct sockaddr_storage ss = {};
	struct addr a;

	if (!t->target.is_plain)
		return true;
	/* It is longer than its type says. */
	memcpy(&ss, (const char *)to + offsetof(struct curl_sockaddr, addr),
	       to->addrlen < sizeof(ss) ? to->addrlen : sizeof(ss));
	return !t->is_refused && addr_from_sockaddr(&ss, &a, NULL) == 0 && addr_is_loopback(&a);
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct transfer *t = arg;
	int fd;

	(void)purpose;
	if (!may_connect(t, to)) {
		t->is_refused = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
	if (fd < 0) {
		t->socket_error = errno;
		return CURL_SOCKET_BAD;
	}
	return fd;
}

#define SET(option, value)                                                                         \
	do {                                                                                       \
		if (r == CURLE_OK)                                                                 \
			r = curl_easy_setopt(easy, option, value);                                 \
	} while (0)

static CURLcode set_bounds(CURL *easy, struct transfer *t)
{
	CURLcode r = CURLE_OK;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_TIMEOUT, (long)t->timeout);
	SET(CURLOPT_CONNECTTIMEOUT, (long)t->connect_timeout);
	/* A resolver that hangs is left behind, not waited for. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->max);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, t->target.is_plain ? "http" : "https");
	if (t->target.is_plain || t->target.is_loopback)
		SET(CURLOPT_PROXY, "");
	SET(CURLOPT_ERRORBUFFER, t->text);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, t);
	return r;
}

static CURLcode set_tls(CURL *easy, const struct http_request *q)
{
	CURLcode r = CURLE_OK;

	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/* Every connection is validated in full, against the CA file as it is now. */
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(CURLOPT_CA_CACHE_TIMEOUT, 0L);
	if (q->ca) {
		SET(CURLOPT_CAINFO, q->ca);
		SET(CURLOPT_CAPATH, NULL);
	}
	return r;
}

/* A NULL value: the header that libcurl would add by itself is left out. */
static CURLcode add_header(struct transfer *t, const char *name, const char *value)
{
	size_t size = strlen(name) + (value ? strlen(value) : 0) + 3;
	_cleanup_wiped_ char *line = curl_malloc(size); /* asprintf() would leave a copy behind */
	struct curl_slist *list;

	if (!line)
		return CURLE_OUT_OF_MEMORY;
	snprintf(line, size, value ? "%s: %s" : "%s:", name, value);
	list = curl_slist_append(t->headers, line);
	if (!list)
		return CURLE_OUT_OF_MEMORY;
	t->headers = list;
	return CURLE_OK;
}

/* CURLOPT_PASSWORD would be kept as long as the connection. */
static CURLcode add_authorization(struct transfer *t)
{
	const struct http_request *q = t->q;
	_cleanup_wiped_ char *basic = NULL;

	if (q->basic_user && q->basic_password) {
		basic = note(http_basic(q->basic_user, q->basic_password));
		return basic ? add_header(t, "Authorization", basic) : CURLE_OUT_OF_MEMORY;
	}
	return q->authorization ? add_header(t, "Authorization", q->authorization) : CURLE_OK;
}

static CURLcode set_request(CURL *easy, struct transfer *t)
{
	const struct http_request *q = t->q;
	const bool is_post = strcmp(q->method, "POST") == 0;
	CURLcode r = CURLE_OK;

	SET(CURLOPT_URL, q->url);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_USERAGENT, "botls-provision/" BOTLS_VERSION);
	if (q->body || is_post) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, q->body ? q->body : "");
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(q->body ? q->body_len : 0));
	}
	SET(CURLOPT_CUSTOMREQUEST, q->method);
	/* When a kept connection turns out to be dead, libcurl sends again by itself, not knowing
	 * whether the first one was carried out. That is for requests that may be repeated. */
	SET(CURLOPT_FRESH_CONNECT, (long)is_post);
	r = r ? r : add_header(t, "Accept", q->accept ? q->accept : "application/json");
	r = r ? r : add_header(t, "Content-Type", q->body ? q->content_type : NULL);
	r = r ? r : add_header(t, "Expect", NULL); /* would wait a second for "100 Continue" */
	if (q->request_id)
		r = r ? r : add_header(t, "X-Request-Id", q->request_id);
	r = r ? r : add_authorization(t);
	SET(CURLOPT_HTTPHEADER, t->headers);
	SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* none of these to a proxy */
	return r;
}

/* A handshake that ended with its connection: for some cases libcurl has only words. */
static bool is_broken_off(const char *text)
{
	return strstr(text, "reset by peer") || strstr(text, "SSL_ERROR_SYSCALL") ||
	       strstr(text, "unexpected eof");
}

static int error_of(const struct transfer *t, CURLcode code, long os)
{
	static const struct {
		CURLcode code;
		int error;
	} errors[] = {
		{CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH},
		{CURLE_COULDNT_RESOLVE_PROXY, -EHOSTUNREACH},
		{CURLE_PROXY, -EHOSTUNREACH},
		{CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT},
		{CURLE_PEER_FAILED_VERIFICATION, -EKEYREJECTED},
		{CURLE_SSL_CACERT_BADFILE, -EKEYREJECTED},
		{CURLE_SSL_ISSUER_ERROR, -EKEYREJECTED},
		{CURLE_SSL_CONNECT_ERROR, -EPROTO},
		{CURLE_FILESIZE_EXCEEDED, -EFBIG},
		{CURLE_ABORTED_BY_CALLBACK, -ECANCELED},
		{CURLE_URL_MALFORMAT, -EINVAL},
		{CURLE_PARTIAL_FILE, -ECONNRESET},
		{CURLE_GOT_NOTHING, -ECONNRESET},
		{CURLE_SEND_ERROR, -ECONNRESET},
		{CURLE_RECV_ERROR, -ECONNRESET},
	};

	if (t->is_refused)
		return -EACCES;
	if (t->error < 0)
		return t->error;
	if (code == CURLE_OUT_OF_MEMORY)
		return is_out_of_memory ? -ENOMEM : -EFBIG;
	if (code == CURLE_COULDNT_CONNECT)
		return http_connect_error(os);
	if (code == CURLE_RECV_ERROR && (strstr(t->text, "alert") || strstr(t->text, "chunk")))
		return -EPROTO;
	if (code == CURLE_SSL_CONNECT_ERROR && is_broken_off(t->text))
		return -ECONNRESET;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (errors[i].code == code)
			return errors[i].error;
	return -EPROTO;
}

static int tell_certificate(CURL *easy, const struct transfer *t, CURLcode code, const char *text,
			    struct errtext *e)
{
	long verify_result = 0;

	if (code == CURLE_SSL_CACERT_BADFILE)
		return errtext_set(e, -EKEYREJECTED,
				   "%s: the CA file %.80s cannot be read or holds no certificate",
				   t->target.where, t->q->ca ? t->q->ca : "of the system");
	curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verify_result);
	return errtext_set(e, -EKEYREJECTED, "%s: certificate refused: %s; %s", t->target.where,
			   text, http_certificate_advice(t->q, verify_result));
}

static int tell_timeout(CURL *easy, const struct transfer *t, struct errtext *e)
{
	curl_off_t ready = 0;

	curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
	if (ready == 0)
		return errtext_set(e, -ETIMEDOUT, "%s: no connection within %u s", t->target.where,
				   t->connect_timeout < t->timeout ? t->connect_timeout
								   : t->timeout);
	return errtext_set(e, -ETIMEDOUT, "%s: no complete answer within %u s", t->target.where,
			   t->timeout);
}

/* The reason in words; returns what error_of() says. */
static int tell(CURL *easy, const struct transfer *t, CURLcode code, struct errtext *e)
{
	const char *where = t->target.where, *said = *t->text ? t->text : curl_easy_strerror(code);
	char text[100];
	long os = 0;
	int r;

	text_copy(text, sizeof(text), said);
	os = t->socket_error;
	if (!os && code == CURLE_COULDNT_CONNECT) /* else it is of another request */
		curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os);
	r = error_of(t, code, os);
	switch (r) {
	case -EACCES:
		return errtext_set(e, r,
				   "%s: http:// is for loopback addresses only, and this is none: "
				   "use https://",
				   where);
	case -EFBIG:
		return errtext_set(e, r, "%s: the answer is over a bound: %zu bytes, %d of headers",
				   where, t->max, HTTP_HEADERS_MAX);
	case -EKEYREJECTED: return tell_certificate(easy, t, code, text, e);
	case -ETIMEDOUT: return tell_timeout(easy, t, e);
	case -ECANCELED: return errtext_set(e, r, "%s: interrupted", where);
	case -ENOMEM: return errtext_set(e, r, "%s: out of memory", where);
	case -ECONNREFUSED:
		return errtext_set(e, r, "%s: connection refused: does the server run there?",
				   where);
	case -ECONNRESET: return errtext_set(e, r, "%s: the connection broke: %s", where, text);
	}
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return errtext_set(e, r, "%s: no such name, or the resolver does not answer",
				   where);
	if (r == -EHOSTUNREACH)
		return errtext_set(e, r, "%s: cannot connect: %s", where,
				   os ? strerror((int)os) : text);
	return errtext_set(e, r, "%s: %s", where, text);
}

/* The value of a header of the final answer; NULL: not there. Until the next call. */
static const char *header_of(CURL *easy, const char *name)
{
	struct curl_header *h;

	if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}

static void copy_header(CURL *easy, const char *name, char *buf, size_t size)
{
	const char *value = header_of(easy, name);

	text_copy(buf, size, value ? value : "");
}

static void read_content_type(CURL *easy, struct http_response *ret)
{
	char value[sizeof(ret->content_type)];
	size_t n;

	copy_header(easy, "Content-Type", value, sizeof(value));
	n = strcspn(value, "; ,");
	for (size_t i = 0; i < n; i++)
		ret->content_type[i] = tolower((unsigned char)value[i]);
	ret->content_type[n] = '\0';
}

static int64_t read_retry_after(CURL *easy)
{
	char value[64];
	const char *date;
	time_t until, now = -1;
	int64_t n = 0;
	char *p = value;

	copy_header(easy, "Retry-After", value, sizeof(value));
	if (isalpha((unsigned char)*p)) {
		until = curl_getdate(value, NULL);
		date = header_of(easy, "Date");
		if (date)
			now = curl_getdate(date, NULL);
		if (until < 0)
			return -1;
		n = until - (now < 0 ? time(NULL) : now);
		return n < 0 ? 0 : n > HTTP_RETRY_AFTER_MAX ? HTTP_RETRY_AFTER_MAX : n;
	}
	if (!*p)
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + *p - '0';
		n = n > HTTP_RETRY_AFTER_MAX ? HTTP_RETRY_AFTER_MAX : n;
	}
	return *p ? -1 : n;
}

static int read_answer(CURL *easy, struct transfer *t, struct http_response *ret, struct errtext *e)
{
	const char *encoding = header_of(easy, "Content-Encoding");
	struct http_response answer = {};
	long status = 0;
	int r;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 100 || status > 599)
		return errtext_set(e, -EPROTO, "%s: %ld is no status of HTTP", t->target.where,
				   status);
	if (encoding && strcasecmp(encoding, "identity") != 0)
		return errtext_set(e, -EPROTO, "%s: the answer is compressed, unasked for",
				   t->target.where);
	r = reserve(t, 0);
	if (r < 0)
		return errtext_set(e, r, "%s: out of memory", t->target.where);
	answer.status = (int)status;
	read_content_type(easy, &answer);
	answer.retry_after = read_retry_after(easy);
	copy_header(easy, "Location", answer.location, sizeof(answer.location));
	copy_header(easy, "WWW-Authenticate", answer.www_authenticate,
		    sizeof(answer.www_authenticate));
	answer.len = t->len;
	answer.body = TAKE(t->body);
	answer.body[answer.len] = '\0';
	*ret = answer;
	return 0;
}

static int transfer(CURL *easy, struct transfer *t, struct http_response *ret, struct errtext *e)
{
	CURLcode code;

	is_out_of_memory = false;
	code = set_bounds(easy, t);
	code = code ? code : set_tls(easy, t->q);
	code = code ? code : set_request(easy, t);
	code = code ? code : curl_easy_perform(easy);
	if (code != CURLE_OK)
		return tell(easy, t, code, e);
	return read_answer(easy, t, ret, e);
}

int http_perform(struct http *h, const struct http_request *q, struct http_response *ret,
		 struct errtext *e)
{
	struct transfer t __attribute__((cleanup(transfer_done))) = {.q = q};
	int r;

	r = http_check(q, &t.target, e);
	if (r < 0)
		return r;
	if (is_cancelled)
		return errtext_set(e, -ECANCELED, "%s: interrupted", t.target.where);
	if (h->perform)
		return h->perform(h->arg, q, ret, e);
	t.timeout = q->timeout ? q->timeout : TIMEOUT_DEFAULT;
	t.connect_timeout = q->connect_timeout ? q->connect_timeout : CONNECT_DEFAULT;
	t.max = q->body_max ? q->body_max : HTTP_BODY_MAX;
	r = transfer(h->easy, &t, ret, e);
	curl_easy_reset(h->easy); /* keeps connections, forgets pointers into `t` */
	return r;
}
