/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * echo_server.py in C, line for line.  Above each part stand the Python lines that it
 * ports.
 *
 *	echo_server [port]		port 0 takes any that is free
 */

#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <asyncore.h>

/* repr(addr), for AF_INET */
static const char *repr_addr(const struct sockaddr *addr, char *buffer, size_t size)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
	char host[INET_ADDRSTRLEN] = "?";

	inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
	snprintf(buffer, size, "('%s', %d)", host, ntohs(in->sin_port));
	return buffer;
}

/*
 *	class EchoHandler(asyncore.dispatcher_with_send):
 *
 *	    def handle_read(self):
 *	        data = self.recv(8192)
 *	        if data:
 *	            self.send(data)
 */
struct echo_handler {
	struct asyncore_dispatcher_with_send dispatcher;
};

static int echo_handler_read(struct asyncore_dispatcher *self)
{
	char data[8192];
	int n = asyncore_recv(self, data, sizeof data);

	if (n > 0)
		return asyncore_send(self, data, n);
	return n;
}

/* Nobody refers to the handler any more: the map did, while it was open. */
static void echo_handler_dealloc(struct asyncore_dispatcher *self)
{
	free(self);
}

static const struct asyncore_dispatcher_type echo_handler_type = {
	.base = &asyncore_dispatcher_with_send_type,
	.name = "EchoHandler",
	.handle_read = echo_handler_read,
	.dealloc = echo_handler_dealloc,
};

/*
 *	class EchoServer(asyncore.dispatcher):
 */
struct echo_server {
	struct asyncore_dispatcher dispatcher;
};

/*
 *	    def handle_accepted(self, sock, addr):
 *	        print('Incoming connection from %s' % repr(addr), flush=True)
 *	        handler = EchoHandler(sock)
 */
static int echo_server_accepted(struct asyncore_dispatcher *self, int fd,
				const struct sockaddr *addr, socklen_t addrlen)
{
	struct echo_handler *handler = calloc(1, sizeof *handler);
	char text[64];
	int err = -ENOMEM;

	(void)addrlen;
	printf("Incoming connection from %s\n", repr_addr(addr, text, sizeof text));
	if (handler != NULL)
		err = asyncore_dispatcher_with_send_init(&handler->dispatcher,
							 &echo_handler_type, fd, NULL);
	if (err < 0) {
		free(handler);
		close(fd);
	}
	return ASYNCORE_RAISE(self, err);
}

static const struct asyncore_dispatcher_type echo_server_type = {
	.base = &asyncore_dispatcher_type,
	.name = "EchoServer",
	.handle_accepted = echo_server_accepted,
};

/*
 *	    def __init__(self, host, port):
 *	        asyncore.dispatcher.__init__(self)
 *	        self.create_socket()
 *	        self.set_reuse_addr()
 *	        self.bind((host, port))
 *	        self.listen(5)
 */
static int echo_server_init(struct echo_server *server, const char *host, int port)
{
	struct asyncore_dispatcher *self = &server->dispatcher;
	int err;

	err = asyncore_dispatcher_init(self, &echo_server_type, -1, NULL);
	if (err < 0)
		return err;
	err = asyncore_create_socket(self, AF_INET, SOCK_STREAM);
	if (err < 0)
		return err;
	asyncore_set_reuse_addr(self);
	err = asyncore_bind(self, host, port);
	if (err < 0)
		return err;
	return asyncore_listen(self, 5);
}

/*
 *	print('Listening at %s' % repr(server.socket.getsockname()), flush=True)
 */
static void print_address(const struct echo_server *server)
{
	struct sockaddr_in in;
	struct sockaddr *addr = (struct sockaddr *)&in;
	socklen_t addrlen = sizeof in;
	char text[64];

	if (getsockname(asyncore_socket(&server->dispatcher), addr, &addrlen) == 0)
		printf("Listening at %s\n", repr_addr(addr, text, sizeof text));
}

/*
 *	port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
 *	server = EchoServer('localhost', port)
 *	asyncore.loop()
 */
int main(int argc, char **argv)
{
	int port = argc > 1 ? atoi(argv[1]) : 8080;
	struct echo_server server;
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	err = echo_server_init(&server, "localhost", port);
	if (err == 0) {
		print_address(&server);
		err = asyncore_loop(ASYNCORE_TIMEOUT, false, NULL, -1);
	}
	if (err < 0) {
		fprintf(stderr, "echo_server: %s\n", strerror(-err));
		asyncore_close(&server.dispatcher);	/* it may be in no map */
	}
	asyncore_map_free(NULL);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
