/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lines_evbuffer.c - lines split by libevent's evbuffer.
 *
 *	lines_evbuffer count|answer [search]
 *
 * evbuffer_readln(); search: evbuffer_search_eol() and a drain, which allocates nothing.
 */

#include "bench.h"
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

static bool answering, search;
static unsigned long lines, bytes;	/* bytes: without the line ends */
static struct event *read_event, *write_event;
static struct evbuffer *input, *output;

static bool take_line(void)
{
	size_t len, eol;
	struct evbuffer_ptr at;
	char *line;

	if (search) {
		at = evbuffer_search_eol(input, NULL, &eol, EVBUFFER_EOL_CRLF_STRICT);
		if (at.pos < 0)
			return false;
		len = (size_t)at.pos;
		evbuffer_drain(input, len + eol);
	} else {
		line = evbuffer_readln(input, &len, EVBUFFER_EOL_CRLF_STRICT);
		if (line == NULL)
			return false;
		free(line);
	}
	lines++;
	bytes += len;
	return true;
}

static void flush(int fd)
{
	while (evbuffer_get_length(output) > 0)
		if (evbuffer_write(output, fd) < 0) {
			event_add(write_event, NULL);
			break;
		}
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	(void)what, (void)arg;
	flush(fd);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	int n = evbuffer_read(input, fd, BENCH_BUFFER);

	(void)what, (void)arg;
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN) {
			event_free(read_event);
			event_free(write_event);
			evbuffer_free(input);
			evbuffer_free(output);
			close(fd);
		}
		return;
	}
	while (take_line())
		if (answering)
			evbuffer_add(output, OK, ANSWER);
	flush(fd);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	int fd = bench_accept(listener);

	(void)what;
	if (fd < 0)
		return;
	input = evbuffer_new();
	output = evbuffer_new();
	write_event = event_new(arg, fd, EV_WRITE, on_write, NULL);
	read_event = event_new(arg, fd, EV_READ | EV_PERSIST, on_read, NULL);
	event_add(read_event, NULL);
}

int main(int argc, char **argv)
{
	struct event_base *base = event_base_new();

	answering = bench_given(argc, argv, "answer");
	search = bench_given(argc, argv, "search");
	event_add(event_new(base, bench_listen(), EV_READ | EV_PERSIST, on_accept, base), NULL);
	return event_base_dispatch(base);
}
