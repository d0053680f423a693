/* SPDX-License-Identifier: BSD-3-Clause */

/* async_chat reads lines from a pipe, and takes a copy of the descriptor. */

#include "expect.h"
#include <pipe.c>

static int lines;

static int count_line(struct async_chat *self)
{
	expect(strcmp(async_chat_get_data(self, NULL), lines++ == 0 ? "one" : "two") == 0);
	return 0;
}

int main(void)
{
	static const struct async_chat_type type = {
		.dispatcher = { .base = &async_chat_type.dispatcher },
		.collect_incoming_data = async_chat_collect_default,
		.found_terminator = count_line,
	};
	struct async_chat reader;
	int fd[2];

	expect(pipe(fd) == 0);
	expect(reader_init(&reader, &type, fd[0]) == 0);
	close(fd[0]);
	say(fd[1], "one\ntwo\nthr");
	close(fd[1]);
	expect(asyncore_loop(1.0, false, NULL, -1) == 0);
	expect(lines == 2);
	expect(reader_init(&reader, &type, -1) == -EBADF);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
