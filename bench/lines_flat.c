/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * lines_flat.c - the least that lines can cost on libevent: recv into a flat buffer, memchr, and
 * one send for the answers to all that was read.
 *
 *	lines_flat count|answer [once]
 *
 * once: a send for each line, as asynchat's push() does.
 */

#include "bench.h"
#include "lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

static bool answering, once;
static unsigned long lines, bytes;	/* bytes: without the line ends */
static char buffer[BENCH_BUFFER], answers[BENCH_BUFFER / 2 * ANSWER];
static size_t have, nanswers;
static struct event *event;

/* The client is slow to take its answers, but never waits for them. */
static void send_all(int fd, const char *data, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN || poll(&p, 1, -1) < 0)
				return;
			continue;
		}
		data += n;
		len -= (size_t)n;
	}
}

static void found_line(int fd, size_t len)
{
	lines++;
	bytes += len;
	if (!answering)
		return;
	if (once)
		send_all(fd, OK, ANSWER);
	else
		memcpy(answers + ANSWER * nanswers++, OK, ANSWER);
}

/* What was read ends at `end`; what is new begins at `from`. */
static void split(int fd, char *from, char *end)
{
	char *line = buffer, *newline;

	while ((newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
		from = newline + 1;
		if (newline == line || newline[-1] != '\r')
			continue;
		found_line(fd, (size_t)(newline - 1 - line));
		line = from;
	}
	have = (size_t)(end - line);
	memmove(buffer, line, have);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	ssize_t n = recv(fd, buffer + have, sizeof buffer - have, 0);

	(void)what, (void)arg;
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN) {
			event_free(event);
			close(fd);
			have = 0;
		}
		return;
	}
	nanswers = 0;
	split(fd, buffer + have, buffer + have + n);
	send_all(fd, answers, nanswers * ANSWER);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	int fd = bench_accept(listener);

	(void)what;
	if (fd < 0)
		return;
	event = event_new(arg, fd, EV_READ | EV_PERSIST, on_read, NULL);
	event_add(event, NULL);
}

int main(int argc, char **argv)
{
	struct event_base *base = event_base_new();

	answering = bench_given(argc, argv, "answer");
	once = bench_given(argc, argv, "once");
	event_add(event_new(base, bench_listen(), EV_READ | EV_PERSIST, on_accept, base), NULL);
	return event_base_dispatch(base);
}
