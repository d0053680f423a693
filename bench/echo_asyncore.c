/* SPDX-License-Identifier: BSD-3-Clause */

/* echo_asyncore.c - the same server, written on libasyncore with dispatcher_with_send.
 * Prints its port and ends with its last connection. */

#include <asyncore.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>

static struct asyncore_dispatcher server;
static int connections;
static char data[65536];

static int echo_read(struct asyncore_dispatcher *self)
{
	int n = asyncore_recv(self, data, sizeof data);

	return n > 0 ? asyncore_send(self, data, (size_t)n) : n;
}

static int echo_close(struct asyncore_dispatcher *self)
{
	if (--connections == 0)
		asyncore_close(&server);
	return asyncore_close(self);
}

static void echo_free(struct asyncore_dispatcher *self)
{
	free(self);
}

static const struct asyncore_dispatcher_type echo_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "echo",
	.handle_read = echo_read,
	.handle_close = echo_close,
	.dealloc = echo_free,
};

static int server_accepted(struct asyncore_dispatcher *self, int fd,
			   const struct sockaddr *addr, socklen_t addrlen)
{
	struct asyncore_dispatcher_with_send *echo = malloc(sizeof *echo);

	(void)addr, (void)addrlen;
	connections++;
	return asyncore_dispatcher_with_send_init(echo, &echo_type, fd, asyncore_map(self));
}

static const struct asyncore_dispatcher_type server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "server",
	.handle_accepted = server_accepted,
};

int main(void)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof addr;
	int on = 1;

	if (asyncore_dispatcher_init(&server, &server_type, -1, NULL) < 0 ||
	    asyncore_create_socket(&server, AF_INET, SOCK_STREAM) < 0 ||
	    asyncore_bind(&server, "127.0.0.1", 0) < 0 || asyncore_listen(&server, 1024) < 0)
		return 1;
	setsockopt(asyncore_socket(&server), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	getsockname(asyncore_socket(&server), (struct sockaddr *)&addr, &len);
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1) < 0;
}
