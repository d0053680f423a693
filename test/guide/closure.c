/* SPDX-License-Identifier: BSD-3-Clause */

/* A closure keeps what it has captured, and lets it go. */

#include "expect.h"
#include <closure.c>

static int disposed;

static void count_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	disposed++;
}

int main(void)
{
	static const struct async_chat_type type = {
		.dispatcher = { .base = &async_chat_type.dispatcher, .dispose = count_dispose },
	};
	struct async_chat chat;
	struct closure closure;
	int fd[2];

	make_pair(fd);
	expect(async_chat_init(&chat, &type, fd[0], NULL) == 0);
	closure = pusher(&chat);
	closure.call(closure.arg, "value");
	hear(fd[1], "value");
	asyncore_close(&chat.dispatcher);
	expect(asyncore_close_all(NULL, true) == 0);
	expect(disposed == 0);
	closure.call(closure.arg, "too late");
	closure.release(closure.arg);
	expect(asyncore_close_all(NULL, true) == 0);
	expect(disposed == 1);
	close(fd[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
