/* SPDX-License-Identifier: BSD-3-Clause */

/* idle_libevent.c - see idle.h: an event for each connection, and a struct as applications have
 * one. */

#include "bench.h"
#include "idle.h"

#include <sys/socket.h>

#include <event2/event.h>

struct connection {
	struct event *event;
	long served;
};

static struct event_base *base;

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;
	char byte;

	(void)what;
	if (recv(fd, &byte, 1, 0) == 1) {
		c->served++;
		idle_served++;
	}
}

void idle_init(int argc, char **argv)
{
	(void)argc, (void)argv;
	base = event_base_new();
}

void idle_add(int fd)
{
	struct connection *c = bench_alloc(sizeof *c);

	c->served = 0;
	c->event = event_new(base, fd, EV_READ | EV_PERSIST, on_read, c);
	event_add(c->event, NULL);
}

void idle_add_active(int fd)
{
	idle_add(fd);
}

void idle_pass(void)
{
	event_base_loop(base, EVLOOP_ONCE);
}
