// SPDX-License-Identifier: Apache-2.0
/* The values of options: from text into the field, copied, compared, freed. */
#include "config_schema.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static void *field(const struct option *o, void *base)
{
	return (char *)base + o->offset;
}

static size_t *count(const struct option *o, void *base)
{
	return (size_t *)((char *)base + o->count_offset);
}

static void set_number(const struct option *o, void *base, uint64_t n)
{
	void *f = field(o, base);

	switch (o->size) {
	case 1: *(uint8_t *)f = n; break;
	case 2: *(uint16_t *)f = n; break;
	case 4: *(uint32_t *)f = n; break;
	default: *(uint64_t *)f = n; break;
	}
}

/* Everything that is not right about a value ends here, so that all messages have one form. */
static int refuse(const struct option *o, const char *value, struct errtext *e)
{
	char expects[192];

	option_expects(o, expects);
	if (o->type == OPTION_SECRET)
		return errtext_set(e, -EINVAL, "%s: this is not %s", o->name, expects);
	return errtext_set(e, -EINVAL, "%s: '%.60s%s' is not %s%s", o->name, value,
			   strlen(value) > 60 ? "..." : "",
			   o->type == OPTION_NUMBER || o->type == OPTION_SECONDS ? "in the range "
										 : "",
			   expects);
}

