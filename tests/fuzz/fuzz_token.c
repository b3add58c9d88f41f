// SPDX-License-Identifier: Apache-2.0
/*
 * What an authorization server answers: RFC 8414 metadata, then the token endpoint. The first line
 * of an input says how we ask ('i': issuer, else token-url; 'p': secret by post; 'h': http allowed)
 * and the two statuses, "ip 200 200"; the answers follow, with a line "--" between them. Whatever
 * comes, a token is one that can go into a header, a failure has words that can go anywhere, and
 * what is kept in the file is the same token again.
 */
#include "token.h"

#include "text.h"

#include <errno.h>
#include <dirent.h>

#define NOW    1800000000
#define SECRET "s3cr3t"

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct answers {
	int status[2];
	const char *text[2];
	size_t len[2];
	unsigned next;
};

static struct answers answers;
static struct http *http;
static char folder[] = "/tmp/botls-fuzz-token-XXXXXX";

static int perform(void *arg, const struct http_request *q, struct http_response *ret,
		   struct errtext *e)
{
	struct answers *a = arg;
	unsigned i = q->body ? 1 : 0;
	struct http_response answer = {.retry_after = -1};

	(void)e;
	a->next++;
	MUST(q->body ? !strcmp(q->method, "POST") : !strcmp(q->method, "GET"));
	answer.status = a->status[i];
	answer.body = malloc(a->len[i] + 1);
	MUST(answer.body);
	memcpy(answer.body, a->text[i], a->len[i]);
	answer.body[a->len[i]] = '\0';
	answer.len = a->len[i];
	/* Printable, as http.c would have made it. */
	if (answer.status >= 300 && answer.status < 400)
		text_copy(answer.location, sizeof(answer.location), answer.body);
	*ret = answer;
	return 0;
}

static void empty_folder(void)
{
	DIR *dir = opendir(folder);
	char path[512];

	MUST(dir);
	for (struct dirent *d; (d = readdir(dir));) {
		snprintf(path, sizeof(path), "%s/%s", folder, d->d_name);
		if (d->d_name[0] != '.' || strlen(d->d_name) > 2)
			unlink(path);
	}
	closedir(dir);
}

static void clean_up(void)
{
	empty_folder();
	rmdir(folder);
	http_free(http);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	MUST(mkdtemp(folder));
	MUST(http_new_answered(perform, &answers, &http) == 0);
	atexit(clean_up);
	return 0;
}

static void check_words(const struct errtext *e)
{
	char again[sizeof(e->text)];

	MUST(*e->text && memchr(e->text, '\0', sizeof(e->text)));
	text_copy(again, sizeof(again), e->text);
	/* Cut in the middle of a character by errtext_set(), at most. */
	if (strlen(e->text) < sizeof(e->text) - 1)
		MUST(strcmp(again, e->text) == 0);
	MUST(!strstr(e->text, SECRET));
}

static void check_token(const char *value)
{
	size_t n;

	MUST(strncmp(value, "Bearer ", 7) == 0);
	value += 7;
	n = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/");
	MUST(n > 0 && value[n + strspn(value + n, "=")] == '\0' && strlen(value) <= TOKEN_MAX);
}

static const char *split(const char *data, size_t size)
{
	const char *line = NULL;

	for (size_t i = 0; i + 4 <= size && !line; i++)
		if (memcmp(data + i, "\n--\n", 4) == 0)
			line = data + i;
	return line;
}

static void try_all(const struct server_settings *s)
{
	struct tokens *t;
	const char *value = NULL, *again = NULL;
	char *first;
	struct errtext e = {};
	unsigned asked;
	int r;

	MUST(tokens_new(http, folder, &t) == 0);
	r = token_get(t, s, NOW, false, &value, &e);
	if (r < 0) {
		MUST(!value);
		MUST(r == -EPROTO || r == -EACCES || r == -EBUSY || r == -EINVAL);
		check_words(&e);
		tokens_free(t);
		return;
	}
	check_token(value);
	first = strdup(value);
	MUST(first);
	asked = answers.next;
	MUST(token_get(t, s, NOW, false, &again, &e) == 0 && strcmp(again, first) == 0);
	tokens_free(t);
	MUST(tokens_new(http, folder, &t) == 0);
	MUST(token_get(t, s, NOW, false, &again, &e) == 0 && strcmp(again, first) == 0);
	MUST(answers.next == asked);
	/* No token lives longer than a day. */
	MUST(token_get(t, s, NOW + 86400, false, &again, &e) == 0 && answers.next > asked);
	tokens_free(t);
	free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *rest = memchr(text, '\n', size), *line;
	struct server_settings s = {
		.name = "fuzz",
		.url = "https://api.example",
		.auth = AUTH_CLIENT_CREDENTIALS,
		.client_id = "client",
		.client_secret = SECRET,
	};
	char head[16] = "", flags[8] = "";
	size_t left;

	if (!rest || (size_t)(rest - text) >= sizeof(head))
		return 0;
	memcpy(head, text, rest - text);
	answers = (struct answers){};
	if (sscanf(head, "%7[a-z] %d %d", flags, &answers.status[0], &answers.status[1]) != 3)
		return 0;
	rest++;
	left = size - (rest - text);
	line = split(rest, left);
	answers.text[0] = rest;
	answers.len[0] = line ? (size_t)(line - rest) : left;
	answers.text[1] = line ? line + 4 : "";
	answers.len[1] = line ? left - answers.len[0] - 4 : 0;
	if (strchr(flags, 'i'))
		s.issuer = "https://idp.example";
	else
		s.token_url = "https://idp.example/token";
	s.client_auth = strchr(flags, 'p') ? CLIENT_SECRET_POST : CLIENT_SECRET_BASIC;
	s.allow_http = strchr(flags, 'h');
	empty_folder();
	try_all(&s);
	return 0;
}
