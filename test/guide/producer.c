/* SPDX-License-Identifier: BSD-3-Clause */

#include "expect.h"
#include <producer.c>

int main(void)
{
	struct async_chat chat;
	int fd[2];

	make_pair(fd);
	expect(async_chat_init(&chat, &async_chat_type, fd[0], NULL) == 0);
	expect(push_countdown(&chat, 3) == 0);
	expect(async_chat_close_when_done(&chat) == 0);
	expect(asyncore_loop(1.0, false, NULL, -1) == 0);
	hear(fd[1], "2\r\n1\r\n0\r\n");
	close(fd[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
