// SPDX-License-Identifier: Apache-2.0
/* state.json: no crash, no leak, and what is taken is written as text that is taken again as the
 * same. */
#include "state_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *once = NULL, *twice = NULL;
	struct state s = {}, again = {};
	struct errtext e = {};
	size_t len = 0;

	if (state_parse((const char *)data, size, &s, &e) < 0) {
		if (!e.text[0] || s.n_owned || s.n_asked)
			abort();
		return 0;
	}
	once = state_dump(&s, &len);
	if (!once || state_parse(once, len, &again, &e) < 0)
		abort();
	twice = state_dump(&again, NULL);
	if (!twice || strcmp(once, twice))
		abort();
	for (size_t i = 0; i < s.n_owned; i++)
		if (state_owned(&s, jv_get_string(s.owned[i].mapping, "neighbor", "")) !=
		    &s.owned[i])
			abort();
	for (size_t i = 0; i < again.n_asked; i++)
		if (!state_asked(&again, again.asked[i].server, &again.asked[i].record))
			abort();
	state_wipe(&s);
	state_wipe(&again);
	return 0;
}
