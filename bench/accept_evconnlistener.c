/* SPDX-License-Identifier: BSD-3-Clause */

/* accept_evconnlistener.c - connections accepted by libevent's listener, and closed. */

#include "bench.h"

#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr,
		      int len, void *arg)
{
	(void)listener, (void)addr, (void)len, (void)arg;
	close(fd);
}

int main(void)
{
	struct event_base *base = event_base_new();

	if (evconnlistener_new(base, on_accept, NULL, 0, 0, bench_listen()) == NULL)
		bench_die("evconnlistener_new");
	return event_base_dispatch(base);
}
