/* SPDX-License-Identifier: BSD-3-Clause */

/* A class that is derived from, with a method of its own. */

#include "expect.h"
#include <line_chat.c>

static int shout(struct line_chat *self, char *line, size_t len)
{
	expect(strlen(line) == len);
	async_chat_push(&self->chat, line, len);
	return async_chat_push(&self->chat, "!\n", 2);
}

static const struct line_chat_type shouter_type = {
	.chat = { .dispatcher = { .base = &line_chat_type.chat.dispatcher } },
	.line_received = shout,
};

int main(void)
{
	struct line_chat shouter;
	int fd[2];

	make_pair(fd);
	expect(line_chat_init(&shouter, &shouter_type, fd[0], NULL) == 0);
	say(fd[1], "one\r\ntwo\r");
	expect(asyncore_poll(1.0, NULL) == 0);
	say(fd[1], "\n");
	expect(asyncore_poll(1.0, NULL) == 0);
	hear(fd[1], "one!\ntwo!\n");
	close(fd[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
