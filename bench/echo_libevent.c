/* SPDX-License-Identifier: BSD-3-Clause */

/* echo_libevent.c - the raw libevent program that ours is measured against: one event per
 * connection, recv into a buffer, send at once.  Prints its port and ends with its last
 * connection. */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

static struct event_base *base;
static int connections;
static char data[65536];

struct connection {
	struct event *event;
	int fd;
};

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;
	ssize_t n = recv(fd, data, sizeof data, 0);

	(void)what;
	if (n > 0) {
		send(fd, data, (size_t)n, MSG_NOSIGNAL);
		return;
	}
	if (n < 0 && errno == EAGAIN)
		return;
	event_free(c->event);
	close(fd);
	free(c);
	if (--connections == 0)
		event_base_loopbreak(base);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = malloc(sizeof *c);

	(void)what, (void)arg;
	c->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (c->fd < 0) {
		free(c);
		return;
	}
	c->event = event_new(base, c->fd, EV_READ | EV_PERSIST, on_read, c);
	event_add(c->event, NULL);
	connections++;
}

int main(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	struct event *listener;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return 1;
	base = event_base_new();
	listener = event_new(base, fd, EV_READ | EV_PERSIST, on_accept, NULL);
	event_add(listener, NULL);
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	event_base_dispatch(base);
	event_free(listener);
	event_base_free(base);
	close(fd);
	return 0;
}