size_t option_printable_at(const unsigned char *s)
{
	static const uint32_t least[] = {0, 0x20, 0xa0, 0x800,
					 0x10000}; /* C1 controls too are left out */
	size_t n = *s < 0x80   ? 1
		   : *s < 0xc0 ? 0
		   : *s < 0xe0 ? 2
		   : *s < 0xf0 ? 3
		   : *s < 0xf8 ? 4
			       : 0;
	uint32_t c = n == 1 ? *s : *s & (0xff >> (n + 1));

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (n == 0 || c < least[n] || c == 0x7f || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

static bool is_printable(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		size_t n = option_printable_at(s);

		if (!n)
			return false;
		s += n;
	}
	return true;
}

/* What useradd(8) takes, digits in front too. */
static bool is_account(const char *s)
{
	if (*s == '-' || !*s || strlen(s) > 32)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_-.$", *s))
			return false;
	return true;
}

/* RFC 1123 section 2.1; no trailing dot. */
static bool is_host_name(const char *s)
{
	size_t label = 0;

	if (strlen(s) > 253)
		return false;
	for (;; s++) {
		if (*s == '.' || !*s) {
			if (label == 0 || label > 63 || s[-1] == '-')
				return false;
			if (!*s)
				return true;
			label = 0;
		} else if (isalnum((unsigned char)*s) || (*s == '-' && label > 0)) {
			label++;
		} else {
			return false;
		}
	}
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

static int parse_number(const struct option *o, void *base, const char *value, struct errtext *e)
{
	const char *s = value;
	uint64_t n, unit = 1;

	if (parse_digits(&s, &n) < 0)
		return refuse(o, value, e);
	if (o->type == OPTION_SECONDS && *s && !s[1]) {
		unit = *s == 's' ? 1 : *s == 'm' ? 60 : *s == 'h' ? 3600 : 0;
		s++;
	}
	if (*s || !unit || n > UINT32_MAX)
		return refuse(o, value, e);
	n *= unit;
	if ((n < o->min || n > o->max) && !(n == 0 && o->zero))
		return refuse(o, value, e);
	set_number(o, base, n);
	return 0;
}

/* asplain or asdot, RFC 5396 */
static int parse_as(const struct option *o, void *base, const char *value, struct errtext *e)
{
	const char *s = value;
	uint64_t n, low;

	if (parse_digits(&s, &n) < 0)
		return refuse(o, value, e);
	if (*s == '.') {
		s++;
		if (parse_digits(&s, &low) < 0 || n > UINT16_MAX || low > UINT16_MAX)
			return refuse(o, value, e);
		n = n << 16 | low;
	}
	if (*s || n < o->min || n > o->max)
		return refuse(o, value, e);
	set_number(o, base, n);
	return 0;
}

static int parse_bool(const struct option *o, void *base, const char *value, struct errtext *e)
{
	static const char *const names[] = {"false", "true", "no", "yes", "off", "on"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(value, names[i])) {
			*(bool *)field(o, base) = i & 1;
			return 0;
		}
	return refuse(o, value, e);
}

static int parse_enum(const struct option *o, void *base, const char *value, struct errtext *e)
{
	for (size_t i = 0; i <= o->max; i++)
		if (!strcmp(value, o->names[i])) {
			set_number(o, base, i);
			return 0;
		}
	return refuse(o, value, e);
}

static int parse_address(const struct option *o, void *base, const char *value, struct errtext *e)
{
	struct errtext why;
	struct addr a;

	if (addr_parse(value, &a, &why) < 0)
		return errtext_set(e, -EINVAL, "%s: %s", o->name, why.text);
	if (addr_is_prefix(&a) || addr_is_any(&a))
		return refuse(o, value, e);
	*(struct addr *)field(o, base) = a;
	return 0;
}

static void replace_string(const struct option *o, void *base, char *text)
{
	option_clear(o, base);
	*(char **)field(o, base) = text;
}

static int make_path(const struct option *o, const struct option_context *ctx, const char *value,
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
	if (strlen(*ret) > o->max || !is_printable(*ret)) {
		free(TAKE(*ret));
		return refuse(o, value, e);
	}
	return 0;
}

/* An empty string takes an inherited or default value away. */
static int parse_string(const struct option *o, void *base, const struct option_context *ctx,
			const char *value, struct errtext *e)
{
	char *text = NULL;
	int r;

	if (!*value && !o->initial && o->type != OPTION_SECRET) {
		option_clear(o, base);
		return 0;
	}
	if (!*value || strlen(value) > o->max ||
	    (o->type != OPTION_SECRET && !is_printable(value)) ||
	    (o->type == OPTION_ACCOUNT && !is_account(value)))
		return refuse(o, value, e);
	if (o->type == OPTION_SECRET && ctx->folder && !strcmp(value, SECRET_HIDDEN))
		return errtext_set(e, -EINVAL,
				   "%s: '%s' only stands for a key: write the key itself", o->name,
				   value);
	if (o->type == OPTION_PATH) {
		r = make_path(o, ctx, value, &text, e);
		if (r < 0)
			return r;
	} else {
		text = strdup(value);
		if (!text)
			return errtext_set(e, -ENOMEM, "out of memory");
	}
	replace_string(o, base, text);
	return 0;
}

static int read_secret(const struct option *o, int fd, const char *path,
		       char key[static MD5_KEY_MAX + 2], struct errtext *e)
{
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errtext_set(e, -EINVAL, "%s: %.120s: %s", o->name, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return errtext_set(e, -EINVAL, "%s: %.120s is not a regular file", o->name, path);
	if (st.st_mode & S_IROTH)
		return errtext_set(e, -EINVAL,
				   "%s: everybody may read the key in %.100s: chmod o-r it",
				   o->name, path);
	n = read(fd, key, MD5_KEY_MAX + 2);
	if (n < 0)
		return errtext_set(e, -EINVAL, "%s: %.120s: %s", o->name, path, strerror(errno));
	for (ssize_t i = 0; i < n; i++)
		if (key[i] == '\n' || key[i] == '\0')
			n = i;
	if (n < 1 || n > MD5_KEY_MAX)
		return errtext_set(e, -EINVAL,
				   "%s: the first line of %.100s is not a key of 1 to %d bytes",
				   o->name, path, MD5_KEY_MAX);
	key[n] = '\0';
	return 0;
}

static int parse_secret_file(const struct option *o, void *base, const struct option_context *ctx,
			     const char *value, struct errtext *e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	char key[MD5_KEY_MAX + 2], *text;
	int r;

	if (!ctx->folder)
		return errtext_set(e, -EINVAL, "%s: no files are read here", o->name);
	if (!*value)
		return refuse(o, value, e);
	r = make_path(o, ctx, value, &path, e);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	r = read_secret(o, fd, path, key, e);
	if (r < 0)
		return r;
	text = strdup(key);
	explicit_bzero(key, sizeof(key));
	if (!text)
		return errtext_set(e, -ENOMEM, "out of memory");
	replace_string(o, base, text);
	return 0;
}

static int base64_value(char c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(alphabet, c) : NULL;

	return p ? p - alphabet : -1;
}

/* 43 characters are 258 bits: the last two must be zero, so that a pin has one spelling. */
static bool parse_pin(const char *text, uint8_t pin[static SPKI_PIN_LEN])
{
	unsigned bits = 0, n_bits = 0, n = 0;

	if (strncmp(text, "sha256/", 7) || strlen(text += 7) != 44 || text[43] != '=')
		return false;
	for (int i = 0; i < 43; i++) {
		int v = base64_value(text[i]);

		if (v < 0)
			return false;
		bits = (bits << 6 | v) & 0xffff;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			pin[n++] = bits >> n_bits;
		}
	}
	return (bits & 3) == 0;
}

static int parse_pins(const struct option *o, void *base, char *const *values, size_t n,
		      struct errtext *e)
{
	uint8_t(*pins)[SPKI_PIN_LEN] = NULL;

	if (n) {
		pins = calloc(n, sizeof(*pins));
		if (!pins)
			return errtext_set(e, -ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < n; i++)
		if (!parse_pin(values[i], pins[i])) {
			free(pins);
			return refuse(o, values[i], e);
		}
	option_clear(o, base);
	*(void **)field(o, base) = pins;
	*count(o, base) = n;
	return 0;
}

static void free_list(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static char **copy_list(char *const *list, size_t n)
{
	char **copy = calloc(n, sizeof(*copy));

	if (!copy)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i]) {
			free_list(copy, i);
			return NULL;
		}
	}
	return copy;
}

static int parse_list(const struct option *o, void *base, char *const *values, size_t n,
		      struct errtext *e)
{
	char **list = NULL;

	for (size_t i = 0; i < n; i++)
		if (o->type == OPTION_DNS_NAMES ? !is_host_name(values[i]) : !is_account(values[i]))
			return refuse(o, values[i], e);
	if (n) {
		list = copy_list(values, n);
		if (!list)
			return errtext_set(e, -ENOMEM, "out of memory");
	}
	option_clear(o, base);
	*(char ***)field(o, base) = list;
	*count(o, base) = n;
	return 0;
}

int option_parse(const struct option *o, void *base, const struct option_context *ctx,
		 char *const *values, size_t n, struct errtext *e)
{
	if (option_is_list(o) && n == 1 && !*values[0])
		n = 0;
	if (option_is_list(o) && n > o->max)
		return errtext_set(e, -EINVAL, "%s: %zu values are too many: at most %llu", o->name,
				   n, (unsigned long long)o->max);
	switch (o->type) {
	case OPTION_BOOL: return parse_bool(o, base, values[0], e);
	case OPTION_NUMBER:
	case OPTION_SECONDS: return parse_number(o, base, values[0], e);
	case OPTION_ENUM: return parse_enum(o, base, values[0], e);
	case OPTION_AS: return parse_as(o, base, values[0], e);
	case OPTION_TEXT:
	case OPTION_ACCOUNT:
	case OPTION_PATH:
	case OPTION_SECRET: return parse_string(o, base, ctx, values[0], e);
	case OPTION_SECRET_FILE: return parse_secret_file(o, base, ctx, values[0], e);
	case OPTION_ADDRESS: return parse_address(o, base, values[0], e);
	case OPTION_ACCOUNTS:
	case OPTION_DNS_NAMES: return parse_list(o, base, values, n, e);
	case OPTION_PINS: return parse_pins(o, base, values, n, e);
	}
	return -EINVAL;
}

int option_parse_initial(const struct option *o, void *base)
{
	static const struct option_context no_files;
	char *values[] = {(char *)o->initial};

	return o->initial ? option_parse(o, base, &no_files, values, 1, NULL) : 0;
}

void option_clear(const struct option *o, void *base)
{
	void *f = field(o, base);

	if (option_is_string(o)) {
		char *s = *(char **)f;

		if (s && (o->type == OPTION_SECRET || o->type == OPTION_SECRET_FILE))
			explicit_bzero(s, strlen(s));
		free(s);
	} else if (o->type == OPTION_PINS) {
		free(*(void **)f);
		*count(o, base) = 0;
	} else if (option_is_list(o)) {
		free_list(*(char ***)f, *count(o, base));
		*count(o, base) = 0;
	}
	memset(f, 0, o->size);
}

int option_copy(const struct option *o, void *to, const void *from)
{
	void *copy = NULL;

	if (option_is_string(o)) {
		const char *s = *(char *const *)option_field(o, from);

		if (s && !(copy = strdup(s)))
			return -ENOMEM;
	} else if (option_is_list(o)) {
		size_t n = option_count(o, from);
		const void *list = *(void *const *)option_field(o, from);

		if (n && o->type == OPTION_PINS) {
			copy = calloc(n, SPKI_PIN_LEN);
			if (copy)
				memcpy(copy, list, n * SPKI_PIN_LEN);
		} else if (n) {
			copy = copy_list(list, n);
		}
		if (n && !copy)
			return -ENOMEM;
		option_clear(o, to);
		*count(o, to) = n;
	} else {
		memcpy(field(o, to), option_field(o, from), o->size);
		return 0;
	}
	if (!option_is_list(o))
		option_clear(o, to);
	*(void **)field(o, to) = copy;
	return 0;
}

static bool item_equal(const struct option *o, const void *a, size_t i, const void *b, size_t j)
{
	if (o->type == OPTION_PINS)
		return !memcmp((*(uint8_t(*const *)[SPKI_PIN_LEN])option_field(o, a))[i],
			       (*(uint8_t(*const *)[SPKI_PIN_LEN])option_field(o, b))[j],
			       SPKI_PIN_LEN);
	return !strcmp((*(char **const *)option_field(o, a))[i],
		       (*(char **const *)option_field(o, b))[j]);
}

bool option_equal(const struct option *o, const void *a, const void *b)
{
	if (option_is_string(o)) {
		const char *s = *(char *const *)option_field(o, a),
			   *t = *(char *const *)option_field(o, b);

		return s && t ? !strcmp(s, t) : s == t;
	}
	if (option_is_list(o)) {
		if (option_count(o, a) != option_count(o, b))
			return false;
		for (size_t i = 0; i < option_count(o, a); i++)
			if (!item_equal(o, a, i, b, i))
				return false;
		return true;
	}
	if (o->type == OPTION_ADDRESS)
		return addr_equal(option_field(o, a), option_field(o, b));
	return !memcmp(option_field(o, a), option_field(o, b), o->size);
}

static bool contains_all(const struct option *o, const void *new, const void *old)
{
	for (size_t i = 0; i < option_count(o, old); i++) {
		size_t j = 0;

		while (j < option_count(o, new) && !item_equal(o, old, i, new, j))
			j++;
		if (j == option_count(o, new))
			return false;
	}
	return true;
}

bool option_is_wider(const struct option *o, const void *new, const void *old)
{
	switch (o->type) {
	case OPTION_BOOL: return !*(const bool *)option_field(o, new); /* all are checks */
	case OPTION_ENUM: return option_number(o, new) <= option_number(o, old);
	case OPTION_AS: return option_number(o, new) == 0;
	case OPTION_PINS:
	case OPTION_DNS_NAMES: /* an empty list means another kind of check */
		return option_count(o, old) > 0 && contains_all(o, new, old);
	case OPTION_NUMBER:
	case OPTION_SECONDS:
	case OPTION_TEXT:
	case OPTION_ACCOUNT:
	case OPTION_PATH:
	case OPTION_ADDRESS:
	case OPTION_SECRET:
	case OPTION_SECRET_FILE:
	case OPTION_ACCOUNTS: break;
	}
	return false;
}
