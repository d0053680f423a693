/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * echo_libevent.c - the raw libevent program, against which all others are measured: one event
 * per connection, recv, send at once, and an event for writing only while output is left over.
 *
 *	echo_libevent [once] [queued]
 *
 * once: event_base_loop(EVLOOP_ONCE) for each pass, as a library around it has to do.
 * queued: no send at once; every answer waits for a write event.
 */

#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

struct connection {
	struct event *read, *write;	/* write: only while output is left over */
	char *left;
	size_t nleft;
};

static struct event_base *base;
static bool queued;
static char data[BENCH_BUFFER];

static void end(struct connection *c, int fd)
{
	event_free(c->read);
	if (c->write != NULL)
		event_free(c->write);
	free(c->left);
	free(c);
	close(fd);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;
	ssize_t n = send(fd, c->left, c->nleft, MSG_NOSIGNAL);

	(void)what;
	if (n < 0)
		return;
	c->nleft -= (size_t)n;
	if (c->nleft > 0) {
		memmove(c->left, c->left + n, c->nleft);
		return;
	}
	event_free(c->write);
	c->write = NULL;
	free(c->left);
	c->left = NULL;
}

static void keep(struct connection *c, int fd, const char *rest, size_t len)
{
	c->left = realloc(c->left, c->nleft + len);
	if (c->left == NULL)
		bench_die("realloc");
	memcpy(c->left + c->nleft, rest, len);
	c->nleft += len;
	if (c->write != NULL)
		return;
	c->write = event_new(base, fd, EV_WRITE | EV_PERSIST, on_write, c);
	event_add(c->write, NULL);
}

static void answer(struct connection *c, int fd, size_t len)
{
	ssize_t n = 0;

	if (c->nleft == 0 && !queued)
		n = send(fd, data, len, MSG_NOSIGNAL);
	if (n < 0)
		n = 0;
	if ((size_t)n < len)
		keep(c, fd, data + n, len - (size_t)n);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	ssize_t n = recv(fd, data, sizeof data, 0);

	(void)what;
	if (n > 0)
		answer(arg, fd, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		end(arg, fd);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	int fd = bench_accept(listener);
	struct connection *c;

	(void)what, (void)arg;
	if (fd < 0)
		return;
	c = bench_alloc(sizeof *c);
	*c = (struct connection){ .read = event_new(base, fd, EV_READ | EV_PERSIST, on_read, c) };
	event_add(c->read, NULL);
}

int main(int argc, char **argv)
{
	queued = bench_given(argc, argv, "queued");
	base = event_base_new();
	event_add(event_new(base, bench_listen(), EV_READ | EV_PERSIST, on_accept, NULL), NULL);
	if (!bench_given(argc, argv, "once"))
		return event_base_dispatch(base);
	while (event_base_loop(base, EVLOOP_ONCE) == 0)
		;
	return 1;
}
