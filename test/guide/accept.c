/* SPDX-License-Identifier: BSD-3-Clause */

/* A connection that cannot be served does not end the server. */

#include "expect.h"
#include <accept.c>

static int fds[2], served;

int echo_new(int fd, struct asyncore_dispatcher *server)
{
	(void)server;
	fds[served] = fd;
	return served++ == 0 ? -ENOMEM : 0;
}

static int count_log(struct asyncore_dispatcher *self, const char *message)
{
	(void)self;
	return strcmp(message, "not served: Cannot allocate memory");
}

int main(void)
{
	static const struct asyncore_dispatcher_type type = {
		.base = &asyncore_dispatcher_type,
		.handle_accept = server_accept,
		.log = count_log,
	};
	struct asyncore_dispatcher server;
	struct sockaddr_in in;
	socklen_t len = sizeof in;
	int i, client;

	expect(asyncore_dispatcher_init(&server, &type, -1, NULL) == 0);
	expect(asyncore_create_socket(&server, AF_INET, SOCK_STREAM) == 0);
	expect(asyncore_bind(&server, "127.0.0.1", 0) == 0);
	expect(asyncore_listen(&server, 5) == 0);
	expect(asyncore_handle_accept(&server) == -EAGAIN);
	expect(getsockname(asyncore_socket(&server), (struct sockaddr *)&in, &len) == 0);
	for (i = 0; i < 2; i++) {
		client = socket(AF_INET, SOCK_STREAM, 0);
		expect(connect(client, (struct sockaddr *)&in, len) == 0);
		run_until(served == i + 1);
		expect((fcntl(fds[i], F_GETFD) < 0) == (i == 0));	/* closed, or taken */
		close(client);
	}
	expect(asyncore_accepting(&server));
	close(fds[1]);
	expect(asyncore_map_free(NULL) == 0);
	return 0;
}
