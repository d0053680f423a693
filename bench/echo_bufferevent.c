/* SPDX-License-Identifier: BSD-3-Clause */

/* echo_bufferevent.c - echo on bufferevents, moving what was read from one evbuffer to the
 * other. */

#include "bench.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)arg;
	evbuffer_add_buffer(bufferevent_get_output(bev), bufferevent_get_input(bev));
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what, (void)arg;
	bufferevent_free(bev);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	int fd = bench_accept(listener);
	struct bufferevent *bev;

	(void)what;
	if (fd < 0)
		return;
	bev = bufferevent_socket_new(arg, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(bev, on_read, NULL, on_event, NULL);
	bufferevent_enable(bev, EV_READ);
}

int main(void)
{
	struct event_base *base = event_base_new();

	event_add(event_new(base, bench_listen(), EV_READ | EV_PERSIST, on_accept, base), NULL);
	return event_base_dispatch(base);
}
