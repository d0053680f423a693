/* SPDX-License-Identifier: BSD-3-Clause */

/* echo_asyncore.c - echo on libasyncore, with dispatcher_with_send: [attached], see ours.h. */

#include "bench.h"
#include "ours.h"

static char data[BENCH_BUFFER];

static int echo_read(struct asyncore_dispatcher *self)
{
	int n = asyncore_recv(self, data, sizeof data);

	return n > 0 ? asyncore_send(self, data, (size_t)n) : n;
}

static int echo_close(struct asyncore_dispatcher *self)
{
	return asyncore_close(self);
}

static const struct asyncore_dispatcher_type echo_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "echo",
	.handle_read = echo_read,
	.handle_close = echo_close,
	.dealloc = asyncore_dealloc_free,
};

static int server_accepted(struct asyncore_dispatcher *self, int fd,
			   const struct sockaddr *addr, socklen_t addrlen)
{
	struct asyncore_dispatcher_with_send *echo = bench_alloc(sizeof *echo);

	(void)addr, (void)addrlen;
	return asyncore_dispatcher_with_send_init(echo, &echo_type, fd, asyncore_map(self));
}

static const struct asyncore_dispatcher_type server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "server",
	.handle_accepted = server_accepted,
};

int main(int argc, char **argv)
{
	struct asyncore_dispatcher server;
	struct asyncore_map *map = ours_map(argc, argv);

	ours_listen(&server, &server_type, map);
	ours_run(map);
}
