/* SPDX-License-Identifier: BSD-3-Clause */

/* echo_libev.c - echo on libev.  Output that is left over is not kept: the sockets of these
 * messages hold them. */

#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ev.h>

static char data[BENCH_BUFFER];

static void on_read(struct ev_loop *loop, ev_io *io, int what)
{
	ssize_t n = recv(io->fd, data, sizeof data, 0);

	(void)what;
	if (n > 0 && send(io->fd, data, (size_t)n, MSG_NOSIGNAL) != n)
		bench_die("send");
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		ev_io_stop(loop, io);
		close(io->fd);
		free(io);
	}
}

/* ev_io_init() as functions: the macro casts const away. */
static void watch(struct ev_loop *loop, ev_io *io, void (*call)(struct ev_loop *, ev_io *, int),
		  int fd)
{
	*io = (ev_io){ .cb = call, .fd = fd, .events = EV_READ | EV__IOFDSET };
	ev_io_start(loop, io);
}

static void on_accept(struct ev_loop *loop, ev_io *listener, int what)
{
	int fd = bench_accept(listener->fd);

	(void)what;
	if (fd >= 0)
		watch(loop, bench_alloc(sizeof(ev_io)), on_read, fd);
}

int main(void)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
	ev_io listener;

	watch(loop, &listener, on_accept, bench_listen());
	return ev_run(loop, 0);
}
