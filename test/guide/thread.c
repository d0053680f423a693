/* SPDX-License-Identifier: BSD-3-Clause */

/* The result of a thread arrives, also when its channel is closed by then. */

#include "expect.h"
#include <thread.c>

int main(void)
{
	struct async_chat chat;
	pthread_t thread;
	int fd[2];

	make_pair(fd);
	expect(async_chat_init(&chat, &async_chat_type, fd[0], NULL) == 0);
	expect(start_work(&chat, &thread) == 0);
	expect(pthread_join(thread, NULL) == 0);
	expect(recv(fd[1], fd, sizeof fd, MSG_DONTWAIT) < 0);	/* not on that thread */
	expect(asyncore_poll(0.0, NULL) == 0);
	hear(fd[1], "42\r\n");

	expect(start_work(&chat, &thread) == 0);
	asyncore_close(&chat.dispatcher);
	expect(asyncore_loop(1.0, false, NULL, -1) == 0);
	expect(pthread_join(thread, NULL) == 0);
	close(fd[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
