// SPDX-License-Identifier: Apache-2.0
/* The values of options: from text into the field. */
#include "addr.h"
#include "conf_internal.h"
#include "secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static void set_number(const struct conf_option *o, void *base, uint64_t n)
{
	void *f = conf_field_of(o, base);

	switch (o->size) {
	case 1: *(uint8_t *)f = n; break;
	case 2: *(uint16_t *)f = n; break;
	case 4: *(uint32_t *)f = n; break;
	default: *(uint64_t *)f = n; break;
	}
}

static const char *noun(const struct conf_option *o)
{
	return o->noun ? o->noun : "key";
}

/* A URL with a password in it is refused, and not repeated. */
static bool may_hold_secret(const struct conf_option *o, const char *value)
{
	return o->type == CONF_SECRET ||
	       ((o->type == CONF_URL || o->type == CONF_SOURCE) && strchr(value, '@'));
}

int conf_refuse(const struct conf_option *o, const char *value, struct errtext *e)
{
	char expects[CONF_EXPECTS_LEN];

	conf_expects(o, expects);
	if (may_hold_secret(o, value))
		return errtext_set(e, -EINVAL, "%s: this is not %s", o->name, expects);
	return errtext_set(e, -EINVAL, "%s: '%.60s%s' is not %s%s", o->name, value,
			   strlen(value) > 60 ? "..." : "",
			   o->type == CONF_NUMBER || o->type == CONF_SECONDS ? "in the range " : "",
			   expects);
}

/* Decimal digits only; `s` ends where they end. */
static int parse_digits(const char **s, uint64_t *ret)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)**s))
		return -EINVAL;
	for (; isdigit((unsigned char)**s); (*s)++) {
		if (n > (UINT64_MAX - 9) / 10)
			return -ERANGE;
		n = n * 10 + (**s - '0');
	}
	*ret = n;
	return 0;
}

static int parse_number(const struct conf_option *o, void *base, const char *value,
			struct errtext *e)
{
	const char *s = value;
	uint64_t n, unit = 1;

	if (parse_digits(&s, &n) < 0)
		return conf_refuse(o, value, e);
	if (o->type == CONF_SECONDS && *s && !s[1]) {
		unit = *s == 's' ? 1 : *s == 'm' ? 60 : *s == 'h' ? 3600 : *s == 'd' ? 86400 : 0;
		s++;
	}
	if (*s || !unit || n > UINT32_MAX)
		return conf_refuse(o, value, e);
	n *= unit;
	if ((n < o->min || n > o->max) && !(n == 0 && o->zero))
		return conf_refuse(o, value, e);
	set_number(o, base, n);
	return 0;
}

