/* SPDX-License-Identifier: BSD-3-Clause */

/* What is caught, what is not, and who is told. */

#include "expect.h"
#include <exceptions.c>

static int handled_code;

int answer(struct async_chat *self, const char *request)
{
	if (strcmp(request, "bad") == 0)
		return ASYNCORE_RAISEF(&self->dispatcher, -EINVAL, "no '%s' here", request);
	if (strcmp(request, "late") == 0)
		return ASYNCORE_RAISE(&self->dispatcher, -ETIMEDOUT);
	return async_chat_push(self, "200\r\n", 5);
}

static int note_error(struct asyncore_dispatcher *self)
{
	handled_code = asyncore_error(self)->code;
	return request_error(self);
}

int main(void)
{
	static const struct async_chat_type type = {
		.dispatcher = {
			.base = &async_chat_type.dispatcher,
			.handle_error = note_error,
		},
		.collect_incoming_data = async_chat_collect_default,
		.found_terminator = request_found,
	};
	struct async_chat chat;
	int fd[2];

	make_pair(fd);
	expect(async_chat_init(&chat, &type, fd[0], NULL) == 0);
	expect(async_chat_set_terminator(&chat, "\n", 1) == 0);
	say(fd[1], "good\nbad\n");
	expect(asyncore_loop(1.0, false, NULL, -1) == 0);
	hear(fd[1], "200\r\n400 no 'bad' here\r\n");
	expect(handled_code == 0);
	close(fd[1]);

	make_pair(fd);
	expect(async_chat_init(&chat, &type, fd[0], NULL) == 0);
	expect(async_chat_set_terminator(&chat, "\n", 1) == 0);
	say(fd[1], "late\n");
	expect(asyncore_loop(1.0, false, NULL, -1) == 0);
	expect(handled_code == -ETIMEDOUT);
	close(fd[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
