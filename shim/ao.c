// SPDX-License-Identifier: Apache-2.0
#include "ao.h"

#include "ao_exporter.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct tcp_ao_key ao_key(const struct neighbor_config *n)
{
	const char *secret = n->ao.mode == AO_EXPORTER ? AO_DEFAULT_SECRET : n->ao.key;

	return (struct tcp_ao_key){
		.send_id = n->ao.send_id,
		.recv_id = n->ao.recv_id,
		.algorithm = n->ao.algorithm,
		.covers_options = n->ao.covers_options,
		.secret = secret,
		.secret_len = secret ? strlen(secret) : 0,
	};
}

bool ao_is_same(const struct neighbor_config *a, const struct neighbor_config *b)
{
	bool has_a = a && ao_is_wanted(a), has_b = b && ao_is_wanted(b);
	struct tcp_ao_key ka, kb;

	if (!has_a || !has_b)
		return has_a == has_b;
	ka = ao_key(a);
	kb = ao_key(b);
	return ka.send_id == kb.send_id && ka.recv_id == kb.recv_id &&
	       ka.algorithm == kb.algorithm && ka.covers_options == kb.covers_options &&
	       ka.secret_len == kb.secret_len && memcmp(ka.secret, kb.secret, ka.secret_len) == 0;
}

const char *ao_refusal(const struct neighbor_config *n, bool kernel_has_ao)
{
	if (kernel_has_ao || !ao_is_wanted(n))
		return NULL;
	return "tcp-ao: this kernel has no TCP-AO, so the neighbor stays closed: boot "
	       "one that has it (" TCP_AO_KERNEL "), or set tcp-ao = off";
}

int ao_report_refused(const struct config *config, const struct config *in_force,
		      bool kernel_has_ao, config_report_fn *report, void *arg)
{
	int bad = 0;

	for (size_t i = 0; i < config->n_neighbors; i++) {
		const struct neighbor_config *n = &config->neighbors[i];
		const struct neighbor_config *before =
			in_force ? config_neighbor(in_force, n->name) : NULL;
		const char *why = ao_refusal(n, kernel_has_ao);
		char text[320];

		if (!why)
			continue;
		snprintf(text, sizeof(text), "neighbor %s: %s", n->name, why);
		report(arg, n->origin, text);
		bad += !before || !ao_is_wanted(before);
	}
	return bad;
}

bool ao_probe(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && tcp_ao_probe(fd) == 0;
}

int ao_check(int fd, const struct neighbor_config *n, struct errtext *e)
{
	struct tcp_ao_status status;
	int r;

	if (!ao_is_wanted(n))
		return 0;
	r = tcp_ao_get_status(fd, &status);
	if (r == -ENOPROTOOPT)
		return errtext_set(e, r, "%s", ao_refusal(n, false));
	if (r < 0)
		return errtext_set(e, r, "tcp-ao = %s, but the connection carries no TCP-AO%s%s",
				   ao_mode_name(n->ao.mode), r == -ENOENT ? "" : ": ",
				   r == -ENOENT ? "" : strerror(-r));
	if (status.send_id != n->ao.send_id || status.recv_id != n->ao.recv_id)
		return errtext_set(e, -EKEYREJECTED,
				   "the connection carries TCP-AO with SendID %u and RecvID %u, "
				   "configured are %u and %u",
				   status.send_id, status.recv_id, n->ao.send_id, n->ao.recv_id);
	return 0;
}
