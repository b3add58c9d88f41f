// SPDX-License-Identifier: Apache-2.0
/* What the operator should know of the TCP-AO configuration before it hurts. */
#include "ao.h"
#include "conf.h"

#include <stdarg.h>

#define DAY 86400

/* From then on no key may be sent, for ever; 0: never so. */
static uint64_t end_of(const struct keychain *c, uint64_t now)
{
	uint64_t begin, end = now;

	while (keychain_gap(c, end, &begin, &end))
		if (!end)
			return begin;
	return 0;
}

static bool has_ended(const struct keychain *c, uint64_t now)
{
	uint64_t end = end_of(c, now);

	return end && end <= now;
}

static void PRINTF(4, 5)
	say(config_report_fn *report, void *arg, const char *where, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report(arg, where, text);
}

static bool is_in_use(const struct config *config, const struct keychain *c)
{
	for (size_t i = 0; i < config->n_neighbors; i++)
		if (ao_is_wanted(&config->neighbors[i]) && config->neighbors[i].ao.chain == c)
			return true;
	return false;
}

static void warn_gaps(const struct keychain *c, uint64_t now, config_report_fn *report, void *arg)
{
	const char *where = c->keys[c->n - 1].origin;
	char from[CONF_TIME_LEN], until[CONF_TIME_LEN];
	uint64_t begin, end = now;

	while (keychain_gap(c, end, &begin, &end) && end)
		say(report, arg, where,
		    "chain %s: no key may be sent from %s until %s: connections that begin then "
		    "fail; let the keys overlap",
		    c->name, conf_format_time(begin, from), conf_format_time(end, until));
}

static void warn_end(const struct keychain *c, uint64_t now, unsigned days,
		     config_report_fn *report, void *arg)
{
	uint64_t end = end_of(c, now), left;
	char text[CONF_TIME_LEN];

	if (!end || end <= now || end - now >= (uint64_t)days * DAY)
		return;
	left = (end - now) / DAY;
	say(report, arg, c->keys[c->n - 1].origin,
	    "chain %s: its last key ends at %s, in %llu day%s; connections that begin later fail: "
	    "add the next key",
	    c->name, conf_format_time(end, text), (unsigned long long)left, left == 1 ? "" : "s");
}

void ao_warn_expiry(const struct config *config, uint64_t now, config_report_fn *report, void *arg)
{
	for (size_t i = 0; i < config->n_chains; i++) {
		if (!is_in_use(config, &config->chains[i]))
			continue;
		warn_gaps(&config->chains[i], now, report, arg);
		warn_end(&config->chains[i], now, config->expiry_warning_days, report, arg);
	}
}

/* True when it is a problem now. */
static bool report_neighbor(const struct neighbor_config *n, bool kernel_has_ao, uint64_t now,
			    const struct ao_report *report)
{
	const char *refusal = ao_refusal(n, kernel_has_ao);
	struct keychain c = ao_chain(n);

	if (ao_is_capability(n) && !kernel_has_ao)
		say(report->warning, report->arg, n->origin,
		    "neighbor %s: tcp-ao = capability: this kernel has no TCP-AO, so it is not "
		    "announced, and sessions go over TLS without it: boot one that has it "
		    "(" TCP_AO_KERNEL ")",
		    n->name);
	if (!ao_is_wanted(n))
		return false;

	if (refusal) {
		say(report->problem, report->arg, n->origin, "neighbor %s: %s", n->name, refusal);
		return true;
	}
	if (!kernel_has_ao)
		say(report->warning, report->arg, n->origin,
		    "neighbor %s: tcp-ao-policy = preferred: this kernel has no TCP-AO, so "
		    "connections go without it, over TLS as always: boot one that has it "
		    "(" TCP_AO_KERNEL ")",
		    n->name);
	if (!has_ended(&c, now))
		return false;
	say(report->problem, report->arg, n->origin,
	    "neighbor %s: every key of the chain %s has ended: no connection can begin; add the "
	    "next key",
	    n->name, c.name ? c.name : "?");
	return true;
}

static bool was_problem(const struct config *in_force, const char *name, bool kernel_has_ao,
			uint64_t now)
{
	const struct neighbor_config *n = in_force ? config_neighbor(in_force, name) : NULL;
	struct keychain c;

	if (!n || !ao_is_wanted(n))
		return false;
	c = ao_chain(n);
	return ao_refusal(n, kernel_has_ao) || has_ended(&c, now);
}

int ao_report(const struct config *config, const struct config *in_force, bool kernel_has_ao,
	      uint64_t now, const struct ao_report *report)
{
	int bad = 0;

	for (size_t i = 0; i < config->n_neighbors; i++) {
		const struct neighbor_config *n = &config->neighbors[i];

		if (report_neighbor(n, kernel_has_ao, now, report))
			bad += !was_problem(in_force, n->name, kernel_has_ao, now);
	}
	ao_warn_expiry(config, now, report->warning, report->arg);
	return bad;
}
