/* SPDX-License-Identifier: BSD-3-Clause */

/* idle_epoll.c - see idle.h: epoll, and a struct as applications have one. */

#include "bench.h"
#include "idle.h"

#include <sys/epoll.h>
#include <sys/socket.h>

enum { EVENTS = 1024 };

struct connection {
	int fd;
	long served;
};

static int epoll;

void idle_init(int argc, char **argv)
{
	(void)argc, (void)argv;
	epoll = epoll_create1(EPOLL_CLOEXEC);
}

void idle_add(int fd)
{
	struct connection *c = bench_alloc(sizeof *c);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

	*c = (struct connection){ .fd = fd };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		bench_die("epoll_ctl");
}

void idle_add_active(int fd)
{
	idle_add(fd);
}

static void on_read(struct connection *c)
{
	char byte;

	if (recv(c->fd, &byte, 1, 0) == 1) {
		c->served++;
		idle_served++;
	}
}

void idle_pass(void)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll, events, EVENTS, -1), i;

	for (i = 0; i < n; i++)
		on_read(events[i].data.ptr);
}
