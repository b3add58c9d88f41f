// SPDX-License-Identifier: Apache-2.0
/*
 * What a neighbor that is who it says can send once TLS is up: records of any type and content,
 * rightly sealed, in any pieces. The first octet: bit 0 says which side we are.
 *
 * Each step is an octet, its lower three bits what, the others how much:
 *	0 data, 1 a record of any type, 2 zeros behind a type, 3 a KeyUpdate, 4 bytes in clear,
 *	5 the rest goes out, 6 something is read, 7 something is written
 */
#include "check.h"
#include "script.h"
#include "tls_wire.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 60
#define EMPTY_MAX 32  /* so many in a row are taken */
#define ROOM	  256 /* in wire.out for one more step */

static struct {
	struct pair pair;
	struct wire wire;
	enum tls_side us;
	uint64_t said, heard; /* bytes of data; each has the low bits of its number */
	unsigned empty;	      /* records without data */
	bool is_honest, has_failed;
} play;

static void seal_data(size_t len)
{
	uint8_t text[64];

	if (!len && ++play.empty > EMPTY_MAX)
		play.is_honest = false;
	for (size_t i = 0; i < len; i++)
		text[i] = play.said++;
	text[len] = 23;
	wire_seal(&play.wire, text, len + 1);
}

/* Type and bytes of the script's choice: data among them is no longer what we know. */
static void seal_anything(size_t len)
{
	uint8_t text[64];

	for (size_t i = 0; i <= len; i++)
		text[i] = next();
	play.is_honest = false;
	wire_seal(&play.wire, text, len + 1);
}

static void seal_padded(size_t len)
{
	uint8_t text[64] = {play.said++, 23};

	wire_seal(&play.wire, text, 2 + len);
}

static void seal_key_update(unsigned request)
{
	uint8_t text[6] = {24, 0, 0, 1, request, 22};

	if (request > 1)
		play.is_honest = false;
	wire_seal(&play.wire, text, sizeof(text));
	wire_next_key(&play.wire);
}

static void say_clear(size_t len)
{
	uint8_t bytes[64];

	for (size_t i = 0; i < len; i++)
		bytes[i] = next();
	if (len)
		play.is_honest = false;
	wire_raw(&play.wire, bytes, len);
}

static void send_out(void)
{
	/* Never more than a socket takes here. */
	send(play.pair.fd[!play.us], play.wire.out, play.wire.len, MSG_NOSIGNAL);
	play.wire.len = 0;
}

static void read_in(size_t len)
{
	uint8_t buf[64];
	size_t n = 0;
	enum tls_want want = tls_read(play.pair.t[play.us], buf, len + 1, &n);

	if (play.has_failed)
		CHECK(want == TLS_FAILED || want == TLS_TRUNCATED);
	if (want == TLS_FAILED || want == TLS_TRUNCATED) {
		const char *text;

		CHECK(!play.is_honest);
		CHECK(tls_failure(play.pair.t[play.us], &text) != TLS_REASON_NONE && *text);
		play.has_failed = true;
	}
	if (want != TLS_DONE)
		return;
	CHECK(n > 0 && n <= len + 1);
	for (size_t i = 0; play.is_honest && i < n; i++)
		CHECK(buf[i] == (uint8_t)play.heard++);
}

static void write_out(size_t len)
{
	static const uint8_t zeros[64];
	uint8_t drain[4096];
	size_t n;

	tls_write(play.pair.t[play.us], zeros, len + 1, &n);
	while (recv(play.pair.fd[!play.us], drain, sizeof(drain), MSG_DONTWAIT) > 0)
		;
}

static void step(uint8_t op)
{
	size_t much = op >> 3;

	if (sizeof(play.wire.out) - play.wire.len < ROOM)
		send_out();
	switch (op & 7) {
	case 0: seal_data(much); break;
	case 1: seal_anything(much); break;
	case 2: seal_padded(much); break;
	case 3: seal_key_update(much & 3); break;
	case 4: say_clear(much); break;
	case 5: send_out(); break;
	case 6: read_in(much); break;
	case 7: write_out(much); break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	CHECK(pki_setup(NULL) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	play.us = data[0] & 1 ? TLS_SERVER : TLS_CLIENT;
	script = data + 1;
	script_left = size - 1;
	play.said = play.heard = play.empty = 0;
	play.is_honest = true;
	play.has_failed = false;
	wire_open(&play.wire, &play.pair, play.us == TLS_SERVER ? TLS_CLIENT : TLS_SERVER);
	for (int i = 0; i < STEPS_MAX && script_left; i++)
		step(next());
	send_out();
	for (int i = 0; i < 2 * STEPS_MAX; i++)
		read_in(31);
	if (play.is_honest)
		CHECK(play.heard == play.said);
	pair_close(&play.pair);
	return 0;
}
