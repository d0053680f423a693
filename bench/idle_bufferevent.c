/* SPDX-License-Identifier: BSD-3-Clause */

/* idle_bufferevent.c - see idle.h: a bufferevent for each connection. */

#include "bench.h"
#include "idle.h"

#include <event2/bufferevent.h>
#include <event2/event.h>

struct connection {
	struct bufferevent *bev;
	long served;
};

static struct event_base *base;

static void on_read(struct bufferevent *bev, void *arg)
{
	struct connection *c = arg;
	char byte;

	if (bufferevent_read(bev, &byte, 1) == 1) {
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
	c->bev = bufferevent_socket_new(base, fd, 0);
	bufferevent_setcb(c->bev, on_read, NULL, NULL, c);
	bufferevent_disable(c->bev, EV_WRITE);
	bufferevent_enable(c->bev, EV_READ);
}

void idle_add_active(int fd)
{
	idle_add(fd);
}

void idle_pass(void)
{
	event_base_loop(base, EVLOOP_ONCE);
}
