// SPDX-License-Identifier: Apache-2.0
/*
 * A relay between two transports that answer each call as the input says, in any order that a
 * socket or a TLS library may come up with, and more. Checked: bytes are delivered once and in
 * order, nothing is asked of a transport after its end, on_end comes once, memory stays bounded,
 * and it comes to rest.
 */
#include "check.h"
#include "relay.h"
#include "util.h"

#include <sys/eventfd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define TURNS_MAX   300
#define HELD_HEADER 64 /* at most: what is noted of bytes that wait */

struct fake {
	struct transport base;
	uint64_t read, written; /* bytes */
	bool has_ended;		/* reading */
	bool is_shut;		/* writing, either way */
	bool is_shut_down;	/* in an orderly way */
	bool is_freed;
};

static struct loop *loop;
static struct fake fakes[2];
static struct relay *relay;
static const uint8_t *script;
static size_t script_left;
static unsigned ends;
static bool was_aborted, was_closed;

static bool next(uint8_t *ret)
{
	if (!script_left)
		return false;
	script_left--;
	*ret = *script++;
	return true;
}

static uint8_t byte_at(uint64_t position)
{
	return position * 131 >> 3;
}

static enum transport_result fake_read(struct transport *base, void *buf, size_t len, size_t *ret_n)
{
	struct fake *f = (struct fake *)base;
	uint8_t op;
	size_t n;

	CHECK(!f->is_freed && !f->has_ended && len > 0);
	if (!next(&op))
		return IO_WANT_READ;
	switch (op & 7) {
	case 4: return IO_WANT_READ;
	case 5: return IO_WANT_WRITE;
	case 6: f->has_ended = true; return IO_EOF;
	case 7: f->has_ended = f->is_shut = true; return IO_RESET;
	}
	n = (op >> 3) * 700 + 1;
	if (n > len)
		n = len;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)buf)[i] = byte_at(f->read + i);
	f->read += n;
	*ret_n = n;
	return IO_OK;
}

static enum transport_result fake_write(struct transport *base, const void *buf, size_t len,
					size_t *ret_n)
{
	struct fake *f = (struct fake *)base;
	uint8_t op = 0xf8;
	size_t n;

	CHECK(!f->is_freed && !f->is_shut && len > 0 && len <= RELAY_BUFFER);
	next(&op);
	switch (op & 7) {
	case 4: return IO_WANT_READ;
	case 5: return IO_WANT_WRITE;
	case 6: f->is_shut = true; return IO_EOF;
	case 7: f->is_shut = true; return IO_RESET;
	}
	n = (op >> 3) * 700 + 1;
	if (n > len)
		n = len;
	for (size_t i = 0; i < n; i++)
		CHECK(((const uint8_t *)buf)[i] == byte_at(f->written + i));
	f->written += n;
	*ret_n = n;
	return IO_OK;
}

static enum transport_result fake_shutdown(struct transport *base)
{
	struct fake *f = (struct fake *)base;
	uint8_t op = 0;

	CHECK(!f->is_freed && !f->is_shut);
	next(&op);
	if ((op & 7) == 4)
		return IO_WANT_READ;
	if ((op & 7) == 5)
		return IO_WANT_WRITE;
	f->is_shut = true;
	f->is_shut_down = (op & 7) != 7;
	return f->is_shut_down ? IO_EOF : IO_RESET;
}

static bool fake_may_have_more(const struct transport *base)
{
	(void)base;
	return true;
}

static bool fake_has_pending(const struct transport *base)
{
	(void)base;
	return script_left > 0;
}

static const char *fake_error(const struct transport *base)
{
	(void)base;
	return "scripted";
}

static void fake_free(struct transport *base)
{
	struct fake *f = (struct fake *)base;

	CHECK(!f->is_freed);
	f->is_freed = true;
	close(base->fd);
}

static const struct transport_ops fake_ops = {
	.read = fake_read,
	.write = fake_write,
	.shutdown = fake_shutdown,
	.has_pending = fake_has_pending,
	.may_have_more = fake_may_have_more,
	.error = fake_error,
	.free = fake_free,
};

static void on_bytes(void *arg, enum relay_side from, const void *data, size_t len)
{
	uint8_t op;

	(void)arg;
	CHECK(len > 0 && ((const uint8_t *)data)[len - 1] == byte_at(fakes[from].read - 1));
	if (!next(&op))
		return;
	if (op == 0xfc) {
		relay_close(relay);
		was_closed = true;
	} else if (op == 0xfd) {
		relay_abort(relay, NULL);
		was_aborted = true;
	} else if (op == 0xfe) {
		relay_free(TAKE(relay));
		was_aborted = true;
	}
}

static void on_end(void *arg, const struct relay_end *end)
{
	(void)arg;
	CHECK(!was_aborted && fakes[0].is_freed && fakes[1].is_freed);
	ends++;
	for (int i = 0; i < 2; i++) {
		CHECK(end->bytes[i] == fakes[i].read);
		CHECK(end->lost[i] == fakes[i].read - fakes[!i].written);
		/* An orderly end is passed on behind all that came before it, or not at all. */
		CHECK(!end->lost[i] || !fakes[!i].is_shut_down || was_closed);
	}
}

static void *alloc(size_t size)
{
	uint8_t op;

	CHECK(size > 0 && size <= RELAY_BUFFER + HELD_HEADER);
	return next(&op) && op == 0xff ? NULL : malloc(size);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return loop_new(&loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct relay_limits limits = {
		.stall_ms = 1, .linger_ms = 2, .half_closed_ms = 1};
	static const struct relay_callbacks callbacks = {
		.on_bytes = on_bytes,
		.on_end = on_end,
		.alloc = alloc,
		.limits = &limits,
	};

	script = data;
	script_left = size;
	ends = 0;
	was_aborted = was_closed = false;
	for (int i = 0; i < 2; i++) {
		/* Readable and writable at all times: what is waited for is there in the next turn.
		 */
		fakes[i] = (struct fake){
			.base = {.ops = &fake_ops, .fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)}};
		CHECK(fakes[i].base.fd >= 0);
	}
	if (relay_new(loop, &fakes[0].base, &fakes[1].base, &callbacks, NULL, &relay) < 0)
		return 0;
	for (int i = 0; i < TURNS_MAX && relay && !ends && !was_aborted; i++) {
		CHECK(loop_turn(loop, false) == 0);
		if (relay)
			CHECK(relay_buffered(relay) <= 2 * RELAY_BUFFER);
		if (relay && !ends && !was_aborted && !script_left && relay_buffered(relay) == 0 &&
		    i > 3)
			break;
	}
	CHECK(ends <= 1);
	/* While it lives, what is not delivered is held. */
	if (relay && !ends && !was_aborted && !was_closed && !fakes[0].is_shut && !fakes[1].is_shut)
		CHECK(fakes[0].read - fakes[1].written + fakes[1].read - fakes[0].written ==
		      relay_buffered(relay));
	relay_free(TAKE(relay));
	CHECK(fakes[0].is_freed && fakes[1].is_freed);
	loop_turn(loop, false);
	return 0;
}
