/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The TLS class against a TLS library that follows a script: what each call of it says, in
 * order.  After every event: which directions are asked for, and who was tried again.
 */

#include "expect.h"
#include <tls.c>

enum call { HANDSHAKE, READ, WRITE };

static struct {
	const struct step {
		enum call call;
		int result;
	} *next;
	size_t pending;
	char written[64];
	int goodbyes, freed;
} tls;

static int play(enum call call)
{
	expect(tls.next->call == call);
	return (tls.next++)->result;
}

int tls_handshake(void *arg)
{
	expect(arg == &tls);
	return play(HANDSHAKE);
}

int tls_read(void *arg, void *buffer, size_t len)
{
	int n = play(READ);

	expect(arg == &tls);
	if (n > 0) {
		expect((size_t)n <= len);
		memset(buffer, 'r', n);
		if (tls.pending > 0)
			tls.pending -= n;
	}
	return n;
}

int tls_write(void *arg, const void *data, size_t len)
{
	int n = play(WRITE);

	expect(arg == &tls);
	if (n > 0) {
		expect((size_t)n <= len);
		strncat(tls.written, data, n);
	}
	return n;
}

size_t tls_pending(void *arg)
{
	expect(arg == &tls);
	return tls.pending;
}

void tls_goodbye(void *arg)
{
	expect(arg == &tls);
	tls.goodbyes++;
}

void tls_free(void *arg)
{
	expect(arg == &tls);
	tls.freed++;
}

static size_t collected;

static int collect(struct async_chat *self, const void *data, size_t len)
{
	(void)self, (void)data;
	collected += len;
	return 0;
}

static const struct async_chat_type test_type = {
	.dispatcher = { .base = &tls_chat_type.dispatcher },
	.collect_incoming_data = collect,
};

/* An event of one of the directions that are asked for, for which the script has these
 * steps; then readable and writable are so. */
#define EVENT(event, r, w, ...) \
	do { \
		static const struct step steps[] = { __VA_ARGS__ }; \
		expect(asyncore_##event(self) > 0); \
		tls.next = steps; \
		err = asyncore_handle_##event##_event(self); \
		expect(err >= 0 || err == -EAGAIN); \
		expect(tls.next == steps + sizeof steps / sizeof steps[0]); \
		expect(!!asyncore_readable(self) == (r) && !!asyncore_writable(self) == (w)); \
	} while (0)
#define asyncore_read asyncore_readable
#define asyncore_write asyncore_writable

int main(void)
{
	struct tls_chat chat = { .handshaking = true, .handshake_wants_write = true };
	struct asyncore_dispatcher *self = &chat.chat.dispatcher;
	int fd[2], err;

	make_pair(fd);
	chat.tls = &tls;
	expect(async_chat_init(&chat.chat, &test_type, fd[0], NULL) == 0);
	expect(!asyncore_readable(self) && asyncore_writable(self));

	/* What is pushed meanwhile waits, and goes out at the end of the handshake. */
	expect(async_chat_push(&chat.chat, "hello", 5) == 0);
	EVENT(write, 1, 0, { HANDSHAKE, TLS_WANT_READ });
	EVENT(read, 0, 1, { HANDSHAKE, TLS_WANT_WRITE });
	EVENT(write, 1, 0, { HANDSHAKE, TLS_WANT_READ });
	EVENT(read, 1, 0, { HANDSHAKE, 0 }, { WRITE, 5 });
	expect(strcmp(tls.written, "hello") == 0);

	/* A read, nothing, and more data in the library than one read takes. */
	EVENT(read, 1, 0, { READ, 3 });
	EVENT(read, 1, 0, { READ, TLS_WANT_READ });
	tls.pending = 12;
	EVENT(read, 1, 0, { READ, 4 }, { READ, 4 }, { READ, 4 });
	expect(collected == 15);

	/* A read that wants to write is tried again by a write event. */
	EVENT(read, 0, 1, { READ, TLS_WANT_WRITE });
	EVENT(write, 1, 0, { READ, 2 });
	expect(collected == 17);

	/* A write that wants to read is tried again by a read event, and nothing before it. */
	tls.next = (const struct step[]){ { WRITE, TLS_WANT_READ } };
	expect(async_chat_push(&chat.chat, " you", 4) == 0);
	expect(asyncore_readable(self) && !asyncore_writable(self));
	expect(async_chat_push(&chat.chat, " all", 4) == 0);
	EVENT(read, 1, 1, { WRITE, 3 }, { READ, TLS_WANT_READ });
	EVENT(write, 1, 0, { WRITE, 5 });
	expect(strcmp(tls.written, "hello you all") == 0);

	/* A short way out of a full socket is no reason to read. */
	tls.next = (const struct step[]){ { WRITE, TLS_WANT_WRITE } };
	expect(async_chat_push(&chat.chat, "!", 1) == 0);
	expect(asyncore_readable(self) && asyncore_writable(self));
	EVENT(write, 1, 0, { WRITE, 1 });

	/* The end. */
	tls.next = (const struct step[]){ { READ, 0 } };
	expect(asyncore_handle_read_event(self) >= 0);
	expect(asyncore_socket(self) < 0);
	close(fd[1]);
	expect(asyncore_map_free(NULL) == 0);
	expect(tls.goodbyes == 1 && tls.freed == 1);
	return 0;
}
