/* SPDX-License-Identifier: BSD-3-Clause */

/* A mix-in. */

#include "expect.h"
#include <limited.c>

static int pieces;

static int count_piece(struct async_chat *self, const void *data, size_t len)
{
	(void)self, (void)data;
	expect(len <= 3);
	pieces++;
	return 0;
}

int main(void)
{
	static const struct async_chat_type type = {
		.dispatcher = {
			.base = &async_chat_type.dispatcher,
			.recv = limited_chat_recv,
		},
		.collect_incoming_data = count_piece,
	};
	struct limited_chat chat;
	int fd[2];

	make_pair(fd);
	expect(async_chat_init(&chat.chat, &type, fd[0], NULL) == 0);
	chat.limited.rate = 3;
	say(fd[1], "1234567");
	run_until(pieces == 3);
	close(fd[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