int conf_parse_as(const char *text, uint32_t *ret)
{
	const char *s = text;
	uint64_t n, low;

	if (parse_digits(&s, &n) < 0)
		return -EINVAL;
	if (*s == '.') {
		s++;
		if (parse_digits(&s, &low) < 0 || n > UINT16_MAX || low > UINT16_MAX)
			return -EINVAL;
		n = n << 16 | low;
	}
	if (*s || n > UINT32_MAX)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int parse_time(const struct conf_option *o, void *base, const char *value, struct errtext *e)
{
	uint64_t t;

	if (conf_parse_time(value, &t) < 0 || t < o->min || t > o->max)
		return conf_refuse(o, value, e);
	set_number(o, base, t);
	return 0;
}

static int parse_as(const struct conf_option *o, void *base, const char *value, struct errtext *e)
{
	uint32_t n;

	if (conf_parse_as(value, &n) < 0 || n < o->min || n > o->max)
		return conf_refuse(o, value, e);
	set_number(o, base, n);
	return 0;
}

static int parse_bool(const struct conf_option *o, void *base, const char *value, struct errtext *e)
{
	static const char *const names[] = {"false", "true", "no", "yes", "off", "on"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(value, names[i])) {
			*(bool *)conf_field_of(o, base) = i & 1;
			return 0;
		}
	return conf_refuse(o, value, e);
}

static int parse_enum(const struct conf_option *o, void *base, const char *value, struct errtext *e)
{
	for (size_t i = 0; i <= o->max; i++)
		if (!strcmp(value, o->names[i])) {
			set_number(o, base, i + o->first);
			return 0;
		}
	return conf_refuse(o, value, e);
}

int conf_set_address(const struct conf_option *o, const char *value, void *ret, struct errtext *e)
{
	struct errtext why;
	struct addr a;

	if (addr_parse(value, &a, &why) < 0)
		return errtext_set(e, -EINVAL, "%s: %s", o->name, why.text);
	if (addr_is_prefix(&a) || addr_is_any(&a))
		return conf_refuse(o, value, e);
	*(struct addr *)ret = a;
	return 0;
}

static void replace_string(const struct conf_option *o, void *base, char *text)
{
	conf_clear(o, base);
	*(char **)conf_field_of(o, base) = text;
}

static int make_path(const struct conf_option *o, const struct conf_context *ctx, const char *value,
		     char **ret, struct errtext *e)
{
	if (value[0] != '/' && !ctx->folder)
		return errtext_set(e, -EINVAL, "%s: '%.60s' must be an absolute path", o->name,
				   value);
	if (value[0] == '/')
		*ret = strdup(value);
	else if (asprintf(ret, "%s/%s", strcmp(ctx->folder, "/") ? ctx->folder : "", value) < 0)
		*ret = NULL;
	if (!*ret)
		return errtext_set(e, -ENOMEM, "out of memory");
	if (strlen(*ret) > o->max || !conf_is_printable(*ret)) {
		free(TAKE(*ret));
		return conf_refuse(o, value, e);
	}
	return 0;
}

static bool is_path(const struct conf_option *o, const char *value)
{
	return o->type == CONF_PATH ||
	       (o->type == CONF_SOURCE && (*value == '/' || !strstr(value, "://"))) ||
	       (o->type == CONF_PROGRAM && strchr(value, '/'));
}

static bool is_string_of(const struct conf_option *o, const char *value)
{
	switch (o->type) {
	case CONF_SECRET: return true;
	case CONF_ACCOUNT: return conf_is_account(value);
	case CONF_NAME: return conf_is_name(value);
	case CONF_URL: return conf_is_url(value);
	case CONF_SOURCE: return is_path(o, value) || conf_is_url(value);
	case CONF_PROGRAM: return strchr(value, '/') || conf_is_name(value);
	case CONF_BOOL:
	case CONF_NUMBER:
	case CONF_SECONDS:
	case CONF_TIME:
	case CONF_ENUM:
	case CONF_AS:
	case CONF_TEXT:
	case CONF_PATH:
	case CONF_ADDRESS:
	case CONF_SECRET_FILE:
	case CONF_ACCOUNTS:
	case CONF_NAMES:
	case CONF_DNS_NAMES:
	case CONF_WORDS:
	case CONF_ADDRESSES:
	case CONF_PINS: break;
	}
	return conf_is_printable(value);
}

/* An empty string takes an inherited or default value away. */
static int parse_string(const struct conf_option *o, void *base, const struct conf_context *ctx,
			const char *value, struct errtext *e)
{
	char *text = NULL;
	int r;

	if (!*value && !o->initial && o->type != CONF_SECRET) {
		conf_clear(o, base);
		return 0;
	}
	if (!*value || strlen(value) > o->max || !is_string_of(o, value))
		return conf_refuse(o, value, e);
	if (o->type == CONF_SECRET && ctx->folder && !strcmp(value, CONF_HIDDEN))
		return errtext_set(e, -EINVAL, "%s: '%s' only stands for a %s: write the %s itself",
				   o->name, value, noun(o), noun(o));
	if (is_path(o, value)) {
		r = make_path(o, ctx, value, &text, e);
		if (r < 0)
			return r;
	} else {
		text = conf_is_secret(o) ? secret_strdup(value) : strdup(value);
		if (!text)
			return errtext_set(e, -ENOMEM, "out of memory");
	}
	replace_string(o, base, text);
	return 0;
}

static int read_secret(const struct conf_option *o, int fd, const char *path,
		       char key[static CONF_SECRET_MAX + 2], struct errtext *e)
{
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errtext_set(e, -EINVAL, "%s: %.120s: %s", o->name, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return errtext_set(e, -EINVAL, "%s: %.120s is not a regular file", o->name, path);
	if (st.st_mode & S_IROTH)
		return errtext_set(e, -EINVAL,
				   "%s: everybody may read the %s in %.100s: chmod o-r it", o->name,
				   noun(o), path);
	n = read(fd, key, o->secret_max + 2);
	if (n < 0)
		return errtext_set(e, -EINVAL, "%s: %.120s: %s", o->name, path, strerror(errno));
	for (ssize_t i = 0; i < n; i++)
		if (key[i] == '\n' || key[i] == '\0')
			n = i;
	if (n < 1 || (size_t)n > o->secret_max)
		return errtext_set(e, -EINVAL,
				   "%s: the first line of %.100s is not a %s of 1 to %zu bytes",
				   o->name, path, noun(o), o->secret_max);
	key[n] = '\0';
	return 0;
}

static int parse_secret_file(const struct conf_option *o, void *base,
			     const struct conf_context *ctx, const char *value, struct errtext *e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	char key[CONF_SECRET_MAX + 2], *text;
	int r;

	if (!ctx->folder)
		return errtext_set(e, -EINVAL, "%s: no files are read here", o->name);
	if (!*value)
		return conf_refuse(o, value, e);
	r = make_path(o, ctx, value, &path, e);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	r = read_secret(o, fd, path, key, e);
	if (r < 0) {
		explicit_bzero(key, sizeof(key));
		return r;
	}
	text = secret_strdup(key);
	explicit_bzero(key, sizeof(key));
	if (!text)
		return errtext_set(e, -ENOMEM, "out of memory");
	replace_string(o, base, text);
	return 0;
}

int conf_set(const struct conf_option *o, void *base, const struct conf_context *ctx,
	     char *const *values, size_t n, struct errtext *e)
{
	switch (o->type) {
	case CONF_BOOL: return parse_bool(o, base, values[0], e);
	case CONF_NUMBER:
	case CONF_SECONDS: return parse_number(o, base, values[0], e);
	case CONF_TIME: return parse_time(o, base, values[0], e);
	case CONF_ENUM: return parse_enum(o, base, values[0], e);
	case CONF_AS: return parse_as(o, base, values[0], e);
	case CONF_TEXT:
	case CONF_ACCOUNT:
	case CONF_NAME:
	case CONF_PATH:
	case CONF_URL:
	case CONF_SOURCE:
	case CONF_PROGRAM:
	case CONF_SECRET: return parse_string(o, base, ctx, values[0], e);
	case CONF_SECRET_FILE: return parse_secret_file(o, base, ctx, values[0], e);
	case CONF_ADDRESS: return conf_set_address(o, values[0], conf_field_of(o, base), e);
	case CONF_ACCOUNTS:
	case CONF_NAMES:
	case CONF_DNS_NAMES:
	case CONF_WORDS:
	case CONF_ADDRESSES:
	case CONF_PINS: return conf_set_list(o, base, values, n, e);
	}
	return -EINVAL;
}

int conf_set_initial(const struct conf_option *o, void *base)
{
	static const struct conf_context no_files;
	char *values[] = {(char *)o->initial};

	return o->initial ? conf_set(o, base, &no_files, values, 1, NULL) : 0;
}
