/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * echo_asyncore.c - the same server, written on libasyncore with dispatcher_with_send.  Prints
 * its port and ends with its last connection, because then nothing is left to wait for.
 *
 *	echo_asyncore [loop | attached] [asked]
 *
 * By default asyncore_loop() drives a map on a base of its own.  loop: on a base of the
 * application's; attached: the application runs that base.  asked: the connections override a
 * predicate without saying when it changes, so that it is asked on every pass.
 */

#include <asyncore.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

static struct asyncore_dispatcher server;
static const struct asyncore_dispatcher_type *connection_type;
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

static const struct asyncore_dispatcher_type echo_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "echo",
	.handle_read = echo_read,
	.handle_close = echo_close,
	.dealloc = asyncore_dealloc_free,
};

static int asked_readable(struct asyncore_dispatcher *self)
{
	return asyncore_dispatcher_readable(self);
}

static const struct asyncore_dispatcher_type asked_type = {
	.base = &echo_type,
	.name = "asked",
	.readable = asked_readable,
};

static int server_accepted(struct asyncore_dispatcher *self, int fd,
			   const struct sockaddr *addr, socklen_t addrlen)
{
	struct asyncore_dispatcher_with_send *echo = malloc(sizeof *echo);

	(void)addr, (void)addrlen;
	connections++;
	return asyncore_dispatcher_with_send_init(echo, connection_type, fd,
						  asyncore_map(self));
}

static const struct asyncore_dispatcher_type server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "server",
	.handle_accepted = server_accepted,
};

static int listen_on(struct asyncore_map *map)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof addr;
	int on = 1;

	if (asyncore_dispatcher_init(&server, &server_type, -1, map) < 0 ||
	    asyncore_create_socket(&server, AF_INET, SOCK_STREAM) < 0 ||
	    asyncore_bind(&server, "127.0.0.1", 0) < 0 || asyncore_listen(&server, 1024) < 0)
		return -1;
	setsockopt(asyncore_socket(&server), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	getsockname(asyncore_socket(&server), (struct sockaddr *)&addr, &len);
	printf("%d\n", ntohs(addr.sin_port));
	return fflush(stdout);
}

static bool given(const char *word, int argc, char **argv)
{
	while (--argc > 0)
		if (strcmp(argv[argc], word) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const bool attached = given("attached", argc, argv);
	const bool foreign = attached || given("loop", argc, argv);
	struct event_base *base = foreign ? event_base_new() : NULL;
	struct asyncore_map *map = asyncore_map_new(base);
	int r;

	connection_type = given("asked", argc, argv) ? &asked_type : &echo_type;
	if (map == NULL || (foreign && base == NULL) || listen_on(map) < 0)
		return 1;
	r = attached ? event_base_dispatch(base) : asyncore_loop(ASYNCORE_TIMEOUT, false, map, -1);
	asyncore_map_free(map);
	if (base != NULL)
		event_base_free(base);
	return r < 0;
}
