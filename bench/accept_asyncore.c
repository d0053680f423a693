/* SPDX-License-Identifier: BSD-3-Clause */

/* accept_asyncore.c - connections accepted and closed by libasyncore: [attached] (see ours.h)
 * [batch], with ASYNCORE_ACCEPT_BATCH. */

#include "bench.h"
#include "ours.h"

#include <unistd.h>

static int server_accepted(struct asyncore_dispatcher *self, int fd,
			   const struct sockaddr *addr, socklen_t addrlen)
{
	(void)self, (void)addr, (void)addrlen;
	return close(fd);
}

static const struct asyncore_dispatcher_type server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "server",
	.handle_accepted = server_accepted,
};

static const struct asyncore_dispatcher_type batch_type = {
	.base = &server_type,
	.name = "batch",
	.flags = ASYNCORE_ACCEPT_BATCH,
};

int main(int argc, char **argv)
{
	struct asyncore_dispatcher server;
	struct asyncore_map *map = ours_map(argc, argv);

	ours_listen(&server, bench_given(argc, argv, "batch") ? &batch_type : &server_type, map);
	ours_run(map);
}
