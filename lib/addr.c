// SPDX-License-Identifier: Apache-2.0
#include "addr.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/ioctl.h>

static int max_prefixlen(sa_family_t family)
{
	return family == AF_INET ? 32 : 128;
}

static bool host_bits_are_zero(const struct addr *a)
{
	for (int bit = a->prefixlen; bit < max_prefixlen(a->family); bit++)
		if (a->bytes[bit / 8] & (0x80 >> (bit % 8)))
			return false;
	return true;
}

static int parse_prefixlen(const char *text, sa_family_t family, uint8_t *ret)
{
	char *end;
	long n;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	n = strtol(text, &end, 10);
	if (*end || n > max_prefixlen(family))
		return -EINVAL;
	*ret = n;
	return 0;
}

int addr_parse(const char *text, struct addr *ret, struct errtext *e)
{
	char buf[ADDR_STRLEN];
	struct addr a = {};
	char *slash, *percent;

	if (strlen(text) >= sizeof(buf))
		return errtext_set(e, -EINVAL, "'%.40s...' is too long for an address", text);
	strcpy(buf, text);
	slash = strchr(buf, '/');
	if (slash)
		*slash++ = '\0';
	percent = strchr(buf, '%');
	if (percent)
		*percent++ = '\0';

	if (inet_pton(AF_INET, buf, a.bytes) == 1)
		a.family = AF_INET;
	else if (inet_pton(AF_INET6, buf, a.bytes) == 1)
		a.family = AF_INET6;
	else
		return errtext_set(e, -EINVAL, "'%s' is not an IPv4 or IPv6 address", text);
	if (a.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((struct in6_addr *)a.bytes))
		return errtext_set(e, -EINVAL, "'%s': write the IPv4 address itself", text);

	a.prefixlen = max_prefixlen(a.family);
	if (slash && parse_prefixlen(slash, a.family, &a.prefixlen) < 0)
		return errtext_set(e, -EINVAL, "'%s': the prefix length must be 0 to %d", text,
				   max_prefixlen(a.family));
	if (!host_bits_are_zero(&a))
		return errtext_set(e, -EINVAL, "'%s' has bits set beyond its prefix length", text);

	if (addr_is_linklocal(&a)) {
		if (!percent || !*percent)
			return errtext_set(
				e, -EINVAL,
				"'%s' is link-local: name its interface, as in '%s%%eth0'", text,
				buf);
		if (strlen(percent) >= IFNAMSIZ)
			return errtext_set(e, -EINVAL, "'%s': the interface name is too long",
					   text);
		strcpy(a.ifname, percent);
	} else if (percent) {
		return errtext_set(e, -EINVAL, "'%s' is not link-local: remove '%%%s'", text,
				   percent);
	}
	*ret = a;
	return 0;
}

const char *addr_format(const struct addr *a, char buf[static ADDR_STRLEN])
{
	size_t n;

	if (a->family == AF_UNSPEC || !inet_ntop(a->family, a->bytes, buf, INET6_ADDRSTRLEN)) {
		strcpy(buf, "-");
		return buf;
	}
	n = strlen(buf);
	if (a->ifname[0])
		n += snprintf(buf + n, ADDR_STRLEN - n, "%%%s", a->ifname);
	if (addr_is_prefix(a))
		snprintf(buf + n, ADDR_STRLEN - n, "/%u", a->prefixlen);
	return buf;
}

static void interface_name(int fd, unsigned index, char ret[static IFNAMSIZ])
{
	struct ifreq request = {.ifr_ifindex = index};

	if (fd < 0)
		if_indextoname(index, ret);
	else if (ioctl(fd, SIOCGIFNAME, &request) == 0)
		memcpy(ret, request.ifr_name, IFNAMSIZ);
}

int addr_from_socket(int fd, const struct sockaddr_storage *ss, struct addr *ret,
		     uint16_t *ret_port)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
	struct addr a = {};
	uint16_t port;

	if (ss->ss_family == AF_INET) {
		a.family = AF_INET;
		memcpy(a.bytes, &in->sin_addr, 4);
		port = ntohs(in->sin_port);
	} else if (ss->ss_family == AF_INET6) {
		port = ntohs(in6->sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			a.family = AF_INET;
			memcpy(a.bytes, in6->sin6_addr.s6_addr + 12, 4);
		} else {
			a.family = AF_INET6;
			memcpy(a.bytes, &in6->sin6_addr, 16);
			if (addr_is_linklocal(&a) && in6->sin6_scope_id)
				interface_name(fd, in6->sin6_scope_id, a.ifname);
		}
	} else {
		return -EAFNOSUPPORT;
	}
	a.prefixlen = max_prefixlen(a.family);
	*ret = a;
	if (ret_port)
		*ret_port = port;
	return 0;
}

int addr_from_sockaddr(const struct sockaddr_storage *ss, struct addr *ret, uint16_t *ret_port)
{
	return addr_from_socket(-1, ss, ret, ret_port);
}

int addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_storage ss = {};
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;

	ss.ss_family = a->family;
	if (a->family == AF_INET) {
		memcpy(&in->sin_addr, a->bytes, 4);
		in->sin_port = htons(port);
		*ret = ss;
		return sizeof(*in);
	}
	if (a->family != AF_INET6)
		return -EAFNOSUPPORT;
	memcpy(&in6->sin6_addr, a->bytes, 16);
	in6->sin6_port = htons(port);
	if (a->ifname[0]) {
		in6->sin6_scope_id = if_nametoindex(a->ifname);
		if (!in6->sin6_scope_id)
			return -ENODEV;
	}
	*ret = ss;
	return sizeof(*in6);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->prefixlen == b->prefixlen &&
	       memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 &&
	       strcmp(a->ifname, b->ifname) == 0;
}

bool addr_is_prefix(const struct addr *a)
{
	return a->family != AF_UNSPEC && a->prefixlen < max_prefixlen(a->family);
}

bool addr_is_linklocal(const struct addr *a)
{
	return a->family == AF_INET6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool addr_is_any(const struct addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
	static const uint8_t one[16] = {[15] = 1};

	if (a->family == AF_INET)
		return a->bytes[0] == 127;
	return a->family == AF_INET6 && memcmp(a->bytes, one, sizeof(one)) == 0;
}

bool addr_contains(const struct addr *net, const struct addr *host)
{
	int whole = net->prefixlen / 8, rest = net->prefixlen % 8;

	if (net->family != host->family || strcmp(net->ifname, host->ifname) != 0)
		return false;
	if (memcmp(net->bytes, host->bytes, whole) != 0)
		return false;
	return rest == 0 || ((net->bytes[whole] ^ host->bytes[whole]) >> (8 - rest)) == 0;
}
