/* SPDX-License-Identifier: BSD-3-Clause */

/* echo_epoll.c - the least that an echo can cost: epoll and the descriptor itself as its data.
 * Output that is left over is not kept: the sockets of these messages hold them. */

#include "bench.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024 };

static int epoll, listener;
static char data[BENCH_BUFFER];

static void watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		bench_die("epoll_ctl");
}

static void on_accept(void)
{
	int fd = bench_accept(listener);

	if (fd >= 0)
		watch(fd);
}

static void on_read(int fd)
{
	ssize_t n = recv(fd, data, sizeof data, 0);

	if (n > 0 && send(fd, data, (size_t)n, MSG_NOSIGNAL) != n)
		bench_die("send");
	if (n == 0 || (n < 0 && errno != EAGAIN))
		close(fd);
}

int main(void)
{
	struct epoll_event events[EVENTS];
	int n, i;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	listener = bench_listen();
	watch(listener);
	for (;;) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (i = 0; i < n; i++)
			if (events[i].data.fd == listener)
				on_accept();
			else
				on_read(events[i].data.fd);
	}
}
