/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * download_libevent.c - a raw libevent program sends 100 MiB to who connects, and closes.
 *
 *	download_libevent [sendfile]
 *
 * Pieces of 64 KiB from memory; sendfile: a file, as much at once as the socket takes.  Either
 * until EAGAIN.
 */

#include "bench.h"

#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

struct download {
	struct event *event;
	off_t sent;
};

static char block[BENCH_BUFFER];
static int file = -1;

static ssize_t send_piece(int fd, struct download *d)
{
	size_t len = sizeof block;
	ssize_t n;

	if (file >= 0)
		return sendfile(fd, file, &d->sent, (size_t)(BENCH_DOWNLOAD - d->sent));
	if ((off_t)len > BENCH_DOWNLOAD - d->sent)
		len = (size_t)(BENCH_DOWNLOAD - d->sent);
	n = send(fd, block, len, MSG_NOSIGNAL);
	if (n > 0)
		d->sent += n;
	return n;
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct download *d = arg;

	(void)what;
	while (d->sent < BENCH_DOWNLOAD)
		if (send_piece(fd, d) < 0)
			return;
	event_free(d->event);
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
	*d = (struct download){ .event = event_new(arg, fd, EV_WRITE | EV_PERSIST, on_write, d) };
	event_add(d->event, NULL);
}

int main(int argc, char **argv)
{
	struct event_base *base = event_base_new();

	if (bench_given(argc, argv, "sendfile"))
		file = bench_file();
	event_add(event_new(base, bench_listen(), EV_READ | EV_PERSIST, on_accept, base), NULL);
	return event_base_dispatch(base);
}
