/* SPDX-License-Identifier: BSD-3-Clause */

/* A class, and objects of it that hold another one. */

#include "expect.h"
#include <echo.c>

static int servers_left = 1;

static void server_dispose(struct asyncore_dispatcher *self)
{
	(void)self;
	servers_left--;
}

int main(void)
{
	static const struct asyncore_dispatcher_type server_type = {
		.base = &asyncore_dispatcher_type,
		.name = "server",
		.dispose = server_dispose,
	};
	struct asyncore_dispatcher server;
	struct echo *echo;
	int fd[2];

	expect(asyncore_dispatcher_init(&server, &server_type, -1, NULL) == 0);
	expect(echo_new(-2, &server) < 0 && asyncore_map_size(NULL) == 0);
	make_pair(fd);
	expect(echo_new(fd[0], &server) == 0);
	echo = (struct echo *)asyncore_map_get(NULL, fd[0]);
	say(fd[1], "hello");
	expect(asyncore_poll(1.0, NULL) == 0);
	hear(fd[1], "hello");
	expect(echo->received == 5);

	expect(asyncore_close(&server) == 0);
	say(fd[1], "again");
	expect(asyncore_poll(1.0, NULL) == 0);
	expect(servers_left == 1);	/* the echo holds it */
	close(fd[1]);
	expect(asyncore_loop(1.0, false, NULL, -1) == 0);
	expect(servers_left == 0);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
