/* SPDX-License-Identifier: BSD-3-Clause */

/* idle_libev.c - see idle.h: an ev_io for each connection, in a struct as applications have
 * one. */

#include "bench.h"
#include "idle.h"

#include <sys/socket.h>

#include <ev.h>

struct connection {
	ev_io io;	/* first */
	long served;
};

static struct ev_loop *loop;

static void on_read(struct ev_loop *unused, ev_io *io, int what)
{
	struct connection *c = (struct connection *)io;
	char byte;

	(void)unused, (void)what;
	if (recv(io->fd, &byte, 1, 0) == 1) {
		c->served++;
		idle_served++;
	}
}

void idle_init(int argc, char **argv)
{
	(void)argc, (void)argv;
	loop = ev_loop_new(EVFLAG_AUTO);
}

void idle_add(int fd)
{
	struct connection *c = bench_alloc(sizeof *c);

	*c = (struct connection){ .io = { .cb = on_read, .fd = fd,
					  .events = EV_READ | EV__IOFDSET } };
	ev_io_start(loop, &c->io);
}

void idle_add_active(int fd)
{
	idle_add(fd);
}

void idle_pass(void)
{
	ev_run(loop, EVRUN_ONCE);
}
