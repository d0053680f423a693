/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * accept_libevent.c - connections accepted and closed by a raw libevent program.
 *
 *	accept_libevent [one]
 *
 * It accepts until EAGAIN; one: one connection for each event.
 */

#include "bench.h"

#include <unistd.h>

#include <event2/event.h>

static bool one;

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	int fd;

	(void)what, (void)arg;
	while ((fd = bench_accept(listener)) >= 0) {
		close(fd);
		if (one)
			break;
	}
}

int main(int argc, char **argv)
{
	struct event_base *base = event_base_new();

	one = bench_given(argc, argv, "one");
	event_add(event_new(base, bench_listen(), EV_READ | EV_PERSIST, on_accept, NULL), NULL);
	return event_base_dispatch(base);
}
