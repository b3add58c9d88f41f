// SPDX-License-Identifier: Apache-2.0
/* The words for BGP's numbers, as IANA has them, and a NOTIFICATION in one line. */
#include "bgp.h"
#include "text.h"
#include "util.h"

#define CODE_CEASE	     6
#define CEASE_ADMIN_SHUTDOWN 2
#define CEASE_ADMIN_RESET    4
#define CEASE_HARD_RESET     9

static const char *const header_errors[] = {
	[1] = "Connection Not Synchronized",
	[2] = "Bad Message Length",
	[3] = "Bad Message Type",
};

static const char *const open_errors[] = {
	[1] = "Unsupported Version Number", [2] = "Bad Peer AS",
	[3] = "Bad BGP Identifier",	    [4] = "Unsupported Optional Parameter",
	[5] = "Authentication Failure",	    [6] = "Unacceptable Hold Time",
	[7] = "Unsupported Capability",	    [11] = "Role Mismatch",
};

static const char *const update_errors[] = {
	[1] = "Malformed Attribute List",
	[2] = "Unrecognized Well-known Attribute",
	[3] = "Missing Well-known Attribute",
	[4] = "Attribute Flags Error",
	[5] = "Attribute Length Error",
	[6] = "Invalid ORIGIN Attribute",
	[7] = "AS Routing Loop",
	[8] = "Invalid NEXT_HOP Attribute",
	[9] = "Optional Attribute Error",
	[10] = "Invalid Network Field",
	[11] = "Malformed AS_PATH",
};

/* RFC 6608 */
static const char *const fsm_errors[] = {
	[1] = "Unexpected Message in OpenSent State",
	[2] = "Unexpected Message in OpenConfirm State",
	[3] = "Unexpected Message in Established State",
};

/* RFC 4486; 9: RFC 8538; 10: RFC 9384 */
static const char *const cease_subcodes[] = {
	[1] = "Maximum Number of Prefixes Reached",
	[CEASE_ADMIN_SHUTDOWN] = "Administrative Shutdown",
	[3] = "Peer De-configured",
	[CEASE_ADMIN_RESET] = "Administrative Reset",
	[5] = "Connection Rejected",
	[6] = "Other Configuration Change",
	[7] = "Connection Collision Resolution",
	[8] = "Out of Resources",
	[CEASE_HARD_RESET] = "Hard Reset",
	[10] = "BFD Down",
};

/* RFC 7313 */
static const char *const refresh_errors[] = {
	[1] = "Invalid Message Length",
};

static const struct error_code {
	const char *name;
	const char *const *subcodes;
	size_t n_subcodes;
} error_codes[] = {
	[1] = {"Message Header Error", header_errors, ARRAY_SIZE(header_errors)},
	[2] = {"OPEN Message Error", open_errors, ARRAY_SIZE(open_errors)},
	[3] = {"UPDATE Message Error", update_errors, ARRAY_SIZE(update_errors)},
	[4] = {"Hold Timer Expired", NULL, 0},
	[5] = {"Finite State Machine Error", fsm_errors, ARRAY_SIZE(fsm_errors)},
	[CODE_CEASE] = {"Cease", cease_subcodes, ARRAY_SIZE(cease_subcodes)},
	[7] = {"ROUTE-REFRESH Message Error", refresh_errors, ARRAY_SIZE(refresh_errors)},
	[8] = {"Send Hold Timer Expired", NULL, 0}, /* RFC 9687 */
};

static const char *const capabilities[] = {
	[1] = "Multiprotocol Extensions",
	[2] = "Route Refresh",
	[3] = "Outbound Route Filtering",
	[5] = "Extended Next Hop Encoding",
	[6] = "Extended Message",
	[7] = "BGPsec",
	[8] = "Multiple Labels",
	[9] = "BGP Role",
	[64] = "Graceful Restart",
	[65] = "Four-octet AS",
	[67] = "Dynamic Capability",
	[68] = "Multisession",
	[69] = "ADD-PATH",
	[70] = "Enhanced Route Refresh",
	[71] = "Long-Lived Graceful Restart",
	[72] = "Routing Policy Distribution",
	[73] = "FQDN",
	[74] = "BFD Strict Mode",
	[75] = "Software Version",
	[76] = "PATHS-LIMIT",
	[128] = "Route Refresh (pre-standard)",
	[131] = "Multisession (Cisco)",
};

/* Text that is cut when it does not fit, between characters. */
struct line {
	char *at;
	size_t left; /* with the terminating zero */
	bool is_full;
};

static void add(struct line *l, const char *text, size_t len)
{
	if (l->is_full || len >= l->left) {
		l->is_full = true;
		return;
	}
	memcpy(l->at, text, len);
	l->at += len;
	l->left -= len;
	*l->at = '\0';
}

static void add_text(struct line *l, const char *text)
{
	while (*text)
		add(l, text++, 1);
}

static void add_number(struct line *l, const char *what, unsigned n)
{
	char text[24];

	snprintf(text, sizeof(text), "%s %u", what, n);
	add_text(l, text);
}

/* RFC 9003: one octet of length, then UTF-8 that the other end's operator wrote. */
static void add_communication(struct line *l, const uint8_t *data, size_t len)
{
	if (len < 1 || data[0] == 0)
		return;
	if (data[0] < len - 1)
		len = data[0] + 1;
	add_text(l, ": ");
	for (size_t at = 1, n; at < len; at += n) {
		bool is_printable;

		n = text_next(data + at, len - at, &is_printable);
		if (is_printable)
			add(l, (const char *)data + at, n);
		else
			add(l, "?", 1);
	}
}

static void add_names(struct line *l, uint8_t code, uint8_t subcode)
{
	const struct error_code *e = code < ARRAY_SIZE(error_codes) ? &error_codes[code] : NULL;

	if (e && e->name)
		add_text(l, e->name);
	else
		add_number(l, "code", code);
	if (!subcode)
		return;
	add_text(l, "/");
	if (e && subcode < e->n_subcodes && e->subcodes[subcode])
		add_text(l, e->subcodes[subcode]);
	else
		add_number(l, "subcode", subcode);
}

static void add_notification(struct line *l, uint8_t code, uint8_t subcode, const uint8_t *data,
			     size_t len)
{
	add_names(l, code, subcode);
	if (code == CODE_CEASE && (subcode == CEASE_ADMIN_SHUTDOWN || subcode == CEASE_ADMIN_RESET))
		add_communication(l, data, len);
}

void bgp_notification_format(uint8_t code, uint8_t subcode, const uint8_t *data, size_t len,
			     char *buf, size_t buflen)
{
	struct line l = {.at = buf, .left = buflen};

	if (!buflen)
		return;
	*buf = '\0';
	add_notification(&l, code, subcode, data, len);
	/* RFC 8538: a Hard Reset carries the NOTIFICATION that it stands for. */
	if (code == CODE_CEASE && subcode == CEASE_HARD_RESET && len >= 2) {
		add_text(&l, ": ");
		add_notification(&l, data[0], data[1], data + 2, len - 2);
	}
}

const char *bgp_type_name(enum bgp_type t)
{
	switch (t) {
	case BGP_OPEN: return "OPEN";
	case BGP_UPDATE: return "UPDATE";
	case BGP_NOTIFICATION: return "NOTIFICATION";
	case BGP_KEEPALIVE: return "KEEPALIVE";
	case BGP_ROUTE_REFRESH: return "ROUTE-REFRESH";
	}
	return "unknown";
}

const char *bgp_capability_name(uint8_t code)
{
	return code < ARRAY_SIZE(capabilities) ? capabilities[code] : NULL;
}
