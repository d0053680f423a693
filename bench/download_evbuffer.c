/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * download_evbuffer.c - 100 MiB of a file for who connects, by evbuffer_add_file(), which the
 * kernel moves (sendfile) when the buffer is said to drain to a descriptor.
 */

#include "bench.h"

#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

struct download {
	struct event *event;
	struct evbuffer *output;
};

static int file;

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct download *d = arg;

	(void)what;
	/* 0 is what is made of EAGAIN. */
	while (evbuffer_get_length(d->output) > 0)
		if (evbuffer_write(d->output, fd) <= 0)
			return;
	event_free(d->event);
	evbuffer_free(d->output);
	close(fd);
	free(d);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	int fd = bench_accept(listener);
	struct download *d;

	(void)what;
	if (fd < 0)
		return;
	d = bench_alloc(sizeof *d);
	d->output = evbuffer_new();
	evbuffer_set_flags(d->output, EVBUFFER_FLAG_DRAINS_TO_FD);
	if (evbuffer_add_file(d->output, dup(file), 0, BENCH_DOWNLOAD) < 0)
		bench_die("evbuffer_add_file");
	d->event = event_new(arg, fd, EV_WRITE | EV_PERSIST, on_write, d);
	event_add(d->event, NULL);
}

int main(void)
{
	struct event_base *base = event_base_new();

	file = bench_file();
	event_add(event_new(base, bench_listen(), EV_READ | EV_PERSIST, on_accept, base), NULL);
	return event_base_dispatch(base);
}
